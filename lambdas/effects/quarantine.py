"""Where a record goes that cannot be read: lines of JSON in the lake, with reasons and the record's bytes."""

from __future__ import annotations

import gzip
import hashlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from lambdas.columns import lake_time
from lambdas.effects import clients
from lambdas.formats.decode import Unreadable
from lambdas.tables import QUARANTINE


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A record with the parts of it that could not be read."""

    data: bytes
    partition_key: str
    shard_id: str
    sequence_number: str
    arrival_ms: int
    parts: Sequence[Unreadable]


class Quarantine:
    def __init__(self, bucket: str, pipeline: str) -> None:
        self._bucket = bucket
        self._pipeline = pipeline

    def put(self, rejected: Sequence[Rejected]) -> None:
        """Writes one object; the same records again are the same object."""
        if not rejected:
            return
        lines = b"".join(
            orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for record in rejected for row in rows(record)
        )
        hour = datetime.fromtimestamp(rejected[0].arrival_ms / 1000, UTC).strftime("%Y-%m-%d-%H")
        name = hashlib.sha256(lines).hexdigest()
        clients.client("s3").put_object(
            Bucket=self._bucket,
            Key=f"quarantine/pipeline={self._pipeline}/dt={hour}/{name}.json.gz",
            Body=gzip.compress(lines, mtime=0),
        )


def rows(record: Rejected) -> list[dict[str, Any]]:
    """A row for each part. The record's bytes stand in the first one only: a megabyte of bad parts, each with
    the whole record, would be more than a function can hold.
    """
    made = []
    for position, part in enumerate(record.parts):
        values = {
            "reason": part.reason,
            "field": part.field,
            "value": part.value,
            "data": None if position else b64encode(record.data).decode(),
            "partition_key": record.partition_key,
            "shard_id": record.shard_id,
            "sequence_number": record.sequence_number,
            "record_index": part.index,
            "arrived_at": lake_time(record.arrival_ms / 1000),
        }
        made.append({column.name: values[column.name] for column in QUARANTINE.columns})
    return made
