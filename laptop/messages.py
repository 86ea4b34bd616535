"""What people get: each published message by each subscription that wants it, as its channel carries it.

Not honoured: confirming a subscription, delivery by carriers, a text in parts, limits on rate and spending.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any  # moto's backends have no types

from moto.sns.models import sns_backends
from moto.sns.utils import FilterPolicyMatcher

from laptop.cloud import Cloud
from laptop.resources import ACCOUNT
from laptop.services import NotHonoured

CHANNELS = ("email", "sms")


@dataclass(frozen=True)
class Message:
    """One message to one person. `subject` is an e-mail's; `attributes` are what it was routed by."""

    channel: str
    to: str
    subject: str
    body: str
    attributes: dict[str, str]


class Mailbox:
    """Reads what was published since the last look."""

    def __init__(self, cloud: Cloud) -> None:
        self._backend = sns_backends[ACCOUNT][cloud.region]
        self._seen: dict[str, int] = {}
        self._texted = 0
        for resource in cloud.of_type("AWS::SNS::Subscription"):
            protocol = resource.properties["Protocol"]
            if protocol not in CHANNELS:
                raise NotHonoured(
                    f"{resource.logical_id} is by {protocol}; the laptop shows {' and '.join(CHANNELS)}."
                )

    def collect(self) -> Iterator[Message]:
        """New messages: those of topics by subscription, then those sent straight to a number."""
        for arn, topic in self._backend.topics.items():
            published = topic.sent_notifications[self._seen.get(arn, 0) :]
            self._seen[arn] = len(topic.sent_notifications)
            subscriptions = [one for one in self._backend.subscriptions.values() if one.topic.arn == arn]
            for _, text, subject, attributes, _ in published:
                for subscription in subscriptions:
                    if self._wants(subscription, attributes or {}, text):
                        yield self._message(subscription, text, subject or "", attributes or {})
        texted = list(self._backend.sms_messages.values())
        for number, text in texted[self._texted :]:
            yield Message("sms", number, "", text, {"direct": "yes"})
        self._texted = len(texted)

    def _wants(self, subscription: Any, attributes: dict[str, Any], text: str) -> bool:
        policy = json.loads(subscription.attributes.get("FilterPolicy") or "{}")
        scope = subscription.attributes.get("FilterPolicyScope", "MessageAttributes")
        return not policy or bool(FilterPolicyMatcher(policy, scope).matches(attributes, text))

    def _message(self, subscription: Any, text: str, subject: str, attributes: dict[str, Any]) -> Message:
        channel = subscription.protocol
        try:
            bodies = json.loads(text)
        except json.JSONDecodeError:
            bodies = text
        body = text
        if isinstance(bodies, dict) and "default" in bodies:
            body = str(bodies.get(channel, bodies["default"]))
        if channel == "sms":
            name = (subscription.topic.display_name or "").upper()
            body, subject = (f"{name}> {body}" if name else body), ""
        plain = {name: str(each.get("Value", "")) for name, each in attributes.items()}
        return Message(channel, subscription.endpoint, subject, body, plain)
