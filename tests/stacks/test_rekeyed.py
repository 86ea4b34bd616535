"""What a pipeline's stack has more where detectors are re-keyed, and what that costs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from aws_cdk import aws_kms as kms

from lambdas.formats.decode import Decoder
from lambdas.model import Kinesis, Row, minutes
from lambdas.tables import RESULT_TABLES
from laptop.clock import Clock
from laptop.cloud import Cloud
from laptop.run import Progress, Run, Traffic
from laptop.run_folder import RunFolder
from pipelines import discovery
from pipelines.casino import traffic
from pipelines.traffic import Sent
from sql.lake import Lake
from stacks import costs
from stacks.constructs.event_stream import EventStream
from stacks.constructs.packages_layer import ROOT
from stacks.lake import LakeStack
from stacks.operators import OperatorsStack
from stacks.pipeline import PipelineStack
from stacks.settings import Settings
from tests.stacks.template import Resource, only, resources
from tests.streaming.rekeying import alone, on_four_shards

CONTEXT = json.loads((ROOT / "cdk.json").read_text())["context"]
PIPELINE = replace(on_four_shards(discovery.load("casino")), tick=minutes(1))
STACK = "freshet-casino"
# What a declaration on disk would say, for the functions, which read it there.
REKEYED = """
import dataclasses

pipeline = dataclasses.replace(
    pipeline,
    sources=[Kinesis(provisioned=4)],
    detectors=[
        dataclasses.replace(one, rekey=True, max_keys=1_000) if one.key is not None else one
        for one in pipeline.detectors
    ],
)
"""
START, SECONDS, QUIET = 1_767_261_600.0, 240.0, 180.0
KINDS = {
    "finding": ("detector", "key", "found_at", "since", "direction", "severity", "score", "sentence"),
    "incident_change": ("detector", "key", "state", "version", "severity", "since", "detected_at", "reason"),
}
TYPES = {kind: {one.name: one.type for one in RESULT_TABLES[kind].columns} for kind in KINDS}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    app = cdk.App(
        context={**CONTEXT, "aws:cdk:bundling-stacks": []}, outdir=str(tmp_path_factory.mktemp("out"))
    )
    settings = Settings.read({"pipelines": ["casino"]})
    lake = LakeStack(app, "freshet-lake", settings=settings)
    operators = OperatorsStack(app, "freshet-operators", settings=settings, lake=lake)
    PipelineStack(app, STACK, pipeline=PIPELINE, settings=settings, lake=lake, operators=operators)
    return Path(app.synth().directory)


def second(made: Path, type: str) -> Resource:
    return only(made, type, stack=STACK, starting="Rekeyed")


def granted(made: Path, role: str) -> set[tuple[str, str]]:
    """What the policy of a function's role allows on streams: action and resource."""
    policy = only(made, "AWS::IAM::Policy", stack=STACK, starting=f"{role}RoleDefaultPolicy")
    listed: Any = lambda value: value if isinstance(value, list) else [value]  # noqa: E731 - a word for one place
    return {
        (action, resource)
        for statement in policy.properties["PolicyDocument"]["Statement"]
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
        if action.startswith("kinesis:")
    }


def test_the_second_stream_is_as_the_first_and_stays_like_it(made: Path) -> None:
    first, other = (
        only(made, "AWS::Kinesis::Stream", stack=STACK, starting=which) for which in ("Events", "Rekeyed")
    )
    assert first.properties["ShardCount"] == 4
    assert other.properties == first.properties
    assert other.deletion_policy == first.deletion_policy == "RetainExceptOnCreate"
    assert other.properties["StreamEncryption"]["EncryptionType"] == "KMS"


@pytest.mark.semantics(line=7, clause="rekeyed")
@pytest.mark.semantics(line=7, clause="one")
def test_detect_reads_both_streams_alike(made: Path) -> None:
    first, other = (
        only(made, "AWS::Lambda::EventSourceMapping", stack=STACK, starting=which)
        for which in ("DetectRecords", "Rekeyed")
    )
    streams = [second(made, "AWS::Kinesis::Stream").logical_id, first.properties.pop("EventSourceArn")]
    assert other.properties.pop("EventSourceArn") == f"<{streams[0]}.Arn>"
    assert other.properties == first.properties


def test_detect_and_tick_know_it_and_may_put_there(made: Path) -> None:
    stream = second(made, "AWS::Kinesis::Stream").logical_id
    for name in ("Detect", "Tick"):
        function = only(made, "AWS::Lambda::Function", stack=STACK, starting=f"{name}Function")
        assert function.properties["Environment"]["Variables"]["FRESHET_SECOND_STREAM"] == f"<{stream}>"
        allowed = granted(made, name)
        assert ("kinesis:PutRecords", f"<{stream}.Arn>") in allowed
        assert {resource for action, resource in allowed if action == "kinesis:PutRecords"} == {
            f"<{stream}.Arn>"
        }
        reading = {"kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"}
        assert reading <= {action for action, resource in allowed if resource == f"<{stream}.Arn>"}


def test_nothing_of_it_goes_to_the_lake(made: Path) -> None:
    stream = second(made, "AWS::Kinesis::Stream").logical_id
    for delivery in resources(made, "AWS::KinesisFirehose::DeliveryStream"):
        assert stream not in json.dumps(delivery.properties)


