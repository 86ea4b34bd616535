"""Changes of a table's items reach functions by the same mappings as a stream's records."""

import json
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from laptop.clock import Clock
from laptop.cloud import Cloud
from laptop.functions import Functions
from laptop.kinesis import Kinesis
from laptop.mapping import EventSourceMappings
from laptop.services import NotHonoured
from tests.laptop.assembly import allow, function, ref, role, write_assembly
from tests.laptop.mapped import REPORTS, Seen, failing_on, mapped, reporting
from tests.laptop.small_cloud import TEN, SmallCloud, small_cloud

ID = [{"AttributeName": "id", "AttributeType": "S"}]
HASH = [{"AttributeName": "id", "KeyType": "HASH"}]


@pytest.fixture
def cloud() -> Iterator[SmallCloud]:
    with small_cloud() as cloud:
        yield cloud


def table(cloud: SmallCloud, view: str = "NEW_AND_OLD_IMAGES") -> str:
    """Create a table with a stream and return the stream's ARN."""
    made = cloud.client("dynamodb").create_table(
        TableName="guests",
        AttributeDefinitions=ID,
        KeySchema=HASH,
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": view},
    )
    return str(made["TableDescription"]["LatestStreamArn"])


def put(cloud: SmallCloud, *ids: str, visits: int = 1) -> None:
    for each in ids:
        cloud.client("dynamodb").put_item(
            TableName="guests", Item={"id": {"S": each}, "visits": {"N": str(visits)}}
        )


def numbers(event: dict[str, Any]) -> list[str]:
    return [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]


@pytest.mark.fidelity(
    service="DynamoDB Streams to Lambda",
    behaviour=(
        "an event holds changes in their order: INSERT, MODIFY, REMOVE, keys and images in DynamoDB's types, "
        "the time in whole seconds"
    ),
    source="https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html",
    falls_short="a table has one shard, which never ends; `SizeBytes` is moto's",
)
def test_event_is_shaped_as_lambdas(cloud: SmallCloud) -> None:
    # given
    source, seen = table(cloud), Seen()
    mappings = mapped(cloud, source, seen)
    put(cloud, "g1")
    cloud.wait(1.5)
    put(cloud, "g1", visits=2)
    cloud.client("dynamodb").delete_item(TableName="guests", Key={"id": {"S": "g1"}})
    # when
    assert mappings.pump(cloud.wait(1)) == 3
    # then
    ((insert, modify, remove),) = (event["Records"] for event in seen.events)
    once, twice = ({"id": {"S": "g1"}, "visits": {"N": visits}} for visits in "12")
    assert re.fullmatch("[0-9a-f]{32}", insert.pop("eventID"))
    assert int(insert["dynamodb"].pop("SequenceNumber")) < int(modify["dynamodb"]["SequenceNumber"])
    assert insert["dynamodb"].pop("SizeBytes") > 0
    assert insert == {
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": int(TEN),
            "Keys": {"id": {"S": "g1"}},
            "NewImage": once,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": source,
    }
    assert [modify["eventName"], remove["eventName"]] == ["MODIFY", "REMOVE"]
    assert modify["dynamodb"]["ApproximateCreationDateTime"] == int(TEN) + 1
    assert (modify["dynamodb"]["OldImage"], modify["dynamodb"]["NewImage"]) == (once, twice)
    assert remove["dynamodb"]["OldImage"] == twice
    assert "NewImage" not in remove["dynamodb"]


@pytest.mark.fidelity(
    service="DynamoDB Streams to Lambda",
    behaviour="a view of keys alone, of new or of old images has no other",
    source="https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_StreamSpecification.html",
)
@pytest.mark.parametrize(
    ("view", "images"),
    [("KEYS_ONLY", set()), ("NEW_IMAGE", {"NewImage"}), ("OLD_IMAGE", {"OldImage"})],
)
def test_event_has_the_images_of_its_view(cloud: SmallCloud, view: str, images: set[str]) -> None:
    # given
    seen = Seen()
    mappings = mapped(cloud, table(cloud, view), seen)
    put(cloud, "g1")
    put(cloud, "g1", visits=2)
    # when
    mappings.pump(cloud.clock.now)
    # then
    modify = seen.events[0]["Records"][1]["dynamodb"]
    assert modify.keys() & {"NewImage", "OldImage"} == images
    assert modify["Keys"] == {"id": {"S": "g1"}}


@pytest.mark.fidelity(
    service="DynamoDB Streams to Lambda",
    behaviour="an item that is put again as it was is no change",
    source="https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html",
)
def test_what_changes_nothing_is_in_no_stream(cloud: SmallCloud) -> None:
    # given
    seen = Seen()
    mappings = mapped(cloud, table(cloud), seen)
    # when
    put(cloud, "g1", "g1", "g2")
    mappings.pump(cloud.clock.now)
    # then
    assert seen.handled == ["INSERT:g1", "INSERT:g2"]


@pytest.mark.fidelity(
    service="DynamoDB Streams to Lambda",
    behaviour="LATEST begins after the newest change; a change is gone after 24 hours",
    source="https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html",
)
def test_only_changes_from_a_day_and_from_the_position_on_are_read(cloud: SmallCloud) -> None:
    # given
    source, seen = table(cloud), Seen()
    put(cloud, "old")
    beginning = mapped(cloud, source, seen)
    now = mapped(cloud, source, seen, StartingPosition="LATEST")
    cloud.wait(1)
    put(cloud, "new")
    # when, then
    assert (now.pump(cloud.clock.now), seen.handled) == (1, ["INSERT:new"])
    assert beginning.pump(cloud.wait(86_400 - 0.5)) == 1
    assert seen.handled == ["INSERT:new", "INSERT:new"]


