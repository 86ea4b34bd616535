"""The only way events meet detectors: one shard's time, order, repeats and state."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Any, Protocol

from lambdas.columns import Values, lake_time, to_millisecond
from lambdas.detectors.detector import Detector
from lambdas.incidents import RESOLVED
from lambdas.lineage import Span, belongs
from lambdas.model import Pipeline, Row
from lambdas.streaming.closed import FOR_GOOD, Closed, closed_by, still_closed
from lambdas.streaming.episode import Episode
from lambdas.streaming.lane import Item, Lane, Timers, orphans
from lambdas.streaming.reorder import MOST_CHARACTERS, Ids, ReorderBuffer, bounded
from lambdas.streaming.taken import Range, Taken, Within

MOST_IDS = 100_000


@dataclass(slots=True)
class Record:
    """One record of the stream as decoded: the rows that could be read and the number of parts that could
    not.
    """

    sequence: int
    arrival: float
    rows: list[Row]
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch or a tick came to: `change` for the state log, `outbox` for the world, `counts` for the
    metrics.
    """

    change: dict[str, Any]
    outbox: list[Item]
    counts: dict[str, int]
    faults: list[str] = field(default_factory=list)
    is_empty: bool = False


class Onward(Protocol):
    """What hands events on to the pipeline's second stream."""

    def take(self, row: Row) -> None: ...
    def items(self, before: Mapping[str, Any], sequence: int, counts: Counter[str]) -> Iterable[Item]: ...


