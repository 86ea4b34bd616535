"""Entry point: incident changes from the pipeline's FIFO queue, told to whoever must know, each once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.alerting.message import Message, compose
from lambdas.alerting.routing import LAKE, SMS, TOPIC, sms_lookup
from lambdas.columns import lake_time
from lambdas.effects.incidents import Incidents, Projection
from lambdas.effects.phones import Phones
from lambdas.effects.results import Results
from lambdas.effects.sending import Owed
from lambdas.effects.settings import AlertSettings
from lambdas.effects.topics import NotSent, Refused, Topic, send_sms
from lambdas.incidents import STATES, IncidentChange

logger = Logger()


class NoChange(ValueError):
    """A message that holds no incident change of this pipeline; its text quotes nothing of the message."""


def operators_zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        # An alert with times in UTC is worth more than none.
        logger.warning("The time zone is unknown; times are given in UTC alone.", time_zone=name)
        return UTC


settings = AlertSettings.of_environment()
pipeline = settings.load_pipeline()
zone = operators_zone(settings.time_zone)
incidents = Incidents(settings.incidents_table)
topic = Topic(settings.alerts_topic_arn)
phones = Phones(settings.reference_tables)
results = Results(settings.result_streams)
processor = SqsFifoPartialProcessor(skip_group_on_error=True)
processor.raise_on_entire_batch_failure = False  # an error would print what each message failed of


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Answers with the messages to be tried again: each that failed, and those after it of its incident."""
    return process_partial_response(event, tell_of, processor, context)


def tell_of(record: SQSRecord) -> None:
    """Tells of one message's change; what an earlier try or another message has done is left out."""
    try:
        change = change_in(record)
        # When it was first received stands for when it was sent: a repeat says the same.
        sent_at = lake_time(int(record.attributes.approximate_first_receive_timestamp) / 1000)
        projection = incidents.project(change)
        if projection.is_done(LAKE):
            return
        told = list(tell(change, projection))
        results.send(Owed("alert", row["alert_id"], {**row, "sent_at": sent_at}) for row in told)
        incidents.mark(change, LAKE)
    except (NoChange, NotSent) as error:
        logger.error(str(error), message_id=record.message_id)
        raise
    except Exception:
        logger.exception("A change could not be told; it is tried again.", message_id=record.message_id)
        raise


def change_in(record: SQSRecord) -> IncidentChange:
    try:
        change = IncidentChange.from_row(json.loads(record.body))
        if change.pipeline != pipeline.name or change.state not in STATES:
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise NoChange(
            f"The message holds no incident change of {pipeline.name}, so nobody can be told of it; it ends "
            "in the queue of undelivered changes. Look there at what was put into the queue, and by whom."
        ) from None
    return change


def tell(change: IncidentChange, projection: Projection) -> Iterator[dict[str, Any]]:
    """Hands the change to each channel that has not had it, and gives a row for each that has it now."""
    message = compose(change, pipeline=pipeline, zone=zone)
    for channel, hand_over in ((TOPIC, publish), (SMS, text)):
        if projection.is_done(channel):
            yield row(change, message, channel)
        elif projection.is_overtaken(channel):
            logger.warning(
                "A change is not told: a newer one of its incident already was.", change_id=change.change_id
            )
        elif hand_over(change, message):
            incidents.mark(change, channel)
            yield row(change, message, channel)


def publish(_change: IncidentChange, message: Message) -> bool:
    topic.publish(
        subject=message.subject,
        email=message.email,
        sms=message.sms,
        machine=message.machine,
        attributes=message.attributes,
    )
    return True


def text(change: IncidentChange, message: Message) -> bool:
    """Sends an SMS to the person concerned; false where nobody is, or no number can be reached."""
    lookup = sms_lookup(change, pipeline)
    if lookup is None:
        return False
    number = phones.number(lookup.reference, key=lookup.key, column=lookup.column)
    if number is None:
        logger.info("Nobody is registered to be told by SMS.", incident_id=change.incident_id)
        return False
    try:
        send_sms(number, message.direct_sms)
    except Refused as refused:
        logger.warning(str(refused), incident_id=change.incident_id, reference=lookup.reference)
        return False
    return True


def row(change: IncidentChange, message: Message, channel: str) -> dict[str, Any]:
    """A row of the table of alerts, but for when it was sent."""
    return {
        "alert_id": f"{change.change_id}-{channel}",
        "change_id": change.change_id,
        "incident_id": change.incident_id,
        "pipeline": change.pipeline,
        "detector": change.detector,
        "key": change.key,
        "state": change.state,
        "severity": change.severity.name.lower(),
        "audience": message.attributes["audience"],
        "channel": channel,
        "subject": "" if channel == SMS else message.subject,
        "changed_at": lake_time(change.changed_at),
    }
