"""What no pipeline of the repository asks for, and a user may: an existing stream, on demand, wrong SQL."""

from __future__ import annotations

import itertools
import json
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from lambdas.columns import DeclarationError
from lambdas.model import Kinesis, Pipeline
from pipelines import discovery
from sql.errors import SqlError
from stacks.constructs.event_stream import EventStream
from stacks.constructs.packages_layer import ROOT, PackagesLayer
from stacks.constructs.saved_queries import SavedQueries
from stacks.constructs.views import Views
from stacks.lake import LakeStack
from stacks.operators import OperatorsStack
from stacks.pipeline import PipelineStack
from stacks.settings import ExistingStream, Settings

ARN = "arn:aws:kinesis:eu-central-1:111122223333:stream/readings"
CONTEXT = json.loads((ROOT / "cdk.json").read_text())["context"]
KEY_ARN = "arn:aws:kms:eu-central-1:111122223333:key/0a1b2c3d-0000-1111-2222-333344445555"


def pipeline(*sources: Any) -> Pipeline:
    given = discovery.load("temperature")
    return Pipeline(
        name="temperature",
        about=given.about,
        event=given.event,
        formats=given.formats,
        detectors=given.detectors,
        sources=sources,
    )


def stream(
    *sources: Any, existing: ExistingStream | None = None
) -> tuple[EventStream, assertions.Template, iam.Role]:
    stack = cdk.Stack(cdk.App(), "test")
    key = kms.Key(stack, "Key")
    made = EventStream(stack, "Events", pipeline=pipeline(*sources), key=key, existing=existing)
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    made.grant_read(role, "kinesis:GetRecords")
    return made, assertions.Template.from_stack(stack), role


@pytest.mark.semantics(line=6, clause="demand")
def test_a_stream_on_demand_has_no_shards_of_ours_and_keeps_as_long_as_declared() -> None:
    made, template, _ = stream(Kinesis(provisioned=None, retention=timedelta(days=7)))

    template.has_resource_properties(
        "AWS::Kinesis::Stream",
        {
            "StreamModeDetails": {"StreamMode": "ON_DEMAND"},
            "RetentionPeriodHours": 168,
            "ShardCount": assertions.Match.absent(),
        },
    )
    assert made.retention is not None
    assert made.retention.to_days() == 7
    assert made.start == "TRIM_HORIZON"


def test_an_existing_stream_is_read_under_its_own_key() -> None:
    _, template, _ = stream(Kinesis(), existing=ExistingStream(arn=ARN, key_arn=KEY_ARN))

    template.resource_count_is("AWS::Kinesis::Stream", 0)
    template.has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {
                "Statement": [
                    {"Action": "kinesis:GetRecords", "Effect": "Allow", "Resource": ARN},
                    {"Action": "kms:Decrypt", "Effect": "Allow", "Resource": KEY_ARN},
                ]
            }
        },
    )


def test_an_existing_stream_without_a_key_of_its_own_asks_for_none() -> None:
    _, template, _ = stream(Kinesis(), existing=ExistingStream(arn=ARN))

    assert "kms:" not in str(template.find_resources("AWS::IAM::Policy"))


CONSUMER = {"Fn::GetAtt": ["DetectRecordsConsumerFCF45F3A", "ConsumerARN"]}


@pytest.mark.parametrize(
    ("start", "position", "source", "read"),
    [
        ("latest", "LATEST", Kinesis(), ARN),
        ("oldest", "TRIM_HORIZON", Kinesis(fan_out=True), CONSUMER),
    ],
)
def test_an_existing_stream_is_read_from_where_its_owner_says_for_as_long_as_can_be(
    start: str, position: str, source: Kinesis, read: Any
) -> None:
    app = cdk.App(context=CONTEXT)
    settings = Settings.read(
        {"pipelines": ["temperature"], "existing_streams": {"temperature": {"arn": ARN, "start": start}}}
    )
    lake = LakeStack(app, "lake", settings=settings)
    operators = OperatorsStack(app, "operators", settings=settings, lake=lake)
    stack = PipelineStack(
        app, "test", pipeline=pipeline(source), settings=settings, lake=lake, operators=operators
    )

    template = assertions.Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::Lambda::EventSourceMapping",
        {"EventSourceArn": read, "StartingPosition": position, "MaximumRecordAgeInSeconds": 7 * 86_400},
    )
    template.resource_properties_count_is(
        "AWS::Kinesis::StreamConsumer",
        {"ConsumerName": "freshet-temperature", "StreamARN": ARN},
        int(source.fan_out),
    )
    # Its hours are curated no sooner than what Firehose could not deliver has come after all.
    hours = {"--settled-after-hours": str(7 * 24 + 1)}
    template.has_resource_properties(
        "AWS::Glue::Job", {"DefaultArguments": assertions.Match.object_like(hours)}
    )


