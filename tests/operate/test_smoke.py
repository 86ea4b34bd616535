"""`freshet smoke` through what was deployed into the laptop's AWS, on its simulated clock."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto.sns.models import SNSBackend

from laptop.functions import FunctionError
from operate.deployment import Refused
from operate.marked import MARK, choose
from operate.smoke import Clock, Deployed, Smoke, smoke
from pipelines import cases, discovery
from sql.lake import Lake
from tests.operate.support import START, World, attached, broken, deployed

PIPELINES = discovery.names()
NUMBERS_MARK = "9002601"  # the year and month of the simulated clock behind what no device has
# What AWS documents that Athena needs for a large result, and none of the laptop's is.
LARGE_RESULTS = {"s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}


@pytest.fixture(scope="module")
def account(cdk_out: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with deployed(cdk_out, tmp_path_factory.mktemp("smoke")) as account:
        yield account


@pytest.fixture
def world(account: World) -> World:
    """The account without what an earlier test left waiting or heard; its time goes on."""
    account.sleep(7 * 60)
    account.said.clear()
    account.run.messages.clear()
    return account


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_marked_event_is_told_and_in_the_lake_under_the_policy_of_the_stack(
    world: World, pipeline: str
) -> None:
    with world.cloud.policies.acting_as(attached(world, pipeline, "Smoke")):
        assert world.smoke(pipeline) == 0

    assert world.stages == [
        "sent",
        "detected, and taken up to be told",
        "told to the topic",
        "in the lake",
        "its alert in the lake",
    ]
    assert f"{pipeline} works" in world.said[-2]
    assert world.run.messages
    # Whoever gets it sees the mark, which is no word of a test where a key is a number.
    is_number = pipeline == "heart_rate"
    mark = NUMBERS_MARK if is_number else MARK
    assert all(mark in each.body for each in world.run.messages if each.channel == "email")
    assert ("tell them first" in world.text) == is_number


def test_who_is_told_is_said_first_and_the_incident_ends_by_itself_with_rows_that_can_be_left_out(
    world: World,
) -> None:
    assert world.smoke("temperature") == 0

    before = world.said[: next(spot for spot, line in enumerate(world.said) if "  sent: " in line)]
    assert [line.strip() for line in before if line.startswith("  ")] == [
        "everything@example.com by email",
        "heat@example.com by email",
    ]
    own = [each for each in world.run.messages if each.attributes.get("pipeline") == "temperature"]
    assert {each.to for each in own} == {"everything@example.com", "heat@example.com"}

    world.sleep(40 * 60)

    assert any("[RESOLVED]" in each.subject for each in world.run.messages)
    condition = world.said[-1].partition("leave them out with: ")[2]
    world.run.keep()
    lake = Lake(world.folder)
    rows = "select count(*) from temperature_events"
    assert lake.query(rows).rows[0][0] > 0
    assert lake.query(f"{rows} where {condition}").rows == [(0,)]


def test_a_mapping_that_is_switched_off_is_named(world: World) -> None:
    mapping = world.of_pipeline("AWS::Lambda::EventSourceMapping", "temperature", "Detect").physical_id
    functions = world.cloud.client("lambda")
    functions.update_event_source_mapping(UUID=mapping, Enabled=False)
    world.run.mappings.switch(mapping, enabled=False)
    assert world.smoke("temperature", timeout=300) == 1
    world.run.mappings.switch(mapping, enabled=True)
    functions.update_event_source_mapping(UUID=mapping, Enabled=True)

    assert world.stages == ["sent", "STUCK"]
    assert re.search(
        "not yet detected.+mapping .+ of freshet-temperature-Detect.+ is disabled: enable", world.text
    )


def test_an_alert_that_fails_before_it_takes_the_change_up_is_told_from_detect(world: World) -> None:
    invoke = world.run.functions.invoke

    def failing(function: str, payload: Any) -> Any:
        if "AlertFunction" in function:
            raise FunctionError("Broken", "it fails")
        return invoke(function, payload)

    with broken(world.alert_mapping("temperature"), "_invoke", failing):
        assert world.smoke("temperature", timeout=60) == 1

    assert world.stages == ["sent", "STUCK"]
    assert re.search(
        "A change waits to be told, and alert does not finish it: look in the log freshet-temp", world.text
    )


def test_a_topic_that_takes_nothing_is_told_from_a_detector_that_finds_nothing(world: World) -> None:
    def refused(_backend: Any, *_more: Any, **_named: Any) -> Any:
        raise ClientError({"Error": {"Code": "InternalError", "Message": "no"}}, "Publish")

    with broken(SNSBackend, "publish", refused):
        assert world.smoke("temperature", timeout=60) == 1

    assert world.stages == ["sent", "detected, and taken up to be told", "STUCK"]
    assert "not yet told to the topic. alert has the change and has not published it" in world.text


def test_a_delivery_that_stands_is_stuck_before_the_lake(world: World) -> None:
    with broken(world.run.firehose, "pump", lambda _now: 0):
        assert world.smoke("temperature", timeout=400) == 1

    assert world.stages[-2:] == ["told to the topic", "STUCK"]
    assert "not yet in the lake. Look at the alarms 'Freshet temperature - events do not reach the lake'" in (
        world.text
    )


def test_events_that_are_not_what_is_deployed_are_stuck_at_detection(world: World) -> None:
    detect = world.of_pipeline("AWS::Lambda::Function", "temperature", "Detect")
    numbers = json.dumps({"too_hot.above": 20})  # which the running function has never been told
    functions = world.cloud.client("lambda")
    before = functions.get_function_configuration(FunctionName=detect.physical_id)["Environment"]
    functions.update_function_configuration(
        FunctionName=detect.physical_id,
        Environment={"Variables": {**before["Variables"], "FRESHET_OVERRIDES": numbers}},
    )
    assert world.smoke("temperature", timeout=60) == 1
    functions.update_function_configuration(FunctionName=detect.physical_id, Environment=before)

    assert "Is what pipelines/temperature declares the same as what is deployed?" in world.text


@pytest.mark.parametrize(
    ("pipeline", "more", "sentence"),
    [
        ("temprature", {}, "did you mean temperature"),
        ("temperature", {"timeout": float("nan")}, "There is no waiting for nan s"),
        ("temperature", {"timeout": 0}, "There is no waiting for 0 s; say --timeout 900."),
        (
            "temperature",
            {"region": "eu-west-3"},
            "temperature is not deployed in eu-west-3: there is no stack",
        ),
        ("temperature", {"profile": "nobody"}, "Say --profile and --region"),
        ("temperature", {"region": "EU Central"}, "Say --profile and --region"),
    ],
)
def test_what_the_user_can_mend_is_a_sentence(
    world: World, pipeline: str, more: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Refused, match=re.escape(sentence)):
        world.smoke(pipeline, **more)

    assert world.said == []


def test_who_has_no_right_is_told_which_policy_to_get(world: World) -> None:
    role = attached(world, "casino", "Smoke")

    with (
        world.cloud.policies.acting_as(role),
        pytest.raises(Refused, match=r"DescribeStacks is not allowed.+SmokePolicy"),
    ):
        world.smoke("temperature")


@pytest.mark.fidelity(
    service="Athena",
    behaviour="a query needs its caller's rights on catalog, tables, their objects, the result and the key",
    source="https://docs.aws.amazon.com/athena/latest/ug/security-iam-athena.html",
    falls_short="",
)
def test_every_right_of_the_policy_is_used(world: World) -> None:
    role = attached(world, "temperature", "Smoke")
    with world.cloud.policies.acting_as(role):
        assert world.smoke("temperature") == 0
        with broken(world.run.mappings, "pump", lambda _now: 0):
            assert world.smoke("temperature", timeout=30) == 1

    journal = world.cloud.policies.journal.items()
    used = {id(grant) for request, grants in journal if request[0] == role for grant in grants}
    unused = [each.document for each in world.cloud.policies.grants(role) if id(each) not in used]
    assert [each for each in unused if each["Action"] not in LARGE_RESULTS] == []


def test_what_was_sent_is_told_from_what_was_not_when_aws_is_not_reached(world: World) -> None:
    def unreached(*_more: Any, **_named: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="https://nowhere")

    with broken(Deployed, "find", unreached), pytest.raises(Refused, match="Nothing was sent"):
        world.smoke("temperature")
    with broken(Smoke, "_incident", unreached):
        assert world.smoke("temperature") == 1
    assert world.said[-1].startswith("AWS was not reached: Could not connect")
    assert "What was sent goes its way" in world.said[-1]


class Subscribed:
    """A topic with one recipient who has not confirmed, one whom a filter keeps out, and one who is told."""

    region_name = "us-east-1"

    def client(self, service: str) -> Subscribed:
        assert service == "sns"
        return self

    def get_paginator(self, _operation: str) -> Subscribed:
        return self

    def paginate(self, **_parameters: str) -> list[dict[str, Any]]:
        arns = {"new": "PendingConfirmation", "out": "arn:out", "in": "arn:in"}
        named = [{"Endpoint": f"{name}@example.com", "SubscriptionArn": arn} for name, arn in arns.items()]
        return [{"Subscriptions": [{**each, "Protocol": "email"} for each in named]}]

    def get_subscription_attributes(self, *, SubscriptionArn: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        policy = {"pipeline": ["casino"]} if SubscriptionArn == "arn:out" else {"pipeline": ["temperature"]}
        return {"Attributes": {"FilterPolicy": json.dumps(policy)}}


def test_who_has_not_confirmed_is_named_and_whom_a_filter_keeps_out_is_not() -> None:
    pipeline = discovery.load("temperature")
    deployed = Deployed(session=Subscribed(), pipeline=pipeline, outputs={"AlertsTopic": "topic"})
    given = cases.read("temperature")
    change = choose(pipeline, given, START).change

    assert list(Smoke(deployed, given, print, Clock(), 1)._told(change)) == [
        "new@example.com by email: not confirmed, so nothing comes",
        "in@example.com by email",
    ]


def test_without_credentials_or_a_region_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(Refused, match="must specify a region"):
        smoke("temperature")
    with pytest.raises(Refused, match="Unable to locate credentials"):
        smoke("temperature", region="us-east-1")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with pytest.raises(Refused, match="Unable to locate credentials"):
        smoke("temperature")
