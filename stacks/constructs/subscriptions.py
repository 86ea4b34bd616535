"""Who is told: the subscriptions of a topic, each with the filter that its recipient asked for."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as protocols
from constructs import Construct

from stacks.settings import Recipient


class Subscriptions(Construct):
    """A recipient's non-empty lists become a filter on the attributes pipeline, severity and audience."""

    def __init__(
        self, scope: Construct, id: str, *, topic: sns.ITopic, recipients: Sequence[Recipient]
    ) -> None:
        super().__init__(scope, id)
        for recipient in recipients:
            topic.add_subscription(
                protocols.EmailSubscription(recipient.email, filter_policy=_filter(recipient))
                if recipient.email
                else protocols.SmsSubscription(recipient.sms, filter_policy=_filter(recipient))
            )


def _filter(recipient: Recipient) -> dict[str, sns.SubscriptionFilter] | None:
    wanted = {
        "pipeline": recipient.pipelines,
        "severity": recipient.severities,
        "audience": (recipient.audience,) if recipient.audience else (),
    }
    filters = {
        attribute: sns.SubscriptionFilter.string_filter(allowlist=list(values))
        for attribute, values in wanted.items()
        if values
    }
    return filters or None
