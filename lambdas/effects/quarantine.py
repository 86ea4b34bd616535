"""Where a record goes that cannot be read: lines of JSON in the lake, with reasons and the record's bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import orjson

from lambdas.columns import lake_time
from lambdas.effects import clients
from lambdas.formats.decode import Unreadable
from lambdas.tables import QUARANTINE


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A record with the parts of it that could not be read; `good` is how many could."""

    data: bytes
    partition_key: str
    shard_id: str
    sequence_number: str
    arrival_ms: int
    parts: Sequence[Unreadable]
    good: int = 0


class Quarantine:
    def __init__(self, bucket: str, pipeline: str) -> None:
        self._bucket = bucket
        self._pipeline = pipeline

    def put(self, rejected: Sequence[Rejected]) -> None:
        """Writes one object; the same records again are the same object."""
        if not rejected:
            return
        # A line after the other: all of a batch's bad parts as text would be more than a function can hold.
        content, packed = hashlib.sha256(), io.BytesIO()
        with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
            for row in chain.from_iterable(map(rows, rejected)):
                line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
                content.update(line)
                file.write(line)
        hour = datetime.fromtimestamp(rejected[0].arrival_ms / 1000, UTC).strftime("%Y-%m-%d-%H")
        clients.client("s3").put_object(
            Bucket=self._bucket,
            Key=f"quarantine/pipeline={self._pipeline}/dt={hour}/{content.hexdigest()}.json.gz",
            Body=packed.getvalue(),
        )


def rows(record: Rejected) -> Iterator[dict[str, Any]]:
    """A row for each part. The record's bytes stand in the first one only: a megabyte of bad parts, each with
    the whole record, would be more than a function can hold.
    """
    for position, part in enumerate(record.parts):
        values = {
            "reason": part.reason,
            "field": part.field,
            "value": part.value,
            "data": None if position else b64encode(record.data).decode(),
            "partition_key": record.partition_key,
            "record_parts": record.good + len(record.parts),
            "shard_id": record.shard_id,
            "sequence_number": record.sequence_number,
            "record_index": part.index,
            "arrived_at": lake_time(record.arrival_ms / 1000),
        }
        yield {column.name: values[column.name] for column in QUARANTINE.columns}
