"""A stream's shards: which there are, how they follow each other, and whether one is idle."""

from __future__ import annotations

import time

from lambdas.effects import clients
from lambdas.lineage import Lineage

MOST_READS = 20  # of one proof
MORE, CAUGHT_UP, ENDED = "more", "caught up", "ended"  # what a shard was read to
PAUSE = 0.25  # seconds between two; a shard answers five reads a second, and its consumers need some of them


class Stream:
    """Reads nothing but the proof that there is nothing to read."""

    def __init__(self, name: str) -> None:
        self._name = name
        # Where a shard's last proof ended: the sequence number it began after, and the iterator to go on
        # with.
        self._reached: dict[str, tuple[int, str]] = {}

    def lineage(self) -> Lineage:
        """The stream's shards, closed ones whose records are still kept among them."""
        pages = clients.client("kinesis").get_paginator("list_shards").paginate(StreamName=self._name)
        return Lineage.of(shard for page in pages for shard in page["Shards"])

    def is_idle(self, shard_id: str, sequence: int) -> bool:
        """Whether nothing came after the record of this number (-1: nothing at all). A closed shard is not
        idle: what comes now comes to others. No is also the answer where the end is not reached in
        `MOST_READS` reads; the next call goes on from there.
        """
        return self._read_on(shard_id, sequence) == CAUGHT_UP

    def is_drained(self, shard_id: str, sequence: int) -> bool:
        """The same of a shard that others have followed: nothing more will come of it."""
        return self._read_on(shard_id, sequence) in (CAUGHT_UP, ENDED)

    def _read_on(self, shard_id: str, sequence: int) -> str:
        began, iterator = self._reached.pop(shard_id, (sequence, ""))
        if began != sequence or not iterator:
            iterator = self._iterator(shard_id, sequence)
        for read in range(MOST_READS):
            if read:
                time.sleep(PAUSE)
            try:
                answer = clients.client("kinesis").get_records(ShardIterator=iterator, Limit=1)
            except clients.client("kinesis").exceptions.ExpiredIteratorException:
                iterator = self._iterator(shard_id, sequence)
                continue
            if answer["Records"]:
                return MORE
            iterator = answer.get("NextShardIterator") or ""
            if iterator:
                self._reached[shard_id] = sequence, iterator
            if not iterator:
                return ENDED
            if answer["MillisBehindLatest"] == 0:
                return CAUGHT_UP
        return MORE

    def _iterator(self, shard_id: str, sequence: int) -> str:
        kinesis = clients.client("kinesis")
        shard = {"StreamName": self._name, "ShardId": shard_id}
        if sequence >= 0:
            try:
                after = kinesis.get_shard_iterator(
                    **shard, ShardIteratorType="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=str(sequence)
                )
                return str(after["ShardIterator"])
            except kinesis.exceptions.InvalidArgumentException:
                pass  # the record's retention is over, so whatever is still kept came after it
        return str(kinesis.get_shard_iterator(**shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"])
