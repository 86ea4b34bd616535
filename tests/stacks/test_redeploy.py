"""`freshet deploy` and `destroy` in an account of the laptop's AWS in which every stack stands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.sns.models import sns_backends

from laptop.clock import Clock
from laptop.cloud import Cloud
from pipelines import discovery
from stacks import deploy
from stacks.account import Account, Refused
from stacks.check import stack_manifest
from tests.stacks.fake_cdk import DEPLOY, SYNTH, Cdk, Somebody, install


@pytest.fixture
def cdk(tmp_path: Path, cdk_out: Path, monkeypatch: pytest.MonkeyPatch) -> Cdk:
    return install(tmp_path, cdk_out, monkeypatch)


@pytest.fixture(scope="module", autouse=True)
def standing(cdk_out: Path) -> Iterator[Cloud]:
    with Cloud(Clock(0)) as cloud:
        cloud.deploy(cdk_out)
        yield cloud


def test_deploying_the_same_again_changes_nothing_and_tells_who_has_not_confirmed(cdk: Cdk) -> None:
    # moto's owners of addresses confirm at once
    subscriptions = sns_backends["123456789012"]["us-east-1"].subscriptions.values()
    [hosts] = [each for each in subscriptions if each.endpoint == "hosts@example.com"]
    hosts.arn = "PendingConfirmation"
    somebody = Somebody("yes")

    deploy.deploy(terminal=somebody.terminal)

    assert cdk.calls == [SYNTH, DEPLOY]
    for stack in stack_manifest(deploy.ASSEMBLY):
        assert somebody.heard_of(f"  {stack} ").split(maxsplit=1)[1].startswith("leaves ")
    assert not any("Created are" in line or "will get a mail" in line for line in somebody.heard)
    waiting = "hosts@example.com is told nothing until the link in the mail from AWS is followed."
    assert somebody.heard_of("hosts@example.com is") == waiting
    assert somebody.heard_of("hosts@example.com has to").startswith(
        "hosts@example.com has to follow the link"
    )
    assert "#dashboards/dashboard/Freshet" in somebody.heard_of("The dashboard")


def test_what_is_new_changed_gone_and_kept_is_counted() -> None:
    before = Account.signed_in().stacks["freshet-lake"].resources
    wanted: dict[str, Any] = json.loads(json.dumps(before))
    key = next(name for name, each in wanted.items() if each["Type"] == "AWS::KMS::Key")
    group = next(name for name, each in wanted.items() if each["Type"] == "AWS::Logs::LogGroup")
    bucket = next(name for name, each in wanted.items() if each["Type"] == "AWS::S3::Bucket")
    wanted[key]["Properties"]["Description"] = "another"
    wanted["Topic"] = {"Type": "AWS::SNS::Topic"}
    del wanted[group], wanted[bucket]

    counts, new = deploy.compared(before, wanted)

    unchanged = len(deploy.without_metadata(before)) - 3
    assert counts == {"creates": 1, "changes": 1, "deletes": 1, "lets go of": 1, "leaves": unchanged}
    assert new == {"AWS::SNS::Topic": 1}


def test_a_stack_that_the_app_no_longer_has_is_named(cdk_out: Path, tmp_path: Path) -> None:
    manifest = json.loads((cdk_out / "manifest.json").read_text())
    del manifest["artifacts"]["freshet-casino"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    for template in cdk_out.glob("*.template.json"):
        (tmp_path / template.name).write_text(template.read_text())

    lines = list(deploy.plan(tmp_path, Account.signed_in()))

    assert lines[-1] == "freshet-casino stands and cdk.json does not name it: it is left as it is."


def test_a_stack_that_is_being_changed_is_waited_for(cdk: Cdk, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Stacks({"freshet-lake": "UPDATE_IN_PROGRESS"})
    monkeypatch.setattr(Account, "client", lambda *_: busy)

    with pytest.raises(
        Refused, match=r"The stack freshet-lake is being changed \(UPDATE_IN_PROGRESS\); wait"
    ):
        deploy.destroy(yes=True, terminal=Somebody().terminal)

    assert cdk.calls == []


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "REVIEW_IN_PROGRESS"])
def test_what_a_failed_first_deployment_left_is_made_anew_and_can_be_destroyed(
    status: str, cdk: Cdk, cdk_out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Account, "client", lambda *_: Stacks({"freshet-casino": status}))
    somebody = Somebody()

    [planned] = [line for line in deploy.plan(cdk_out, Account.signed_in()) if "freshet-casino" in line]
    deploy.destroy(yes=True, terminal=somebody.terminal)

    assert "new: creates " in planned
    assert somebody.heard_of("freshet-casino").endswith("deletes what a failed deployment left")
    assert "pipelines=casino" in cdk.calls[-1]


def test_a_stack_of_others_with_a_name_like_ours_is_let_alone(
    cdk: Cdk, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = Stacks({"freshet-website": "CREATE_COMPLETE"}, about="A website")
    monkeypatch.setattr(Account, "client", lambda *_: theirs)
    somebody = Somebody()

    deploy.destroy(yes=True, terminal=somebody.terminal)

    assert somebody.heard[-1] == "Nothing of Freshet stands there."
    assert cdk.calls == []


def test_what_a_failed_destroy_has_deleted_is_not_kept(cdk: Cdk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Account, "client", lambda *_: Stacks({"freshet-lake": "DELETE_FAILED"}))
    somebody = Somebody()

    deploy.destroy(yes=True, terminal=somebody.terminal)

    assert "aws s3 rb s3://left " in somebody.heard_of("aws s3 rb")
    assert len(cdk.calls) == 1


@dataclass(frozen=True)
class Stacks:
    """CloudFormation with stacks in these states, each of two buckets of which one is deleted."""

    states: Mapping[str, str]
    about: str = "Freshet: one"

    def get_paginator(self, _: str) -> Stacks:
        return self

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        stacks = [
            {"StackName": name, "StackStatus": status, "Description": self.about}
            for name, status in self.states.items()
        ]
        summaries = [
            {"LogicalResourceId": name, "PhysicalResourceId": name.lower(), "ResourceStatus": status}
            for name, status in {"Gone": "DELETE_COMPLETE", "Left": "DELETE_FAILED"}.items()
        ]
        return [{"Stacks": stacks, "StackResourceSummaries": summaries}]

    def get_template(self, **_: str) -> dict[str, Any]:
        bucket = {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"}
        return {"TemplateBody": {"Resources": {"Gone": bucket, "Left": bucket}}}


def test_destroy_says_what_it_keeps_and_how_to_delete_that_for_good(cdk: Cdk) -> None:
    somebody = Somebody("y")

    deploy.destroy(terminal=somebody.terminal)

    everyone = ",".join(sorted(discovery.names()))
    context = ["--context", f"pipelines={everyone}", "--output", "--no-notices"]
    assert cdk.calls == [["us-east-1", "destroy", "--all", "--force", *context]]
    streams = boto3.client("kinesis", region_name="us-east-1").list_streams()["StreamNames"]
    assert len(streams) == len(discovery.names())
    for stream in streams:
        assert somebody.heard_of(f"--stream-name {stream}")
    assert "$10.95 a shard and month" in somebody.heard_of("Kinesis::Stream")
    assert somebody.asked == ["Destroy these stacks? [y/N] "]


def test_every_kind_of_resource_that_is_kept_has_a_price_and_a_way_to_delete_it() -> None:
    account = Account.signed_in()

    kinds = {
        each["Type"]
        for stack in account.stacks.values()
        for each in stack.resources.values()
        if each.get("DeletionPolicy") in deploy.RETAINED
    }

    assert kinds == deploy.KEPT.keys()
