"""A batch that a mapping gave up, as Lambda left it in S3 with its payload."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

from lambdas.effects import clients


class NoBatch(RuntimeError):
    """An object that holds no batch of a stream; the message names it."""


def records(bucket: str, key: str) -> list[Mapping[str, Any]]:
    """The batch's records as Lambda handed them over; raises `NoBatch`."""
    body = clients.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    where = f"s3://{bucket}/{key}"
    try:
        found: list[Mapping[str, Any]] = orjson.loads(orjson.loads(body)["payload"])["Records"]
        shards = {record["eventID"].partition(":")[0] for record in found if record["kinesis"]}
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise NoBatch(
            f"{where} holds no records of a stream; read its events from the stream while it keeps them, or "
            "from the lake."
        ) from None
    if len(shards) != 1:
        raise NoBatch(f"{where} holds records of {len(shards)} shards; a batch is of one.")
    return found
