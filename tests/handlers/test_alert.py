"""A change in the queue reaches each reader once, in its incident's order, and the lake."""

import importlib
import json
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambdas.incidents import ESCALATED, RESOLVED, IncidentChange
from lambdas.model import CRITICAL
from tests.alerting.support import PRIVATE, fast_heart, hot_sensor
from tests.effects.support import Faults, delivered, delivery_stream, make_table, real, refusal, silence

TOPIC = "arn:aws:sns:eu-central-1:123456789012:alerts"
MOBILE = "+4917098765432"
RECEIVED = 1769853700123  # ms
Handler = Callable[..., dict[str, Any]]


@pytest.fixture
def start(aws: Faults, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Handler]:
    """Starts the function of a pipeline as its stack would, and gives its handler."""
    assert aws is not None

    def started(pipeline: str = "temperature", **more: str) -> Handler:
        if not real("sns").list_topics()["Topics"]:
            real("sns").create_topic(Name="alerts")
            delivery_stream("alerts")
            make_table("incidents", "incident_id")
            make_table("people", "device_id", "N")
        environment = {
            "FRESHET_PIPELINE": pipeline,
            "FRESHET_OVERRIDES": "{}",
            "FRESHET_INCIDENTS_TABLE": "incidents",
            "FRESHET_ALERTS_TOPIC_ARN": TOPIC,
            "FRESHET_RESULT_STREAMS": '{"alert": "alerts"}',
            "FRESHET_REFERENCE_TABLES": '{"registrations": "people"}',
            "POWERTOOLS_SERVICE_NAME": uuid.uuid4().hex,  # a logger keeps the output that its name began with
            **more,
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        sys.modules.pop("lambdas.alert", None)
        module: ModuleType = importlib.import_module("lambdas.alert")
        return lambda *messages: module.handler({"Records": list(messages)}, None)

    return started


def register(device: int, mobile: str) -> None:
    person = {"first_name": PRIVATE["first_name"], "mobile": mobile}
    item = {"device_id": {"N": str(device)}, **{name: {"S": value} for name, value in person.items()}}
    real("dynamodb").put_item(TableName="people", Item=item)


def message(change: IncidentChange | str, *, id: str = "", group: str = "", tries: int = 1) -> dict[str, Any]:
    if isinstance(change, IncidentChange):
        body, id, group = json.dumps(change.to_row()), id or change.change_id, group or change.incident_id
    else:
        body = change
    return {
        "messageId": id,
        "body": body,
        "attributes": {
            "MessageGroupId": group,
            "ApproximateReceiveCount": str(tries),
            "ApproximateFirstReceiveTimestamp": str(RECEIVED),
            "SentTimestamp": str(RECEIVED - 900),
        },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:changes.fifo",
    }


def failed(answer: dict[str, Any]) -> list[str]:
    return [each["itemIdentifier"] for each in answer["batchItemFailures"]]


def published(aws: Faults) -> list[str]:
    return [each["Subject"] for each in aws.requested("publish") if "TopicArn" in each]


def texted(aws: Faults) -> list[str]:
    return [each["Message"] for each in aws.requested("publish") if "PhoneNumber" in each]


def steps() -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = real("dynamodb").scan(TableName="incidents")["Items"]
    return items


def of_another_incident(change: IncidentChange, id: str = "another") -> IncidentChange:
    return replace(change, incident_id=id)


def test_change_is_told_and_noted_in_the_lake(start: Callable[..., Handler], aws: Faults) -> None:
    handler = start()

    assert failed(handler(message(hot_sensor()[0]))) == []

    assert published(aws) == ["[HIGH] temperature sensor-1: too hot"]
    assert texted(aws) == []
    change = hot_sensor()[0]
    assert delivered("alerts") == [
        {
            "alert_id": f"{change.change_id}-topic",
            "change_id": change.change_id,
            "incident_id": change.incident_id,
            "pipeline": "temperature",
            "detector": "too_hot",
            "key": "sensor-1",
            "state": "opened",
            "severity": "high",
            "audience": "operators",
            "channel": "topic",
            "subject": "[HIGH] temperature sensor-1: too hot",
            "changed_at": "2026-01-31 10:01:12.000",
            "sent_at": "2026-01-31 10:01:40.123",
        }
    ]


def test_whole_life_is_told_in_order(start: Callable[..., Handler], aws: Faults) -> None:
    handler = start()

    assert failed(handler(*map(message, hot_sensor()))) == []

    assert published(aws) == [
        "[HIGH] temperature sensor-1: too hot",
        "[CRITICAL, WORSE] temperature sensor-1: too hot",
        "[RESOLVED] temperature sensor-1: too hot",
    ]
    assert len(delivered("alerts")) == 3


def test_person_concerned_is_told_by_sms(start: Callable[..., Handler], aws: Faults) -> None:
    handler = start("heart_rate", FRESHET_TIME_ZONE="Europe/Berlin")
    register(7, MOBILE)

    assert failed(handler(message(fast_heart()[0]))) == []

    assert published(aws) == ["[HIGH] heart rate device 7: heart rate out of range"]
    assert texted(aws) == [
        "Freshet: device 7, heart rate out of range since 11:01 CET. "
        "Please check now. The operators are told too and may call you."
    ]
    assert [(row["channel"], row["subject"]) for row in delivered("alerts")] == [
        ("topic", "[HIGH] heart rate device 7: heart rate out of range"),
        ("sms", ""),
    ]


@pytest.mark.parametrize("mobile", [None, "", "0151 nobody"])
def test_without_a_number_the_topic_is_told_anyway(
    start: Callable[..., Handler], aws: Faults, mobile: str | None
) -> None:
    handler = start("heart_rate")
    if mobile is not None:
        register(7, mobile)

    assert failed(handler(message(fast_heart()[0]))) == []

    assert len(published(aws)) == 1
    assert texted(aws) == []
    assert [row["channel"] for row in delivered("alerts")] == ["topic"]


def test_repeat_tells_nobody_again(start: Callable[..., Handler], aws: Faults) -> None:
    handler = start("heart_rate")
    register(7, MOBILE)
    handler(message(fast_heart()[0]))

    assert failed(handler(message(fast_heart()[0], id="sent again"))) == []

    assert len(published(aws)) == len(texted(aws)) == 1
    assert len(delivered("alerts")) == 2


@pytest.mark.semantics(line=10, clause="newest")
def test_change_that_a_newer_one_overtook_is_not_told(
    start: Callable[..., Handler], aws: Faults, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = start()
    opened, _, resolved = hot_sensor()
    handler(message(resolved))

    assert failed(handler(message(opened))) == []

    assert published(aws) == ["[RESOLVED] temperature sensor-1: too hot"]
    assert "a newer one of its incident already was" in capsys.readouterr().out


def test_person_is_told_the_newest_alone_where_a_batch_has_it_first(
    start: Callable[..., Handler], aws: Faults
) -> None:
    handler = start("heart_rate")
    register(7, MOBILE)
    opened = fast_heart()[0]

    assert failed(handler(message(worse(opened)), message(opened), message(opened, id="redriven"))) == []

    assert len(texted(aws)) == 1  # of the newest


# Every step fails once, before it was done or after. At most the step whose answer was lost is done again.

FAULTS = [
    ("update_item", "project"),
    ("publish", "topic"),
    ("get_item", "number"),
    ("publish", "sms"),
    ("put_record_batch", "lake"),
]


@pytest.mark.semantics(line=10, clause="told")
@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize(("operation", "step"), FAULTS)
def test_failure_at_any_step_is_made_good_by_the_next_try(
    start: Callable[..., Handler], aws: Faults, operation: str, step: str, is_after: bool
) -> None:
    handler = start("heart_rate")
    register(7, MOBILE)
    fail = aws.after if is_after else aws.before
    only = {"topic": "TopicArn", "sms": "PhoneNumber"}.get(step, "")
    fail(
        operation,
        silence(),
        when=lambda request: (
            only in request if only else step != "number" or request["TableName"] == "people"
        ),
    )
    change = fast_heart()[0]

    assert failed(handler(message(change))) == [change.change_id]
    assert failed(handler(message(change))) == []

    done = [each for each in steps()[0] if each.startswith("done_")]
    assert sorted(done) == ["done_lake", "done_sms", "done_topic"]
    assert {row["alert_id"] for row in delivered("alerts")} == {
        f"{change.change_id}-topic",
        f"{change.change_id}-sms",
    }
    assert len(published(aws)) == (2 if step == "topic" else 1)
    assert len(texted(aws)) == (2 if step == "sms" else 1)


def test_failure_holds_back_its_incident_and_no_other(start: Callable[..., Handler], aws: Faults) -> None:
    handler = start()
    opened, escalated, resolved = hot_sensor()
    other = of_another_incident(opened)
    aws.before("publish", refusal("Publish", "Throttling", 400))

    answer = handler(*map(message, (opened, escalated, other, resolved)))

    assert failed(answer) == [opened.change_id, escalated.change_id, resolved.change_id]
    assert failed(handler(*map(message, (opened, escalated, resolved)))) == []
    assert published(aws)[1:] == [  # the first was refused
        "[HIGH] temperature sensor-1: too hot",
        "[HIGH] temperature sensor-1: too hot",
        "[CRITICAL, WORSE] temperature sensor-1: too hot",
        "[RESOLVED] temperature sensor-1: too hot",
    ]


def test_batch_that_fails_whole_is_answered_and_not_raised(
    start: Callable[..., Handler], aws: Faults
) -> None:
    handler = start()
    aws.before("publish", refusal("Publish", "Throttling", 400), times=9)

    assert failed(handler(*map(message, hot_sensor()))) == [each.change_id for each in hot_sensor()]


def test_failure_is_forgotten_in_the_next_batch(start: Callable[..., Handler], aws: Faults) -> None:
    handler = start()
    aws.before("publish", refusal("Publish", "Throttling", 400))
    handler(message(hot_sensor()[0]))

    assert failed(handler(message(hot_sensor()[0]))) == []


# A phone or the lake that fails for hours keeps nobody else from hearing what comes next.


def to_a_phone(request: dict[str, Any]) -> bool:
    return "PhoneNumber" in request


def worse(opened: IncidentChange) -> IncidentChange:
    return replace(opened, version=opened.version + 1, state=ESCALATED, severity=CRITICAL)


@pytest.mark.parametrize(
    ("operation", "code"), [("publish", "AuthorizationError"), ("get_item", "AccessDeniedException")]
)
def test_phone_that_cannot_be_texted_is_given_up_and_said_so(
    start: Callable[..., Handler],
    aws: Faults,
    capsys: pytest.CaptureFixture[str],
    operation: str,
    code: str,
) -> None:
    handler = start("heart_rate")
    register(7, MOBILE)
    is_sms = to_a_phone if operation == "publish" else lambda request: request["TableName"] == "people"
    aws.before(operation, refusal(operation, code, 403), times=99, when=is_sms)
    opened = fast_heart()[0]

    assert failed(handler(message(opened, tries=1))) == [opened.change_id]
    assert failed(handler(message(opened, tries=2))) == [opened.change_id]
    assert failed(handler(message(opened, tries=3))) == []

    printed = capsys.readouterr().out
    logs = [json.loads(each) for each in printed.splitlines()]
    (given_up,) = [each for each in logs if "is given up" in str(each.get("message"))]
    assert (given_up["level"], given_up["change_id"]) == ("ERROR", opened.change_id)
    assert [each["sms_given_up"] for each in logs if "sms_given_up" in each] == [[1.0]]
    assert MOBILE not in printed
    assert [row["channel"] for row in delivered("alerts")] == ["topic"]
    (item,) = steps()
    assert {each for each in item if each.startswith("done_")} == {
        "done_topic",
        "done_lake",
        "done_sms_given_up",
    }
    assert len(published(aws)) == 1


def test_sms_that_was_given_up_is_not_sent_by_a_later_try(start: Callable[..., Handler], aws: Faults) -> None:
    handler = start("heart_rate")
    register(7, MOBILE)
    aws.before("publish", refusal("Publish", "Throttling", 400), when=to_a_phone)
    aws.before("put_record_batch", silence())
    opened = fast_heart()[0]

    assert failed(handler(message(opened, tries=3))) == [opened.change_id]
    assert failed(handler(message(opened, tries=4))) == []

    assert len(texted(aws)) == 1
    assert [row["channel"] for row in delivered("alerts")] == ["topic"]


def test_operators_hear_on_while_a_phone_fails_and_the_person_in_order(
    start: Callable[..., Handler], aws: Faults
) -> None:
    handler = start("heart_rate")
    register(7, MOBILE)
    aws.before("publish", refusal("Publish", "Throttling", 400), when=to_a_phone)
    opened = fast_heart()[0]
    changes = [opened, worse(opened)]

    assert failed(handler(*map(message, changes))) == [each.change_id for each in changes]

    told = [
        "[HIGH] heart rate device 7: heart rate out of range",
        "[CRITICAL, WORSE] heart rate device 7: heart rate out of range",
    ]
    assert published(aws) == told
    assert len(texted(aws)) == 1  # and refused

    assert failed(handler(*(message(each, tries=2) for each in changes))) == []
    assert published(aws) == told
    assert len(texted(aws)) == 3
    assert len({row["alert_id"] for row in delivered("alerts")}) == 4


def test_operators_hear_on_while_the_lake_fails_and_it_misses_nothing(
    start: Callable[..., Handler], aws: Faults
) -> None:
    handler = start()
    aws.before("put_record_batch", refusal("PutRecordBatch", "AccessDeniedException", 400), times=2)
    opened, escalated, resolved = hot_sensor()

    assert failed(handler(message(opened))) == [opened.change_id]
    assert failed(handler(message(opened, tries=2), message(escalated), message(resolved))) == [
        opened.change_id,
        escalated.change_id,
        resolved.change_id,
    ]
    assert len(published(aws)) == 3

    # Redriven from the dead-letter queue, in any order.
    assert failed(handler(*map(message, (resolved, opened, escalated)))) == []
    assert len(published(aws)) == 3
    assert {row["change_id"] for row in delivered("alerts")} == {
        each.change_id for each in (opened, escalated, resolved)
    }


def test_operators_hear_of_the_whole_batch_before_anybody_waits_for_a_phone_or_the_lake(
    start: Callable[..., Handler], aws: Faults
) -> None:
    handler = start("heart_rate")
    register(7, MOBILE)
    opened = fast_heart()[0]

    handler(message(opened), message(of_another_incident(opened)))

    sent = [name for name, _ in aws.requests if name in ("publish", "put_record_batch")]
    assert sent == ["publish"] * 4 + ["put_record_batch"]
    assert ["TopicArn" in request for request in aws.requested("publish")] == [True, True, False, False]


SECRET = "MARKER-of-what-was-in-it"


def unfit(**changes: Any) -> str:
    return json.dumps({**hot_sensor()[0].to_row(), **changes})


@pytest.mark.parametrize(
    "body",
    [
        "",
        SECRET,
        f'["{SECRET}"]',
        json.dumps({"key": SECRET}),
        unfit(severity=SECRET),
        unfit(severity=None),
        unfit(since=SECRET),
        unfit(state=SECRET),
        unfit(contributions=[{SECRET: 1}]),
        unfit(contributions=7),
        unfit(pipeline="casino", key=SECRET),
    ],
)
def test_message_that_is_no_change_ends_aside_and_is_not_quoted(
    start: Callable[..., Handler], aws: Faults, capsys: pytest.CaptureFixture[str], body: str
) -> None:
    handler = start()
    good = of_another_incident(hot_sensor()[0])

    answer = handler(message(body, id="bad", group="g"), message(good), message("{}", id="after", group="g"))

    assert failed(answer) == ["bad", "after"]
    assert len(published(aws)) == 1
    printed = capsys.readouterr()
    assert SECRET not in printed.out + printed.err
    assert "holds no incident change of temperature" in printed.out


@pytest.mark.semantics(line=11, clause="log")
def test_number_and_name_are_in_no_log(
    start: Callable[..., Handler], aws: Faults, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = start("heart_rate", POWERTOOLS_LOG_LEVEL="DEBUG")
    register(7, MOBILE)
    answer: Any = {"Error": {"Code": "Throttling", "Message": f"PhoneNumber Reason: {MOBILE}"}}
    aws.before("publish", ClientError(answer, "Publish"), when=lambda request: "PhoneNumber" in request)
    handler(message(fast_heart()[0]))
    handler(message(fast_heart()[0]))
    register(7, f"{MOBILE}0000000000")
    handler(message(replace(fast_heart()[0], version=2, state=ESCALATED, severity=CRITICAL)))
    handler(message(replace(fast_heart()[1], version=3, state=RESOLVED)))

    printed = capsys.readouterr()
    everything = (
        printed.out + printed.err + json.dumps(delivered("alerts")) + json.dumps(steps(), default=str)
    )
    assert "SNS did not take the SMS (Throttling)" in printed.out
    assert MOBILE not in everything
    assert "MARKER" not in everything


def test_unknown_time_zone_still_tells(
    start: Callable[..., Handler], aws: Faults, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = start(FRESHET_TIME_ZONE="Europe/Atlantis")

    assert failed(handler(message(hot_sensor()[0]))) == []

    assert len(published(aws)) == 1
    assert "The time zone is unknown" in capsys.readouterr().out
