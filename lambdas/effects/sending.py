"""What every way out of a function has in common: items, batches within a service's limits, patience."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

from botocore.exceptions import ClientError

T = TypeVar("T")
TRIES = 5
# Of a batch: the waits between them come to 10 to 19 s. Given up sooner, a large outbox would begin with its
# first record again each time that a stream is throttled; later, alert and tick would be cut off.
PATIENT_TRIES = 9
LONGEST_WAIT = 6.4  # seconds
# A throttled service may also refuse a whole call: Firehose with the first code, SQS with the next two,
# Kinesis with the others.
BUSY = frozenset(
    {
        "ServiceUnavailableException",
        "RequestThrottled",
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
        "KMSThrottlingException",
    }
)
MOST_TEXT = 1_000  # characters that a text keeps in a row that is too large for its channel


class Undelivered(RuntimeError):
    """A service went on refusing what was sent; the message says which and why."""


class Item(Protocol):
    """What a commit owes the world: a row of one of the shared tables, or a metric."""

    @property
    def kind(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def body(self) -> Mapping[str, Any]: ...


class Owed(NamedTuple):
    """An item as it is read back from the state log."""

    kind: str
    id: str
    body: Mapping[str, Any]


def attempts(most: int = TRIES) -> Iterator[int]:
    """Counts tries from 0 and waits between them, longer each time and never in step with other functions."""
    for attempt in range(most):
        if attempt:
            longest = min(0.05 * 2**attempt, LONGEST_WAIT)
            time.sleep(random.uniform(0.5, 1) * longest)  # noqa: S311 - spreads load, guards nothing
        yield attempt


def batches(parts: Iterable[T], size: Callable[[T], int], *, most: int, most_bytes: int) -> Iterator[list[T]]:
    """The parts in order, in lists of at most `most` parts and `most_bytes` together."""
    batch: list[T] = []
    weight = 0
    for part in parts:
        if batch and (len(batch) == most or weight + size(part) > most_bytes):
            yield batch
            batch, weight = [], 0
        batch.append(part)
        weight += size(part)
    if batch:
        yield batch


def deliver(batch: list[T], send: Callable[[list[T]], list[tuple[T, str]]], where: str) -> None:
    """Sends a batch and again what was refused of it; `send` returns that, each part with the service's code.

    Raises `Undelivered` when some are refused to the end, after up to 20 s.
    """
    left, code = batch, ""
    for _ in attempts(PATIENT_TRIES):
        refused = refused_of(left, send)
        if not refused:
            return
        left, code = [part for part, _ in refused], refused[0][1]
    raise Undelivered(
        f"{where} refused {len(left)} of {len(batch)} records {PATIENT_TRIES} times, last with {code}; look "
        "at its limits and at the function's rights. Nothing is lost: they are kept and sent again."
    )


def refused_of(parts: list[T], send: Callable[[list[T]], list[tuple[T, str]]]) -> list[tuple[T, str]]:
    """What was refused of the parts when they were sent: all, where a busy service refused the whole call."""
    try:
        return send(parts)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in BUSY:
            raise
        return [(part, code) for part in parts]


def shortened(value: Any) -> Any:
    """A row with its long texts cut. A text as long as a record would otherwise be refused for ever."""
    if isinstance(value, str):
        return value if len(value) <= MOST_TEXT else f"{value[:MOST_TEXT]}…"
    if isinstance(value, Mapping):
        return {name: shortened(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [shortened(each) for each in value]
    return value
