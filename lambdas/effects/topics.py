"""The alerts' topic, and SMS to single numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from botocore.exceptions import BotoCoreError, ClientError

from lambdas.effects import clients

INTERNATIONAL = re.compile(r"\+[1-9]\d{6,14}")  # E.164
REFUSALS = frozenset({"InvalidParameter", "InvalidParameterException", "InvalidParameterValue", "OptedOut"})


def text_attribute(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


# An SMS that may arrive late to save money is of no use here; other protocols pass the attribute over.
TRANSACTIONAL = {"AWS.SNS.SMS.SMSType": text_attribute("Transactional")}


class NotSent(RuntimeError):
    """An SMS that was not taken this time; its message names no number, unlike what SNS answers."""


class Refused(NotSent):
    """An SMS that will never be taken: the number is none, or its owner wants no more."""


class Topic:
    """The topic whose subscribers are told, each in the form of its protocol."""

    def __init__(self, arn: str) -> None:
        self._arn = arn

    def publish(
        self, *, subject: str, email: str, sms: str, machine: str, attributes: Mapping[str, str]
    ) -> None:
        clients.client("sns").publish(
            TopicArn=self._arn,
            Subject=subject,
            MessageStructure="json",
            Message=json.dumps({"default": machine, "email": email, "sms": sms}, ensure_ascii=False),
            MessageAttributes={name: text_attribute(value) for name, value in attributes.items()}
            | TRANSACTIONAL,
        )


def send_sms(number: str, text: str) -> None:
    """Sends an SMS to a number in international form, as `+49 151 23456789`; raises `NotSent`, `Refused`."""
    dialled = re.sub(r"[\s().\-/]", "", number)
    if not INTERNATIONAL.fullmatch(dialled):
        raise Refused("The number is not in international form, as +4915123456789; correct the reference.")
    try:
        clients.client("sns").publish(
            PhoneNumber=dialled,
            Message=text,
            MessageAttributes=TRANSACTIONAL,
        )
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in REFUSALS:
            raise Refused(f"SNS refuses the number ({code}); ask its owner for another.") from None
        raise NotSent(f"SNS did not take the SMS ({code}); look at the account's SMS limits.") from None
    except BotoCoreError as error:
        raise NotSent(f"SNS was not reached for an SMS ({type(error).__name__}).") from None
