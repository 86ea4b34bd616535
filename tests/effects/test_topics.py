"""One publish for every protocol, and SMS to a number that no error repeats."""

import json
import traceback
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.sns.models import sns_backends

from lambdas.effects.topics import NotSent, Refused, Topic, send_sms
from tests.effects.support import Faults, real, refusal, silence

NUMBER = "+4915123456789"


def backend() -> Any:
    return sns_backends[DEFAULT_ACCOUNT_ID]["eu-central-1"]


def test_each_protocol_gets_its_form_and_filters_get_their_attributes(aws: Faults) -> None:
    arn = real("sns").create_topic(Name="alerts")["TopicArn"]

    Topic(arn).publish(
        subject="[HIGH] temperature sensor-1: too hot",
        email="35 °C\n",
        sms="35 C",
        machine="{}",
        attributes={"severity": "high", "state": "opened"},
    )

    (request,) = aws.requested("publish")
    assert json.loads(request["Message"]) == {"default": "{}", "email": "35 °C\n", "sms": "35 C"}
    assert request["MessageStructure"] == "json"
    assert request["Subject"] == "[HIGH] temperature sensor-1: too hot"
    assert request["MessageAttributes"]["severity"] == {"DataType": "String", "StringValue": "high"}
    assert request["MessageAttributes"]["AWS.SNS.SMS.SMSType"]["StringValue"] == "Transactional"
    assert len(backend().topics[arn].sent_notifications) == 1


def test_topic_that_refuses_raises(aws: Faults) -> None:
    aws.before("publish", refusal("Publish", "NotFound", 404))

    with pytest.raises(Exception, match="NotFound"):
        Topic("arn:aws:sns:eu-central-1:123456789012:gone").publish(
            subject="s", email="e", sms="s", machine="{}", attributes={}
        )


@pytest.mark.parametrize("number", [NUMBER, "+49 151 234-567/89", " +49 (151) 234.56789 "])
def test_number_may_be_written_as_people_write_it(aws: Faults, number: str) -> None:
    send_sms(number, "Freshet: look.")

    (request,) = aws.requested("publish")
    assert (request["PhoneNumber"], request["Message"]) == (NUMBER, "Freshet: look.")
    assert request["MessageAttributes"]["AWS.SNS.SMS.SMSType"]["StringValue"] == "Transactional"


@pytest.mark.parametrize("number", ["015123456789", "none", "+0123456789", "+49", "+4915123456789x", ""])
def test_what_is_no_international_number_is_refused_before_it_is_dialled(aws: Faults, number: str) -> None:
    with pytest.raises(Refused):
        send_sms(number, "Freshet: look.")

    assert aws.requested("publish") == []


def test_number_that_sns_will_never_take_is_refused(aws: Faults) -> None:
    aws.before("publish", refusal("Publish", "InvalidParameter", 400))

    with pytest.raises(Refused):
        send_sms(NUMBER, "Freshet: look.")


@pytest.mark.parametrize("code", ["Throttling", "InvalidParameter"])
def test_error_names_no_number(aws: Faults, code: str) -> None:
    answer: Any = {"Error": {"Code": code, "Message": f"Invalid parameter: PhoneNumber Reason: {NUMBER}"}}
    aws.before("publish", ClientError(answer, "Publish"))

    with pytest.raises(NotSent) as raised:
        send_sms(NUMBER, "Freshet: look.")

    assert isinstance(raised.value, Refused) == (code == "InvalidParameter")
    printed = "".join(traceback.format_exception(raised.value))
    assert code in printed
    assert NUMBER not in printed


def test_silence_is_tried_again(aws: Faults) -> None:
    aws.before("publish", silence())

    with pytest.raises(NotSent, match="was not reached") as raised:
        send_sms(NUMBER, "Freshet: look.")

    assert not isinstance(raised.value, Refused)