def test_what_a_pipeline_quarantined_can_be_asked_for_after_it_is_gone() -> None:
    lake = LakeStack(cdk.App(context=CONTEXT), "test", settings=Settings.read({"pipelines": ["temperature"]}))

    projected = {"projection.pipeline.values": ",".join(discovery.names())}
    assertions.Template.from_stack(lake).has_resource_properties(
        "AWS::Glue::Table", {"TableInput": {"Parameters": projected}}
    )


def test_a_pipeline_has_one_stream() -> None:
    with pytest.raises(DeclarationError, match="it has 2 Kinesis sources, but a pipeline has one stream"):
        stream(Kinesis(), Kinesis(provisioned=None))


def views(folder: Path, **files: str) -> Views:
    for name, sql in files.items():
        (folder / f"{name}.sql").write_text(sql)
    stack = cdk.Stack(cdk.App(), "test")
    return Views(
        stack, "Views", folder=folder, database="freshet", tables=["tank_events", "findings"], prefix="tank_"
    )


VIEW = "-- one row per reading\nselect cast(level as double) as level from {}"


def test_a_view_may_read_another_of_its_folder(tmp_path: Path) -> None:
    made = views(tmp_path, tank_levels=VIEW.format("tank_events"), tank_all=VIEW.format("tank_levels"))

    assert made.names == ["tank_all", "tank_levels"]


REFUSED = {
    "another's name": ({"levels": VIEW.format("tank_events")}, "a view here is named tank_<question>"),
    "a table's name": ({"tank_events": VIEW.format("findings")}, "and like no table; rename the file"),
    "unknown table": (
        {"tank_levels": VIEW.format("tank_event")},
        "it finds no table or view 'tank_event'; did you mean tank_events",
    ),
    "circle": (
        {"tank_a": VIEW.format("tank_b"), "tank_b": VIEW.format("tank_a")},
        "read each other: take one of them out",
    ),
    "no cast": ({"tank_levels": "-- one row\nselect level from tank_events"}, "An output column has no name"),
}


@pytest.mark.parametrize(("files", "words"), REFUSED.values(), ids=list(REFUSED))
def test_a_wrong_view_stops_the_synth_with_a_sentence(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    with pytest.raises(SqlError) as refused:
        views(tmp_path, **files)

    assert words in str(refused.value)


def test_a_saved_query_without_a_description_stops_the_synth(tmp_path: Path) -> None:
    (tmp_path / "all.sql").write_text("select level from tank_events")
    stack = cdk.Stack(cdk.App(), "test")

    with pytest.raises(SqlError, match="state what the query answers"):
        SavedQueries(
            stack, "Queries", folder=tmp_path, database="freshet", workgroup="freshet", prefix="tank_"
        )


def layer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, returncode: int) -> list[str]:
    """Bundle the layer with a pip that does nothing; returns how it was called."""
    called: list[str] = []

    def pip(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        called.extend(command)
        target = Path(command[command.index("--target") + 1])
        target.mkdir(parents=True)
        (target / "orjson.py").touch()
        return subprocess.CompletedProcess(command, returncode)

    monkeypatch.setattr(subprocess, "run", pip)
    app = cdk.App(outdir=str(tmp_path), context={"aws:cdk:bundling-stacks": ["**"]})
    PackagesLayer(cdk.Stack(app, "test"), "Packages")
    return called


def test_the_layer_has_wheels_for_lambda_by_their_hashes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = layer(monkeypatch, tmp_path, returncode=0)

    assert {"--no-deps", "--require-hashes", "--only-binary=:all:", "--python-version=3.13"} <= set(command)
    platforms = [after for before, after in itertools.pairwise(command) if before == "--platform"]
    assert platforms == ["manylinux2014_aarch64", "manylinux_2_28_aarch64"]
    assert [path.relative_to(tmp_path).parts[1:] for path in tmp_path.rglob("orjson.py")] == [
        ("python", "orjson.py")
    ]


def test_packages_that_cannot_be_fetched_stop_the_deploy_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(DeclarationError, match="pip could not fetch these packages for Lambda"):
        layer(monkeypatch, tmp_path, returncode=1)
