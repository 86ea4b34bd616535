"""What a month costs, idle and at the load that each pipeline declares, reckoned from the templates."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # a template's properties are as mixed as JSON

from lambdas.columns import Boolean, Column, DeclarationError, Double, Integer, Json, Timestamp
from lambdas.detectors.window import Window
from lambdas.model import Iot, Kinesis, Load, Pipeline
from pipelines import discovery
from stacks.check import stack_manifest, synthesize
from stacks.settings import configured

READ_ON = "November 2026"
REGION = "us-east-1"
HOURS = 730  # of a month
MINUTES, SECONDS = HOURS * 60, HOURS * 3_600
KB, GB, MILLION = 1_024, 1_024**3, 1_000_000


@dataclass(frozen=True)
class Price:
    """A list price of us-east-1 without free tiers: dollars for `per` of a thing, and the page that says so:
    aws.amazon.com/<page>/pricing.
    """

    dollars: float
    what: str
    page: str
    per: int = 1

    def of(self, quantity: float) -> float:
        return quantity * self.dollars / self.per

    def words(self, quantity: float) -> str:
        """
        >>> Price(0.1, "alarm metrics", "").words(20), Price(0.2, "calls", "", 1_000_000).words(614_000)
        ('20 alarm metrics × $0.10', '0.614 million calls × $0.20 a million')
        """
        if self.per > 1:
            dollars = self.dollars * MILLION / self.per
            return f"{quantity / MILLION:,.3g} million {self.what} × {money(dollars)} a million"
        number = f"{quantity:,.0f}" if quantity >= 100 else f"{quantity:.3g}"
        what = self.what.removesuffix("s") if quantity == 1 else self.what
        return f"{number} {what} × {money(self.dollars)}"


def money(dollars: float) -> str:
    return f"${dollars:.2f}" if round(dollars, 2) == dollars else f"${dollars:.3g}"


PRICES = {
    "shard": Price(0.015, "shard hours", "kinesis/data-streams"),
    "put": Price(0.014, "puts of 25 KB", "kinesis/data-streams", MILLION),
    "kept longer": Price(0.02, "shard hours kept over a day", "kinesis/data-streams"),
    "kept long": Price(0.023, "GB-months kept over a week", "kinesis/data-streams"),
    "on demand": Price(0.04, "stream hours", "kinesis/data-streams"),
    "on demand in": Price(0.08, "GB in", "kinesis/data-streams"),
    "on demand out": Price(0.04, "GB out", "kinesis/data-streams"),
    "own line": Price(0.015, "consumer shard hours", "kinesis/data-streams"),
    "own line out": Price(0.013, "GB out by an own line", "kinesis/data-streams"),
    "own line on demand out": Price(0.05, "GB out by an own line", "kinesis/data-streams"),
    "delivered": Price(0.029, "GB delivered", "firehose"),
    "converted": Price(0.018, "GB converted", "firehose"),
    "call": Price(0.20, "calls", "lambda", MILLION),
    "run": Price(0.0000133334, "GB-seconds", "lambda"),
    "logged": Price(0.50, "GB logged", "cloudwatch"),
    "alarm": Price(0.10, "alarm metrics", "cloudwatch"),
    "metric": Price(0.30, "metrics", "cloudwatch"),
    "dashboard": Price(3.00, "dashboards", "cloudwatch"),
    "tick": Price(1.00, "ticks", "eventbridge", MILLION),
    "loop": Price(1.00, "loops", "step-functions", MILLION),
    "loop run": Price(0.06, "GB-hours of loops", "step-functions"),
    "queued": Price(0.50, "requests", "sqs", MILLION),
    "written": Price(0.005, "puts and lists", "s3", 1_000),
    "fetched": Price(0.0004, "gets", "s3", 1_000),
    "stored": Price(0.023, "GB-months", "s3"),
    "key": Price(1.00, "keys", "kms"),
    "key use": Price(0.03, "uses of the key", "kms", 10_000),
    "read": Price(0.125, "read units", "dynamodb", MILLION),
    "item": Price(0.625, "write units", "dynamodb", MILLION),
    "message": Price(1.00, "messages", "iot-core", MILLION),
    "rule": Price(0.30, "rules and actions", "iot-core", MILLION),
    "worker": Price(0.44, "DPU hours", "glue"),
}

# What no template says. The spans are assumed: no function of this repository has been timed on AWS.
CALL_SECONDS = {"detect": 0.1, "transform": 0.1, "tick": 0.05, "alert": 0.2}
CALL_LOG = 1 * KB  # what a call logs, its metrics included
OWN_METRICS = 5  # that ordinary traffic writes: a metric is paid for while it is written
POLLERS, POLL_SECONDS = 5, 20  # of Lambda at a queue
READERS = 4  # that ask for the key of a stream, each every five minutes: producers, detect, tick, Firehose
CHANGES = 300  # incident changes a month: ten a day
ENTRIES_A_BASE = 64  # of the state log
PARQUET = 8  # times smaller than JSON
JOB_HOURS = 2 / 60
LOOP_MEMORY = 64 / 1_024  # GB; the least that is billed, and its 50 MB and its text are less
LEAST_LOOP = 0.1  # seconds that are billed
# Bytes of a value in JSON, by its column's type.
WIDTHS: dict[type[Column], int] = {Integer: 8, Double: 8, Boolean: 5, Timestamp: 26, Json: 1_000}
TEXT_WIDTH = 20

FREE = {
    "AWS::Athena::NamedQuery": "a text",
    "AWS::Athena::WorkGroup": "a query costs $5 for each TB that it reads",
    "AWS::CDK::Metadata": "a text",
    "AWS::Glue::Crawler": "runs when somebody starts it, at $0.44 a DPU hour",
    "AWS::Glue::Database": "the first million objects of the catalog are free",
    "AWS::Glue::Job": "runs when somebody starts it, or its trigger does",
    "AWS::Glue::SecurityConfiguration": "a text",
    "AWS::Glue::Table": "the first million objects of the catalog are free",
    "AWS::IAM::ManagedPolicy": "free",
    "AWS::IAM::Policy": "free",
    "AWS::IAM::Role": "free",
    "AWS::Kinesis::ResourcePolicy": "free",
    "AWS::Lambda::EventInvokeConfig": "free",
    "AWS::Lambda::LayerVersion": "some 30 MB of code",
    "AWS::Lambda::Permission": "free",
    "AWS::Logs::LogGroup": "what is logged is reckoned with the functions",
    "AWS::Logs::LogStream": "what is logged is reckoned with the functions",
    "AWS::S3::Bucket": "what is stored is reckoned with what stores it",
    "AWS::S3::BucketPolicy": "free",
    "AWS::SNS::Subscription": "an e-mail costs $0.00002; an SMS the price of its country",
    "AWS::SNS::Topic": "half a dollar for a million alerts",
    "AWS::SNS::TopicPolicy": "free",
    "AWS::SQS::QueuePolicy": "free",
    "AWS::SSM::Parameter": "standard ones are free",
}


@dataclass(frozen=True)
class Use:
    """How much of something that has a price a month takes: idle, and at the declared load."""

    price: str
    idle: float
    loaded: float


@dataclass(frozen=True)
class Row:
    """One line of the reckoning. Each of its figures is a quantity times a price."""

    what: str
    uses: Sequence[Use]

    @property
    def idle(self) -> float:
        return sum(PRICES[use.price].of(use.idle) for use in self.uses)

    @property
    def loaded(self) -> float:
        return sum(PRICES[use.price].of(use.loaded) for use in self.uses)

    @property
    def reckoned(self) -> str:
        return "; ".join(PRICES[use.price].words(use.loaded) for use in self.uses if use.loaded)


@dataclass(frozen=True)
class Costs:
    """A month of one pipeline, or of what all share."""

    of: str
    load: Load | None
    rows: Sequence[Row]

    @property
    def idle(self) -> float:
        return sum(row.idle for row in self.rows)

    @property
    def loaded(self) -> float:
        return sum(row.loaded for row in self.rows)


@dataclass(frozen=True)
class Flow:
    """What goes through a pipeline in a month."""

    pipeline: Pipeline
    shards: int
    second_shards: int = 0

    @property
    def load(self) -> Load:
        return self.pipeline.load

    @property
    def events(self) -> float:
        return self.load.events_per_second * SECONDS

    @property
    def event_bytes(self) -> int:
        """Of an event in JSON, by its columns."""
        columns = self.pipeline.event.columns.values()
        return 2 + sum(len(one.source.encode()) + 6 + WIDTHS.get(type(one), TEXT_WIDTH) for one in columns)

    @property
    def delivered(self) -> float:
        """GB that Firehose bills: each record rounded up to 5 KB."""
        return self.events * rounded_up(self.event_bytes, 5 * KB) / GB

    @property
    def gigabytes(self) -> float:
        """In and out of the stream, each time that it is read."""
        return self.events * self.event_bytes / GB

    @property
    def own_line(self) -> Kinesis | None:
        """The source that detecting reads by a line of its own."""
        return next((one for one in self.pipeline.sources if isinstance(one, Kinesis) and one.fan_out), None)

    def at_most_each(self, seconds: float) -> float:
        """How often something happens that waits so long for more events, in each shard."""
        return min(self.events, self.shards * SECONDS / seconds) if seconds else self.events

    @property
    def rekeyed(self) -> float:
        """Records of the second stream at most: an event for each key, were no two of a commit of one."""
        return self.events * len(self.pipeline.rekeyed)

    @property
    def second_batches(self) -> float:
        """Batches of the second stream, each of which commits for each key."""
        seconds = self.pipeline.latency.total_seconds()
        return min(self.rekeyed, self.second_shards * SECONDS / seconds) if seconds else self.rekeyed

    @property
    def windows(self) -> float:
        """Window results that are kept: one a key and window, and none without an event."""
        kept = (one for one in self.pipeline.detectors if isinstance(one, Window) and one.keep)
        # A session is over when its key is silent, so it is no oftener than an event.
        spans = [one.every.total_seconds() if one.every else 0 for one in kept]
        return sum(min(self.events, self.load.keys * SECONDS / span if span else math.inf) for span in spans)


Rows = Iterator[tuple[str, Use]]


def rounded_up(size: int, step: int) -> int:
    return math.ceil(size / step) * step


def stream(properties: Mapping[str, Any], flow: Flow) -> Rows:
    gigabytes = flow.gigabytes
    if properties.get("StreamModeDetails", {}).get("StreamMode") == "ON_DEMAND":
        yield "the stream", Use("on demand", HOURS, HOURS)
        yield "the stream", Use("on demand in", 0, gigabytes)
        yield "the stream", Use("on demand out", 0, (1 if flow.own_line else 2) * gigabytes)
    else:
        yield "the stream", Use("shard", flow.shards * HOURS, flow.shards * HOURS)
        yield "the stream", Use("put", 0, flow.events * rounded_up(flow.event_bytes, 25 * KB) / (25 * KB))
    kept = properties["RetentionPeriodHours"]
    if kept > 24:
        yield "the stream", Use("kept longer", flow.shards * HOURS, flow.shards * HOURS)
    if kept > 7 * 24:
        yield "the stream", Use("kept long", 0, gigabytes * (kept - 7 * 24) / HOURS)
    uses = READERS * flow.shards * HOURS * 12
    yield "the key, for the stream", Use("key use", uses, uses)


def second_stream(properties: Mapping[str, Any], flow: Flow) -> Rows:
    """Its events have fewer columns and say where they are from, so they are taken to be as wide."""
    if properties.get("StreamModeDetails", {}).get("StreamMode") == "ON_DEMAND":
        gigabytes = flow.rekeyed * flow.event_bytes / GB
        yield "the second stream", Use("on demand", HOURS, HOURS)
        yield "the second stream", Use("on demand in", 0, gigabytes)
        yield "the second stream", Use("on demand out", 0, gigabytes)
    else:
        hours = flow.second_shards * HOURS
        yield "the second stream", Use("shard", hours, hours)
        yield (
            "the second stream",
            Use("put", 0, flow.rekeyed * rounded_up(flow.event_bytes, 25 * KB) / (25 * KB)),
        )
    if properties["RetentionPeriodHours"] > 24:
        hours = flow.second_shards * HOURS
        yield "the second stream", Use("kept longer", hours, hours)
    uses = READERS * flow.second_shards * HOURS * 12
    yield "the key, for the second stream", Use("key use", uses, uses)


def own_line(_: Mapping[str, Any], flow: Flow) -> Rows:
    """A stream that exists already is taken to be as its source says."""
    if flow.own_line and flow.own_line.provisioned is None:
        yield "the own line", Use("own line on demand out", 0, flow.gigabytes)
    else:
        yield "the own line", Use("own line", flow.shards * HOURS, flow.shards * HOURS)
        yield "the own line", Use("own line out", 0, flow.gigabytes)


def function(properties: Mapping[str, Any], flow: Flow) -> Rows:
    name = properties["Handler"].split(".")[1]
    ticks = MINUTES * 60 / flow.pipeline.tick.total_seconds()
    batches = flow.at_most_each(flow.pipeline.latency.total_seconds())
    idle, loaded = {
        "detect": (0.0, batches + flow.second_batches),
        "transform": (0.0, flow.at_most_each(60)),
        "tick": (float(MINUTES), ticks),
        "alert": (0.0, float(CHANGES)),
    }[name]
    gigabyte_seconds = properties["MemorySize"] / 1_024 * CALL_SECONDS[name]
    yield "functions", Use("call", idle, loaded)
    yield "functions", Use("run", idle * gigabyte_seconds, loaded * gigabyte_seconds)
    yield "functions", Use("logged", idle * CALL_LOG / GB, loaded * CALL_LOG / GB)
    if name == "detect":
        keys = len(flow.pipeline.rekeyed)
        commits = batches + flow.second_batches * keys
        # Beside a base what it took in; and what a commit owes the second stream is marked as sent.
        yield "the state log", Use("written", 0, commits * (1 + 2 / ENTRIES_A_BASE) + batches * bool(keys))
        yield "own metrics", Use("metric", 0, OWN_METRICS + flow.load.keys * measured(flow.pipeline))
    elif name == "tick":
        logs = flow.shards + flow.second_shards * len(flow.pipeline.rekeyed)
        yield "looks at the state log", Use("written", idle * logs, loaded * logs)
        yield "looks at the state log", Use("fetched", idle * logs, loaded * logs)


def measured(pipeline: Pipeline) -> int:
    """Detectors whose windows are metrics too, one or more for each key."""
    return sum(isinstance(one, Window) and one.metric for one in pipeline.detectors)


def delivery(properties: Mapping[str, Any], flow: Flow) -> Rows:
    patience = properties["ExtendedS3DestinationConfiguration"]["BufferingHints"]["IntervalInSeconds"]
    results = flow.windows * rounded_up(500, 5 * KB) / GB
    yield "Firehose to Parquet", Use("delivered", 0, flow.delivered + results)
    yield "Firehose to Parquet", Use("converted", 0, flow.delivered + results)
    yield "Firehose to Parquet", Use("written", 0, flow.at_most_each(patience))
    yield "the lake's first month", Use("stored", 0, flow.events * flow.event_bytes / PARQUET / GB)


def queue(properties: Mapping[str, Any], _: Flow) -> Rows:
    if "RedrivePolicy" in properties:  # the one that a function reads; the other waits for people
        polls = POLLERS * SECONDS / POLL_SECONDS
        yield "looks at the queue", Use("queued", polls, polls + 3 * CHANGES)


def reference(_: Mapping[str, Any], flow: Flow) -> Rows:
    """A key is looked up again after a minute, and such a read is half a unit."""
    yield "references", Use("read", 0, min(flow.events, flow.load.keys * MINUTES) / 2)


def topic_rule(_: Mapping[str, Any], flow: Flow) -> Rows:
    """Events are taken to come in equal parts from each source."""
    sources = flow.pipeline.sources
    messages = flow.events * sum(isinstance(source, Iot) for source in sources) / len(sources)
    yield "IoT", Use("message", 0, messages)
    yield "IoT", Use("rule", 0, messages)


def alarm(properties: Mapping[str, Any], _: Flow | None) -> Rows:
    metrics = sum("MetricStat" in each for each in properties.get("Metrics", [])) or 1
    yield "alarms", Use("alarm", metrics, metrics)


def schedule(_: Mapping[str, Any], __: Flow) -> Rows:
    yield "the clock", Use("tick", MINUTES, MINUTES)


def loop(_: Mapping[str, Any], flow: Flow) -> Rows:
    """One each minute: over at once while nothing is awaited, else until its last tick."""
    hours = MINUTES * LOOP_MEMORY / 3_600
    yield "the clock", Use("loop", MINUTES, MINUTES)
    last = 60 - flow.pipeline.tick.total_seconds()
    yield "the clock", Use("loop run", LEAST_LOOP * hours, last * hours)


def trigger(properties: Mapping[str, Any], _: Flow) -> Rows:
    """A nightly run, where it is switched on."""
    if properties.get("StartOnCreation"):
        hours = 2 * JOB_HOURS * HOURS / 24
        yield "the nightly job", Use("worker", hours, hours)


def one(price: str, what: str) -> Callable[[Mapping[str, Any], Any], Rows]:
    def reckoned(_: Mapping[str, Any], __: object) -> Rows:
        yield what, Use(price, 1, 1)

    return reckoned


def incidents(_: Mapping[str, Any], __: object) -> Rows:
    yield "incidents", Use("item", 0, CHANGES)
    yield "incidents", Use("read", 0, CHANGES)


OF_PIPELINE: dict[str, Callable[[Mapping[str, Any], Flow], Rows]] = {
    "AWS::CloudWatch::Alarm": alarm,
    "AWS::DynamoDB::Table": reference,
    "AWS::Glue::Trigger": trigger,
    "AWS::IoT::TopicRule": topic_rule,
    "AWS::Kinesis::Stream": stream,
    "AWS::Kinesis::StreamConsumer": own_line,
    "AWS::KinesisFirehose::DeliveryStream": delivery,
    "AWS::Lambda::EventSourceMapping": lambda _, __: iter(()),
    "AWS::Lambda::Function": function,
    "AWS::SQS::Queue": queue,
    "AWS::Scheduler::Schedule": schedule,
    "AWS::StepFunctions::StateMachine": loop,
}
OF_SECOND = OF_PIPELINE | {"AWS::Kinesis::Stream": second_stream}
SHARED: dict[str, Callable[[Mapping[str, Any], None], Rows]] = {
    "AWS::CloudWatch::Alarm": alarm,
    "AWS::CloudWatch::Dashboard": one("dashboard", "the dashboard"),
    "AWS::DynamoDB::Table": incidents,
    "AWS::KMS::Key": one("key", "the key"),
    # What a pipeline puts into them is reckoned with the pipeline.
    "AWS::KinesisFirehose::DeliveryStream": lambda _, __: iter(()),
}


def reckon(cdk_out: Path, pipelines: Iterable[Pipeline]) -> list[Costs]:
    """A month of each pipeline of a cloud assembly, and last of what they share."""
    templates = {
        name: json.loads((cdk_out / each["templateFile"]).read_text())["Resources"]
        for name, each in stack_manifest(cdk_out).items()
    }
    found = []
    for pipeline in pipelines:
        resources = templates.pop(f"freshet-{pipeline.name.replace('_', '-')}")
        second = {name: each for name, each in resources.items() if name.startswith("Rekeyed")}
        first = {name: each for name, each in resources.items() if name not in second}
        flow = Flow(pipeline, shards_of(first) or 1, shards_of(second))
        rows = grouped(
            use
            for resources, how in ((first, OF_PIPELINE), (second, OF_SECOND))
            for each in resources.values()
            for use in priced(each, how, flow)
        )
        found.append(Costs(pipeline.name, pipeline.load, rows))
    shared = (each for resources in templates.values() for each in resources.values())
    rows = grouped(use for each in shared for use in priced(each, SHARED, None))
    return [*found, Costs("what all share", None, rows)]


def shards_of(resources: Mapping[str, Any]) -> int:
    """At the start; a stream on demand has four. One that exists already, which is taken to have one, is not
    there.
    """
    streams = [each["Properties"] for each in resources.values() if each["Type"] == "AWS::Kinesis::Stream"]
    return sum(int(each.get("ShardCount", 4)) for each in streams)


def priced(resource: Mapping[str, Any], how: Mapping[str, Callable[..., Rows]], flow: Flow | None) -> Rows:
    kind = resource["Type"]
    if kind in how:
        yield from how[kind](resource.get("Properties", {}), flow)
    elif kind not in FREE:
        raise NotImplementedError(
            f"stacks/costs.py: what {kind} costs is not said; price it, or say it is free"
        )


def grouped(uses: Rows) -> list[Row]:
    """Uses of one thing together, and of one price in one."""
    found: dict[str, dict[str, Use]] = {}
    for what, use in uses:
        group = found.setdefault(what, {})
        before = group.get(use.price, Use(use.price, 0, 0))
        group[use.price] = Use(use.price, before.idle + use.idle, before.loaded + use.loaded)
    rows = [Row(what, tuple(group.values())) for what, group in found.items()]
    return sorted(rows, key=lambda row: -row.loaded)


def costs(wanted: Sequence[str]) -> list[Costs]:
    """A month of these pipelines, by default of those that cdk.json deploys. Raises `DeclarationError`."""
    for name in wanted:
        discovery.load(name)  # else a wrong word would be told as if cdk.json had said it
    settings = configured(pipelines=",".join(wanted))
    with tempfile.TemporaryDirectory() as folder:
        done = synthesize(Path(folder), {"pipelines": ",".join(each.name for each in settings.pipelines)})
        if done.returncode:
            raise DeclarationError(done.stderr.strip())
        return reckon(Path(folder), settings.pipelines)


def table(found: Sequence[Costs]) -> str:
    """The reckoning as it is printed."""
    lines = [f"A month of {HOURS} hours at list prices of {REGION} ({READ_ON}), without free tiers:", ""]
    for each in found:
        lines += [f"{each.of}{load_words(each.load)}", f"{'idle $':>10}{'load $':>10}"]
        lines += [f"{row.idle:>10.2f}{row.loaded:>10.2f}  {row.what}: {row.reckoned}" for row in each.rows]
        lines += [f"{each.idle:>10.2f}{each.loaded:>10.2f}  together", ""]
    idle, loaded = (sum(getattr(each, name) for each in found) for name in ("idle", "loaded"))
    return "\n".join([*lines, f"{idle:>10.2f}{loaded:>10.2f}  all", "", *NOTES])


NOTES = (
    f"Assumed, since no template says it: calls of {CALL_SECONDS['detect']:g} s, ten incident changes a day, "
    "events as wide as their columns.",
    "On top come SMS, queries, and jobs that somebody starts. Other Regions have other prices.",
)


def load_words(load: Load | None) -> str:
    if load is None:
        return ""
    return f", at {load.events_per_second:g} events a second of {load.keys:,} keys"
