"""One run: play traffic through what was deployed, on a simulated clock, and keep what came of it."""

from __future__ import annotations

import heapq
import importlib.util
import itertools
import json
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from types import ModuleType
from typing import Any  # a template's properties are as mixed as JSON
from urllib.parse import urlsplit

from boto3.dynamodb.types import TypeSerializer

from laptop.clock import Clock
from laptop.cloud import Cloud
from laptop.firehose import Firehose
from laptop.functions import Functions
from laptop.iot import Iot
from laptop.kinesis import Kinesis
from laptop.mapping import EventSourceMappings
from laptop.messages import Mailbox, Message
from laptop.resources import Resource
from laptop.run_folder import RunFolder
from laptop.schedule import Scheduler
from laptop.services import utc
from pipelines.traffic import Sent

STEP = 1.0  # simulated seconds between two looks at every service; batches wait for seconds, not less
QUIET = 45 * 60.0  # simulated seconds after the last record, in which windows close and incidents resolve
QUIET_STEP = 15.0


class NoTraffic(LookupError):
    """A pipeline has no traffic to play; the message says where to write it."""


@dataclass
class Progress:
    """How far a run has come: told of each stage, of the clock as it goes on, of each message to a person."""

    stage: Callable[[str], None] = lambda _: None
    moved: Callable[[float, int], None] = lambda _share, _records: None
    message: Callable[[Message], None] = lambda _: None


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What a run plays: the records of pipelines in the order of their sending, and their references' rows.

    The services are looked at every `step` simulated seconds, in which batches gather as they do in AWS; a
    step longer than a service's patience makes it hand over later, and nothing else.
    """

    sent: Iterable[tuple[str, Sent]]
    start: float
    seconds: float
    step: float = STEP
    references: Mapping[str, Mapping[str, list[dict[str, Any]]]] = field(default_factory=dict)


@dataclass
class Played:
    """What was sent: records by pipeline, and the labelled anomalies with the times of their records."""

    records: Counter[str] = field(default_factory=Counter)
    labels: dict[tuple[str, str], list[float]] = field(default_factory=dict)


class Run:
    """A deployed account with its clock and its moving parts."""

    def __init__(self, cloud: Cloud, folder: RunFolder, progress: Progress) -> None:
        self._cloud = cloud
        self._clock: Clock = cloud.clock
        self._folder = folder
        self._progress = progress
        self._first_hour = f"{utc(cloud.clock.now):%Y-%m-%d-%H}"
        self._log = (folder.path / "functions.log").open("w")
        self.functions = Functions(cloud, self._log)
        self.kinesis = Kinesis(cloud)
        self.mappings = EventSourceMappings(cloud, self.functions.invoke, self.kinesis)
        self.firehose = Firehose(cloud, self.functions.invoke, self.kinesis)
        self.scheduler = Scheduler(cloud, self.functions.invoke)
        self.iot = Iot(cloud, self.kinesis)
        self.mailbox = Mailbox(cloud)
        self.messages: list[Message] = []
        self.played = Played()
        self._streams = self._streams_by_pipeline()

    def _streams_by_pipeline(self) -> dict[str, tuple[str, str | None]]:
        """For each deployed pipeline the stream that producers put into, and its IoT topic if any."""
        topics = {rule.stack: rule for rule in self._cloud.of_type("AWS::IoT::TopicRule")}
        found: dict[str, tuple[str, str | None]] = {}
        for function in self._cloud.of_type("AWS::Lambda::Function"):
            name, stream = pipeline_of(function), variables_of(function).get("FRESHET_STREAM_NAME")
            if name is not None and stream is not None:
                rule = topics.get(function.stack)
                topic = None if rule is None else rule.properties["TopicRulePayload"]["Sql"].split("'")[1]
                found[name] = stream, topic
        return found

    @property
    def pipelines(self) -> list[str]:
        return list(self._streams)

    def stream_of(self, pipeline: str) -> str:
        """The name of the stream that a pipeline's records are put into."""
        return self._streams[pipeline][0]

    def seed_references(self, pipeline: str, rows: Mapping[str, list[dict[str, Any]]]) -> None:
        """Puts a pipeline's reference rows into its tables."""
        tables = json.loads(self._variable_of(pipeline, "FRESHET_REFERENCE_TABLES") or "{}")
        serialize = TypeSerializer().serialize
        client = self._cloud.client("dynamodb")
        for reference, items in rows.items():
            for item in items:
                client.put_item(
                    TableName=tables[reference],
                    Item={name: serialize(exact(value)) for name, value in item.items()},
                )

    def quarantine_bucket(self, pipeline: str) -> str:
        """Where a pipeline's records go that cannot be read."""
        return self._variable_of(pipeline, "FRESHET_QUARANTINE_BUCKET")

    def _variable_of(self, pipeline: str, variable: str) -> str:
        """What the environment of a pipeline's functions says, empty where none says it."""
        for function in self._cloud.of_type("AWS::Lambda::Function"):
            if pipeline_of(function) == pipeline and variable in variables_of(function):
                return variables_of(function)[variable]
        return ""

    def play(self, traffic: Traffic) -> None:
        """Sends records at their times, then lets the clock go on until everything has settled."""
        start, step = traffic.start, traffic.step
        end = start + traffic.seconds + QUIET
        for number, group in itertools.groupby(traffic.sent, lambda each: int((each[1].at - start) // step)):
            self._idle_until(start + number * step, max(QUIET_STEP, step))
            self._send(group)
            self._clock.advance_to(start + (number + 1) * step)
            self.pump()
            self._tell(start, end)
        end = self._clock.now + QUIET
        while self._clock.now < end:
            self._clock.advance_to(self._clock.now + QUIET_STEP)
            self.pump()
            self._tell(start, end)
        while self.mappings.drain() + self.firehose.drain():
            pass
        self._collect()

    def _tell(self, start: float, end: float) -> None:
        self._progress.moved((self._clock.now - start) / (end - start), self.played.records.total())

    def _idle_until(self, moment: float, wait: float) -> None:
        """Less and less often, so that a year's silence takes no longer than to be noticed."""
        while self._clock.now + wait < moment:
            self._clock.advance_to(self._clock.now + wait)
            self.pump()
            wait *= 1.5

    def _send(self, group: Iterable[tuple[str, Sent]]) -> None:
        for pipeline, record in group:
            stream, topic = self._streams[pipeline]
            self._clock.advance_to(record.at)
            self.played.records[pipeline] += 1
            if record.label:
                self.played.labels.setdefault((pipeline, record.label), []).append(record.at)
            if record.via == "iot" and topic is not None:
                self.iot.publish(topic, record.data, record.partition_key)
            else:
                self.kinesis.put(stream, [(record.partition_key, record.data)])

    def pump(self) -> None:
        now = self._clock.now
        self.scheduler.pump(now)
        self.mappings.pump(now)
        self.firehose.pump(now)
        self._collect()

    def _collect(self) -> None:
        for message in self.mailbox.collect():
            self.messages.append(message)
            self._progress.message(message)

    def keep(self) -> None:
        """Writes lake, catalog and messages into the run's folder."""
        tables = self._cloud.catalog()
        places = {urlsplit(table["StorageDescriptor"].get("Location", "")) for table in tables}
        for bucket in sorted({place.netloc for place in places if place.netloc}):
            self._export(bucket)
        catalog = [catalog_entry(table) for table in tables]
        for entry in catalog:
            # A replayed file may be older than any lake is projected to be.
            if "first_hour" in entry:
                entry["first_hour"] = min(entry["first_hour"], self._first_hour)
        self._folder.write_json("catalog.json", catalog)
        self._folder.write_json("messages.json", [asdict(message) for message in self.messages])
        self._log.flush()

    def _export(self, bucket: str) -> None:
        s3 = self._cloud.client("s3")
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                target = self._folder.lake / entry["Key"]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())

    def troubles(self) -> dict[str, Counter[str]]:
        """What went wrong by pipeline: logged errors, failed invocations, dead letters, batches given up."""
        self._log.flush()
        found = {name: Counter[str]() for name in self._streams}
        functions = self._cloud.of_type("AWS::Lambda::Function")
        stacks = {one.stack: name for one in functions if (name := pipeline_of(one))}
        raised = {one.physical_id: stacks[one.stack] for one in functions if one.stack in stacks}
        for line in (self._folder.path / "functions.log").read_text().splitlines():
            service = json.loads(line).get("service") if '"level":"ERROR"' in line else None
            if service in found:
                found[service]["errors"] += 1
            elif line.endswith(" failed") and line.split()[0] in raised:
                found[raised[line.split()[0]]]["failed invocations"] += 1
        sqs = self._cloud.client("sqs")
        for queue in self._cloud.of_type("AWS::SQS::Queue"):
            if queue.stack in stacks and "RedrivePolicy" not in queue.properties:
                name = "ApproximateNumberOfMessages"
                answer = sqs.get_queue_attributes(QueueUrl=queue.physical_id, AttributeNames=[name])
                found[stacks[queue.stack]]["dead letters"] += int(answer["Attributes"][name])
        for mapping in self._cloud.of_type("AWS::Lambda::EventSourceMapping"):
            target = mapping.properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
            if target:
                bucket = target.rpartition(":")[2]
                prefix = f"aws/lambda/{mapping.physical_id}/"
                listed = self._cloud.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
                found[stacks[mapping.stack]]["batches given up"] += listed["KeyCount"]
        return found

    def close(self) -> None:
        self._log.close()


def variables_of(function: Resource) -> Mapping[str, str]:
    variables: Mapping[str, str] = function.properties.get("Environment", {}).get("Variables", {})
    return variables


def pipeline_of(function: Resource) -> str | None:
    """The pipeline that a function works for, as its environment says."""
    return variables_of(function).get("FRESHET_PIPELINE")


def exact(value: Any) -> Any:
    """DynamoDB's numbers are decimal; a float becomes the decimal that prints like it."""
    return Decimal(str(value)) if isinstance(value, float) else value


def catalog_entry(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table or view of Glue's catalog as `sql.lake` reads it, its location relative to the lake."""
    storage = table["StorageDescriptor"]

    def columns(given: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
        return [
            {"name": one["Name"], "type": one["Type"], "comment": one.get("Comment", "")} for one in given
        ]

    entry: dict[str, Any] = {
        "name": table["Name"],
        "type": "view" if table.get("TableType") == "VIRTUAL_VIEW" else "table",
        "columns": columns(storage.get("Columns", [])),
        "partition_keys": columns(table.get("PartitionKeys", [])),
        "comment": table.get("Description", "") or table.get("Parameters", {}).get("comment", ""),
    }
    if entry["type"] == "view":
        return entry | {"sql": view_sql(table["ViewOriginalText"])}
    serde = storage["SerdeInfo"]["SerializationLibrary"].lower()
    projected = table["Parameters"].get("projection.dt.range", "").split(",")[0]
    if projected:
        entry["first_hour"] = projected
    else:
        entry["partitions"] = [
            {"values": one["Values"], "location": path_of(one["StorageDescriptor"])}
            for one in table["Partitions"]
        ]
    return entry | {
        "location": path_of(storage),
        "format": "parquet" if "parquet" in serde else "json",
    }


def path_of(storage: Mapping[str, Any]) -> str:
    return str(urlsplit(storage["Location"]).path.strip("/"))


def view_sql(text: str) -> str:
    body = text.removeprefix("/* Presto View: ").removesuffix(" */")
    return str(json.loads(b64decode(body))["originalSql"])


def traffic_of(pipeline: str) -> ModuleType:
    """The traffic module of a pipeline's folder; raises `NoTraffic` where there is none."""
    name = f"pipelines.{pipeline}.traffic"
    if importlib.util.find_spec(name) is None:
        raise NoTraffic(
            f"{pipeline}: there is no pipelines/{pipeline}/traffic.py, so nothing to play; write one "
            "with def traffic(*, seed, start, seconds), as pipelines/temperature/traffic.py has it."
        )
    return importlib.import_module(name)


def merged(
    traffics: Mapping[str, ModuleType], *, seed: int, start: float, seconds: float
) -> Iterator[tuple[str, Sent]]:
    """The traffic of several pipelines in order of time."""

    def named(name: str) -> Iterator[tuple[str, Sent]]:
        for sent in traffics[name].traffic(seed=seed, start=start, seconds=seconds):
            yield name, sent

    return heapq.merge(*map(named, traffics), key=lambda each: each[1].at)
