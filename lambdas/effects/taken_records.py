"""Which records a shard has taken in, kept for as long as a batch that was given up is kept.

The state log forgets its entries; each time that it writes a base, what they took in is written here. An
object's name says what its ranges span, so that few are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lambdas.effects import clients
from lambdas.effects.state_log import packed, unpacked

NAME = re.compile(r"\d{12}-(\d+)-(\d+)")
Range = tuple[int, int]


class DamagedRanges(RuntimeError):
    """An object that cannot be read, so that nobody knows what was taken in; the message names it."""


class TakenRecords:
    """The ranges that a pipeline's shards have handed over."""

    def __init__(self, bucket: str, pipeline: str) -> None:
        self._bucket = bucket
        self._pipeline = pipeline

    def keep(self, shard_id: str, number: int, ranges: Sequence[Range]) -> None:
        """Writes what was taken in up to the entry of this number, before a base no longer has it."""
        if not ranges:
            return
        first, last = min(first for first, _ in ranges), max(last for _, last in ranges)
        clients.client("s3").put_object(
            Bucket=self._bucket,
            Key=f"{self._prefix(shard_id)}{number:012d}-{first}-{last}",
            Body=packed([[str(first), str(last)] for first, last in ranges]),
        )

    def around(self, shard_id: str, first: int, last: int) -> Iterator[Range]:
        """The ranges of the objects that span any number from `first` to `last`; raises `DamagedRanges`."""
        s3, prefix = clients.client("s3"), self._prefix(shard_id)
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            for listed in page.get("Contents", ()):
                name = NAME.fullmatch(listed["Key"].removeprefix(prefix))
                if name and int(name[1]) <= last and first <= int(name[2]):
                    yield from self._read(listed["Key"])

    def _read(self, key: str) -> Iterator[Range]:
        ranges = unpacked(clients.client("s3").get_object(Bucket=self._bucket, Key=key)["Body"].read())
        if ranges is None:
            raise DamagedRanges(
                f"s3://{self._bucket}/{key} is damaged, so which records were taken in before is not known; "
                "restore the object. Without it, delete it: what is redriven may then be detected twice."
            )
        for first, last in ranges:
            yield int(first), int(last)

    def _prefix(self, shard_id: str) -> str:
        return f"taken/{self._pipeline}/{shard_id}/"
