"""What people are sent when an incident opens, gets worse or is over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any

from lambdas.alerting.characters import shorten, to_ascii
from lambdas.alerting.mail import mail
from lambdas.alerting.routing import attributes, has_direct_sms
from lambdas.alerting.sms import direct_sms, topic_sms
from lambdas.alerting.story import Story
from lambdas.incidents import IncidentChange
from lambdas.model import Pipeline

LONGEST_SUBJECT = 79
MOST_CHARACTERS = 300
MOST_PARTS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One change in the forms that its channels carry.

    `machine` is the change as JSON, for subscribers that are programs. `direct_sms` is for the person
    concerned and empty where none is told. `attributes` are what a subscription can be filtered by.
    """

    subject: str
    email: str
    sms: str
    direct_sms: str
    machine: str
    attributes: Mapping[str, str]


def compose(change: IncidentChange, *, pipeline: Pipeline, zone: tzinfo = UTC) -> Message:
    """The message for a change, with times in the operators' zone and in UTC.

    Whatever a key or a value holds, the subject is one line of ASCII below 80 characters, an SMS one part,
    and all forms together fit what SNS carries.
    """
    story = Story(change, pipeline, zone)
    return Message(
        subject=story.headline(
            f"[{story.tag}] ", story.who, spell=to_ascii, most=LONGEST_SUBJECT, measure=len
        ),
        email=mail(story),
        sms=topic_sms(story),
        direct_sms=direct_sms(story) if has_direct_sms(change, pipeline) else "",
        machine=json.dumps(bounded(change.to_row()), ensure_ascii=False),
        attributes=attributes(change, pipeline),
    )


def bounded(part: Any) -> Any:
    """A row with its longest texts and lists cut, and no half of a character's pair left alone.

    A subscription that needs them whole finds them in the lake by the change's id.
    """
    if isinstance(part, str):
        return shorten(part, MOST_CHARACTERS).encode("utf-8", "replace").decode()
    if isinstance(part, Mapping):
        return {bounded(name): bounded(each) for name, each in list(part.items())[:MOST_PARTS]}
    if isinstance(part, list | tuple):
        return [bounded(each) for each in part[:MOST_PARTS]]
    return part
