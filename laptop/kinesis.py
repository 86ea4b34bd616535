"""The laptop's Kinesis beside moto's: what producers put, and a reader for each consumer of a stream.

Not honoured: what a shard takes and gives in a second, an on-demand stream's growth.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any  # an event is as mixed as JSON

from moto.kinesis.models import Record, Shard, Stream, kinesis_backends

from laptop.cloud import Cloud
from laptop.repairs import forget
from laptop.resources import ACCOUNT
from laptop.services import NotHonoured

MEBIBYTE = 1024 * 1024
READ_ACTIONS = ("DescribeStream", "GetRecords", "GetShardIterator", "ListShards")


class ShardReader:
    """Reads a stream by shard from checkpoints of its own; a child waits until its parents are drained.

    Of the shards that are there it begins with what arrives from `since` on; a shard that is made later it
    reads from its beginning.
    """

    def __init__(self, stream: Stream, *, since: float = 0.0) -> None:
        self._stream, self._checkpoints = stream, dict[str, int]()
        for shard_id, shard in stream.shards.items() if since else ():
            later = (number for number, record in shard.records.items() if record.created_at >= since)
            self._checkpoints[shard_id] = next(later, shard.get_max_sequence_number() + 1) - 1

    def waiting(self) -> Iterator[tuple[str, list[Record]]]:
        forget(self._stream)
        for shard_id, shard in list(self._stream.shards.items()):
            # A shard's numbers have no gaps, so that reading costs no more than what is read.
            numbers = range(self._next(shard), shard.get_max_sequence_number() + 1)
            if numbers and self._may_begin(shard):
                yield shard_id, [shard.records[number] for number in numbers]

    def pass_over(self, shard_id: str, record: Record) -> None:
        self._checkpoints[shard_id] = record.sequence_number

    def _next(self, shard: Shard) -> int:
        oldest = next(iter(shard.records), shard.get_max_sequence_number() + 1)
        return max(self._checkpoints.get(shard.shard_id, 0) + 1, oldest)

    def _may_begin(self, shard: Shard) -> bool:
        """Whether everything before it has been read: an empty parent's own parents, too."""
        parents = (self._stream.shards.get(name or "") for name in (shard.parent, shard.adjacent_parent))
        return all(
            self._next(parent) > parent.get_max_sequence_number() and self._may_begin(parent)
            for parent in parents
            if parent
        )


class Kinesis:
    """Puts records into moto's streams, where they arrive at the simulated time."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        for resource in cloud.of_type("AWS::Kinesis::Stream"):
            hours = resource.properties.get("RetentionPeriodHours", 24)
            self.stream(resource.physical_id).retention_period_hours = int(hours)

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
        """Return moto's stream, by name, ARN or a consumer's ARN, for a service whose role trusts it and may
        do that.
        """
        target = self.stream(stream_name(stream))
        with self._cloud.policies.acting_as(role, service=service):
            for action in actions:
                self._cloud.policies.require(role, f"kinesis:{action}", target.arn)
            if "/consumer/" in stream:
                if stream not in {consumer.consumer_arn for consumer in target.consumers}:
                    raise NotHonoured(f"Nobody registered the consumer {stream}. Deploy what does.")
                self._cloud.policies.require(role, "kinesis:SubscribeToShard", stream)
        return target

    def stream(self, name: str) -> Stream:
        streams = kinesis_backends[ACCOUNT][self._cloud.region].streams
        if name not in streams:
            raise NotHonoured(f"There is no stream {name} on the laptop. Deploy the stack that creates it.")
        return streams[name]


def stream_name(arn: str) -> str:
    """A stream's name, from it, from its ARN or from that of one of its consumers."""
    return arn.partition(":stream/")[2].split("/")[0] or arn


class KinesisShards(ShardReader):
    """A stream's shards as a mapping reads them with its function's role."""

    batch_info, precision = "KinesisBatchInfo", "milliseconds"

    def __init__(self, kinesis: Kinesis, stream: str, role: str, service: str, *, since: float) -> None:
        super().__init__(kinesis.stream_for(role, service, stream, *READ_ACTIONS), since=since)
        self._role = role

    def described(self, shard_id: str, record: Record) -> dict[str, Any]:
        return {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": record.partition_key,
                "sequenceNumber": str(record.sequence_number),
                "data": record.data,
                "approximateArrivalTimestamp": round(record.created_at, 3),
            },
            "eventID": f"{shard_id}:{record.sequence_number}",
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": self._role,
        }
