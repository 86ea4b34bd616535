"""The pipeline's stream as a tick sees it: which shards there are, and whether one is idle."""

from __future__ import annotations

import time
from collections.abc import Iterator

from lambdas.effects import clients

MOST_READS = 20  # of one proof
PAUSE = 0.25  # seconds between two; a shard answers five reads a second, and its consumers need some of them


class Stream:
    """Reads nothing but the proof that there is nothing to read."""

    def __init__(self, name: str) -> None:
        self._name = name
        # Where a shard's last proof ended: the sequence number it began after, and the iterator to go on
        # with.
        self._reached: dict[str, tuple[int, str]] = {}

    def shard_ids(self) -> Iterator[str]:
        """The stream's shards, closed ones whose records are still kept among them."""
        for page in clients.client("kinesis").get_paginator("list_shards").paginate(StreamName=self._name):
            for shard in page["Shards"]:
                yield shard["ShardId"]

    def is_idle(self, shard_id: str, sequence: int) -> bool:
        """Whether nothing came after the record of this number (-1: nothing at all). No is also the answer
        where the end is not reached in `MOST_READS` reads; the next call goes on from there.
        """
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
                return False
            iterator = answer.get("NextShardIterator") or ""
            if iterator:
                self._reached[shard_id] = sequence, iterator
            if not iterator or answer["MillisBehindLatest"] == 0:
                return True  # without an iterator to go on with, the shard is closed and read to its end
        return False

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
