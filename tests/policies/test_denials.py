"""What really happens when one grant is taken out of the templates before they are deployed."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from laptop.clock import Clock
from laptop.cloud import Cloud
from laptop.policies import PolicyError
from laptop.run import Progress, Run, Traffic
from laptop.run_folder import RunFolder
from pipelines.traffic import Sent, iso

START = 1_767_261_600.0  # 2026-01-01 10:00 UTC
STACKS = ("freshet-lake", "freshet-operators", "freshet-temperature")


@dataclass
class Told:
    """What came of a hot sensor that falls silent, and of a record that cannot be read."""

    denied: list[str] = field(default_factory=list)
    stopped: str = ""
    subjects: set[str] = field(default_factory=set)
    objects: list[str] = field(default_factory=list)

    def has(self, prefix: str) -> bool:
        return any(key.startswith(prefix) for key in self.objects)


def play(cdk_out: Path, folder: Path) -> Told:
    hot = {"sensor_id": "s1", "temperature": 50, "timestamp": iso(START)}
    sent = [
        Sent(at=START, data=json.dumps(hot).encode(), partition_key="s1"),
        Sent(at=START + 1, data=b"{", partition_key="s1"),
    ]
    told = Told()
    with Cloud(Clock(START)) as cloud:
        cloud.deploy(cdk_out)
        try:
            with closing(Run(cloud, RunFolder.new(folder), Progress())) as run:
                traffic = [("temperature", each) for each in sent]
                try:
                    run.play(Traffic(sent=traffic, start=START, seconds=60, step=60))
                finally:
                    told.subjects = {message.subject for message in run.messages if message.subject}
        except (ClientError, PolicyError) as error:
            told.stopped = str(error)
        told.denied = cloud.policies.denied
        [lake] = [one for one in cloud.of_type("AWS::S3::Bucket") if one.logical_id.startswith("LakeBucket")]
        listed = cloud.client("s3").list_objects_v2(Bucket=lake.physical_id)
        told.objects = [one["Key"] for one in listed.get("Contents", [])]
    return told


def taken_out(cdk_out: Path, folder: Path, *, role: str, action: str) -> Path:
    """The assembly of one pipeline without an action of one role; all of it where the action is empty."""
    for path in cdk_out.iterdir():
        (folder / path.name).symlink_to(path)
    manifest = json.loads((cdk_out / "manifest.json").read_text())
    kept = {name: a for name, a in manifest["artifacts"].items() if name.removesuffix(".assets") in STACKS}
    replaced(folder / "manifest.json", manifest | {"artifacts": kept})
    if action:
        template = json.loads((cdk_out / "freshet-temperature.template.json").read_text())
        [document] = [
            resource["Properties"][
                "AssumeRolePolicyDocument" if action == "sts:AssumeRole" else "PolicyDocument"
            ]
            for name, resource in template["Resources"].items()
            if name.startswith(f"{role}Role")
            and resource["Type"] == ("AWS::IAM::Role" if action == "sts:AssumeRole" else "AWS::IAM::Policy")
        ]
        assert action in json.dumps(document)
        document["Statement"] = [each for one in document["Statement"] for each in without(one, action)]
        replaced(folder / "freshet-temperature.template.json", template)
    return folder


def without(statement: dict[str, Any], action: str) -> list[dict[str, Any]]:
    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    left = [each for each in actions if each != action]
    return [statement | {"Action": left}] if left else []


def replaced(path: Path, document: dict[str, Any]) -> None:
    path.unlink()
    path.write_text(json.dumps(document))


def test_whole_policies_let_everything_happen(cdk_out: Path, tmp_path: Path) -> None:
    told = play(taken_out(cdk_out, tmp_path, role="", action=""), tmp_path)

    assert (told.denied, told.stopped) == ([], "")
    assert len(told.subjects) == 2
    assert told.has("quarantine/")
    assert told.has("events/temperature/")


@pytest.mark.parametrize(
    ("role", "action", "subjects"),
    [
        ("Tick", "sqs:SendMessage", 1),  # that it opened, not that it was resolved
        ("Alert", "sns:Publish", 0),
        ("Alert", "dynamodb:UpdateItem", 0),
    ],
)
def test_handler_without_an_action_does_not_do_it_and_is_told_its_name(
    cdk_out: Path, tmp_path: Path, role: str, action: str, subjects: int
) -> None:
    told = play(taken_out(cdk_out, tmp_path, role=role, action=action), tmp_path)

    assert {denial.split(" to perform ")[1].split(" on ")[0] for denial in told.denied} == {action}
    assert len(told.subjects) == subjects


def test_transform_that_may_not_put_into_quarantine_leaves_its_records_to_firehose(
    cdk_out: Path, tmp_path: Path
) -> None:
    told = play(taken_out(cdk_out, tmp_path, role="Transform", action="s3:PutObject"), tmp_path)

    assert told.denied
    assert all("to perform s3:PutObject on" in denial for denial in told.denied)
    assert not told.has("quarantine/")
    assert told.has("errors/temperature/processing-failed/")


@pytest.mark.parametrize(
    ("role", "action"),
    [
        ("Detect", "kinesis:GetRecords"),
        ("EventsDelivery", "s3:PutObject"),
        ("EventsDelivery", "lambda:InvokeFunction"),
    ],
)
def test_service_that_may_not_do_its_part_stops_the_run_with_the_actions_name(
    cdk_out: Path, tmp_path: Path, role: str, action: str
) -> None:
    told = play(taken_out(cdk_out, tmp_path, role=role, action=action), tmp_path)

    assert f"is not authorized to perform {action} on" in told.stopped


def test_role_that_nobody_may_assume_stops_the_run(cdk_out: Path, tmp_path: Path) -> None:
    told = play(taken_out(cdk_out, tmp_path, role="Tick", action="sts:AssumeRole"), tmp_path)

    assert "does not let lambda.amazonaws.com assume it" in told.stopped
