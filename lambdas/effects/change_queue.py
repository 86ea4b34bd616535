"""Incident changes on their way to the alert function: a FIFO queue, the changes of an incident in order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from lambdas.effects import clients
from lambdas.effects.sending import Item, batches, deliver, shortened

MOST_MESSAGES, MOST_BYTES = 10, 250_000  # of one call, which an older queue allows one message, too


class ChangeQueue:
    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, changes: Iterable[Item]) -> None:
        """Sends each change as a message; raises `Undelivered`. A change that was sent before is not doubled
        within five minutes, and recognised by its version after that.
        """
        messages = [(change, message(change)) for change in changes]
        for batch in batches(messages, lambda each: len(each[1]), most=MOST_MESSAGES, most_bytes=MOST_BYTES):
            for part in without_repeats(batch):
                deliver(part, self._put, self._url)

    def _put(self, messages: list[tuple[Item, str]]) -> list[tuple[tuple[Item, str], str]]:
        answer = clients.client("sqs").send_message_batch(
            QueueUrl=self._url,
            Entries=[
                {
                    "Id": str(index),
                    "MessageBody": body,
                    "MessageGroupId": change.body["incident_id"],
                    "MessageDeduplicationId": change.body["change_id"],
                }
                for index, (change, body) in enumerate(messages)
            ],
        )
        return [(messages[int(failed["Id"])], failed["Code"]) for failed in answer.get("Failed", ())]


def message(change: Item) -> str:
    # Python's encoder, not orjson: it writes ASCII, and SQS refuses a message for some characters beyond.
    body = json.dumps(change.body)
    return body if len(body) <= MOST_BYTES else json.dumps(shortened(change.body))


def without_repeats(batch: list[tuple[Item, str]]) -> Iterator[list[tuple[Item, str]]]:
    """The batch, cut before each second change of an incident: sent together, an earlier one that is refused
    at first would come after a later one.
    """
    part: dict[str, tuple[Item, str]] = {}
    for each in batch:
        incident_id = each[0].body["incident_id"]
        if incident_id in part:
            yield list(part.values())
            part = {}
        part[incident_id] = each
    if part:
        yield list(part.values())
