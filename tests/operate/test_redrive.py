"""`freshet redrive` of batches that were given up, through what was deployed into the laptop's AWS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from botocore.exceptions import ClientError
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.sqs.models import SQSBackend

from laptop.functions import FunctionError
from laptop.services import iso
from operate.deployment import Refused, Terminal
from operate.mended import Records
from operate.redrive import Deployed, Work, redrive
from sql.lake import Lake
from tests.operate.support import World, attached, broken, deployed

NAME = "temperature"


@pytest.fixture(scope="module")
def account(cdk_out: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with deployed(cdk_out, tmp_path_factory.mktemp("redrive")) as account, invocable(account):
        yield account


@pytest.fixture
def world(account: World) -> World:
    """The account without what an earlier test left; its time goes on."""
    for key in given_up(account):
        account.cloud.client("s3").delete_object(Bucket=failed_bucket(account), Key=key)
    account.said.clear()
    account.run.messages.clear()
    return account


@contextmanager
def invocable(world: World) -> Iterator[None]:
    """Lambda's own call goes to the deployed function, under its role, whoever called."""

    def invoke(_backend: Any, function: str, _qualifier: Any, body: Any, _headers: Any, answers: Any) -> Any:
        with world.cloud.policies.acting_as_nobody():
            try:
                return json.dumps(world.run.functions.invoke(function, json.loads(body))).encode()
            except FunctionError as error:
                answers["x-amz-function-error"] = "Unhandled"
                return json.dumps({"errorType": error.kind, "errorMessage": error.message}).encode()

    with mock.patch.object(LambdaSimpleBackend, "invoke", invoke):
        yield


def say_redrive(
    world: World, make: Callable[[Deployed, Terminal], Work] | None = None, *, yes: bool = True
) -> int:
    role = attached(world, NAME, "Redrive")
    terminal = Terminal(world.said.append, lambda _: "n", lambda: not yes)
    with world.cloud.policies.acting_as(role):
        return redrive(NAME, make, yes=yes, terminal=terminal)


def send(world: World, *heats: float, sensor: str) -> None:
    """Readings of now, a second after the other, handed over as one batch."""
    stream = world.of_pipeline("AWS::Kinesis::Stream", NAME, "Events").physical_id
    clock = world.cloud.clock
    for heat in heats:
        clock.advance_to(clock.now + 1)
        event = {"sensor_id": sensor, "temperature": heat, "timestamp": iso(clock.now)}
        world.run.kinesis.put(stream, [(sensor, json.dumps(event).encode())])
    with world.cloud.policies.acting_as_nobody():
        world.run.mappings.drain()


@contextmanager
def no_detect(world: World) -> Iterator[None]:
    """Whatever detect is asked, it fails, as after a deployment that broke it."""
    invoke = world.run.functions.invoke

    def failing(function: str, payload: Any) -> Any:
        if "DetectFunction" in function:
            raise FunctionError("Broken", "it fails")
        return invoke(function, payload)

    function = world.of_pipeline("AWS::Lambda::Function", NAME, "Detect").physical_id
    mappings = world.run.mappings._mappings.values()
    (mapping,) = [each for each in mappings if each._function.endswith(f":{function}")]
    with broken(mapping, "_invoke", failing):
        yield


@contextmanager
def no_queue() -> Iterator[None]:
    """The queue of changes takes nothing, so detect fails after its commit."""

    def refused(_backend: Any, *_more: Any, **_named: Any) -> Any:
        raise ClientError({"Error": {"Code": "InternalError", "Message": "no"}}, "SendMessageBatch")

    with broken(SQSBackend, "send_message_batch", refused), broken(SQSBackend, "send_message", refused):
        yield


def given_up(world: World) -> dict[str, bytes]:
    """What lies in the bucket of failed batches, by its keys."""
    s3, bucket = world.cloud.client("s3"), failed_bucket(world)
    listed = s3.list_objects_v2(Bucket=bucket).get("Contents", ())
    return {each["Key"]: s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in listed}


def failed_bucket(world: World) -> str:
    (found,) = [
        each
        for each in world.cloud.of_type("AWS::S3::Bucket")
        if each.stack == "freshet-lake" and each.logical_id.startswith("Failed")
    ]
    return found.physical_id


