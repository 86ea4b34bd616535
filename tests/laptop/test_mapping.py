"""Batches reach functions from shards and queues as Lambda's event source mappings bring them."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from laptop.kinesis import MEBIBYTE
from laptop.policies import PolicyError
from laptop.services import NotHonoured
from tests.laptop.mapped import REPORTS, Seen, failing_on, mapped, reporting
from tests.laptop.small_cloud import TEN, SmallCloud, small_cloud


@pytest.fixture
def cloud() -> Iterator[SmallCloud]:
    with small_cloud() as cloud:
        yield cloud


def put(cloud: SmallCloud, *data: str, key: str = "k") -> None:
    cloud.kinesis.put("events", [(key, one.encode()) for one in data])


# From Kinesis


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour=(
        "an event holds one shard's records: data in base64, arrival in seconds, `eventID` of shard and "
        "number"
    ),
    source="https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html",
    falls_short="sequence numbers are 1, 2, 3 …, not of 56 digits",
)
def test_event_is_shaped_as_lambdas(cloud: SmallCloud) -> None:
    # given
    seen = Seen()
    source = cloud.stream("events")
    mappings = mapped(cloud, source, seen)
    cloud.wait(1.25)
    put(cloud, "a", key="sensor-1")
    # when
    moved = mappings.pump(cloud.wait(5))
    # then
    assert moved == 1
    assert seen.events == [
        {
            "Records": [
                {
                    "kinesis": {
                        "kinesisSchemaVersion": "1.0",
                        "partitionKey": "sensor-1",
                        "sequenceNumber": "1",
                        "data": "YQ==",
                        "approximateArrivalTimestamp": TEN + 1.25,
                    },
                    "eventSource": "aws:kinesis",
                    "eventVersion": "1.0",
                    "eventID": "shardId-000000000000:1",
                    "eventName": "aws:kinesis:record",
                    "invokeIdentityArn": "arn:aws:iam::123456789012:role/handler-role",
                    "awsRegion": "us-east-1",
                    "eventSourceARN": source,
                }
            ]
        }
    ]


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="TRIM_HORIZON begins with the oldest record of the stream",
    source="https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html",
)
def test_record_from_before_the_mapping_is_read(cloud: SmallCloud) -> None:
    # given
    seen = Seen()
    source = cloud.stream("events")
    put(cloud, "early")
    # when
    mapped(cloud, source, seen).pump(cloud.clock.now)
    # then
    assert seen.handled == ["early"]


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="a batch goes at its size or at the end of its window",
    source="https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html",
    falls_short="the window begins with its oldest record; AWS's when the invocation before it ends",
)
def test_batch_goes_when_it_is_full_or_its_oldest_record_has_waited(cloud: SmallCloud) -> None:
    # given
    seen = Seen()
    mappings = mapped(cloud, cloud.stream("events"), seen, BatchSize=3, MaximumBatchingWindowInSeconds=10)
    put(cloud, "a", "b", "c", "d")
    # when, then
    assert mappings.pump(cloud.clock.now) == 3
    cloud.wait(9)
    put(cloud, "e")
    assert mappings.pump(cloud.clock.now) == 0
    assert mappings.pump(cloud.wait(1)) == 2
    assert seen.batches == [["a", "b", "c"], ["d", "e"]]


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="a batch has 100 records unless the mapping says otherwise",
    source="https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html",
)
def test_batch_has_a_hundred_records_unless_the_mapping_says_otherwise(cloud: SmallCloud) -> None:
    # given
    seen = Seen()
    mappings = mapped(cloud, cloud.stream("events"), seen)
    put(cloud, *map(str, range(101)))
    # when
    mappings.pump(cloud.clock.now)
    # then
    assert [len(batch) for batch in seen.batches] == [100, 1]


def test_drain_waits_for_no_window(cloud: SmallCloud) -> None:
    # given
    seen = Seen()
    mappings = mapped(cloud, cloud.stream("events"), seen, MaximumBatchingWindowInSeconds=300)
    put(cloud, "a")
    # when, then
    assert (mappings.drain(), mappings.drain(), seen.batches) == (1, 0, [["a"]])


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="a batch goes at 6 MB, whatever its window",
    source="https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html",
    falls_short="1,024 bytes are taken for what is around a record's data; AWS does not say",
)
def test_batch_holds_six_megabytes_of_payload(cloud: SmallCloud) -> None:
    # given
    seen = Seen()
    mappings = mapped(cloud, cloud.stream("events"), seen, MaximumBatchingWindowInSeconds=300)
    put(cloud, *["x" * 1_000_000] * 9)
    # when
    mappings.pump(cloud.clock.now)
    # then: a million bytes are 1.33 MB in base64
    assert [len(batch) for batch in seen.batches] == [4, 4]


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="a batch is cut so that its request is no longer than 6 MB",
    source="https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html",
)
def test_request_of_many_small_records_is_no_longer_than_lambda_takes(cloud: SmallCloud) -> None:
    # given
    seen = Seen()
    mappings = mapped(cloud, cloud.stream("events"), seen, BatchSize=10_000)
    put(cloud, *["x" * 400] * 10_000)
    # when
    mappings.pump(cloud.clock.now)
    # then
    assert max(len(json.dumps(event)) for event in seen.events) <= 6 * MEBIBYTE
    assert len(seen.handled) == 10_000


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="after a partial failure everything from the lowest returned number is tried again",
    source="https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html",
)
def test_partial_failure_is_retried_from_the_lowest_number(cloud: SmallCloud) -> None:
    # given
    answers = [reporting("11", "9"), None]
    seen = Seen(lambda _: answers.pop(0))
    mappings = mapped(cloud, cloud.stream("events"), seen, MaximumRetryAttempts=1, **REPORTS)
    put(cloud, *"abcdefghijkl")
    # when
    mappings.pump(cloud.clock.now)
    # then: sequence numbers are compared as numbers, "9" before "11"
    assert seen.batches == [list("abcdefghijkl"), list("ijkl")]


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="an empty or null answer or list is success",
    source="https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html",
)
@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}])
def test_empty_answer_is_success(cloud: SmallCloud, answer: Any) -> None:
    # given
    seen = Seen(lambda _: answer)
    mappings = mapped(cloud, cloud.stream("events"), seen, MaximumRetryAttempts=3, **REPORTS)
    put(cloud, "a", "b")
    # when
    mappings.pump(cloud.clock.now)
    # then
    assert seen.batches == [["a", "b"]]


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="an empty, null or wrongly named identifier fails the whole batch",
    source="https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html",
    falls_short="so do a number that is not in the batch, a text and a list, of which AWS says nothing",
)
@pytest.mark.parametrize(
    "answer", [reporting("99"), reporting(""), reporting(None), reporting("2", name="itemId"), "done", ["2"]]
)
def test_unreadable_answer_fails_the_whole_batch(cloud: SmallCloud, answer: Any) -> None:
    # given
    answers = [answer, None]
    seen = Seen(lambda _: answers.pop(0))
    mappings = mapped(cloud, cloud.stream("events"), seen, MaximumRetryAttempts=1, **REPORTS)
    put(cloud, "a", "b", "c")
    # when
    mappings.pump(cloud.clock.now)
    # then
    assert seen.batches == [["a", "b", "c"]] * 2


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="without ReportBatchItemFailures an answer means nothing",
    source="https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html",
)
def test_answer_means_nothing_to_a_mapping_that_asks_for_none(cloud: SmallCloud) -> None:
    # given
    seen = Seen(lambda _: reporting("1"))
    mappings = mapped(cloud, cloud.stream("events"), seen, MaximumRetryAttempts=3)
    put(cloud, "a")
    # when
    mappings.pump(cloud.clock.now)
    # then
    assert seen.batches == [["a"]]


@pytest.mark.semantics(line=5, clause="given up")
@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="a function's error halves the batch, which spends no retry",
    source="https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html",
    falls_short="where an odd batch is cut, AWS does not say",
)
def test_poison_is_alone_after_bisecting_and_all_others_pass(cloud: SmallCloud) -> None:
    # given
    failures = cloud.bucket("failed")
    seen = Seen(failing_on("c"))
    mappings = mapped(
        cloud,
        cloud.stream("events"),
        seen,
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": failures}},
    )
    put(cloud, "a", "b", "c", "d")
    # when
    moved = mappings.pump(cloud.clock.now)
    # then: halving spends no retry, in order, and only the poison is tried again by itself
    assert seen.batches == [["a", "b", "c", "d"], ["a", "b"], ["c", "d"], ["c"], ["c"], ["d"]]
    assert moved == 4
    (document,) = map(json.loads, cloud.objects("failed").values())
    assert document["KinesisBatchInfo"]["startSequenceNumber"] == "3"
    assert document["KinesisBatchInfo"]["batchSize"] == 1


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="with bisecting, a partial failure cuts the batch at the returned number",
    source="https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html",
    falls_short="that this spends no retry is said of errors only",
)
@pytest.mark.parametrize(
    ("bisects", "batches"), [(True, [["a", "b", "c"], ["b", "c"]]), (False, [["a", "b", "c"]])]
)
def test_bisecting_at_a_returned_number_spends_no_retry(
    cloud: SmallCloud, bisects: bool, batches: list[list[str]]
) -> None:
    # given
    answers = [reporting("2"), None]
    seen = Seen(lambda _: answers.pop(0))
    mappings = mapped(cloud, cloud.stream("events"), seen, BisectBatchOnFunctionError=bisects, **REPORTS)
    put(cloud, "a", "b", "c")
    # when
    mappings.pump(cloud.clock.now)
    # then
    assert seen.batches == batches


@pytest.mark.semantics(line=5, clause="given up")
@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour=(
        "after the last retry a batch lands in S3 with its payload, under a key of mapping, shard and "
        "time, and the shard goes on"
    ),
    source="https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html",
)
def test_given_up_batch_lands_in_s3_with_its_payload_and_the_shard_goes_on(cloud: SmallCloud) -> None:
    # given
    failures = {"OnFailure": {"Destination": cloud.bucket("failed")}}
    seen = Seen(failing_on("b"))
    source = cloud.stream("events")
    mappings = mapped(cloud, source, seen, BatchSize=2, MaximumRetryAttempts=2, DestinationConfig=failures)
    put(cloud, "a")
    cloud.wait(1.5)
    put(cloud, "b", "c")
    # when
    mappings.pump(cloud.wait(2))
    # then
    assert seen.batches == [["a", "b"], ["a", "b"], ["a", "b"], ["c"]]
    ((key, body),) = cloud.objects("failed").items()
    name = r"aws/lambda/0f0f-uuid/shardId-000000000000/2026/01/05/2026-01-05T10\.00\.03-[0-9a-f-]{36}"
    assert re.fullmatch(name, key)
    document = json.loads(body)
    assert re.fullmatch(r"[0-9a-f-]{36}", document["requestContext"].pop("requestId"))
    assert json.loads(document.pop("payload")) == seen.events[0]
    assert document == {
        "requestContext": {
            "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:handler",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 3,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": "2026-01-05T10:00:03.500Z",
        "KinesisBatchInfo": {
            "shardId": "shardId-000000000000",
            "startSequenceNumber": "1",
            "endSequenceNumber": "2",
            "approximateArrivalOfFirstRecord": "2026-01-05T10:00:00.000Z",
            "approximateArrivalOfLastRecord": "2026-01-05T10:00:01.500Z",
            "batchSize": 2,
            "streamArn": source,
        },
    }


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="a record older than MaximumRecordAgeInSeconds is given up",
    source="https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html",
    falls_short="that the document then has no `responseContext` is taken from no page",
)
def test_record_older_than_the_limit_is_set_aside_unseen(cloud: SmallCloud) -> None:
    # given
    failures = {"OnFailure": {"Destination": cloud.bucket("failed")}}
    seen = Seen()
    mappings = mapped(
        cloud, cloud.stream("events"), seen, MaximumRecordAgeInSeconds=60, DestinationConfig=failures
    )
    put(cloud, "old")
    cloud.wait(30)
    put(cloud, "young")
    # when
    mappings.pump(cloud.wait(31))
    # then
    assert seen.batches == [["young"]]
    (document,) = map(json.loads, cloud.objects("failed").values())
    assert document["requestContext"]["condition"] == "RecordAgeExceeded"
    assert document["KinesisBatchInfo"]["endSequenceNumber"] == "1"
    assert "responseContext" not in document


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="what is given up is written with the function's role",
    source="https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html",
)
def test_failures_are_written_with_the_functions_role(cloud: SmallCloud) -> None:
    # given
    failures = {"OnFailure": {"Destination": cloud.bucket("failed")}}
    role = {"denied": "s3:PutObject"}
    stream = cloud.stream("events")
    mappings = mapped(cloud, stream, Seen(failing_on("a")), role=role, DestinationConfig=failures)
    put(cloud, "a")
    # when, then
    with pytest.raises(ClientError, match="s3:PutObject"):
        mappings.pump(cloud.clock.now)


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="a split shard's children are read after it is drained",
    source="https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html",
    falls_short="the page says it of consumers that keep the order; of Lambda none does",
)
def test_children_are_read_after_their_parent_is_drained(cloud: SmallCloud) -> None:
    # given
    seen = Seen()
    mappings = mapped(cloud, cloud.stream("events"), seen, BatchSize=2, MaximumBatchingWindowInSeconds=10)
    put(cloud, "parent")
    half = str(2**127)
    cloud.client("kinesis").split_shard(
        StreamName="events", ShardToSplit="shardId-000000000000", NewStartingHashKey=half
    )
    put(cloud, "child", "child")
    # when, then: the child's batch is full, but the parent's record still waits for more
    assert mappings.pump(cloud.wait(9)) == 0
    assert mappings.pump(cloud.wait(1)) == 3
    assert seen.batches == [["parent"], ["child", "child"]]


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="a merged shard is read after both its parents are drained",
    source="https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html",
    falls_short="the page says it of consumers that keep the order; of Lambda none does",
)
def test_merged_child_is_read_after_both_its_parents_are_drained(cloud: SmallCloud) -> None:
    # given: keys a and b hash to the first and the second half
    seen = Seen()
    source = cloud.stream("events", shards=2)
    mappings = mapped(cloud, source, seen, BatchSize=2, MaximumBatchingWindowInSeconds=10)
    put(cloud, "first", "first", key="a")
    cloud.wait(5)
    put(cloud, "second", key="b")
    first, second = (f"shardId-00000000000{number}" for number in range(2))
    cloud.client("kinesis").merge_shards(StreamName="events", ShardToMerge=first, AdjacentShardToMerge=second)
    put(cloud, "child", "child")
    # when, then
    assert mappings.pump(cloud.wait(9)) == 2
    assert mappings.pump(cloud.wait(1)) == 3
    assert seen.batches == [["first", "first"], ["second"], ["child", "child"]]


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="several mappings read one stream, each at its own place",
    source="https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html",
)
def test_each_mapping_has_its_own_checkpoints(cloud: SmallCloud) -> None:
    # given
    first, second = Seen(), Seen()
    source = cloud.stream("events")
    slow = mapped(cloud, source, first, MaximumBatchingWindowInSeconds=60)
    fast = mapped(cloud, source, second)
    put(cloud, "a")
    # when
    fast.pump(cloud.clock.now)
    cloud.wait(60)
    put(cloud, "b")
    # then
    assert (fast.pump(cloud.clock.now), slow.pump(cloud.clock.now)) == (1, 2)


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="a disabled mapping reads nothing",
    source="https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html",
)
def test_disabled_mapping_reads_nothing(cloud: SmallCloud) -> None:
    # given
    mappings = mapped(cloud, cloud.stream("events"), Seen(), Enabled=False)
    put(cloud, "a")
    # when, then
    assert (mappings.pump(cloud.clock.now), mappings.drain()) == (0, 0)


@pytest.mark.parametrize(
    ("properties", "named"),
    [
        ({"TumblingWindowInSeconds": 60}, "TumblingWindowInSeconds"),
        ({"FilterCriteria": {}}, "FilterCriteria"),
        ({"ParallelizationFactor": 2}, "ParallelizationFactor"),
        ({"StartingPosition": "AT_SEQUENCE_NUMBER"}, "StartingPosition"),
        ({"FunctionResponseTypes": ["Other"]}, "FunctionResponseTypes"),
        ({"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:1:q"}}}, "sqs"),
    ],
)
def test_property_that_is_not_imitated_is_named(
    cloud: SmallCloud, properties: dict[str, Any], named: str
) -> None:
    source = cloud.stream("events")
    with pytest.raises(NotHonoured, match=named):
        mapped(cloud, source, Seen(), **properties)


def test_source_that_is_not_imitated_is_named(cloud: SmallCloud) -> None:
    with pytest.raises(NotHonoured, match="reads from kafka"):
        mapped(cloud, "arn:aws:kafka:us-east-1:123456789012:cluster/events/1", Seen())


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="the stream is read with the function's role",
    source="https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html",
    falls_short="judged once, when the mapping begins",
)
def test_role_that_may_not_read_the_stream_stops_the_mapping(cloud: SmallCloud) -> None:
    source = cloud.stream("events")
    with pytest.raises(ClientError, match="kinesis:GetRecords"):
        mapped(cloud, source, Seen(), role={"denied": "kinesis:GetRecords"})


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="the function's role has to trust Lambda",
    source="https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html",
)
def test_role_that_does_not_trust_lambda_stops_the_mapping(cloud: SmallCloud) -> None:
    source = cloud.stream("events")
    with pytest.raises(PolicyError, match=r"lambda\.amazonaws\.com"):
        mapped(cloud, source, Seen(), role={"trusts": ["ec2.amazonaws.com"]})


# The producer


@pytest.mark.fidelity(
    service="Kinesis",
    behaviour="a record has 1 MiB at most, its partition key included",
    source="https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html",
    falls_short="the setting that raises the limit is not read",
)
def test_producer_refuses_a_record_longer_than_kinesis_takes(cloud: SmallCloud) -> None:
    cloud.stream("events")
    with pytest.raises(ValueError, match=r"1,048,577 bytes.*Split or shorten"):
        put(cloud, "x" * MEBIBYTE)


# From SQS


@pytest.fixture
def queue(cloud: SmallCloud) -> str:
    """A FIFO queue with a visibility timeout of 30 s that gives a message up after three receives."""
    sqs, fifo = cloud.client("sqs"), {"FifoQueue": "true"}
    sqs.create_queue(QueueName="dead.fifo", Attributes=fifo)
    arn = "arn:aws:sqs:us-east-1:123456789012:"
    redrive = json.dumps({"deadLetterTargetArn": f"{arn}dead.fifo", "maxReceiveCount": 3})
    attributes = {**fifo, "RedrivePolicy": redrive, "VisibilityTimeout": "30"}
    sqs.create_queue(QueueName="changes.fifo", Attributes=attributes)
    return f"{arn}changes.fifo"


def send(cloud: SmallCloud, *bodies: str) -> None:
    """Send messages whose group is their first letter."""
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName="changes.fifo")["QueueUrl"]
    for body in bodies:
        sqs.send_message(
            QueueUrl=url,
            MessageBody=body,
            MessageGroupId=body[0],
            MessageDeduplicationId=f"{body}-id",
            MessageAttributes={"kind": {"DataType": "String", "StringValue": "opened"}},
        )


def waiting(cloud: SmallCloud, name: str) -> list[str]:
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get(
        "Messages", []
    )
    return [message["Body"] for message in messages]


def failed_bodies(*bodies: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def handler(event: dict[str, Any]) -> dict[str, Any]:
        return reporting(*[record["messageId"] for record in event["Records"] if record["body"] in bodies])

    return handler


@pytest.mark.fidelity(
    service="SQS to Lambda",
    behaviour="an event holds messages with their group, deduplication id, times and count of receives",
    source="https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html",
)
def test_queue_event_is_shaped_as_lambdas(cloud: SmallCloud, queue: str) -> None:
    # given
    seen = Seen()
    mappings = mapped(cloud, queue, seen)
    send(cloud, "a1")
    # when
    assert mappings.pump(cloud.wait(1)) == 1
    # then
    (record,) = seen.events[0]["Records"]
    assert record.pop("messageId")
    assert record.pop("receiptHandle")
    assert record["attributes"].pop("SequenceNumber")
    assert record["attributes"].pop("SenderId")
    assert record == {
        "body": "a1",
        "attributes": {
            "ApproximateFirstReceiveTimestamp": str(round((TEN + 1) * 1000)),
            "ApproximateReceiveCount": "1",
            "MessageDeduplicationId": "a1-id",
            "MessageGroupId": "a",
            "SentTimestamp": str(round(TEN * 1000)),
        },
        "messageAttributes": {
            "kind": {
                "dataType": "String",
                "stringValue": "opened",
                "stringListValues": [],
                "binaryListValues": [],
            }
        },
        "md5OfBody": "8a8bb7cd343aa2ad99b7d762030857a2",
        "eventSource": "aws:sqs",
        "eventSourceARN": queue,
        "awsRegion": "us-east-1",
    }
    assert waiting(cloud, "changes.fifo") == []


@pytest.mark.fidelity(
    service="SQS to Lambda",
    behaviour="a failed message holds up its group until it is visible again, and no other group",
    source="https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html",
    falls_short="one batch at a time, where AWS has one for each group",
)
def test_failed_message_holds_its_group_until_its_visibility_timeout(cloud: SmallCloud, queue: str) -> None:
    # given
    works = [False]

    def after(batch: list[str]) -> None:
        if "a1" in batch and not works[0]:
            raise ConnectionError("away")

    seen = Seen(after)
    mappings = mapped(cloud, queue, seen, BatchSize=2)
    send(cloud, "a1", "a2", "a3", "b1")
    # when
    mappings.pump(cloud.clock.now)
    mappings.pump(cloud.wait(29))
    # then: nobody overtakes in the group, others are not held up
    assert seen.batches == [["a1", "a2"], ["b1"]]
    # when
    works[0] = True
    mappings.pump(cloud.wait(2))
    # then
    assert seen.batches[2:] == [["a1", "a2"], ["a3"]]
    assert seen.events[2]["Records"][0]["attributes"]["ApproximateReceiveCount"] == "2"


@pytest.mark.fidelity(
    service="SQS to Lambda",
    behaviour="only the messages that a function reports come again",
    source="https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html",
)
def test_only_reported_messages_come_again(cloud: SmallCloud, queue: str) -> None:
    # given
    seen: list[list[str]] = []

    def handler(event: dict[str, Any]) -> dict[str, Any]:
        seen.append([record["body"] for record in event["Records"]])
        return failed_bodies("b1")(event) if len(seen) == 1 else {}

    mappings = mapped(cloud, queue, handler, **REPORTS)
    send(cloud, "a1", "b1", "c1")
    # when
    mappings.pump(cloud.clock.now)
    mappings.pump(cloud.wait(31))
    # then
    assert seen == [["a1", "b1", "c1"], ["b1"]]


@pytest.mark.fidelity(
    service="SQS to Lambda",
    behaviour="an identifier that is empty, unknown or wrongly named brings all messages again",
    source="https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html",
)
@pytest.mark.parametrize("answer", [reporting("unknown"), reporting(""), reporting("x", name="itemId")])
def test_unreadable_answer_brings_all_messages_again(cloud: SmallCloud, queue: str, answer: Any) -> None:
    # given
    answers = [answer, {}]
    seen = Seen(lambda _: answers.pop(0))
    mappings = mapped(cloud, queue, seen, **REPORTS)
    send(cloud, "a1", "b1")
    # when
    mappings.pump(cloud.clock.now)
    mappings.pump(cloud.wait(31))
    # then
    assert seen.batches == [["a1", "b1"]] * 2


@pytest.mark.fidelity(
    service="SQS to Lambda",
    behaviour="a message received maxReceiveCount times goes to the dead letters",
    source="https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html",
)
def test_message_that_keeps_failing_goes_to_the_dead_letters(cloud: SmallCloud, queue: str) -> None:
    # given
    seen = Seen(failing_on("a1"))
    mappings = mapped(cloud, queue, seen, BatchSize=1)
    send(cloud, "a1", "a2")
    # when
    for _ in range(4):
        mappings.pump(cloud.wait(31))
    # then
    assert seen.batches == [["a1"], ["a1"], ["a1"], ["a2"]]
    assert waiting(cloud, "dead.fifo") == ["a1"]


def test_drain_ends_with_empty_queue_and_dead_letters(cloud: SmallCloud, queue: str) -> None:
    # given
    mappings = mapped(cloud, queue, failed_bodies("b1"), **REPORTS)
    send(cloud, "a1", "b1", "b2")
    mappings.pump(cloud.clock.now)
    # when
    mappings.drain()
    # then
    assert waiting(cloud, "changes.fifo") == []
    assert waiting(cloud, "dead.fifo") == ["b1"]


@pytest.mark.fidelity(
    service="SQS to Lambda",
    behaviour="messages are received and deleted with the function's role",
    source="https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html",
)
@pytest.mark.parametrize("denied", ["sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:DeleteMessage"])
def test_messages_are_received_with_the_functions_role(cloud: SmallCloud, queue: str, denied: str) -> None:
    send(cloud, "a1")
    with pytest.raises(ClientError, match=denied):
        mapped(cloud, queue, Seen(), role={"denied": denied}).pump(cloud.clock.now)


@pytest.mark.parametrize("name", ["plain", "endless.fifo"])
def test_queue_that_is_not_fifo_or_has_no_dead_letters_is_refused(cloud: SmallCloud, name: str) -> None:
    cloud.client("sqs").create_queue(QueueName=name, Attributes={"FifoQueue": "true"} if "." in name else {})
    with pytest.raises(NotHonoured, match=name):
        mapped(cloud, f"arn:aws:sqs:us-east-1:123456789012:{name}", Seen())
