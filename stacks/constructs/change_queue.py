"""Incident changes on their way from the shards to people."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_sqs as sqs
from constructs import Construct

# Over an hour of an outage at six minutes a try; then a person has to look.
TRIES = 12


class ChangeQueue(Construct):
    """A FIFO queue, one incident's changes in order, and another where undeliverable ones wait for a person.

    Senders name the group (the incident) and the deduplication id (incident and version) themselves.
    """

    def __init__(self, scope: Construct, id: str, *, handling: cdk.Duration) -> None:
        super().__init__(scope, id)
        self.undelivered = self._queue("Undelivered")
        self.queue = self._queue(
            "Queue",
            # What Lambda asks for: six times as long as the function may take.
            visibility_timeout=cdk.Duration.seconds(handling.to_seconds() * 6),
            dead_letter_queue=sqs.DeadLetterQueue(max_receive_count=TRIES, queue=self.undelivered),
        )

    def _queue(
        self,
        id: str,
        *,
        visibility_timeout: cdk.Duration | None = None,
        dead_letter_queue: sqs.DeadLetterQueue | None = None,
    ) -> sqs.Queue:
        return sqs.Queue(
            self,
            id,
            fifo=True,
            content_based_deduplication=False,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(14),
            visibility_timeout=visibility_timeout,
            dead_letter_queue=dead_letter_queue,
        )
