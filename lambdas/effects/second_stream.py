"""Events on their way to the pipeline's second stream, partitioned as other detectors need, and marks of how
far the first stream's shards have come.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from lambdas.effects import clients
from lambdas.effects.sending import Item, batches, deliver, shortened
from lambdas.lineage import Lineage

KIND = "rekeyed"  # of the items that are sent here
MOST_RECORD_BYTES = 1_000_000  # Kinesis takes 2^20 with the partition key
MOST_RECORDS, MOST_BYTES = 500, 4_500_000  # of one call, which takes 5 MiB with the partition keys
AROUND_DATA = 1_024  # bytes; a partition key has at most 256 characters


class Put(NamedTuple):
    """One record of a call. With a hash key it goes to the shard that has it, whatever the partition key."""

    data: bytes
    partition_key: str
    hash_key: str | None = None


class SecondStream:
    """A pipeline without re-keyed detectors has none, and an empty name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def is_source_of(self, batch: Sequence[Mapping[str, Any]]) -> bool:
        """Whether Lambda has read a batch from it."""
        return bool(self._name) and str(batch[0]["eventSourceARN"]).endswith(f":stream/{self._name}")

    def send(self, items: Iterable[Item]) -> None:
        """Puts each item under its partition key; raises `Undelivered`. One that was sent before comes twice,
        and is known by what it holds.
        """
        if self._name:  # else nobody is there to read what was owed before detectors ceased to be re-keyed
            self._put(put for item in items for put in puts(item.body))

    def mark(self, mark: Mapping[str, Any], lineage: Lineage) -> None:
        """Puts a mark into each of its shards that is open, behind all that has been sent."""
        self._put(
            Put(encoded(mark), "mark", str(lineage.span(shard_id).first))
            for shard_id in lineage.shard_ids
            if not lineage.is_closed(shard_id)
        )

    def _put(self, records: Iterable[Put]) -> None:
        for batch in batches(records, weight, most=MOST_RECORDS, most_bytes=MOST_BYTES):
            deliver(batch, self._put_batch, self._name)

    def _put_batch(self, batch: list[Put]) -> list[tuple[Put, str]]:
        entries = [
            {"Data": put.data, "PartitionKey": put.partition_key}
            | ({"ExplicitHashKey": put.hash_key} if put.hash_key else {})
            for put in batch
        ]
        answer = clients.client("kinesis").put_records(StreamName=self._name, Records=entries)
        results = zip(batch, answer["Records"], strict=True)
        return [(put, result["ErrorCode"]) for put, result in results if result.get("ErrorCode")]


def weight(put: Put) -> int:
    return len(put.data) + AROUND_DATA


def puts(body: Mapping[str, Any]) -> Iterator[Put]:
    """The records that an item makes: one, or as many halves as fit. An event that does not has its long
    texts cut, since it would otherwise be refused for ever.
    """
    document = {name: value for name, value in body.items() if name != "partition_key"}
    data = encoded(document)
    events = body["events"]
    if len(data) > MOST_RECORD_BYTES and len(events) > 1:
        middle = len(events) // 2
        for half in (events[:middle], events[middle:]):
            yield from puts({**body, "events": half})
        return
    if len(data) > MOST_RECORD_BYTES:
        data = encoded(shortened(document))
    yield Put(data, body["partition_key"])


def encoded(document: Mapping[str, Any]) -> bytes:
    return zlib.compress(orjson.dumps(document), level=1)


def decoded(data: bytes) -> Any:
    """What a record holds; none where somebody else put it.

    >>> decoded(encoded({"at": 60.0})), decoded(b"hello")
    ({'at': 60.0}, None)
    """
    try:
        return orjson.loads(zlib.decompress(data))
    except (zlib.error, orjson.JSONDecodeError):
        return None
