"""An event that a deployed pipeline alerts on, taken from its cases and marked so that nobody takes it for
real.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any  # a case's values are as mixed as JSON

from lambdas.columns import Column, Double, Integer, Text
from lambdas.detectors.detector import Detector
from lambdas.formats.decode import Decoder
from lambdas.incidents import OPENED, IncidentChange
from lambdas.model import Pipeline, Row
from lambdas.streaming.shard import Record, Shard
from pipelines import cases
from pipelines.cases import RUNNER_FIELDS, Case, CaseError, seconds, sent_data

MARK = "freshet-smoke-"
# Numbers of 15 digits from here on are kept for marks: no JSON reader rounds them, and no device has one.
NUMBERS = 900 * 10**12
LONGEST = 300.0  # s that a person may be asked to wait before the last event is sent
MOST_EVENTS = 100


@dataclass(frozen=True, kw_only=True)
class Sending:
    """One event on its way: when it happens and is sent (s since 1970), its bytes and its partition key."""

    at: float
    data: bytes
    partition_key: str


@dataclass(frozen=True, kw_only=True)
class Marked:
    """What is sent, whose case it is, and the change that must come of it."""

    case: Case
    sent: Sequence[Sending]
    change: IncidentChange
    column: str
    keys: Sequence[str]


def choose(pipeline: Pipeline, given: Sequence[Case], now: float) -> Marked:
    """The beginning of a case that opens one incident, without references, and is over soonest.

    Raises `CaseError` where no case does.
    """
    mark = datetime.fromtimestamp(now, UTC)
    found = [
        marked
        for case in given
        if case.expected and is_plain(case)
        for start in (float(round(now)), 60.0 * (now // 60 + 1))
        for marked in beginnings(pipeline, case, start, mark)
    ]
    if not found:
        raise CaseError(
            f"{cases.place(pipeline.name)}: no case opens one incident within {LONGEST:.0f} s as "
            f"{pipeline.name} is deployed, without references and from events with columns; write one that "
            "does."
        )
    return min(found, key=lambda marked: marked.sent[-1].at)


def is_plain(case: Case) -> bool:
    """Whether its events have columns, all that can be read, and arrive when they happen."""
    return not case.body.get("unreadable") and not any(
        {"record", "arrives"} & event.keys() for event in case.body["events"]
    )


def beginnings(pipeline: Pipeline, case: Case, start: float, mark: datetime) -> Iterator[Marked]:
    """The shortest part from the case's first event on that opens an incident."""
    marker = Marker(pipeline, mark)
    sent: list[Sending] = []
    for number, (offset, event) in enumerate(timed(case)):
        if offset > LONGEST or number == MOST_EVENTS:
            return
        at = start + offset
        values = marker.marked(event, number)
        key = values.get(pipeline.event.key.name)
        sent.append(
            Sending(
                at=at,
                data=sent_data(pipeline, values, at, number),
                partition_key=str(key) if key is not None else marker.text,
            )
        )
        changes = foretold(pipeline, sent, "shard", range(len(sent)))
        opened = [change for change in changes if change.state == OPENED]
        if opened:
            keys = marker.of(pipeline.event.key.name)
            if len(opened) == 1 and keys:
                yield Marked(
                    case=case, sent=sent, change=opened[0], column=pipeline.event.key.name, keys=keys
                )
            return


def timed(case: Case) -> Iterator[tuple[float, Mapping[str, Any]]]:
    """Each event of a case with its time, counted from the case's first moment."""
    for given in case.body["events"]:
        event = {**(case.file.get("defaults") or {}), **given}
        values = {name: value for name, value in event.items() if name not in RUNNER_FIELDS}
        for turn in range(event.get("times", 1)):
            yield seconds(event["at"]) + turn * seconds(event.get("every", "0s")), values


class Marker:
    """Exchanges what keys and ids say, so that no detector's state of anything real is touched."""

    def __init__(self, pipeline: Pipeline, at: datetime) -> None:
        self.text = f"{MARK}{at:%Y%m%dT%H%M%SZ}"
        self._number = int(f"{at:%y%m%d%H%M%S}")
        self._id = pipeline.event.id
        self._columns = {column.name: column for column in key_columns(pipeline)}
        self._marks: dict[tuple[str, Any], Any] = {}

    def marked(self, event: Mapping[str, Any], number: int) -> dict[str, Any]:
        values = {
            name: self._mark(self._columns[name], value)
            if name in self._columns and value is not None
            else value
            for name, value in event.items()
        }
        if self._id is not None:
            values[self._id.name] = (
                NUMBERS + self._number + number if isinstance(self._id, Integer) else f"{self.text}-{number}"
            )
        return values

    def of(self, column: str) -> list[str]:
        """The marks of a column, each for another value of the case's."""
        return [str(mark) for (name, _), mark in self._marks.items() if name == column]

    def _mark(self, column: Column, value: Any) -> Any:
        others = sum(name == column.name for name, _ in self._marks)
        if isinstance(column, Text):
            new: Any = f"{self.text}-{others + 1}" if others else self.text
        elif isinstance(column, Integer | Double):
            new = NUMBERS + others * 10**12 + self._number
        else:
            return value
        return self._marks.setdefault((column.name, value), new)


def key_columns(pipeline: Pipeline) -> Iterator[Column]:
    """The event's columns by which anybody keeps state or looks something up."""
    yield pipeline.event.key
    yield from (column for column in pipeline.event.columns.values() if column.refers_to is not None)
    for detector in pipeline.detectors:
        key = detector.key if isinstance(detector.key, tuple) else (detector.key,)
        yield from (column for column in key if column is not None and not column.reference)


def foretold(
    pipeline: Pipeline, sent: Sequence[Sending], shard_id: str, numbers: Iterable[int]
) -> list[IncidentChange]:
    """The incident changes that events make in a shard under these sequence numbers, once it is quiet."""
    decoder, shard = Decoder(pipeline), Shard(pipeline, shard_id)
    records = []
    for each, number in zip(sent, numbers, strict=True):
        parts = list(decoder.decode(each.data, round(each.at * 1000), sequence=number))
        rows = [cases.enriched(part, pipeline, {}) for part in parts if isinstance(part, Row)]
        records.append(Record(number, each.at, rows, len(parts) - len(rows)))
    patience = max(
        (e.patience.total_seconds() for e in pipeline.detectors if isinstance(e, Detector)), default=0
    )
    quiet = sent[-1].at + pipeline.lateness.total_seconds() + patience
    items = [*shard.process(records).outbox, *shard.advance(quiet).outbox]
    return [IncidentChange.from_row(item.body) for item in items if item.kind == "incident_change"]
