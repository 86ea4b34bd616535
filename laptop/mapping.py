"""Lambda's event source mappings: batches from the shards of streams and from FIFO queues into functions.

A shard's failed batch is tried again at once, or at every look where no number of retries is set; a queue's
failed message when it has become visible again.
Not honoured: Lambda's longer and longer wait before it tries a shard's batch again, throttling, its pace.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol  # events, answers and properties are as mixed as JSON
from uuid import uuid4

from moto.sqs.models import sqs_backends

from laptop.cloud import Cloud
from laptop.functions import FunctionError
from laptop.kinesis import MEBIBYTE, Kinesis, KinesisShards
from laptop.resources import ACCOUNT, Resource
from laptop.services import Invoke, NotHonoured, honour, iso, only, utc
from laptop.table_stream import TableShards

SERVICE = "lambda.amazonaws.com"
PAYLOAD_BYTES = 6 * MEBIBYTE
# What an event carries around a record's data, at most.
AROUND_DATA = 1024
BOTH = ("BatchSize", "Enabled", "EventSourceArn", "FunctionName", "FunctionResponseTypes")
FROM_STREAM = (
    "BisectBatchOnFunctionError",
    "DestinationConfig",
    "MaximumBatchingWindowInSeconds",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "ParallelizationFactor",
    "StartingPosition",
    "StartingPositionTimestamp",
)
FROM_STREAM_IGNORED = {"MetricsConfig": "it switches on metrics of AWS's own, which no handler reads"}
FROM_SQS_IGNORED = {"ScalingConfig": "one batch at a time is within every limit on concurrency"}


class Numbered(Protocol):
    """A record of a shard: its number there, when it arrived (s), and data of about its length in a batch."""

    @property
    def sequence_number(self) -> int: ...
    @property
    def created_at(self) -> float: ...
    @property
    def data(self) -> str: ...


class Shards(Protocol):
    """A stream as one mapping reads it. `batch_info` names a batch in what is written when it is given up."""

    batch_info: str
    precision: str  # of its arrival times there

    def waiting(self) -> Iterator[tuple[str, Sequence[Any]]]:
        """Yield every readable shard that has records after the checkpoint, with those records."""

    def pass_over(self, shard_id: str, record: Any) -> None:
        """Move a shard's checkpoint to a record: it and all before it are done with."""

    def described(self, shard_id: str, record: Any) -> dict[str, Any]:
        """Return what stands in an event for a record."""


class EventSourceMappings:
    """Every mapping of the deployment."""

    def __init__(self, cloud: Cloud, invoke: Invoke, kinesis: Kinesis) -> None:
        self._clock = cloud.clock
        self._mappings: dict[str, StreamMapping | QueueMapping] = {}
        self._disabled: set[str] = set()
        for resource in cloud.of_type("AWS::Lambda::EventSourceMapping"):
            service = resource.properties["EventSourceArn"].split(":")[2]
            self.switch(resource.physical_id, enabled=resource.properties.get("Enabled", True))
            if service in ("kinesis", "dynamodb"):
                self._mappings[resource.physical_id] = StreamMapping(resource, cloud, invoke, kinesis)
            elif service == "sqs":
                self._mappings[resource.physical_id] = QueueMapping(resource, cloud, invoke)
            else:
                raise NotHonoured(
                    f"The event source mapping {resource.logical_id} reads from {service}. The laptop's AWS "
                    "imitates dynamodb, kinesis and sqs: map these, or teach the laptop the other."
                )

    def switch(self, uuid: str, *, enabled: bool) -> None:
        """Switch a mapping on or off; once it is on again it goes on where it stopped."""
        (self._disabled.discard if enabled else self._disabled.add)(uuid)

    def pump(self, now: float, *, patient: bool = True) -> int:
        """Hand over every batch that is due and return how many records those were."""
        enabled = [each for uuid, each in self._mappings.items() if uuid not in self._disabled]
        return sum(mapping.pump(now, patient=patient) for mapping in enabled)

    def drain(self) -> int:
        """Hand over everything, as if batching windows and visibility timeouts had passed."""
        return sum(iter(lambda: self.pump(self._clock.now, patient=False), 0))


