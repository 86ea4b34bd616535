"""The laptop's Kinesis beside moto's: what producers put, and a reader for each consumer of a stream.

Not honoured: what a shard takes and gives in a second, records that grow too old, enhanced fan-out.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from itertools import count

from moto.kinesis.models import Record, Stream, kinesis_backends

from laptop.cloud import Cloud
from laptop.resources import ACCOUNT
from laptop.services import NotHonoured

MEBIBYTE = 1024 * 1024
READ_ACTIONS = ("DescribeStream", "GetRecords", "GetShardIterator", "ListShards")


class ShardReader:
    """Reads a stream by shard from checkpoints of its own; a child waits until its parents are drained."""

    def __init__(self, stream: Stream, *, latest: bool = False) -> None:
        self._shards = stream.shards
        newest = {shard_id: shard.get_max_sequence_number() for shard_id, shard in self._shards.items()}
        self._checkpoints = newest if latest else {}

    def waiting(self) -> Iterator[tuple[str, list[Record]]]:
        """Yield every readable shard that has records after its checkpoint, with those records."""
        for shard_id, shard in list(self._shards.items()):
            if self._is_drained(shard.parent) and self._is_drained(shard.adjacent_parent):
                # moto numbers a shard's records 1, 2, 3 …, so that reading costs no more than what is read.
                records = []
                for number in count(self._checkpoints.get(shard_id, 0) + 1):
                    if number not in shard.records:
                        break
                    records.append(shard.records[number])
                if records:
                    yield shard_id, records

    def pass_over(self, shard_id: str, record: Record) -> None:
        """Move a shard's checkpoint to a record: it and all before it are done with."""
        self._checkpoints[shard_id] = record.sequence_number

    def _is_drained(self, shard_id: str | None) -> bool:
        shard = self._shards.get(shard_id or "")
        return not shard or self._checkpoints.get(shard.shard_id, 0) >= shard.get_max_sequence_number()


class Kinesis:
    """Puts records into moto's streams, where they arrive at the simulated time."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def put(self, stream: str, records: Iterable[tuple[str, bytes]]) -> None:
        """Put (partition key, data) records, past the API: a producer has no role of ours to prove."""
        target = self.stream(stream)
        for partition_key, data in records:
            weight = len(data) + len(partition_key.encode())
            if weight > MEBIBYTE:
                raise ValueError(
                    f"A record for {stream} with the partition key {partition_key} has {weight:,} bytes; "
                    f"Kinesis takes {MEBIBYTE:,}. Split or shorten it in the producer."
                )
            target.put_record(partition_key, "", b64encode(data).decode())

    def stream_for(self, role: str, service: str, stream: str, *actions: str) -> Stream:
        """Return moto's stream, by name or ARN, for a service whose role trusts it and may do that."""
        target = self.stream(stream.rpartition("/")[2])
        with self._cloud.policies.acting_as(role, service=service):
            for action in actions:
                self._cloud.policies.require(role, f"kinesis:{action}", target.arn)
        return target

    def stream(self, name: str) -> Stream:
        streams = kinesis_backends[ACCOUNT][self._cloud.region].streams
        if name not in streams:
            raise NotHonoured(f"There is no stream {name} on the laptop. Deploy the stack that creates it.")
        return streams[name]
