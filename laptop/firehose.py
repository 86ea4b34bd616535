"""Firehose delivery streams: Kinesis or direct puts, through a transform, as Parquet into the lake.

Not honoured: limits on throughput, waits between tries, other tries of a write to S3 that failed.
"""

import json
import math
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any  # configurations and answers are as mixed as JSON
from uuid import uuid4

from moto.firehose.exceptions import InvalidArgumentException
from moto.firehose.models import firehose_backends

from lambdas.formats.aggregate import opened
from laptop.cloud import Cloud
from laptop.functions import FunctionError
from laptop.kinesis import MEBIBYTE, READ_ACTIONS, Kinesis, ShardReader
from laptop.openx import Converter, Unfit
from laptop.resources import ACCOUNT, Resource
from laptop.services import Invoke, NotHonoured, honour, java_time, only, utc

SERVICE = "firehose.amazonaws.com"
PUT_RECORDS, PUT_BYTES, RECORD_BYTES = 500, 4 * MEBIBYTE, 1000 * 1024
# What changes nothing on a laptop, and why.
IGNORED = {
    "DeliveryStreamEncryptionConfigurationInput": "a laptop keeps nothing encrypted",
    "EncryptionConfiguration": "a laptop keeps nothing encrypted",
    "CloudWatchLoggingOptions": "what goes wrong is in the error objects; the right to log it is judged",
}
STREAM = ("DeliveryStreamName", "DeliveryStreamType", "KinesisStreamSourceConfiguration")
DESTINATION = ("BucketARN", "BufferingHints", "CompressionFormat", "ErrorOutputPrefix", "Prefix", "RoleARN")
STAGES = ("DataFormatConversionConfiguration", "ProcessingConfiguration", "S3BackupMode")
PROCESSOR = {"BufferIntervalInSeconds": 60, "BufferSizeInMBs": 1, "NumberOfRetries": 3}
CONVERSION = ("Enabled", "InputFormatConfiguration", "OutputFormatConfiguration", "SchemaConfiguration")
SCHEMA = ("CatalogId", "DatabaseName", "Region", "RoleARN", "TableName", "VersionId")
OPENX = [{"Deserializer": {"OpenXJsonSerDe": options}} for options in ({}, {"CaseInsensitive": True})]
PARQUET = [{"Serializer": {"ParquetSerDe": options}} for options in ({}, {"Compression": "SNAPPY"})]
# What a transform says of a record: an error's code and message, or data, or neither when it is dropped.
Answer = tuple[str, str, bytes | None]


@dataclass(frozen=True, slots=True)
class Arrived:
    """One record inside a delivery stream; `source` is what a transform is told of its place in Kinesis."""

    at: float
    data: bytes
    source: Mapping[str, Any] = field(default_factory=dict)

    def failed(self, now: float, why: Mapping[str, Any]) -> dict[str, Any]:
        times = {"arrivalTimestamp": _millis(self.at), "attemptEndingTimestamp": _millis(now)}
        return {**why, **times, "rawData": b64encode(self.data).decode()}


@dataclass
class Buffer:
    """Holds records until they have a size or the oldest of them has waited long enough."""

    megabytes: float
    seconds: float
    hand_over: Callable[[list[Arrived], float], None]
    records: list[Arrived] = field(default_factory=list)
    size: int = 0
    since: float = 0.0

    def add(self, record: Arrived, at: float, now: float) -> None:
        if self.records and at - self.since >= self.seconds:
            self.empty(now)
        self.since = self.since if self.records else at
        self.records.append(record)
        self.size += len(record.data)
        if self.size >= self.megabytes * MEBIBYTE:
            self.empty(now)

    def pump(self, now: float, *, patient: bool) -> int:
        is_due = self.records and (not patient or now - self.since >= self.seconds)
        return self.empty(now) if is_due else 0

    def empty(self, now: float) -> int:
        records, self.records, self.size = self.records, [], 0
        self.hand_over(records, now)
        return len(records)


