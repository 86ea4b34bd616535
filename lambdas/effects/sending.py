"""What every way out of a function has in common: items, batches within a service's limits, patience."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
TRIES = 5
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
            time.sleep(random.uniform(0.5, 1) * 0.05 * 2**attempt)  # noqa: S311 - spreads load, guards nothing
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

    Raises `Undelivered` when some are refused to the end.
    """
    left, code = batch, ""
    for _ in attempts():
        refused = send(left)
        if not refused:
            return
        left, code = [part for part, _ in refused], refused[0][1]
    raise Undelivered(
        f"{where} refused {len(left)} of {len(batch)} records {TRIES} times, last with {code}; look at its "
        "limits and at the function's rights. Nothing is lost: they are in the state log and sent again."
    )


def shortened(value: Any) -> Any:
    """A row with its long texts cut. A text as long as a record would otherwise be refused for ever."""
    if isinstance(value, str):
        return value if len(value) <= MOST_TEXT else f"{value[:MOST_TEXT]}…"
    if isinstance(value, Mapping):
        return {name: shortened(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [shortened(each) for each in value]
    return value
