"""The clients of AWS services, each made when first asked for: a cold start pays only for what it uses."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
from botocore.config import Config

# boto3's own limits, a minute a try, would outlast a function's time. S3, SQS, SNS, DynamoDB and Firehose
# answer well within 5 s or not at all. Three tries of at most 8 s leave half of the 55 s and 60 s that tick
# and alert have, so a silent service is reported and does not cut off what else they had to do.
CONFIG = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})


@cache
def client(service: str) -> Any:
    return boto3.client(service, config=CONFIG)