class Firehose:
    """Every delivery stream of the deployment; takes the puts that moto would write to S3 as they are."""

    def __init__(self, cloud: Cloud, invoke: Invoke, kinesis: Kinesis) -> None:
        self._clock = cloud.clock
        resources = cloud.of_type("AWS::KinesisFirehose::DeliveryStream")
        self._streams = {one.physical_id: DeliveryStream(one, cloud, invoke, kinesis) for one in resources}
        # In this one backend, so that nothing outlives the account.
        vars(firehose_backends[ACCOUNT][cloud.region])["put_s3_records"] = self._accept

    def pump(self, now: float, *, patient: bool = True) -> int:
        """Move every record that is due on to its next stage and return how many those were."""
        return sum(stream.pump(now, patient=patient) for stream in self._streams.values())

    def drain(self) -> int:
        """Deliver everything, as if every buffer's time had passed."""
        return sum(iter(lambda: self.pump(self._clock.now, patient=False), 0))

    def _accept(self, name: str, _version: str, _to: Any, records: list[dict[str, bytes]]) -> list[Any]:
        sizes = [len(record["Data"]) for record in records]
        if len(sizes) > PUT_RECORDS or sum(sizes) > PUT_BYTES or max(sizes) > RECORD_BYTES:
            raise InvalidArgumentException(
                f"{len(sizes)} records for {name} have {sum(sizes):,} bytes, the longest {max(sizes):,}. Put "
                f"{PUT_RECORDS} of {PUT_BYTES:,} bytes at most in one call, each of {RECORD_BYTES:,} at most."
            )
        for record in records:
            self._streams[name].put(Arrived(self._clock.now, record["Data"]))
        return [{"RecordId": str(uuid4())} for _ in records]