class _Mapping:
    """What mappings from any source have in common."""

    def __init__(self, resource: Resource, cloud: Cloud, invoke: Invoke) -> None:
        properties = resource.properties
        self._where = f"The event source mapping {resource.logical_id}"
        only(self._where, properties, "FunctionResponseTypes", None, [], ["ReportBatchItemFailures"])
        self._reports_items = bool(properties.get("FunctionResponseTypes"))
        self._cloud, self._invoke = cloud, invoke
        self._source, function = properties["EventSourceArn"], properties["FunctionName"]
        prefix = "" if function.startswith("arn:") else f"arn:aws:lambda:{cloud.region}:{ACCOUNT}:function:"
        self._function = f"{prefix}{function}"
        functions = {one.physical_id: one for one in cloud.of_type("AWS::Lambda::Function")}
        self._role = functions[self._function.split(":")[6]].properties["Role"]

    def _failed(self, event: dict[str, Any], identifiers: list[str]) -> set[str] | None:
        """Invoke the function and return what failed, or None when the batch as a whole counts as failed."""
        answer = self._invoke(self._function, event)
        items = answer.get("batchItemFailures") if isinstance(answer, Mapping) else answer
        if not self._reports_items or not items:
            return set()
        try:
            failed = {item["itemIdentifier"] for item in items}
        except (KeyError, TypeError):
            return None
        return failed if failed <= set(identifiers) else None


class StreamMapping(_Mapping):
    """Each shard's records in order, in batches, with retries, bisection and an on-failure destination."""

    def __init__(self, resource: Resource, cloud: Cloud, invoke: Invoke, kinesis: Kinesis) -> None:
        super().__init__(resource, cloud, invoke)
        properties, is_kinesis = resource.properties, ":kinesis:" in self._source
        honour(self._where, properties, (*BOTH, *FROM_STREAM), FROM_STREAM_IGNORED)
        only(self._where, properties, "ParallelizationFactor", None, 1)
        starts = ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")
        only(self._where, properties, "StartingPosition", *starts[: 3 if is_kinesis else 2])
        at = float(properties.get("StartingPositionTimestamp", 0))
        since = math.inf if properties["StartingPosition"] == "LATEST" else at
        self._retries = int(properties.get("MaximumRetryAttempts", -1))
        destination = properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        if destination and not destination.startswith("arn:aws:s3:::"):
            raise NotHonoured(f"{self._where} sends failures to {destination}. Send them to S3.")
        self._failures = destination and destination.removeprefix("arn:aws:s3:::")
        if destination:
            # Lambda asks for it beside the right to put what a batch that is given up was.
            cloud.policies.require(self._role, "s3:ListBucket", destination)
        self._uuid = resource.physical_id
        self._batch_size = int(properties.get("BatchSize", 100))
        self._window = float(properties.get("MaximumBatchingWindowInSeconds", 0))
        self._oldest = float(properties.get("MaximumRecordAgeInSeconds", -1))
        self._bisects = properties.get("BisectBatchOnFunctionError", False)
        self._shards: Shards = (
            KinesisShards(kinesis, self._source, self._role, SERVICE, since=since)
            if is_kinesis
            else TableShards(cloud, self._source, self._role, SERVICE, since=since)
        )

    def pump(self, now: float, *, patient: bool = True) -> int:
        moved = 0
        for shard_id, records in self._shards.waiting():
            while records:
                batch = self._batch(records)
                is_full = len(batch) == self._batch_size or len(batch) < len(records)
                if patient and not is_full and now - batch[0].created_at < self._window:
                    break
                left = self._deliver(shard_id, batch, now)
                done = batch[: len(batch) - len(left)]
                if done:
                    self._shards.pass_over(shard_id, done[-1])
                moved += len(done)
                records = [] if left else records[len(batch) :]
        return moved

    def _batch(self, records: Sequence[Numbered]) -> Sequence[Numbered]:
        size = 0
        for number, record in enumerate(records[: self._batch_size]):
            size += len(record.data) + AROUND_DATA
            if size > PAYLOAD_BYTES:
                return records[:number]
        return records[: self._batch_size]

    def _deliver(
        self, shard_id: str, batch: Sequence[Numbered], now: float, retries: int = 0
    ) -> Sequence[Numbered]:
        """Invoke until the batch is done with; what is returned is not, and stays where it is."""
        while batch:
            if self._oldest >= 0 and (expired := [r for r in batch if now - r.created_at > self._oldest]):
                self._give_up(shard_id, expired, now, "RecordAgeExceeded", retries)
                batch = batch[len(expired) :]
                continue
            response = {"statusCode": 200, "executedVersion": "$LATEST"}
            try:
                numbers = [str(record.sequence_number) for record in batch]
                failed = self._failed(self._event(shard_id, batch), numbers)
            except FunctionError:
                failed, response["functionError"] = None, "Unhandled"
            if failed is not None and not failed:
                return []
            lowest = min(map(int, failed or ())) if failed else batch[0].sequence_number
            if lowest > batch[0].sequence_number:
                batch = [record for record in batch if record.sequence_number >= lowest]
                if self._bisects:
                    continue
            elif failed is None and self._bisects and len(batch) > 1:
                middle = len(batch) // 2
                if left := self._deliver(shard_id, batch[:middle], now, retries):
                    return [*left, *batch[middle:]]
                batch = batch[middle:]
                continue
            if self._retries < 0:
                return batch
            if retries == self._retries:
                condition = "RetryAttemptsExhausted"
                self._give_up(shard_id, batch, now, condition, retries + 1, responseContext=response)
                return []
            retries += 1
        return []

    def _give_up(
        self,
        shard_id: str,
        batch: Sequence[Numbered],
        now: float,
        condition: str,
        tries: int,
        **response: object,
    ) -> None:
        if not self._failures:
            return
        document = {
            "requestContext": {
                "requestId": str(uuid4()),
                "functionArn": self._function,
                "condition": condition,
                "approximateInvokeCount": tries,
            },
            **response,
            "version": "1.0",
            "timestamp": iso(now),
            self._shards.batch_info: {
                "shardId": shard_id,
                "startSequenceNumber": str(batch[0].sequence_number),
                "endSequenceNumber": str(batch[-1].sequence_number),
                "approximateArrivalOfFirstRecord": iso(batch[0].created_at, self._shards.precision),
                "approximateArrivalOfLastRecord": iso(batch[-1].created_at, self._shards.precision),
                "batchSize": len(batch),
                "streamArn": self._source,
            },
            "payload": json.dumps(self._event(shard_id, batch)),  # a string, as from AWS
        }
        key = f"aws/lambda/{self._uuid}/{shard_id}/{utc(now):%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{uuid4()}"
        body = json.dumps(document).encode()
        with self._cloud.policies.acting_as(self._role, service=SERVICE):
            self._cloud.client("s3").put_object(Bucket=self._failures, Key=key, Body=body)

    def _event(self, shard_id: str, batch: Sequence[Numbered]) -> dict[str, Any]:
        place = {"awsRegion": self._cloud.region, "eventSourceARN": self._source}
        return {"Records": [{**self._shards.described(shard_id, record), **place} for record in batch]}


