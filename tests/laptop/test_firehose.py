"""Records reach the lake as by Firehose: buffered, transformed, converted to Parquet, by arrival hour."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pyarrow import parquet

from laptop.firehose import Firehose
from laptop.services import NotHonoured
from tests.formats.aggregates import aggregate
from tests.laptop.small_cloud import TEN, SmallCloud, small_cloud

COLUMNS = {"sensor": "string", "degrees": "double", "at": "timestamp"}
TIME = "dt=!{timestamp:yyyy-MM-dd-HH}/"
Handler = Callable[[Any], Any]


@pytest.fixture
def cloud() -> Iterator[SmallCloud]:
    with small_cloud() as cloud:
        cloud.bucket("lake")
        glue = cloud.client("glue")
        glue.create_database(DatabaseInput={"Name": "freshet"})
        columns = [{"Name": name, "Type": hive} for name, hive in COLUMNS.items()]
        table = {"Name": "readings", "StorageDescriptor": {"Columns": columns}}
        glue.create_table(DatabaseName="freshet", TableInput=table)
        yield cloud


def destination(cloud: SmallCloud, role: str, **properties: Any) -> dict[str, Any]:
    schema = {"DatabaseName": "freshet", "TableName": "readings", "RoleARN": role, "Region": cloud.region}
    return {
        "BucketARN": "arn:aws:s3:::lake",
        "RoleARN": role,
        "Prefix": f"events/{TIME}",
        "ErrorOutputPrefix": f"errors/!{{firehose:error-output-type}}/{TIME}",
        "CompressionFormat": "UNCOMPRESSED",
        "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 300},
        "CloudWatchLoggingOptions": {"Enabled": True},
        "EncryptionConfiguration": {"KMSEncryptionConfig": {"AWSKMSKeyARN": "key"}},
        "DataFormatConversionConfiguration": {
            "Enabled": True,
            "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
            "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {"Compression": "SNAPPY"}}},
            "SchemaConfiguration": {**schema, "VersionId": "LATEST", "CatalogId": "123456789012"},
        },
        **properties,
    }


def delivering(
    cloud: SmallCloud,
    *,
    source: str = "",
    transform: Handler | None = None,
    parameters: dict[str, str] | None = None,
    denied: str = "nothing:AtAll",
    **properties: Any,
) -> Firehose:
    """Deploy one delivery stream named `lane` for direct puts or, with `source`, for a Kinesis stream."""
    role = cloud.role("firehose-role", denied=denied)
    if transform:
        values = {"LambdaArn": cloud.function("transform", transform), "RoleArn": role, **(parameters or {})}
        listed = [{"ParameterName": name, "ParameterValue": value} for name, value in values.items()]
        processors = [{"Type": "Lambda", "Parameters": listed}]
        properties["ProcessingConfiguration"] = {"Enabled": True, "Processors": processors}
    target = destination(cloud, role, **properties)
    deployed: dict[str, Any] = {"ExtendedS3DestinationConfiguration": target}
    if source:
        deployed["KinesisStreamSourceConfiguration"] = {"KinesisStreamARN": source, "RoleARN": role}
    cloud.add("AWS::KinesisFirehose::DeliveryStream", "Lane", deployed, physical_id="lane")
    simple = {"RoleARN": role, "BucketARN": target["BucketARN"]}
    cloud.client("firehose").create_delivery_stream(
        DeliveryStreamName="lane", ExtendedS3DestinationConfiguration=simple
    )
    return Firehose(cloud, cloud.invoke, cloud.kinesis)


def put(cloud: SmallCloud, *records: bytes) -> None:
    listed = [{"Data": record} for record in records]
    cloud.client("firehose").put_record_batch(DeliveryStreamName="lane", Records=listed)


def reading(sensor: str, degrees: object = 20.0) -> bytes:
    return (
        json.dumps({"sensor": sensor, "degrees": degrees, "at": "2026-01-05 10:00:00.123"}).encode() + b"\n"
    )


def rows(cloud: SmallCloud) -> dict[str, list[Any]]:
    """Return the sensors in each delivered object."""
    # Reading with threads can abort the interpreter at its exit (pyarrow 26.0).
    return {
        key: parquet.ParquetFile(BytesIO(body)).read(use_threads=False)["sensor"].to_pylist()
        for key, body in cloud.objects("lake", "events/").items()
    }


def errors(cloud: SmallCloud, kind: str) -> list[dict[str, Any]]:
    bodies = cloud.objects("lake", f"errors/{kind}/").values()
    return [json.loads(line) for body in bodies for line in body.splitlines()]


def answering(results: Callable[[str, str], dict[str, str]]) -> Callable[[Any], dict[str, Any]]:
    """A transform that answers for each record what `results` says of its id and data."""

    def handler(event: dict[str, Any]) -> dict[str, Any]:
        answers = [
            {"recordId": r["recordId"], **results(r["recordId"], base64.b64decode(r["data"]).decode())}
            for r in event["records"]
        ]
        return {"records": answers}

    return handler


def ok(data: bytes) -> dict[str, str]:
    return {"result": "Ok", "data": base64.b64encode(data).decode()}


# Delivery


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="JSON becomes Parquet by the columns of a Glue table, compressed by Snappy",
    source="https://docs.aws.amazon.com/firehose/latest/dev/record-format-conversion.html",
    falls_short="the object has no `Content-Encoding`",
)
@pytest.mark.fidelity(
    service="Firehose",
    behaviour="an object is named by stream, version, time and a random part",
    source="https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html",
    falls_short="the version is always 1",
)
def test_direct_puts_become_parquet_by_the_tables_types(cloud: SmallCloud) -> None:
    # given
    firehose = delivering(cloud)
    # when
    put(cloud, reading("a", "21.5"), b'{"SENSOR": "b"}')
    firehose.pump(cloud.wait(300))
    # then
    ((key, body),) = cloud.objects("lake").items()
    assert re.fullmatch(r"events/dt=2026-01-05-10/lane-1-2026-01-05-10-00-00-[0-9a-f-]{36}\.parquet", key)
    file = parquet.ParquetFile(BytesIO(body))
    assert file.metadata.row_group(0).column(0).compression == "SNAPPY"
    table = file.read(use_threads=False)
    assert {field.name: str(field.type) for field in table.schema} == {
        "sensor": "string",
        "degrees": "double",
        "at": "timestamp[ms]",
    }
    assert [(row["sensor"], row["degrees"], str(row["at"])) for row in table.to_pylist()] == [
        ("a", 21.5, "2026-01-05 10:00:00.123000"),
        ("b", None, "None"),
    ]


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="an object goes when its buffer's time has passed",
    source="https://docs.aws.amazon.com/firehose/latest/APIReference/API_BufferingHints.html",
    falls_short="AWS takes the time and the size as hints",
)
def test_object_goes_when_its_oldest_record_has_waited(cloud: SmallCloud) -> None:
    # given
    firehose = delivering(cloud)
    put(cloud, reading("a"))
    cloud.wait(299)
    put(cloud, reading("b"))
    # when, then
    firehose.pump(cloud.clock.now)
    assert rows(cloud) == {}
    firehose.pump(cloud.wait(1))
    assert list(rows(cloud).values()) == [["a", "b"]]


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="an object goes when its buffer is full",
    source="https://docs.aws.amazon.com/firehose/latest/APIReference/API_BufferingHints.html",
    falls_short="AWS takes the time and the size as hints",
)
def test_object_goes_when_it_is_large_enough(cloud: SmallCloud) -> None:
    # given
    firehose = delivering(cloud)
    # when: 66 records of a million bytes
    for _ in range(22):
        put(cloud, *[reading("x" * 1_000_000)] * 3)
    firehose.pump(cloud.clock.now)
    # then: 64 MB are 67.1 million bytes
    assert rows(cloud) == {}
    put(cloud, *[reading("x" * 1_000_000)] * 3)
    firehose.pump(cloud.clock.now)
    assert [len(sensors) for sensors in rows(cloud).values()] == [68]


def test_record_that_arrives_after_the_buffers_time_is_not_in_its_object(cloud: SmallCloud) -> None:
    # given: nobody pumps for two hours
    firehose = delivering(cloud)
    put(cloud, reading("a"))
    cloud.wait(7_200)
    put(cloud, reading("b"))
    # when
    firehose.drain()
    # then
    assert [(key[:24], sensors) for key, sensors in rows(cloud).items()] == [
        ("events/dt=2026-01-05-10/", ["a"]),
        ("events/dt=2026-01-05-12/", ["b"]),
    ]


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="a prefix's time is the arrival of the object's oldest record, in UTC",
    source="https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html",
    falls_short="quoted letters and most of Java's other patterns are refused",
)
def test_object_stands_under_the_arrival_hour_of_its_oldest_record(cloud: SmallCloud) -> None:
    # given
    firehose = delivering(cloud)
    cloud.wait(3_590)
    put(cloud, reading("at 10:59:50"))
    cloud.wait(20)
    put(cloud, reading("at 11:00:10"))
    # when
    firehose.pump(cloud.wait(300))
    # then
    assert [key[:24] for key in rows(cloud)] == ["events/dt=2026-01-05-10/"]


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="a prefix without a time gets `yyyy/MM/dd/HH/` appended",
    source="https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html",
)
def test_prefix_without_a_time_gets_firehoses_own(cloud: SmallCloud) -> None:
    # given
    firehose = delivering(cloud, Prefix="events/")
    put(cloud, reading("a"))
    # when
    firehose.drain()
    # then
    assert [key[:21] for key in rows(cloud)] == ["events/2026/01/05/10/"]


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="a record may hold several JSON objects, one after another",
    source="https://docs.aws.amazon.com/firehose/latest/dev/record-format-conversion.html",
)
def test_one_record_may_hold_several_objects(cloud: SmallCloud) -> None:
    # given
    firehose = delivering(cloud)
    # when
    put(cloud, reading("a") + reading("b"), b'{"sensor": "c"}{"sensor": "d"}  \n {"sensor": "e"}')
    firehose.drain()
    # then
    assert list(rows(cloud).values()) == [["a", "b", "c", "d", "e"]]


@pytest.mark.fidelity(
    service="Firehose",
    behaviour=(
        "a record that cannot be converted is one line under `format-conversion-failed`; the others go on"
    ),
    source="https://docs.aws.amazon.com/firehose/latest/dev/record-format-conversion.html",
    falls_short="the message is the laptop's own; of the table `roleARN` stands for `catalogArn`",
)
@pytest.mark.fidelity(
    service="Firehose",
    behaviour="its code is DataFormatConversion.ParseError or .MalformedData",
    source="https://github.com/floci-io/floci/blob/main/docs/services/firehose.md",
)
def test_bad_record_stands_among_the_errors_and_stops_no_other(cloud: SmallCloud) -> None:
    # given
    firehose = delivering(cloud)
    bad, worse = reading("b", "warm"), b"no json"
    # when
    put(cloud, reading("a"), bad)
    cloud.wait(1)
    put(cloud, worse, reading("c"))
    firehose.pump(cloud.wait(299))
    # then
    assert list(rows(cloud).values()) == [["a", "c"]]
    malformed, unparsed = errors(cloud, "format-conversion-failed/dt=2026-01-05-10")
    assert malformed.pop("lastErrorMessage") == '"warm" is no double'
    assert malformed == {
        "attemptsMade": 1,
        "arrivalTimestamp": TEN * 1000,
        "lastErrorCode": "DataFormatConversion.MalformedData",
        "attemptEndingTimestamp": (TEN + 300) * 1000,
        "rawData": base64.b64encode(bad).decode(),
        "sequenceNumber": None,
        "subSequenceNumber": None,
        "dataCatalogTable": {
            "databaseName": "freshet",
            "tableName": "readings",
            "roleARN": "arn:aws:iam::123456789012:role/firehose-role",
            "region": "us-east-1",
            "versionId": "LATEST",
            "catalogId": "123456789012",
        },
    }
    assert unparsed["lastErrorCode"] == "DataFormatConversion.ParseError"
    assert unparsed["arrivalTimestamp"] == (TEN + 1) * 1000


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="an error prefix's time is the arrival of the oldest record under it",
    source="https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html",
)
def test_errors_stand_under_the_arrival_hour_of_the_oldest_of_them(cloud: SmallCloud) -> None:
    # given
    firehose = delivering(cloud)
    cloud.wait(3_590)
    put(cloud, b"no json")
    cloud.wait(20)
    put(cloud, b"no json")
    # when
    firehose.pump(cloud.wait(300))
    # then
    assert len(errors(cloud, "format-conversion-failed/dt=2026-01-05-10")) == 2


def test_nothing_is_written_for_a_batch_that_is_all_bad_but_its_errors(cloud: SmallCloud) -> None:
    # given
    firehose = delivering(cloud)
    put(cloud, b"[1]")
    # when
    firehose.drain()
    # then
    assert [key.split("/")[0] for key in cloud.objects("lake")] == ["errors"]


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="objects are written with the stream's role",
    source="https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html",
    falls_short="a refusal stops the run, where AWS tries again for hours",
)
def test_objects_are_written_with_the_streams_role(cloud: SmallCloud) -> None:
    # given
    firehose = delivering(cloud, denied="s3:PutObject")
    put(cloud, reading("a"))
    # when, then
    with pytest.raises(ClientError, match="s3:PutObject"):
        firehose.drain()


# Puts


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="a put takes 500 records, 4 MiB in all, 1,024,000 bytes each",
    source="https://docs.aws.amazon.com/firehose/latest/dev/limits.html",
)
def test_call_takes_500_records_and_4_mebibytes(cloud: SmallCloud) -> None:
    # given
    firehose = delivering(cloud)
    put(cloud, *[b"{}"] * 500)
    # when, then
    for records in ([b"{}"] * 501, [b"x" * 1_000_000] * 5, [b"x" * 1_024_001]):
        with pytest.raises(ClientError, match="in one call"):
            put(cloud, *records)
    firehose.drain()
    assert [len(sensors) for sensors in rows(cloud).values()] == [500]


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="a stream that reads from Kinesis takes no puts",
    source="https://github.com/radkawar/stackd/blob/9dc356f5e5cc49d2d334178a09c1398dd1c62617/docs/firehose.md",
)
def test_stream_that_reads_from_kinesis_takes_no_puts(cloud: SmallCloud) -> None:
    delivering(cloud, source=cloud.stream("events"))
    with pytest.raises(ClientError, match="reads from Kinesis"):
        put(cloud, b"{}")


# From Kinesis


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="a Kinesis stream is read from its end at the creation on",
    source="https://docs.aws.amazon.com/firehose/latest/dev/writing-with-kinesis-streams.html",
)
def test_stream_is_read_from_its_end_at_the_deployment(cloud: SmallCloud) -> None:
    # given
    source = cloud.stream("events")
    cloud.kinesis.put("events", [("k", reading("before"))])
    firehose = delivering(cloud, source=source)
    cloud.kinesis.put("events", [("k", reading("after"))])
    # when
    firehose.drain()
    # then
    assert list(rows(cloud).values()) == [["after"]]


def test_split_streams_records_are_delivered_once_each_after_its_parents(cloud: SmallCloud) -> None:
    # given
    source = cloud.stream("events")
    firehose = delivering(cloud, source=source)
    cloud.kinesis.put("events", [("k", reading("parent"))])
    firehose.pump(cloud.wait(1))
    cloud.kinesis.put("events", [("k", reading("parent, unread"))])
    # when
    cloud.client("kinesis").split_shard(
        StreamName="events", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127)
    )
    cloud.kinesis.put("events", [("k", reading("child"))])
    firehose.drain()
    # then
    assert list(rows(cloud).values()) == [["parent", "parent, unread", "child"]]


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="a conversion's error names the sequence number of a record from Kinesis",
    source="https://docs.aws.amazon.com/firehose/latest/dev/record-format-conversion.html",
)
def test_conversion_error_names_the_record_in_the_stream(cloud: SmallCloud) -> None:
    # given
    firehose = delivering(cloud, source=cloud.stream("events"))
    cloud.kinesis.put("events", [("k", b"{}"), ("k", b"no json")])
    # when
    firehose.drain()
    # then
    assert [one["sequenceNumber"] for one in errors(cloud, "format-conversion-failed")] == ["2"]


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="an aggregate is opened before the transform, and its records numbered from 0",
    source="https://docs.aws.amazon.com/streams/latest/dev/kpl-with-firehose.html",
    falls_short="what it does with a damaged one is not documented: here it is handed over as it is",
)
def test_aggregate_is_opened_before_the_transform(cloud: SmallCloud) -> None:
    # given
    seen: list[Any] = []

    def transform(event: Any) -> Any:
        seen.extend(event["records"])
        return {"records": [{"recordId": one["recordId"], "result": "Dropped"} for one in event["records"]]}

    firehose = delivering(cloud, source=cloud.stream("events"), transform=transform)
    packed = aggregate(b"one", b"two")
    cloud.kinesis.put("events", [("k", packed), ("k", packed[:-1]), ("k", b"three")])
    # when
    firehose.drain()
    # then
    assert [
        (base64.b64decode(one["data"]), one["kinesisRecordMetadata"]["subsequenceNumber"],
         one["kinesisRecordMetadata"]["sequenceNumber"])
        for one in seen
    ] == [(b"one", 0, "1"), (b"two", 1, "1"), (packed[:-1], 0, "2"), (b"three", 0, "3")]  # fmt: skip


# The transform


def test_transform_does_not_run_inside_the_put(cloud: SmallCloud) -> None:
    # given
    seen: list[Any] = []
    firehose = delivering(cloud, transform=seen.append, parameters={"BufferSizeInMBs": "0.2"})
    # when
    put(cloud, reading("x" * 300_000))
    # then
    assert seen == []
    firehose.pump(cloud.clock.now)
    assert seen


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="a transform's event says of each record from Kinesis where it stood",
    source="https://github.com/aws/aws-lambda-go/blob/main/events/testdata/kinesis-firehose-event.json",
    falls_short="record ids are numbers from 0; `subsequenceNumber` is empty, as no record is aggregated",
)
def test_transform_event_is_shaped_as_firehoses(cloud: SmallCloud) -> None:
    # given
    events: list[dict[str, Any]] = []

    def handler(event: dict[str, Any]) -> dict[str, Any]:
        events.append(event)
        return answering(lambda _, data: ok(data.encode()))(event)

    source = cloud.stream("events")
    firehose = delivering(cloud, source=source, transform=handler)
    cloud.wait(0.25)
    cloud.kinesis.put("events", [("sensor-1", b"{}")])
    firehose.pump(cloud.wait(1))
    # when
    firehose.pump(cloud.wait(60))
    # then
    (event,) = events
    assert re.fullmatch(r"[0-9a-f-]{36}", event.pop("invocationId"))
    assert event["records"][0].pop("recordId")
    arrival = round((TEN + 0.25) * 1000)
    assert event == {
        "deliveryStreamArn": "arn:aws:firehose:us-east-1:123456789012:deliverystream/lane",
        "sourceKinesisStreamArn": source,
        "region": "us-east-1",
        "records": [
            {
                "approximateArrivalTimestamp": arrival,
                "data": "e30=",
                "kinesisRecordMetadata": {
                    "shardId": "shardId-000000000000",
                    "partitionKey": "sensor-1",
                    "sequenceNumber": "1",
                    "subsequenceNumber": 0,
                    "approximateArrivalTimestamp": arrival,
                },
            }
        ],
    }


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="a transform has a buffer of its own, by size and by time, before the delivery's",
    source="https://docs.aws.amazon.com/firehose/latest/dev/data-transformation.html",
    falls_short="AWS takes the time and the size as hints",
)
def test_transform_runs_by_its_own_buffer_then_delivery_by_its_own(cloud: SmallCloud) -> None:
    # given
    sizes: list[int] = []

    def handler(event: dict[str, Any]) -> dict[str, Any]:
        sizes.append(len(event["records"]))
        return answering(lambda _, data: ok(data.encode()))(event)

    parameters = {"BufferSizeInMBs": "0.2", "BufferIntervalInSeconds": "30"}
    firehose = delivering(cloud, transform=handler, parameters=parameters)
    # when, then: by size, 0.2 MB are 209,715 bytes
    put(cloud, *[reading("x" * 70_000)] * 4)
    firehose.pump(cloud.clock.now)
    assert sizes == [3]
    # by time
    firehose.pump(cloud.wait(29))
    assert sizes == [3]
    firehose.pump(cloud.wait(1))
    assert sizes == [3, 1]
    # the first three entered the delivery's buffer at once
    firehose.pump(cloud.wait(269))
    assert rows(cloud) == {}
    firehose.pump(cloud.wait(1))
    assert [len(sensors) for sensors in rows(cloud).values()] == [4]


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="a transform's buffer has 1 MiB, a delivery's 300 s, unless told otherwise",
    source="https://github.com/radkawar/stackd/blob/9dc356f5e5cc49d2d334178a09c1398dd1c62617/docs/firehose.md",
    falls_short="of a delivery's 128 MiB no test is made",
)
def test_buffers_have_firehoses_sizes_and_times_unless_told_otherwise(cloud: SmallCloud) -> None:
    # given
    transform = FailingAtFirst(0)
    firehose = delivering(cloud, transform=transform, BufferingHints={})
    # when: a mebibyte is not full at a million bytes
    put(cloud, *[reading("x" * 500_000)] * 2)
    firehose.pump(cloud.clock.now)
    assert transform.events == []
    put(cloud, reading("x" * 50_000))
    firehose.pump(cloud.clock.now)
    assert len(transform.events) == 1
    # then: five minutes from there
    firehose.pump(cloud.wait(299))
    assert rows(cloud) == {}
    firehose.pump(cloud.wait(1))
    assert [len(sensors) for sensors in rows(cloud).values()] == [3]


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="what is transformed waits for the delivery's buffer after that",
    source="https://docs.aws.amazon.com/firehose/latest/dev/data-transformation.html",
)
def test_delivery_waits_from_the_transform_on(cloud: SmallCloud) -> None:
    # given
    firehose = delivering(cloud, transform=answering(lambda _, data: ok(data.encode())))
    put(cloud, reading("a"))
    firehose.pump(cloud.wait(60))
    # when, then
    firehose.pump(cloud.wait(299))
    assert rows(cloud) == {}
    firehose.pump(cloud.wait(1))
    assert list(rows(cloud).values()) == [["a"]]


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="a transform does not change the arrival that a prefix is made of",
    source="https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html",
)
def test_prefix_has_the_arrival_hour_not_the_hour_of_the_transform(cloud: SmallCloud) -> None:
    # given
    firehose = delivering(cloud, transform=answering(lambda _, data: ok(data.encode())))
    cloud.wait(3_590)
    put(cloud, reading("a"))
    # when
    firehose.pump(cloud.wait(60))
    firehose.pump(cloud.wait(300))
    # then
    assert [key[:24] for key in rows(cloud)] == ["events/dt=2026-01-05-10/"]


@pytest.mark.fidelity(
    service="Firehose",
    behaviour=(
        "`Ok` is delivered, `Dropped` leaves nothing, `ProcessingFailed` is a line under `processing-failed`"
    ),
    source="https://docs.aws.amazon.com/firehose/latest/dev/data-transformation-status-model.html",
)
def test_transform_decides_for_each_record(cloud: SmallCloud) -> None:
    # given
    def decide(_: str, data: str) -> dict[str, str]:
        if data == "keep":
            return ok(reading("kept"))
        return {"result": "Dropped"} if data == "drop" else {"result": "ProcessingFailed", "data": "eA=="}

    firehose = delivering(cloud, transform=answering(decide))
    put(cloud, b"keep", b"drop", b"fail")
    # when
    firehose.drain()
    # then
    assert list(rows(cloud).values()) == [["kept"]]
    (failed,) = errors(cloud, "processing-failed/dt=2026-01-05-10")
    assert failed == {
        "attemptsMade": 1,
        "arrivalTimestamp": TEN * 1000,
        "errorCode": "Lambda.ProcessingFailedStatus",
        "errorMessage": "ProcessingFailed status set for record",
        "attemptEndingTimestamp": TEN * 1000,
        "rawData": base64.b64encode(b"fail").decode(),
        "lambdaARN": "arn:aws:lambda:us-east-1:123456789012:function:transform",
    }


class FailingAtFirst:
    """A transform that raises a number of times and then lets everything through."""

    def __init__(self, times: int) -> None:
        self._left = times
        self.events: list[dict[str, Any]] = []

    def __call__(self, event: dict[str, Any]) -> dict[str, Any]:
        self.events.append(event)
        self._left -= 1
        if self._left >= 0:
            raise ConnectionError("away")
        return answering(lambda _, data: ok(data.encode()))(event)


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="a transform that fails is tried three times more",
    source="https://docs.aws.amazon.com/firehose/latest/dev/data-transformation-failure-handling.html",
    falls_short="at once; the page names time-outs and the limit on invocations, not errors",
)
def test_transform_that_fails_thrice_is_asked_once_more(cloud: SmallCloud) -> None:
    # given
    transform = FailingAtFirst(3)
    firehose = delivering(cloud, transform=transform)
    put(cloud, reading("a"))
    # when
    firehose.drain()
    # then
    assert list(rows(cloud).values()) == [["a"]]
    assert len({event["invocationId"] for event in transform.events}) == 4
    assert len({event["records"][0]["recordId"] for event in transform.events}) == 1


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="after NumberOfRetries the batch is set aside, each record as `Lambda.FunctionError`",
    source="https://github.com/radkawar/stackd/blob/9dc356f5e5cc49d2d334178a09c1398dd1c62617/docs/firehose.md",
)
@pytest.mark.parametrize(("parameters", "tries"), [({}, 4), ({"NumberOfRetries": "1"}, 2)])
def test_batch_is_set_aside_after_the_last_retry(
    cloud: SmallCloud, parameters: dict[str, str], tries: int
) -> None:
    # given
    firehose = delivering(cloud, transform=FailingAtFirst(tries), parameters=parameters)
    put(cloud, reading("a"), reading("b"))
    # when
    firehose.drain()
    # then
    assert rows(cloud) == {}
    failed = errors(cloud, "processing-failed")
    assert [base64.b64decode(one["rawData"]) for one in failed] == [reading("a"), reading("b")]
    assert {(one["attemptsMade"], one["errorCode"]) for one in failed} == {(tries, "Lambda.FunctionError")}


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="a record whose id is missing, or answered twice, fails alone",
    source="https://docs.aws.amazon.com/firehose/latest/dev/monitoring-with-cloudwatch-logs.html",
    falls_short="AWS's messages are longer",
)
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda ids: [{"recordId": ids[0], **ok(b"{}")}], "Lambda.MissingRecordId"),
        (lambda ids: [{"recordId": one, **ok(b"{}")} for one in [*ids, ids[1]]], "Lambda.DuplicatedRecordId"),
    ],
)
def test_record_without_one_answer_fails_alone(
    cloud: SmallCloud, answer: Callable[[list[str]], list[Any]], code: str
) -> None:
    # given
    def handler(event: dict[str, Any]) -> dict[str, Any]:
        return {"records": answer([record["recordId"] for record in event["records"]])}

    firehose = delivering(cloud, transform=handler)
    put(cloud, b"first", b"second")
    # when
    firehose.drain()
    # then
    assert list(rows(cloud).values()) == [[None]]
    assert [(one["errorCode"], one["rawData"]) for one in errors(cloud, "processing-failed")] == [
        (code, base64.b64encode(b"second").decode())
    ]


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="an unknown result or wrong base64 fails the batch as `Lambda.FunctionError`",
    source="https://github.com/radkawar/stackd/blob/9dc356f5e5cc49d2d334178a09c1398dd1c62617/docs/firehose.md",
    falls_short="it is asked for again first; another emulator's authors found AWS to take it as final",
)
@pytest.mark.parametrize(
    "result",
    [{"result": "Perhaps", "data": "e30="}, {"result": "Ok", "data": "e30=!"}, {"result": "Ok"}, {}],
)
def test_answer_that_cannot_be_read_is_a_failure(cloud: SmallCloud, result: dict[str, str]) -> None:
    # given
    firehose = delivering(cloud, transform=answering(lambda *_: result))
    put(cloud, reading("a"))
    # when
    firehose.drain()
    # then
    assert [one["errorCode"] for one in errors(cloud, "processing-failed")] == ["Lambda.FunctionError"]


# What is refused


@pytest.mark.fidelity(
    service="Firehose",
    behaviour="a transform is invoked with the stream's role",
    source="https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html",
    falls_short="judged once, at the deployment; AWS judges each invocation",
)
def test_stream_whose_role_may_not_invoke_the_transform_is_refused(cloud: SmallCloud) -> None:
    with pytest.raises(ClientError, match="lambda:InvokeFunction"):
        delivering(cloud, transform=answering(lambda *_: ok(b"{}")), denied="lambda:InvokeFunction")


@pytest.mark.parametrize(
    ("properties", "named"),
    [
        ({"DynamicPartitioningConfiguration": {"Enabled": True}}, "DynamicPartitioningConfiguration"),
        ({"CompressionFormat": "GZIP"}, "CompressionFormat"),
        ({"S3BackupMode": "Enabled"}, "S3BackupMode"),
        ({"BufferingHints": {"SizeInMBs": 5}}, "64 MB"),
        ({"Prefix": "!{partitionKeyFromQuery:customer}/"}, "partitionKeyFromQuery"),
        ({"Prefix": "!{timestamp:YYYY}/"}, "YYYY"),
        ({"ErrorOutputPrefix": "errors/"}, "error-output-type"),
        ({"DataFormatConversionConfiguration": {}}, "Enabled"),
        ({"ProcessingConfiguration": {"Enabled": True, "Processors": [{"Type": "Other"}]}}, "one Lambda"),
    ],
)
def test_property_that_is_not_imitated_is_named(
    cloud: SmallCloud, properties: dict[str, Any], named: str
) -> None:
    with pytest.raises(NotHonoured, match=named):
        delivering(cloud, **properties)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("InputFormatConfiguration", {"Deserializer": {"HiveJsonSerDe": {}}}),
        ("OutputFormatConfiguration", {"Serializer": {"OrcSerDe": {}}}),
    ],
)
def test_other_formats_are_refused(cloud: SmallCloud, part: str, value: dict[str, Any]) -> None:
    conversion = destination(cloud, "role")["DataFormatConversionConfiguration"] | {part: value}
    with pytest.raises(NotHonoured, match=part):
        delivering(cloud, DataFormatConversionConfiguration=conversion)