class DeliveryStream:
    """One delivery stream: intake, transform, conversion, objects."""

    def __init__(self, resource: Resource, cloud: Cloud, invoke: Invoke, kinesis: Kinesis) -> None:
        where, properties = f"The delivery stream {resource.logical_id}", resource.properties
        honour(where, properties, (*STREAM, "ExtendedS3DestinationConfiguration"), IGNORED)
        target = properties["ExtendedS3DestinationConfiguration"]
        honour(where, target, (*DESTINATION, *STAGES), IGNORED)
        only(where, target, "CompressionFormat", None, "UNCOMPRESSED")
        only(where, target, "S3BackupMode", None, "Disabled")
        self._cloud, self._invoke, self._name = cloud, invoke, resource.physical_id
        self._arn = f"arn:aws:firehose:{cloud.region}:{ACCOUNT}:deliverystream/{self._name}"
        self._role, self._bucket = target["RoleARN"], target["BucketARN"].rpartition(":")[2]
        if group := (logged := target.get("CloudWatchLoggingOptions", {})).get("LogGroupName"):
            log = f"log-group:{group}:log-stream:{logged['LogStreamName']}"
            cloud.policies.require(
                self._role, "logs:PutLogEvents", f"arn:aws:logs:{cloud.region}:{ACCOUNT}:{log}"
            )
        self._prefix, self._error_prefix = target.get("Prefix", ""), target.get("ErrorOutputPrefix", "")
        if "!{timestamp:" not in self._prefix:
            self._prefix += "!{timestamp:yyyy/MM/dd/HH}/"
        if "!{firehose:error-output-type}" not in self._error_prefix:
            raise NotHonoured(f"{where} has no !{{firehose:error-output-type}} in ErrorOutputPrefix. Set it.")
        _filled(self._prefix, 0.0)
        _filled(self._error_prefix, 0.0, "any")
        hints = {"SizeInMBs": 128, "IntervalInSeconds": 300} | target.get("BufferingHints", {})
        if hints["SizeInMBs"] < 64:
            raise NotHonoured(f"{where} converts, which takes a buffer of 64 MB or more. Raise SizeInMBs.")
        self._schema = _schema(where, target.get("DataFormatConversionConfiguration", {}))
        self._delivery = Buffer(hints["SizeInMBs"], hints["IntervalInSeconds"], self._deliver)
        self._intake, self._function, self._put = self._delivery, "", list[Arrived]()
        if processor := _processor(where, target.get("ProcessingConfiguration", {})):
            seconds, megabytes, retries = (float(processor[name]) for name in PROCESSOR)
            self._intake, self._tries = Buffer(megabytes, seconds, self._transform), 1 + int(retries)
            self._function = processor["LambdaArn"]
            with cloud.policies.acting_as(self._role, service=SERVICE):
                cloud.policies.require(self._role, "lambda:InvokeFunction", self._function)
        source = properties.get("KinesisStreamSourceConfiguration", {})
        honour(where, source, ("KinesisStreamARN", "RoleARN"))
        self._stream_arn, self._reader = source.get("KinesisStreamARN"), None
        if self._stream_arn:
            # Firehose begins at LATEST: what was in the stream before is never delivered.
            stream = kinesis.stream_for(source["RoleARN"], SERVICE, self._stream_arn, *READ_ACTIONS)
            self._reader = ShardReader(stream, since=math.inf)

    def put(self, record: Arrived) -> None:
        if self._reader:
            raise InvalidArgumentException(f"{self._name} reads from Kinesis. Put records into its stream.")
        # A transform never runs inside the handler that puts.
        self._put.append(record)

    def pump(self, now: float, *, patient: bool) -> int:
        arrived = self._read(self._reader) if self._reader else self._put
        self._put, moved = [], len(arrived)
        for record in arrived:
            # What comes from a stream waits from its reading on; what is put, from its arrival.
            self._intake.add(record, now if self._reader else record.at, now)
        if self._function:
            moved += self._intake.pump(now, patient=patient)
        return moved + self._delivery.pump(now, patient=patient)

    def _read(self, reader: ShardReader) -> list[Arrived]:
        arrived = []
        for shard_id, records in reader.waiting():
            for record in records:
                data = b64decode(record.data)
                # An aggregate is opened; one that cannot be arrives as it is.
                for place, part in enumerate([data] if (inner := opened(data)) is None else inner):
                    source = {
                        "shardId": shard_id,
                        "partitionKey": record.partition_key,
                        "sequenceNumber": str(record.sequence_number),
                        "subsequenceNumber": place,
                        "approximateArrivalTimestamp": _millis(record.created_at),
                    }
                    arrived.append(Arrived(record.created_at, part, source))
            reader.pass_over(shard_id, records[-1])
        return arrived

    def _transform(self, records: list[Arrived], now: float) -> None:
        event = {
            "deliveryStreamArn": self._arn,
            "region": self._cloud.region,
            **({"sourceKinesisStreamArn": self._stream_arn} if self._stream_arn else {}),
            "records": [
                {
                    "recordId": str(number),
                    "approximateArrivalTimestamp": _millis(record.at),
                    "data": b64encode(record.data).decode(),
                    **({"kinesisRecordMetadata": record.source} if record.source else {}),
                }
                for number, record in enumerate(records)
            ],
        }
        tries, answers = 0, list[Answer]()
        while not answers:
            tries += 1
            try:
                answer = self._invoke(self._function, {"invocationId": str(uuid4()), **event})
                answers = _answers(answer, len(records))
            except (FunctionError, AttributeError, KeyError, TypeError, ValueError) as error:
                if tries == self._tries:
                    answers = [("Lambda.FunctionError", str(error), None)] * len(records)
        failed = []
        for record, (code, message, data) in zip(records, answers, strict=True):
            if data is not None:
                self._delivery.add(Arrived(record.at, data, record.source), now, now)
            elif code:
                why = {"attemptsMade": tries, "errorCode": code, "errorMessage": message}
                failed.append(record.failed(now, {**why, "lambdaARN": self._function}))
        self._write_failed("processing-failed", failed)

    def _deliver(self, records: list[Arrived], now: float) -> None:
        table = {name[0].lower() + name[1:]: value for name, value in self._schema.items()}
        rows, failed, oldest = [], [], now
        for record in records:
            try:
                rows += self._converter.rows(record.data)
                oldest = min(oldest, record.at)
            except Unfit as unfit:
                why = {"attemptsMade": 1, "lastErrorCode": unfit.code, "lastErrorMessage": str(unfit)}
                place = {"sequenceNumber": record.source.get("sequenceNumber"), "subSequenceNumber": None}
                failed.append(record.failed(now, {**why, **place, "dataCatalogTable": table}))
        if rows:
            self._write(_filled(self._prefix, oldest), oldest, self._converter.parquet(rows), ".parquet")
        self._write_failed("format-conversion-failed", failed)

    def _write_failed(self, error_type: str, failed: list[dict[str, Any]]) -> None:
        if failed:
            oldest = min(one["arrivalTimestamp"] for one in failed) / 1000
            lines = "".join(json.dumps(one) + "\n" for one in failed)
            self._write(_filled(self._error_prefix, oldest, error_type), oldest, lines.encode())

    def _write(self, prefix: str, at: float, body: bytes, ending: str = "") -> None:
        key = f"{prefix}{self._name}-1-{utc(at):%Y-%m-%d-%H-%M-%S}-{uuid4()}{ending}"
        with self._cloud.policies.acting_as(self._role, service=SERVICE):
            self._cloud.client("s3").put_object(Bucket=self._bucket, Key=key, Body=body)

    @cached_property
    def _converter(self) -> Converter:
        place = {"DatabaseName": self._schema["DatabaseName"], "Name": self._schema["TableName"]}
        with self._cloud.policies.acting_as(self._schema["RoleARN"], service=SERVICE):
            table = self._cloud.client("glue").get_table(**place)["Table"]
        return Converter((column["Name"], column["Type"]) for column in table["StorageDescriptor"]["Columns"])