def ends(world: World, number: int) -> list[str]:
    """What was said at last of so many batches, without which batches those were."""
    return [line.split(": ", 1)[1] for line in world.said[-number:]]


def rows(world: World, table: str) -> list[Any]:
    world.sleep(10 * 60, step=60)
    world.run.keep()
    return Lake(world.folder).query(f"select * from {table}").rows  # noqa: S608 - a test's own


def told(world: World, sensor: str) -> list[str]:
    """The states that people were told of a sensor's incident, each once whoever got it."""
    world.sleep(120, step=30)
    own = [each for each in world.run.messages if sensor in each.body and each.to == "everything@example.com"]
    return [each.subject.partition("]")[0] + "]" for each in own]


@pytest.mark.semantics(line=5, clause="redrive")
def test_a_batch_that_was_given_up_is_detected_and_only_once(world: World) -> None:
    with no_detect(world):
        send(world, 20, 31, sensor="attic")  # halved, and each half given up
    objects = given_up(world)
    assert len(objects) == 2
    assert told(world, "attic") == []

    assert say_redrive(world) == 0

    assert world.said[0].startswith(
        "temperature in us-east-1: 2 batches with 2 records given up, the oldest of 2026-01-01T"
    )
    assert "RetryAttemptsExhausted (Unhandled)" in world.said[1]
    assert ends(world, 2) == ["1 taken: 1 event detected"] * 2
    assert given_up(world) == {}
    assert len(told(world, "attic")) == 1

    # when an object is there again, as after a crash before it was deleted, and when none is
    for key, body in objects.items():
        world.cloud.client("s3").put_object(Bucket=failed_bucket(world), Key=key, Body=body)
    assert say_redrive(world) == 0
    assert ends(world, 2) == ["1 was taken before"] * 2
    assert say_redrive(world) == 0
    assert world.said[-1] == "temperature in us-east-1: no batch waits that was given up."
    assert len(told(world, "attic")) == 1


def test_a_batch_that_was_committed_and_given_up_all_the_same_is_not_detected_again(world: World) -> None:
    with no_queue():
        send(world, 32, 33, sensor="boiler")
    assert sum(json.loads(body)["KinesisBatchInfo"]["batchSize"] for body in given_up(world).values()) == 2
    send(world, 20, sensor="cellar")  # whoever comes next sends what is owed

    assert say_redrive(world) == 0

    assert "taken:" not in world.text
    assert "taken before" in world.said[-1]
    findings = [str(row) for row in rows(world, "findings") if "boiler" in row]
    assert len(findings) == len(set(findings)) == 2
    assert len(told(world, "boiler")) == 1


def test_what_is_late_by_now_is_listed_and_nobody_is_told(world: World) -> None:
    with no_detect(world):
        send(world, 40, sensor="attic-2")
    world.sleep(60)
    send(world, 20, sensor="cellar-2")

    assert say_redrive(world) == 0

    assert ends(world, 1) == ["1 taken: 0 events detected, 1 too late"]
    assert [row for row in rows(world, "late_events") if "attic-2" in row]
    assert told(world, "attic-2") == []


def test_the_clock_of_a_shard_goes_on_once_its_last_batch_is_taken(world: World) -> None:
    send(world, 31, sensor="roof")
    with no_detect(world):
        send(world, 20, sensor="roof")
    # Nobody knows that the shard is idle: something lies after what was taken.
    world.sleep(20 * 60, step=60)
    assert told(world, "roof") == ["[HIGH]"]

    assert say_redrive(world) == 0
    world.sleep(20 * 60, step=60)

    assert told(world, "roof") == ["[HIGH]", "[RESOLVED]"]


def test_what_fails_again_stays_with_a_sentence_and_what_came_after_it_waits(world: World) -> None:
    with no_detect(world):
        send(world, 31, sensor="one")
        send(world, 31, sensor="two")
    before = given_up(world)
    with no_queue():
        assert say_redrive(world) == 1

    assert "not done. detect failed (" in world.said[-3]
    assert "1 batch after it wait" in world.said[-2]
    assert world.said[-1].startswith("2 of 2 batches still wait.")
    assert given_up(world) == before

    assert say_redrive(world) == 0
    assert ends(world, 2) == ["1 was taken before", "1 taken: 1 event detected"]
    assert (len(told(world, "one")), len(told(world, "two"))) == (1, 1)


