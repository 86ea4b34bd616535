"""What devices publish reaches a stream by the deployed topic rules, and what cannot lands in S3."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from laptop.iot import Iot
from laptop.kinesis import ShardReader
from laptop.services import NotHonoured
from tests.laptop.small_cloud import SmallCloud, small_cloud


@pytest.fixture
def cloud() -> Iterator[SmallCloud]:
    with small_cloud() as cloud:
        cloud.bucket("lake")
        cloud.stream("events")
        yield cloud


def ruled(
    cloud: SmallCloud,
    *,
    partition_key: str = "${clientid()}",
    key: str = "errors/${newuuid()}",
    **properties: Any,
) -> Iot:
    role = cloud.role("rule-role", denied=properties.pop("denied", "nothing:AtAll"))
    to = {"StreamName": "events", "PartitionKey": partition_key, "RoleArn": role}
    payload = {
        "Sql": "SELECT * FROM 'sensors/+/reading'",
        "AwsIotSqlVersion": "2016-03-23",
        "Actions": [{"Kinesis": to}],
        "ErrorAction": {"S3": {"BucketName": "lake", "Key": key, "RoleArn": role}},
        **properties,
    }
    cloud.add("AWS::IoT::TopicRule", "Rule", {"TopicRulePayload": payload}, physical_id="readings")
    return Iot(cloud, cloud.kinesis)


def arrived(cloud: SmallCloud) -> list[tuple[str, bytes]]:
    """Return the partition key and the data of what is in the stream."""
    stream = cloud.kinesis.stream_for(cloud.role("reader"), "lambda.amazonaws.com", "events")
    waiting = ShardReader(stream).waiting()
    return [(one.partition_key, base64.b64decode(one.data)) for _, records in waiting for one in records]


@pytest.mark.fidelity(
    service="IoT",
    behaviour="`SELECT *` passes a payload on, JSON or not",
    source="https://docs.aws.amazon.com/iot/latest/developerguide/binary-payloads.html",
    falls_short="its very bytes; AWS may write JSON anew",
)
def test_message_goes_into_the_stream_as_it_is(cloud: SmallCloud) -> None:
    # given
    iot = ruled(cloud)
    # when
    iot.publish("sensors/1/reading", b'{ "degrees": 20 }', "device-1")
    iot.publish("sensors/2/reading", b"\x00no json", "device-2")
    # then
    assert arrived(cloud) == [("device-1", b'{ "degrees": 20 }'), ("device-2", b"\x00no json")]
    assert cloud.objects("lake") == {}


@pytest.mark.fidelity(
    service="IoT",
    behaviour="`+` stands for one level, `#` for one or more at the end; case counts",
    source="https://docs.aws.amazon.com/iot/latest/developerguide/mqtt.html",
)
@pytest.mark.parametrize(
    ("topic_filter", "topic", "listens"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/b", "a", False),
        ("a/b", "A/b", False),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("+/b", "a/b", True),
        ("a/#", "a/b/c", True),
        ("a/#", "a", False),
        ("a/#", "a/", True),
        ("a/#", "b/c", False),
        ("a/+/c/#", "a/b/c/d", True),
        ("#", "a/b", True),
    ],
)
def test_rule_listens_by_its_topic_filter(
    cloud: SmallCloud, topic_filter: str, topic: str, listens: bool
) -> None:
    # given
    iot = ruled(cloud, Sql="select * from 'TOPIC'".replace("TOPIC", topic_filter))
    # when
    iot.publish(topic, b"{}", "device")
    # then
    assert len(arrived(cloud)) == listens


@pytest.mark.fidelity(
    service="IoT",
    behaviour="a partition key is filled from the payload, the topic, the client's id or the time",
    source="https://docs.aws.amazon.com/iot/latest/developerguide/kinesis-rule-action.html",
    falls_short="functions other than clientid, newuuid, timestamp, topic and parse_time are refused",
)
@pytest.mark.parametrize(
    ("partition_key", "filled"),
    [
        ("${topic()}", "sensors/1/reading"),
        ("${place.room}", "attic"),
        ("${ number }-${clientid()}", "7-device"),
        ("${clientId()}", "device"),
        ("${is_new}", "true"),
        ("${timestamp()}", "1767607200000"),
        ("fixed", "fixed"),
    ],
)
def test_partition_key_is_filled_from_the_message(cloud: SmallCloud, partition_key: str, filled: str) -> None:
    # given
    iot = ruled(cloud, partition_key=partition_key)
    # when
    iot.publish("sensors/1/reading", b'{"place": {"room": "attic"}, "number": 7, "is_new": true}', "device")
    # then
    assert [key for key, _ in arrived(cloud)] == [filled]


@pytest.mark.fidelity(
    service="IoT",
    behaviour="newuuid() is new for each message",
    source="https://docs.aws.amazon.com/iot/latest/developerguide/iot-sql-functions.html",
)
def test_new_uuid_is_new_for_each_message(cloud: SmallCloud) -> None:
    # given
    iot = ruled(cloud, partition_key="${newuuid()}")
    # when
    for _ in range(2):
        iot.publish("sensors/1/reading", b"{}", "device")
    # then
    first, second = (key for key, _ in arrived(cloud))
    assert re.fullmatch(r"[0-9a-f-]{36}", first)
    assert first != second


@pytest.mark.fidelity(
    service="IoT",
    behaviour="an action that fails goes to the error action with rule, topic, client, payload and reason",
    source="https://docs.aws.amazon.com/iot/latest/developerguide/rule-error-handling.html",
    falls_short="that a partition key without its field fails is taken from no page",
)
@pytest.mark.parametrize("payload", [b"no json", b"{}", b'{"place": 1}', b'{"place": {"room": {}}}', b"[1]"])
def test_message_without_the_partition_keys_field_goes_to_the_error_action(
    cloud: SmallCloud, payload: bytes
) -> None:
    # given
    hour = '${parse_time("yyyy-MM-dd-HH", timestamp())}'
    iot = ruled(cloud, partition_key="${place.room}", key=f"errors/dt={hour}/${{newuuid()}}")
    # when
    iot.publish("sensors/1/reading", payload, "device")
    # then
    assert arrived(cloud) == []
    ((key, body),) = cloud.objects("lake").items()
    assert re.fullmatch(r"errors/dt=2026-01-05-10/[0-9a-f-]{36}", key)
    document = json.loads(body)
    assert document.pop("cloudwatchTraceId")
    assert document == {
        "ruleName": "readings",
        "topic": "sensors/1/reading",
        "clientId": "device",
        "base64OriginalPayload": base64.b64encode(payload).decode(),
        "failures": [
            {
                "failedAction": "KinesisAction",
                "failedResource": "events",
                "errorMessage": "The payload has no value at place.room.",
            }
        ],
    }


@pytest.mark.fidelity(
    service="IoT",
    behaviour="a disabled rule does nothing",
    source="https://docs.aws.amazon.com/iot/latest/apireference/API_TopicRulePayload.html",
)
@pytest.mark.parametrize("topic_filter", ["sensors/+/reading", "#"])
def test_disabled_rule_does_nothing(cloud: SmallCloud, topic_filter: str) -> None:
    # given
    sql = "SELECT * FROM 'TOPIC'".replace("TOPIC", topic_filter)
    iot = ruled(cloud, Sql=sql, RuleDisabled=True)
    # when
    iot.publish("sensors/1/reading", b"{}", "device")
    # then
    assert arrived(cloud) == []


@pytest.mark.fidelity(
    service="IoT",
    behaviour="a message has 128 KB at most",
    source="https://docs.aws.amazon.com/iot/latest/developerguide/jobs-http-api.html",
)
def test_message_longer_than_iot_takes_is_refused(cloud: SmallCloud) -> None:
    with pytest.raises(ValueError, match=r"131,073 bytes.*Send parts"):
        ruled(cloud).publish("sensors/1/reading", b"x" * 131_073, "device")


@pytest.mark.fidelity(
    service="IoT",
    behaviour="a rule puts into its stream with a role of its own",
    source="https://docs.aws.amazon.com/iot/latest/developerguide/kinesis-rule-action.html",
    falls_short="a refusal stops the run, where AWS goes on to the error action",
)
def test_role_that_may_not_put_stops_the_rule(cloud: SmallCloud) -> None:
    with pytest.raises(ClientError, match="kinesis:PutRecord"):
        ruled(cloud, denied="kinesis:PutRecord")


@pytest.mark.fidelity(
    service="IoT",
    behaviour="the error action has a role of its own",
    source="https://docs.aws.amazon.com/iot/latest/developerguide/rule-error-handling.html",
    falls_short="a refusal stops the run, where AWS logs it",
)
def test_errors_are_written_with_the_rules_role(cloud: SmallCloud) -> None:
    iot = ruled(cloud, partition_key="${missing}", denied="s3:PutObject")
    with pytest.raises(ClientError, match="s3:PutObject"):
        iot.publish("sensors/1/reading", b"{}", "device")


@pytest.mark.parametrize(
    ("properties", "named"),
    [
        ({"Sql": "SELECT degrees FROM 'a/b'"}, "SELECT degrees"),
        ({"Sql": "SELECT * FROM 'a/b' WHERE degrees > 20"}, "WHERE"),
        ({"AwsIotSqlVersion": "2015-10-08"}, "AwsIotSqlVersion"),
        ({"Actions": [{"Lambda": {}}]}, "Lambda"),
        ({"Actions": []}, "actions"),
        ({"ErrorAction": {"Sns": {}}}, "Sns"),
        ({"partition_key": "${rand()}"}, "rand"),
        ({"Unknown": 1}, "Unknown"),
    ],
)
def test_rule_that_is_not_imitated_is_named(
    cloud: SmallCloud, properties: dict[str, Any], named: str
) -> None:
    with pytest.raises(NotHonoured, match=named):
        ruled(cloud, **properties)
