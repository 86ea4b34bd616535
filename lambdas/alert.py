"""Entry point: incident changes from the pipeline's FIFO queue, told to whoever must know, each once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse, PartialItemFailures
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.alerting.message import Message, compose
from lambdas.alerting.routing import LAKE, SMS, TOPIC, sms_lookup
from lambdas.columns import lake_time
from lambdas.effects import metrics
from lambdas.effects.incidents import Incidents, Projection
from lambdas.effects.phones import Phones
from lambdas.effects.results import Results
from lambdas.effects.sending import Owed
from lambdas.effects.settings import AlertSettings, SettingsError
from lambdas.effects.topics import NotSent, Refused, Topic, send_sms
from lambdas.incidents import STATES, IncidentChange

logger = Logger()


SMS_TRIES = 3  # receipts of a message, six minutes apart, after which its SMS is given up
SMS_GIVEN_UP = "sms_given_up"  # a step in place of the SMS


class NoChange(ValueError):
    """A message that holds no incident change of this pipeline; its text quotes nothing of the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A change that the topic has been told of, and the rows of the channels that have it."""

    message_id: str
    tries: int
    sent_at: str
    change: IncidentChange
    message: Message
    rows: list[dict[str, Any]] = field(default_factory=list)


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
    """Answers with the messages to be tried again: each that failed, and those after it of its incident where
    the topic was not told. What fails after that holds back nobody's alert.
    """
    begun: list[Begun] = []
    answer = process_partial_response(event, partial(tell_topic, begun=begun), processor, context)
    told = list(tell_persons(begun))
    noted = note_in_lake(told)
    left = [each.message_id for each in begun if each.message_id not in noted]
    failures: list[PartialItemFailures] = [{"itemIdentifier": message_id} for message_id in left]
    return {"batchItemFailures": [*answer["batchItemFailures"], *failures]}


def tell_topic(record: SQSRecord, begun: list[Begun]) -> None:
    """Tells the topic of one message's change; what an earlier try has done is left out."""
    try:
        change = change_in(record)
        projection = incidents.project(change)
        if projection.is_done(LAKE):
            return
        each = Begun(
            message_id=record.message_id,
            tries=int(record.attributes.approximate_receive_count),
            # When it was first received stands for when it was sent: a repeat says the same.
            sent_at=lake_time(int(record.attributes.approximate_first_receive_timestamp) / 1000),
            change=change,
            message=compose(change, pipeline=pipeline, zone=zone),
        )
        tell(each, projection, TOPIC, publish)
        begun.append(each)
    except Exception as error:
        log_failure(error, record.message_id)
        raise


def tell_persons(begun: Iterable[Begun]) -> Iterator[Begun]:
    """Sends the SMS of each change and gives those that need none any more. After one that failed, those of
    its incident wait for the next try: nobody hears that something is over before it began.
    """
    waiting: set[str] = set()
    for each in begun:
        if each.change.incident_id in waiting:
            continue
        try:
            if sms_lookup(each.change, pipeline) is not None:
                # Asked anew: an earlier message of the batch may have changed it.
                projection = incidents.project(each.change)
                if not projection.is_done(SMS_GIVEN_UP):
                    tell(each, projection, SMS, text)
            yield each
        except Exception as error:
            log_failure(error, each.message_id)
            waiting.add(each.change.incident_id)


def note_in_lake(told: Iterable[Begun]) -> set[str]:
    """Puts the rows into the lake and gives the ids of the messages that are finished by that."""
    told = list(told)
    noted: set[str] = set()
    try:
        results.send(Owed("alert", row["alert_id"], row) for each in told for row in each.rows)
        for each in told:
            incidents.mark(each.change, LAKE)
            noted.add(each.message_id)
    except Exception as error:
        log_failure(error, *(each.message_id for each in told if each.message_id not in noted))
    return noted


def log_failure(error: Exception, *message_ids: str) -> None:
    if isinstance(error, NoChange | NotSent):
        logger.error(str(error), message_ids=message_ids)
    else:
        logger.exception("A change could not be told; it is tried again.", message_ids=message_ids)


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


def tell(each: Begun, projection: Projection, channel: str, hand_over: Callable[[Begun], bool]) -> None:
    """Hands the change to a channel that has not had it, and adds a row for one that has it now."""
    if not projection.is_done(channel):
        if projection.is_overtaken(channel):
            logger.warning(
                "A change is not told: a newer one of its incident already was.",
                change_id=each.change.change_id,
            )
            return
        if not hand_over(each):
            return
        incidents.mark(each.change, channel)
    each.rows.append({**row(each.change, each.message, channel), "sent_at": each.sent_at})


def publish(each: Begun) -> bool:
    topic.publish(
        subject=each.message.subject,
        email=each.message.email,
        sms=each.message.sms,
        machine=each.message.machine,
        attributes=each.message.attributes,
    )
    return True


def text(each: Begun) -> bool:
    """Sends an SMS to the person concerned; false where nobody is, no number can be reached, or it was tried
    often enough.
    """
    change = each.change
    lookup = sms_lookup(change, pipeline)
    if lookup is None:
        return False
    try:
        number = phones.number(lookup.reference, key=lookup.key, column=lookup.column)
        if number is None:
            logger.info("Nobody is registered to be told by SMS.", incident_id=change.incident_id)
            return False
        send_sms(number, each.message.direct_sms)
    except Refused as refused:
        logger.warning(str(refused), incident_id=change.incident_id, reference=lookup.reference)
        return False
    except Exception as error:
        if each.tries < SMS_TRIES:
            raise
        incidents.mark(change, SMS_GIVEN_UP)
        logger.error(
            "The SMS of a change is given up, so the person concerned was not told of it; tell them, and "
            "look at the account's SMS limits and the function's rights.",
            change_id=change.change_id,
            reference=lookup.reference,
            # Another error than these may quote what was looked up.
            reason=str(error) if isinstance(error, NotSent | SettingsError) else type(error).__name__,
        )
        metrics.count(pipeline.name, {"sms_given_up": 1})
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