def test_what_its_mapping_gives_up_is_told(made: Path) -> None:
    alarm = only(made, "AWS::CloudWatch::Alarm", stack=STACK, starting="AlarmsGivenUp")
    mapping = second(made, "AWS::Lambda::EventSourceMapping").logical_id
    watched = {
        each["Id"]
        for each in alarm.properties["Metrics"]
        if f"<{mapping}>" in json.dumps(each.get("MetricStat", {}))
    }
    (expression,) = [each["Expression"] for each in alarm.properties["Metrics"] if "Expression" in each]
    assert watched == {"rekeyed_kept", "rekeyed_lost"}
    assert all(f"FILL({name}, 0)" in expression for name in watched)


def test_a_stream_on_demand_has_a_second_on_demand() -> None:
    stack = cdk.Stack(cdk.App(), "test")
    pipeline = replace(PIPELINE, sources=[Kinesis(provisioned=None)])
    EventStream(stack, "Rekeyed", pipeline=pipeline, key=kms.Key(stack, "Key"), copies=2)
    (made,) = assertions.Template.from_stack(stack).find_resources("AWS::Kinesis::Stream").values()
    assert made["Properties"]["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert "ShardCount" not in made["Properties"]


def test_a_stream_for_two_keys_takes_each_event_twice() -> None:
    stack = cdk.Stack(cdk.App(), "test")
    EventStream(stack, "Rekeyed", pipeline=PIPELINE, key=kms.Key(stack, "Key"), copies=2)
    (made,) = assertions.Template.from_stack(stack).find_resources("AWS::Kinesis::Stream").values()
    assert made["Properties"]["ShardCount"] == 8


def test_its_shards_records_and_batches_are_paid_for(made: Path) -> None:
    (of, _) = costs.reckon(made, [PIPELINE])
    rows = {row.what: row for row in of.rows}
    events = 1.4 * 730 * 3600
    assert rows["the second stream"].idle == pytest.approx(4 * 730 * 0.015)
    assert rows["the second stream"].loaded == pytest.approx(4 * 730 * 0.015 + events * 0.014e-6)
    assert rows["the stream"].idle == pytest.approx(4 * 730 * 0.015)
    batches = min(events, 4 * 730 * 3600 / 5)
    # Both stages' commits, with a base and what was taken in for each 64, and the marks of the first.
    written = 2 * batches * 66 / 64 + batches
    assert rows["the state log"].loaded == pytest.approx(written * 5e-6)


class Played:
    """What came of an evening in the deployed pipeline: rows of the lake without what is made of a shard's
    name, and what one shard says that has all events.
    """

    def __init__(self, made: Path, folder: Path) -> None:
        sent = list(traffic.traffic(seed=3, start=START, seconds=SECONDS))
        with Cloud(Clock(START)) as cloud:
            cloud.deploy(made)
            kept = RunFolder.new(folder)
            with closing(Run(cloud, kept, Progress())) as run:
                run.seed_references("casino", traffic.references(3))
                named = (("casino", each) for each in sent)
                run.play(Traffic(sent=named, start=START, seconds=SECONDS, step=5))
                run.keep()
                self.troubles = run.troubles()["casino"].total()
            streams = [stream.physical_id for stream in cloud.of_type("AWS::Kinesis::Stream")]
            self.records = {name: shards(run.kinesis.stream(name)) for name in streams}
        lake = Lake(kept.path)
        self.raw = lake.query("select count(*) from casino_events").rows[0][0]
        self.found = {kind: told(lake, kind) for kind in KINDS}
        self.expected = expected(sent)


def shards(stream: Any) -> list[int]:
    return [len(shard.records) for shard in stream.shards.values()]


def told(lake: Lake, kind: str) -> list[str]:
    columns = ", ".join(KINDS[kind])
    rows = lake.query(f"select {columns} from {RESULT_TABLES[kind].name}").rows  # noqa: S608 - our own
    return sorted(" ".join(map(str, row)) for row in rows)


def expected(sent: Sequence[Sent]) -> dict[str, list[str]]:
    decoder = Decoder(PIPELINE)
    guests: dict[Any, Any] = {row["customer_id"]: row for row in traffic.references(3)["guests"]}
    rows = []
    for each in sorted(sent, key=lambda each: each.at):
        decoded = [part for part in decoder.decode(each.data, round(each.at * 1000)) if isinstance(part, Row)]
        for row in decoded:
            known = guests[row.values["customer_id"]]
            row.values.update({f"guests.{name}": known[name] for name in ("spent", "tier", "is_active")})
        rows += decoded
    items = alone(PIPELINE, rows, [rows[-1].arrival + QUIET])
    return {
        kind: sorted(
            " ".join(in_the_lake(item.body[name], types[name]) for name in KINDS[kind])
            for item in items
            if item.kind == kind
        )
        for kind, types in TYPES.items()
    }


def in_the_lake(value: Any, type: str) -> str:
    return str(datetime.fromisoformat(value) if type == "timestamp" else value)


@pytest.fixture(scope="module")
def played(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Played:
    (declared,) = made.glob("asset.*/pipelines/casino/pipeline.py")
    declared.write_text(declared.read_text() + REKEYED)
    with mock.patch("laptop.run.QUIET", QUIET):
        return Played(made, tmp_path_factory.mktemp("run"))


def test_four_shards_of_the_deployed_casino_find_what_one_finds(played: Played) -> None:
    tables = [row for row in played.found["finding"] if "chips_run_low" in row]
    assert tables
    assert played.found == played.expected


def test_each_record_is_in_the_lake_once_and_nothing_fails(played: Played) -> None:
    first, second = played.records.values()
    assert min(first) > 0
    assert sum(each > 0 for each in second) > 1
    assert played.raw == sum(first) - len(traffic.BROKEN)
    assert not played.troubles