class Shard:
    """The state of one shard. `process` and `advance` change it in place: discard it if their change is not
    saved.

    The watermark is the newest event time less the lateness and never goes back; it moves event by event, so
    the cut into batches changes nothing. What is due is done in order of event time, deadlines before events
    of the same time. `began_anew` names the detectors whose saved state was of another shape.
    """

    def __init__(self, pipeline: Pipeline, shard_id: str) -> None:
        self.sequence = -1
        self._first = -1  # of the last batch: between it and what came before may lie what was given up
        self.watermark: float | None = None
        self.began_anew: list[str] = []
        self.is_heir = False  # what it has inherited is not saved yet
        self._closed: list[Closed] = []
        self.taken = Taken()
        self.onward: Onward | None = None
        self._pipeline = pipeline
        self._shard_id = shard_id
        self._lateness = pipeline.lateness.total_seconds()
        self._newest: float | None = None  # event time, s
        self._arrived: float | None = None  # arrival time of the newest record, s
        self._ids = Ids(pipeline.remember.total_seconds(), MOST_IDS)
        self._id_column = None if pipeline.event.id is None else pipeline.event.id.name
        self._buffer = ReorderBuffer()
        self._timers = Timers()
        self._outbox: list[Item] = []
        self._counts: Counter[str] = Counter()
        self._orphans: list[tuple[str, str, str, Episode]] = []
        self._before = self._clock()  # at the last change
        self._lanes = list(self._make_lanes())
        self._prompt = by_key(lane for lane in self._lanes if not lane.in_order)
        self._patient = [lane for lane in self._lanes if lane.in_order]
        self._patient_labels = sorted({label for lane in self._patient for label in lane.labels})

    def _make_lanes(self) -> Iterator[Lane]:
        for index, detector in enumerate(self._pipeline.detectors):
            assert isinstance(detector, Detector)  # what a pipeline lists is made from that class
            yield Lane(
                detector,
                self._pipeline,
                self._shard_id,
                index,
                self._timers,
                self._outbox.append,
                self._counts,
            )

    def process(self, records: Sequence[Record]) -> Outcome:
        """Takes records in the order of their sequence numbers; those up to `sequence` are a replay and
        skipped.
        """
        before = self.sequence
        for record in records:
            if record.sequence <= self.sequence:
                self._counts["replayed"] += 1
                continue
            self._take_in(record)
            self.sequence = record.sequence
        if self.sequence > before:
            first = next(record.sequence for record in records if record.sequence > before)
            self.taken.add(first, self.sequence)
            self._first = first
        self._resolve_orphans()
        return self._outcome(is_empty=self.sequence == before and not self._outbox)

    def redrive(self, records: Sequence[Record], taken_before: Iterable[Range]) -> Outcome:
        """Takes records of a batch that was given up, whatever came after them, each once: those that are in
        `taken_before`, or were taken in since, are skipped.
        """
        known = Within([*taken_before, *self.taken.ranges()])
        is_empty, before = True, self.sequence
        for is_known, group in groupby(records, key=lambda record: record.sequence in known):
            run = list(group)
            self._counts["replayed" if is_known else "redriven"] += len(run)
            if is_known:
                continue
            is_empty = False
            for record in run:
                self._take_in(record)
            self.sequence = max(self.sequence, run[-1].sequence)
            self.taken.add(run[0].sequence, run[-1].sequence)
            if self._first <= before < run[0].sequence:
                self._first = run[0].sequence
        self._resolve_orphans()
        return self._outcome(is_empty=is_empty and not self._outbox)

    def advance(self, now: float) -> Outcome:
        """A tick at `now` (arrival clock, s) on a shard that is proven idle: event time goes on by the time
        since the last arrival.
        """
        self._resolve_orphans()
        waiting = len(self._buffer)
        if self._newest is not None and self._arrived is not None and now > self._arrived:
            # Time goes on from here though what arrives next be late or a repeat.
            self._newest, self._arrived = round(self._newest + now - self._arrived, 3), now
            self._move_to(self._newest - self._lateness)
        is_touched = any(lane.is_touched for lane in self._lanes)
        return self._outcome(is_empty=not is_touched and not self._outbox and len(self._buffer) == waiting)

    @property
    def is_sealed(self) -> bool:
        """Whether its keys have gone to its children."""
        return any(each.until is None for each in self._closed)

    def seal(self) -> Outcome | None:
        """Ends the shard: its keys stay as they are, for its children to inherit, and whatever still comes is
        late. `None`: it was sealed before.
        """
        if self.is_sealed:
            return None
        self._resolve_orphans()
        self._closed.append(FOR_GOOD)
        return self._outcome(is_empty=False)

    def inherit(self, parent: Shard, among: Span, span: Span) -> None:
        """Takes over what belongs to this shard, whose part of all places is `span`, from a sealed one whose
        part was `among`; that one must not be used any more. Of two parents' clocks the one that is behind
        goes on, and what the other one had closed stays closed.
        """

        def is_mine(key: str) -> bool:
            return belongs(key, span, among)

        for lane, left in zip(self._lanes, parent._lanes, strict=True):
            lane.inherit(left, is_mine)
        if self._patient:
            # A row that waits has only what is read of it, perhaps not what the stream is partitioned by.
            key_of = self._patient[0].key_of
            self._buffer.inherit(
                parent._buffer, lambda row: is_mine(self._partition_key(row) or key_of(row) or "")
            )
        self._ids.inherit(parent._ids)
        self._orphans += [each for each in parent._orphans if is_mine(each[1])]
        self.began_anew += [name for name in parent.began_anew if name not in self.began_anew]
        self._closed += [each for each in parent._closed if each.until is not None]
        if parent.watermark is not None:
            self._closed.append(Closed(among, parent.watermark))
            if self.watermark is None or parent.watermark < self.watermark:
                self.watermark = parent.watermark
            self._ids.forget_until(self.watermark)
        if parent._behind() < self._behind():
            self._newest, self._arrived = parent._newest, parent._arrived
        self.is_heir = True
        self._before = self._clock()

    def _behind(self) -> tuple[float, float]:
        """What tells which of two clocks goes slower: how far the newest event was from its arrival, and when
        it happened.
        """
        if self._newest is None or self._arrived is None:
            return float("inf"), float("inf")
        return self._newest - self._arrived, self._newest

    def _partition_key(self, row: Row) -> str | None:
        """By what the stream is partitioned."""
        key = row.values.get(self._pipeline.event.key.label)
        return None if key is None else bounded(str(key))

    def advance_to(self, clock: Mapping[str, Any]) -> Outcome:
        """Goes on to where the state stood after a tick, or records, of which nothing else is left."""
        self.sequence = max(self.sequence, int(clock["sequence"]))
        self._first = int(clock.get("first", self._first))
        if clock["watermark"] is not None:
            self._move_to(clock["watermark"])
        self._newest, self._arrived = clock["newest"], clock["arrived"]
        self._closed = [Closed.restore(each) for each in clock.get("closed", ())]
        return self._outcome(is_empty=False)

    def due(self) -> float | None:
        """The arrival clock's time from which `advance` has something to do; `None` while nothing is
        awaited.
        """
        if self.is_sealed:
            return None
        if self._orphans:
            return self._arrived
        first = min(self._timers.first, self._buffer.first)
        if first == math.inf or self._newest is None or self._arrived is None:
            return None
        return self._arrived + max(0.0, first + self._lateness - self._newest)

    def _take_in(self, record: Record) -> None:
        # What cannot be read says nothing of time, and must not hold it up.
        if record.rows and (self._arrived is None or record.arrival > self._arrived):
            self._arrived = record.arrival
        for row in record.rows:
            self._take(row)
        if record.unreadable:
            self._counts["unreadable"] += record.unreadable

    def _take(self, row: Row) -> None:
        if self._id_column and self._ids.is_repeat(str(row.values[self._id_column]), row.time):
            self._counts["duplicates"] += 1
            return
        self._counts["events"] += 1
        if self.watermark is not None and row.time < self.watermark:
            self._late(row, self.watermark)
            return
        if self._closed:
            closed = closed_by(self._closed, self._partition_key(row), row.time)
            if closed is not None:
                self._late(row, self.watermark if closed.until is None else closed.until)
                return
        # A clock that is ahead of the stream's moves nothing: all others would be late by it.
        seen = row.time if row.time < row.arrival else row.arrival
        if self._newest is None or seen > self._newest:
            self._newest = seen
            self._move_to(seen - self._lateness)
        if self.onward is not None:
            self.onward.take(row)
        for read_key, lanes in self._prompt:
            key = read_key(row.values)
            if key is not None and len(key) > MOST_CHARACTERS:
                key = bounded(key)
            for lane in lanes:
                lane.observe(key, row)
        if self._patient:
            values = {label: row.values.get(label) for label in self._patient_labels}
            self._buffer.add(Row(row.time, values, row.arrival, row.sequence, row.index))
            if self.watermark is not None and row.time <= self.watermark:
                self._settle(self.watermark)

    def _late(self, row: Row, watermark: float | None) -> None:
        self._counts["late"] += 1
        shard_id, sequence = self._origin(row)
        key = row.values.get(self._pipeline.event.key.name)
        body = {
            "pipeline": self._pipeline.name,
            "key": None if key is None or self._pipeline.event.key.private else str(key),
            "event_time": lake_time(row.time),
            "watermark": None if watermark is None else lake_time(watermark),
            "shard_id": shard_id,
            "sequence_number": str(sequence),
            "record_index": row.index,
            "arrived_at": lake_time(row.arrival),
        }
        self._outbox.append(Item("late_event", f"{shard_id}:{sequence}:{row.index}", body))

    def _origin(self, row: Row) -> tuple[str, int]:
        """The shard and the number under which an event is in the pipeline's table."""
        return self._shard_id, row.sequence

    def _move_to(self, time: float) -> None:
        watermark = to_millisecond(time)
        if self.watermark is None or watermark > self.watermark:
            self.watermark = watermark
            if watermark >= self._timers.first or watermark >= self._buffer.first:
                self._settle(watermark)
            if self._id_column:
                self._ids.forget_until(watermark)

    def _settle(self, watermark: float) -> None:
        """Does what is due up to the watermark, in order of event time."""
        while True:
            due, waiting = self._timers.first, self._buffer.first
            if due <= watermark and due <= waiting:
                time, lane, key = self._timers.take()
                self._lanes[lane].advance(key, time)
            elif waiting <= watermark:
                row = self._buffer.take()
                for lane_in_order in self._patient:
                    lane_in_order.observe(lane_in_order.key_of(row), row)
            else:
                return

    def _outcome(self, *, is_empty: bool) -> Outcome:
        if self._ids.lost:
            self._counts["forgotten_ids"] += self._ids.lost
            self._ids.lost = 0
        if self.onward is not None:
            self._outbox += self.onward.items(self._before, self.sequence, self._counts)
        is_empty, self.is_heir = is_empty and not self.is_heir, False
        self._closed = still_closed(self._closed, self.watermark)
        change = {
            **self._clock(),
            "before": self._before,
            "taken": self.taken.change(),
            "buffer": self._buffer.change(float("-inf") if self.watermark is None else self.watermark),
            "ids": self._ids.change(),
            "keys": {lane.detector.name: lane.change() for lane in self._lanes},
            "prints": {lane.detector.name: lane.fingerprint for lane in self._lanes},
        }
        self._before = self._clock()
        outbox, counts = list(self._outbox), dict(self._counts)
        faults = [fault for lane in self._lanes for fault in lane.faults]
        self._outbox.clear()
        self._counts.clear()
        for lane in self._lanes:
            lane.faults.clear()
        return Outcome(change, outbox, counts, faults, is_empty)

    def _clock(self) -> dict[str, Any]:
        return {
            # Of Kinesis a number has 184 bits, more than JSON readers keep.
            "sequence": str(self.sequence),
            "first": str(self._first),
            "newest": self._newest,
            "arrived": self._arrived,
            "watermark": self.watermark,
            **({"closed": [each.save() for each in self._closed]} if self._closed else {}),
        }

    def snapshot(self) -> Any:
        """The whole state as plain data: a base of the log."""
        return {
            **self._clock(),
            "taken": self.taken.snapshot(),
            "buffer": self._buffer.snapshot(),
            "ids": self._ids.snapshot(),
            "keys": {lane.detector.name: lane.snapshot() for lane in self._lanes},
            "prints": {lane.detector.name: lane.fingerprint for lane in self._lanes},
        }

    def restore(self, base: Any | None, changes: Iterable[Any]) -> None:
        """Takes over what was saved: a base or none, then the changes after it in order."""
        lanes = {lane.detector.name: lane for lane in self._lanes}
        strangers: dict[str, dict[str, Any]] = {}
        prints: dict[str, str] = {}
        for saved in chain([] if base is None else [base], changes):
            self.sequence = int(saved["sequence"])
            self._first = int(saved.get("first", -1))  # as with taken
            self._newest, self._arrived, self.watermark = (
                saved["newest"],
                saved["arrived"],
                saved["watermark"],
            )
            self._closed = [Closed.restore(each) for each in saved.get("closed", ())]
            self.taken.restore(saved.get("taken", ()))  # what an older version wrote has none
            self._buffer.restore(saved["buffer"])
            self._ids.restore(saved["ids"])
            prints = saved["prints"]
            for name, keys in saved["keys"].items():
                if name in lanes:
                    lanes[name].restore(keys, prints[name])
                else:
                    strangers.setdefault(name, {}).update(keys)
            # Who is not named in what was saved was not part of the pipeline then: its states ended there.
            strangers = {name: keys for name, keys in strangers.items() if name in saved["keys"]}
            for name in lanes.keys() - saved["keys"].keys():
                lanes[name].forget()
        if self.watermark is not None:
            self._buffer.forget_until(self.watermark)
        self._ids.restored(self.watermark)
        for name, lane in lanes.items():
            lane.set_timers()
            if prints.get(name, lane.fingerprint) != lane.fingerprint or lane.could_not_restore:
                self.began_anew.append(name)
        self._orphans = [(name, *each) for name, keys in strangers.items() for each in orphans(keys)]
        self._before = self._clock()

    def _resolve_orphans(self) -> None:
        """Ends the incidents of detectors that the pipeline no longer has; nobody would ever see them end."""
        for name, key, way, episode in self._orphans:
            episode.version += 1
            who = (self._pipeline.name, name, key, way)
            change = episode.change(RESOLVED, episode.heard_until, who, "lost sight")
            self._counts["changes"] += 1
            self._outbox.append(Item("incident_change", change.change_id, change.to_row()))
        self._orphans.clear()


def by_key(lanes: Iterable[Lane]) -> list[tuple[Callable[[Values], str | None], list[Lane]]]:
    """Lanes in their order, those together that stand beside each other and have the same key."""
    groups = [list(group) for _, group in groupby(lanes, key=lambda lane: lane.key_labels)]
    return [(group[0].read_key, group) for group in groups]
