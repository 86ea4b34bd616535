"""What detect is granted to read by a consumer of its own, which no pipeline of the house asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import aws_cdk as cdk
import pytest

from lambdas.model import Kinesis
from laptop.clock import Clock
from laptop.cloud import Cloud
from laptop.run import Progress, Run
from laptop.run_folder import RunFolder
from stacks.constructs.packages_layer import ROOT
from stacks.lake import LakeStack
from stacks.operators import OperatorsStack
from stacks.pipeline import PipelineStack
from stacks.settings import Settings
from tests.policies.proof import Proof

CONTEXT = json.loads((ROOT / "cdk.json").read_text())["context"]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An account in which a pipeline stands whose stream detect reads by a consumer of its own."""
    cdk_out = tmp_path_factory.mktemp("cdk.out")
    app = cdk.App(outdir=str(cdk_out), context=CONTEXT | {"aws:cdk:bundling-stacks": []})
    settings = Settings.read({"pipelines": ["temperature"]})
    lake = LakeStack(app, "freshet-lake", settings=settings)
    operators = OperatorsStack(app, "freshet-operators", settings=settings, lake=lake)
    own_line = replace(settings.pipelines[0], sources=[Kinesis(fan_out=True)])
    PipelineStack(
        app, "freshet-temperature", pipeline=own_line, settings=settings, lake=lake, operators=operators
    )
    app.synth()
    with Cloud(Clock(0)) as cloud:
        cloud.deploy(cdk_out)
        yield cloud


def test_detect_needs_to_subscribe_to_its_consumer_and_to_no_other(cloud: Cloud, tmp_path: Path) -> None:
    # given
    [consumer] = cloud.of_type("AWS::Kinesis::StreamConsumer")
    # when every mapping begins to read
    with closing(Run(cloud, RunFolder.new(tmp_path), Progress())):
        grants = [each for each in Proof(cloud).grants if each.action == "kinesis:SubscribeToShard"]
    # then
    assert cloud.policies.denied == []
    [grant] = grants
    assert grant.role_name == "freshet-temperature/Detect"
    assert grant.statement.document["Resource"] == consumer.physical_id
    assert grant.is_proven