@pytest.mark.fidelity(
    service="DynamoDB Streams to Lambda",
    behaviour="batches, windows, retries from the lowest number, bisecting and giving up are as for Kinesis",
    source="https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html",
)
def test_changes_are_batched_and_tried_again_as_a_streams_records(cloud: SmallCloud) -> None:
    # given
    seen = Seen()

    def handler(event: dict[str, Any]) -> Any:
        seen(event)
        return reporting(numbers(event)[1]) if len(seen.batches) == 1 else None

    mappings = mapped(
        cloud,
        table(cloud),
        handler,
        BatchSize=3,
        MaximumBatchingWindowInSeconds=10,
        MaximumRetryAttempts=1,
        **REPORTS,
    )
    put(cloud, *"abcd")
    # when, then
    assert mappings.pump(cloud.clock.now) == 3
    assert mappings.pump(cloud.wait(9)) == 0
    assert mappings.pump(cloud.wait(1)) == 1
    batches = [["a", "b", "c"], ["b", "c"], ["d"]]
    assert seen.batches == [[f"INSERT:{each}" for each in batch] for batch in batches]


@pytest.mark.fidelity(
    service="DynamoDB Streams to Lambda",
    behaviour="a batch that is given up lands in S3 with its payload, named DDBStreamBatchInfo",
    source="https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html",
)
def test_given_up_change_lands_in_s3_with_its_payload(cloud: SmallCloud) -> None:
    # given
    source, seen = table(cloud), Seen(failing_on("INSERT:bad"))
    mappings = mapped(
        cloud,
        source,
        seen,
        BisectBatchOnFunctionError=True,
        DestinationConfig={"OnFailure": {"Destination": cloud.bucket("failed")}},
    )
    put(cloud, "good")
    cloud.wait(1.5)
    put(cloud, "bad", "next")
    # when
    assert mappings.pump(cloud.wait(1)) == 3
    # then
    ((key, body),) = cloud.objects("failed").items()
    document = json.loads(body)
    shard_id, info = document["DDBStreamBatchInfo"]["shardId"], document["DDBStreamBatchInfo"]
    assert key.startswith(f"aws/lambda/0f0f-uuid/{shard_id}/2026/01/05/2026-01-05T10.00.02-")
    assert [document["requestContext"]["condition"], info["batchSize"]] == ["RetryAttemptsExhausted", 1]
    assert info["startSequenceNumber"] == info["endSequenceNumber"]
    assert info["approximateArrivalOfFirstRecord"] == "2026-01-05T10:00:01Z"
    assert info["streamArn"] == source
    (record,) = json.loads(document["payload"])["Records"]
    assert record["dynamodb"]["Keys"] == {"id": {"S": "bad"}}
    assert seen.batches[-1] == ["INSERT:next"]


@pytest.mark.fidelity(
    service="DynamoDB Streams to Lambda",
    behaviour="the stream is read with the function's role",
    source="https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html",
    falls_short="judged once, when the mapping begins",
)
@pytest.mark.parametrize("action", ["DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"])
def test_role_that_may_not_read_the_stream_stops_the_mapping(cloud: SmallCloud, action: str) -> None:
    source = table(cloud)
    with pytest.raises(ClientError, match=f"dynamodb:{action}"):
        mapped(cloud, source, Seen(), role={"denied": f"dynamodb:{action}"})


@pytest.mark.parametrize(
    ("properties", "named"),
    [
        ({"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": TEN}, "StartingPosition"),
        ({"FilterCriteria": {}}, "FilterCriteria"),
        ({"ParallelizationFactor": 2}, "ParallelizationFactor"),
    ],
)
def test_property_that_is_not_imitated_is_named(
    cloud: SmallCloud, properties: dict[str, Any], named: str
) -> None:
    source = table(cloud)
    with pytest.raises(NotHonoured, match=named):
        mapped(cloud, source, Seen(), **properties)


def test_stream_that_is_not_there_is_named(cloud: SmallCloud) -> None:
    source = table(cloud)
    with pytest.raises(NotHonoured, match=r"There is no stream .*2020"):
        mapped(cloud, source.rpartition("/")[0] + "/2020-01-01T00:00:00.000", Seen())


def test_tables_stream_is_deployed_by_a_template(tmp_path: Path) -> None:
    # given
    stream = {"Fn::GetAtt": ["Guests", "StreamArn"]}
    guests = {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "AttributeDefinitions": ID,
            "KeySchema": HASH,
            "BillingMode": "PAY_PER_REQUEST",
            "StreamSpecification": {"StreamViewType": "NEW_IMAGE"},
        },
    }
    reading = allow(
        *(
            f"dynamodb:{action}"
            for action in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
        ),
        on=stream,
    )
    mapping = {
        "Type": "AWS::Lambda::EventSourceMapping",
        "Properties": {
            "EventSourceArn": stream,
            "FunctionName": ref("Function"),
            "StartingPosition": "TRIM_HORIZON",
        },
    }
    write = "def handler(event, context):\n    print(event['Records'][0]['dynamodb']['NewImage']['photo'])\n"
    resources = {"Guests": guests, "Role": role(reading), "Function": function(), "Mapping": mapping}
    log = StringIO()
    with Cloud(Clock(TEN)) as cloud:
        cloud.deploy(write_assembly(tmp_path, {"Stack": resources}, code={"work.py": write}))
        mappings = EventSourceMappings(cloud, Functions(cloud, log).invoke, Kinesis(cloud))
        (name,) = cloud.client("dynamodb").list_tables()["TableNames"]
        cloud.client("dynamodb").put_item(TableName=name, Item={"id": {"S": "g1"}, "photo": {"B": b"\xff"}})
        # when, then
        assert mappings.pump(TEN) == 1
    assert log.getvalue() == "{'B': '/w=='}\n"