def _millis(at: float) -> int:
    return round(at * 1000)


def _answers(response: Any, count: int) -> list[Answer]:
    """Read a transform's response, or raise what makes Firehose try the whole batch again."""
    found: dict[str, list[dict[str, Any]]] = {}
    for answer in response["records"]:
        found.setdefault(answer["recordId"], []).append(answer)
    return [_answer(found.get(str(number), [])) for number in range(count)]


def _answer(answers: list[dict[str, Any]]) -> Answer:
    match [answer["result"] for answer in answers]:
        case ["Ok"]:
            return "", "", b64decode(answers[0]["data"], validate=True)
        case ["Dropped"]:
            return "", "", None
        case ["ProcessingFailed"]:
            return "Lambda.ProcessingFailedStatus", "ProcessingFailed status set for record", None
        case []:
            return "Lambda.MissingRecordId", "One or more record Ids were not returned.", None
        case [_, _, *_]:
            return "Lambda.DuplicatedRecordId", "Several records were returned with the same Id.", None
    raise ValueError(f"{answers[0]['result']!r} is none of the results Ok, Dropped and ProcessingFailed.")


def _processor(where: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of the one Lambda processor, or nothing where records are not transformed."""
    honour(where, configuration, ("Enabled", "Processors"))
    processors = configuration.get("Processors", []) if configuration.get("Enabled") else []
    if [processor["Type"] for processor in processors] not in ([], ["Lambda"]):
        raise NotHonoured(f"{where} processes by other than one Lambda. Use one, or teach the laptop more.")
    parameters = {one["ParameterName"]: one["ParameterValue"] for p in processors for one in p["Parameters"]}
    honour(where, parameters, (*PROCESSOR, "LambdaArn", "RoleArn"))
    return PROCESSOR | parameters if parameters else {}


def _schema(where: str, conversion: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the table's columns stand for a conversion by OpenX to Parquet, the only one imitated."""
    honour(where, conversion, CONVERSION)
    only(where, conversion, "Enabled", True, *([None] if conversion else []))
    only(where, conversion, "InputFormatConfiguration", *OPENX)
    only(where, conversion, "OutputFormatConfiguration", *PARQUET)
    schema = dict(conversion["SchemaConfiguration"])
    honour(where, schema, SCHEMA)
    only(where, schema, "VersionId", None, "LATEST")
    return schema


def _filled(prefix: str, at: float, error_type: str | None = None) -> str:
    """Fill a prefix's expressions; the time is the arrival of the oldest record."""

    def fill(expression: re.Match[str]) -> str:
        namespace, _, pattern = expression[1].partition(":")
        if namespace == "timestamp":
            return java_time(at, pattern)
        if expression[1] == "firehose:error-output-type" and error_type:
            return error_type
        raise NotHonoured(f"The prefix {prefix} has {expression[0]}. The laptop's AWS knows timestamp only.")

    return re.sub(r"!\{([^}]*)\}", fill, prefix)