class QueueMapping(_Mapping):
    """A FIFO queue's messages, each group in order; the queue itself sets aside what fails too often."""

    def __init__(self, resource: Resource, cloud: Cloud, invoke: Invoke) -> None:
        super().__init__(resource, cloud, invoke)
        honour(self._where, resource.properties, BOTH, FROM_SQS_IGNORED)
        self._batch_size = int(resource.properties.get("BatchSize", 10))
        self._queue = sqs_backends[ACCOUNT][cloud.region].queues[self._source.rpartition(":")[2]]
        cloud.policies.require(self._role, "sqs:GetQueueAttributes", self._source)
        if not self._queue.fifo_queue or self._queue.dead_letter_queue is None:
            raise NotHonoured(
                f"{self._where} reads {self._queue.name}, which is not FIFO or keeps what fails for ever. "
                "Map a FIFO queue with a RedrivePolicy, or teach the laptop others."
            )

    def pump(self, now: float, *, patient: bool = True) -> int:
        moved = 0
        with self._cloud.policies.acting_as(self._role, service=SERVICE):
            while messages := self._receive(patient=patient):
                moved += len(messages)
                done = self._handled(messages)
                if done:
                    entries = [{"Id": m["MessageId"], "ReceiptHandle": m["ReceiptHandle"]} for m in done]
                    url = self._queue.physical_resource_id
                    self._cloud.client("sqs").delete_message_batch(QueueUrl=url, Entries=entries)
        return moved

    def _receive(self, *, patient: bool) -> list[dict[str, Any]]:
        for message in () if patient else self._queue._messages:
            message.visible_at = message.delayed_until = 0.0
        visible = self._queue.messages
        # A group that timed out would come back last message first, were its messages still pending.
        self._queue.pending_messages.difference_update(visible)
        if not visible:
            return []
        answer = self._cloud.client("sqs").receive_message(
            QueueUrl=self._queue.physical_resource_id,
            MaxNumberOfMessages=self._batch_size,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return list(answer.get("Messages", []))

    def _handled(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Invoke the function and return the messages that it is done with."""
        try:
            records = [self._record(message) for message in messages]
            failed = self._failed({"Records": records}, [message["MessageId"] for message in messages])
        except FunctionError:
            failed = None
        return [] if failed is None else [one for one in messages if one["MessageId"] not in failed]

    def _record(self, message: dict[str, Any]) -> dict[str, Any]:
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": {
                name: {"stringListValues": [], "binaryListValues": []}
                | {part[0].lower() + part[1:]: content for part, content in value.items()}
                for name, value in message.get("MessageAttributes", {}).items()
            },
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self._source,
            "awsRegion": self._cloud.region,
        }
