"""The clients of AWS services, each made when first asked for: a cold start pays only for what it uses."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
from botocore.config import Config

# boto3's own limits, a minute a try, would outlast a function's time; a batch is retried as a whole anyway.
CONFIG = Config(connect_timeout=3, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4})


@cache
def client(service: str) -> Any:
    return boto3.client(service, config=CONFIG)