def test_an_object_without_records_is_said_and_left(world: World) -> None:
    key = f"aws/lambda/{world.of_pipeline('AWS::Lambda::EventSourceMapping', NAME, 'Detect').physical_id}/odd"
    s3 = world.cloud.client("s3")
    for body in (b"no JSON", b"[]", json.dumps({"KinesisBatchInfo": {}}).encode()):
        s3.put_object(Bucket=failed_bucket(world), Key=key, Body=body)
        assert say_redrive(world) == 1
        assert f"{key} has no records (no batch), so detect can take none" in world.said[-2]
    s3.delete_object(Bucket=failed_bucket(world), Key=key)


def test_nothing_is_done_before_somebody_says_yes(world: World) -> None:
    with no_detect(world):
        send(world, 20, sensor="quiet")
    before = given_up(world)
    with pytest.raises(Refused, match=r"^Nothing was done\.$"):
        say_redrive(world, yes=False)
    with pytest.raises(Refused, match="say --yes"):
        redrive(NAME, terminal=Terminal(world.said.append, input, lambda: False))
    assert given_up(world) == before
    assert say_redrive(world) == 0


@pytest.mark.parametrize(
    ("name", "more", "sentence"),
    [
        ("temprature", {}, "did you mean temperature"),
        (NAME, {"region": "eu-west-3"}, "there is no stack freshet-lake there"),
        (NAME, {"profile": "nobody"}, "Say --profile and --region"),
    ],
)
@pytest.mark.usefixtures("world")
def test_what_the_user_can_mend_is_a_sentence(name: str, more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        redrive(name, **more)


def test_who_has_no_right_is_told_which_policy_to_get(world: World) -> None:
    role = attached(world, "casino", "Redrive")
    with world.cloud.policies.acting_as(role), pytest.raises(Refused, match="RedrivePolicy"):
        redrive(NAME)


def test_what_a_person_mends_goes_from_the_quarantine_to_the_lake_and_every_right_is_used(
    world: World, tmp_path: Path
) -> None:
    # given records that transform quarantined, of one the second of two parts
    stream = world.of_pipeline("AWS::Kinesis::Stream", NAME, "Events").physical_id
    good = json.dumps({"sensor_id": "lab", "temperature": 20, "timestamp": iso(world.cloud.clock.now)})
    for data in ('{"sensor_id": "lab", "temperature": "warm"}', f'{good} {{"sensor_id": "lab"}}'):
        world.run.kinesis.put(stream, [("lab", data.encode())])
    world.sleep(120, step=30)

    # when a person mends both, and is given nothing but the policy
    file, now = tmp_path / "bad.jsonl", lambda: world.cloud.clock.now
    assert say_redrive(world, partial(Records, to=file, now=now)) == 0
    whole, mixed = map(json.loads, file.read_text().splitlines())
    assert (whole["good_parts"], mixed["good_parts"]) == (0, 1)
    mended = [
        whole | {"record": good.replace(": 20", ": 21")},
        mixed | {"record": good.replace(": 20", ": 22")},
    ]
    file.write_text("\n".join(map(json.dumps, mended)))
    assert say_redrive(world, partial(Records, mended=file, now=now)) == 0
    assert world.said[-1] == "2 records sent."
    assert say_redrive(world, partial(Records, now=now)) == 0
    assert world.said[-1].endswith("nothing in quarantine waits.")

    # then each is in the lake once
    world.sleep(10 * 60, step=60)
    world.run.keep()
    asked = Lake(world.folder).query("select temperature from temperature_events where sensor_id = 'lab'")
    assert sorted(asked.rows) == [(20.0,), (21.0,), (22.0,)]
    # and with a batch that was given up each right of the policy has been used
    with no_detect(world):
        send(world, 20, sensor="lab")
    assert say_redrive(world) == 0
    role = attached(world, NAME, "Redrive")
    journal = world.cloud.policies.journal.items()
    used = {str(grant.document) for request, grants in journal if request[0] == role for grant in grants}
    unused = [each.document for each in world.cloud.policies.grants(role) if str(each.document) not in used]
    assert unused == []
