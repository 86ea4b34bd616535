"""Re-keying: what detectors need that are keyed otherwise than the stream is partitioned.

A shard of the first stream hands its events on, slim, to the pipeline's second stream, which is partitioned
by the key of those detectors. There a shard detects as one of the first would that had all events.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from lambdas.columns import Column
from lambdas.lineage import Span
from lambdas.model import Detector, Pipeline, Row, key_columns, key_reader
from lambdas.streaming.lane import Item
from lambdas.streaming.reorder import bounded
from lambdas.streaming.shard import Outcome, Record, Shard
from lambdas.streaming.taken import Range

PREFIX = "rekeyed/"  # before the name of a second stream's shard, in the log and in ids
ITEM = "rekeyed"
MOST_EVENTS = 500  # of one key in a record
# All of a commit is in the second stream before the next commit is made, so what comes again is of the
# newest; the one before it is kept for a put that was on its way for long.
COMMITS_KEPT = 2
UNHEARD = ""  # the shards that no mark has named yet: nothing can be said of their time
# Events that are ahead of the watermark, as many as a full shard takes in five minutes: by them a state grows
# while somebody is waited for.
MOST_AHEAD = 300_000
SHARD_BITS, SEQUENCE_BITS = 32, 192


def name_of(columns: Sequence[Column]) -> str:
    """A key's columns as one word. Composite keys join by a dot, which no column's name has."""
    return ".".join(column.name for column in columns)


def shard_names(pipeline: Pipeline, shard_id: str) -> list[str]:
    """The states that a shard of the second stream has: one for each key that detectors are re-keyed by."""
    return [f"{PREFIX}{name_of(columns)}/{shard_id}" for columns in pipeline.rekeyed]


def begin(pipeline: Pipeline, shard_id: str) -> Shard:
    """A blank shard of the first stream, or of the second where its name says so."""
    if shard_id.startswith(PREFIX):
        name = shard_id.split("/")[1]
        columns = next(one for one in pipeline.rekeyed if name_of(one) == name)
        return SecondShard(pipeline, columns, shard_id)
    if not pipeline.rekeyed:
        return Shard(pipeline, shard_id)
    shard = Shard(only(pipeline, [one for one in pipeline.detectors if not one.rekey]), shard_id)
    shard.onward = Onward(pipeline, shard_id)
    return shard


def only(pipeline: Pipeline, detectors: Sequence[Detector]) -> Pipeline:
    return replace(pipeline, detectors=tuple(detectors))


class Onward:
    """What a shard of the first stream hands on: of each event that is on time and new the columns that
    re-keyed detectors read, by key. Those of references are in it, so nothing is looked up again.
    """

    def __init__(self, pipeline: Pipeline, shard_id: str) -> None:
        self._shard_id = shard_id
        self._keys = [
            (name_of(columns), key_reader(columns), labels_of(pipeline, detectors), len(detectors))
            for columns, detectors in pipeline.rekeyed.items()
        ]
        self._waiting: dict[tuple[str, str], tuple[list[str], list[list[Any]]]] = {}
        self._keyless = 0

    def take(self, row: Row) -> None:
        values = row.values
        for name, key_of, labels, detectors in self._keys:
            key = key_of(values)
            if key is None:
                self._keyless += detectors
                continue
            event = [row.time, row.arrival, str(row.sequence), row.index, *map(values.get, labels)]
            self._waiting.setdefault((name, bounded(key)), (labels, []))[1].append(event)

    def items(self, before: Mapping[str, Any], sequence: int, counts: Counter[str]) -> Iterator[Item]:
        """What a commit owes the second stream; `before` is the shard's clock as it was before that commit,
        `sequence` its number now.
        """
        counts["keyless"] += self._keyless
        self._keyless = 0
        for (name, key), (labels, events) in self._waiting.items():
            for first in range(0, len(events), MOST_EVENTS):
                part = events[first : first + MOST_EVENTS]
                body = {
                    "partition_key": key or "-",  # Kinesis takes no empty one
                    "key": name,
                    "shard": self._shard_id,
                    "after": before["sequence"],
                    "commit": str(sequence),
                    "watermark": before["watermark"],
                    "columns": labels,
                    "events": part,
                }
                yield Item(ITEM, f"{name}:{self._shard_id}:{part[0][2]}:{part[0][3]}", body)
        self._waiting.clear()


def labels_of(pipeline: Pipeline, detectors: Iterable[Detector]) -> list[str]:
    """The columns that detectors read, their keys' among them."""
    return sorted(
        {
            column.label
            for detector in detectors
            for column in (*key_columns(pipeline.event, detector), *detector.reads())
        }
    )


class Newest(Protocol):
    """What the log's newest entry says of a shard; its clock, as the shard saves it, is empty before the
    first one.
    """

    @property
    def is_settled(self) -> bool: ...
    @property
    def clock(self) -> Mapping[str, Any]: ...


def mark(now: float, shards: Mapping[str, tuple[Newest, bool]], lateness: float) -> dict[str, Any]:
    """What a tick at `now` tells a shard of the second stream: each shard of the first, and the event time
    before which nothing more comes from it, `None` where that is not known.

    `shards` says of each what its log does, and whether it was proven idle after that. What its log says is
    in the second stream by now, unless it is not settled; so a mark that is put there comes after it.
    """
    reaches: dict[str, float | None] = {}
    for shard_id, (newest, is_idle) in shards.items():
        event_time, arrived = newest.clock.get("newest"), newest.clock.get("arrived")
        if not newest.is_settled or not is_idle:
            reaches[shard_id] = newest.clock.get("watermark") if newest.is_settled else None
        elif event_time is not None and arrived is not None:
            reaches[shard_id] = event_time + max(0.0, now - arrived) - lateness
    return {"at": now, "reaches": reaches}


@dataclass(frozen=True, slots=True)
class Mark:
    at: float
    reaches: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Slim:
    """Where a record's events are from: by which key they come, from which shard and which commit of it.
    That has what came after the number `after` up to the number `commit`, or what was redriven. `watermark`
    is the shard's before it.
    """

    key: str
    shard: str
    after: int
    commit: int
    watermark: float | None


@dataclass(slots=True)
class Rekeyed(Record):
    """One record of the second stream; `said` is none where it could not be read."""

    said: Slim | Mark | None = None


def read_record(sequence: int, arrival: float, document: Any) -> Rekeyed:
    """A record of the second stream from the JSON that it holds."""
    try:
        if "reaches" in document:
            reaches = {str(shard): reach for shard, reach in document["reaches"].items()}
            return Rekeyed(sequence, arrival, [], said=Mark(float(document["at"]), reaches))
        shard, columns, events = document["shard"], document["columns"], document["events"]
        rows = [
            Row(
                time,
                dict(zip(columns, values, strict=True)),
                arrived,
                place(shard, arrived, int(number)),
                index,
            )
            for time, arrived, number, index, *values in events
        ]
        after, commit = int(document["after"]), int(document["commit"])
        slim = Slim(document["key"], shard, after, commit, document["watermark"])
    except (AttributeError, KeyError, TypeError, ValueError):  # somebody else's record
        return Rekeyed(sequence, arrival, [], unreadable=1)
    return Rekeyed(sequence, arrival, rows, said=slim)


def place(shard_id: str, arrival: float, sequence: int) -> int:
    """An event's place among those of all shards, as if all came through one: by arrival, then number."""
    number = shard_id.rpartition("-")[2]
    shard: int = int(number) if number.isdecimal() else zlib.crc32(shard_id.encode())
    return ((round(arrival * 1000) << SEQUENCE_BITS | sequence) << SHARD_BITS) | shard % (1 << SHARD_BITS)


def number_at(place: int) -> int:
    """
    >>> number_at(place("shardId-000000000007", 1_769_860_800.5, 4959033827149025660855969253836157109592))
    4959033827149025660855969253836157109592
    """
    return place >> SHARD_BITS & ((1 << SEQUENCE_BITS) - 1)


@dataclass(slots=True)
class Source:
    """A shard of the first stream as one of the second knows it: the event time before which nothing more
    comes from it (`None`: not known), its newest event's arrival (s), since when something has waited for it
    without its coming on (arrival in the second stream, s), the number up to which all has come, and what
    came of the commits after that.
    """

    reach: float | None = None
    arrived: float = 0.0
    awaited_since: float | None = None
    through: int = -1
    commits: dict[int, set[str]] = field(default_factory=dict)
    added: dict[int, list[str]] = field(default_factory=dict)

    def reaches(self, time: float | None) -> None:
        if time is not None and (self.reach is None or time > self.reach):
            self.reach, self.awaited_since = time, None

    def is_awaited(self, due: float | None, now: float) -> bool:
        """Notes whether it keeps something waiting that is due at an event time; whether that has changed."""
        before = self.awaited_since
        if due is None or (self.reach is not None and self.reach >= due):
            self.awaited_since = None
        elif before is None:
            self.awaited_since = now
        return self.awaited_since != before

    def fresh(self, slim: Slim, rows: Iterable[Row], *, is_redriven: bool) -> list[Row]:
        """The rows that have not come before. `is_redriven`: this shard itself had to give them up, so others
        that are newer came first.
        """
        found: dict[str, Row] = {}
        for row in rows:
            number = number_at(row.sequence)
            id = f"{number}:{row.index}"
            is_known = any(id in ids for ids in self.commits.values())
            if not is_known and (number > self.through or number <= slim.after or is_redriven):
                found[id] = row
        if found and slim.commit > self.through:
            self._remember(slim.commit, found)
            self.added.setdefault(slim.commit, []).extend(found)
        return list(found.values())

    def _remember(self, commit: int, ids: Iterable[str]) -> None:
        self.commits.setdefault(commit, set()).update(ids)
        if len(self.commits) > COMMITS_KEPT:
            oldest = min(self.commits)
            self.through = max(self.through, oldest)
            del self.commits[oldest]

    def join(self, other: Source) -> None:
        """Takes over what another shard of the second stream knew of the same shard."""
        self.reaches(other.reach)
        self.arrived = max(self.arrived, other.arrived)
        self.through = max(self.through, other.through)
        for commit in sorted(other.commits):
            self._remember(commit, other.commits[commit])

    def change(self) -> list[Any]:
        """What is new since the last change, as plain data."""
        added, self.added = self.added, {}
        return self._plain(added)

    def save(self) -> list[Any]:
        return self._plain(self.commits)

    def _plain(self, commits: Mapping[int, Iterable[str]]) -> list[Any]:
        # Of Kinesis a number has 184 bits, more than JSON readers keep.
        ids = [[str(commit), sorted(commits[commit])] for commit in sorted(commits)]
        return [self.reach, self.arrived, self.awaited_since, str(self.through), ids]

    def restore(self, saved: list[Any]) -> None:
        self.reach, self.arrived, self.awaited_since, through, commits = saved
        for commit, ids in commits:
            self._remember(int(commit), ids)
        self.through = max(self.through, int(through))


class SecondShard(Shard):
    """The state of one shard of the second stream, for the detectors of one key.

    Its watermark is the least that shards of the first stream have come to, so what one of them has yet to
    hand on is not late here. One that has not come on for `skew` while something waits for it is not waited
    for: what it hands on then is listed as late. The same holds for those that no mark has named yet.
    """

    def __init__(self, pipeline: Pipeline, columns: tuple[Column, ...], shard_id: str) -> None:
        super().__init__(only(pipeline, pipeline.rekeyed[columns]), shard_id)
        self._name = name_of(columns)
        self._id_column = None  # repeats were dropped before
        self._skew = pipeline.skew.total_seconds()
        self._sources: dict[str, Source] = {UNHEARD: Source()}
        self._heard: set[str] = set()  # since the last change
        self._is_redriving = False
        self._is_new = False  # what it has inherited is not saved yet
        self._source = ""  # the shard that the rows at hand are from
        self._now = 0.0  # newest arrival in the second stream, s
        self._ahead: Counter[int] = (
            Counter()
        )  # events after the watermark by the minute in which they happened

    def redrive(self, records: Sequence[Record], taken_before: Iterable[Range]) -> Outcome:
        self._is_redriving = True
        outcome = super().redrive(records, taken_before)
        self._is_redriving = False
        return outcome

    def inherit(self, parent: Shard, among: Span, span: Span) -> None:
        super().inherit(parent, among, span)
        assert isinstance(parent, SecondShard)
        for name, theirs in parent._sources.items():
            self._sources.setdefault(name, Source()).join(theirs)
        self._ahead += parent._ahead
        self._is_new = True

    def _take_in(self, record: Record) -> None:
        self._now = max(self._now, record.arrival)
        said = record.said if isinstance(record, Rekeyed) else None
        if isinstance(said, Mark):
            self._take_mark(said)
        elif said is None:
            self._counts["unreadable"] += 1
        elif said.key == self._name:
            self._take_slim(said, record.rows)

    def _take_slim(self, slim: Slim, rows: Sequence[Row]) -> None:
        source = self._sources.setdefault(slim.shard, Source())
        self._heard.add(slim.shard)
        source.reaches(slim.watermark)
        self._go_on()
        fresh = source.fresh(slim, rows, is_redriven=self._is_redriving)
        self._counts["replayed"] += len(rows) - len(fresh)
        self._source = slim.shard
        for row in fresh:
            source.arrived = max(source.arrived, row.arrival)
            self._arrived = max(source.arrived, self._arrived or source.arrived)
            if not self.is_sealed:
                self._ahead[int(row.time // 60)] += 1
            self._take(row)
        while self._ahead.total() > MOST_AHEAD:
            self._go_to(60.0 * (min(self._ahead) + 1))

    def _take_mark(self, mark: Mark) -> None:
        """Takes over which shards there are; one that a newer event came from is younger than the mark."""
        for name, source in list(self._sources.items()):
            if name not in mark.reaches and source.arrived <= mark.at:
                del self._sources[name]
                self._heard.add(name)
        for name, reach in mark.reaches.items():
            self._sources.setdefault(name, Source()).reaches(reach)
            self._heard.add(name)
        self._go_on()

    def _go_on(self) -> None:
        """Moves to the least that those have come to who are waited for."""
        if self.is_sealed:  # its time goes on in its children
            return
        known = [source.reach for source in self._sources.values() if source.reach is not None]
        if not known:
            return
        # What would be done by now if nobody lagged; with nothing due nobody is waited for, however long.
        due = min(self._timers.first, self._buffer.first)
        for name, source in self._sources.items():
            if source.is_awaited(due if due <= max(known) else None, self._now):
                self._heard.add(name)
        waited = [
            source.reach
            for source in self._sources.values()
            if source.awaited_since is None or self._now - source.awaited_since <= self._skew
        ]
        least = min(-math.inf if reach is None else reach for reach in waited)
        if least > -math.inf:
            self._go_to(least)

    def _go_to(self, time: float) -> None:
        super()._move_to(time)
        for minute in [minute for minute in self._ahead if 60 * (minute + 1) <= (self.watermark or 0.0)]:
            del self._ahead[minute]

    def _move_to(self, time: float) -> None:
        """An event moves nothing: others that are older may be on their way from other shards."""

    def _partition_key(self, row: Row) -> str | None:
        return self._lanes[0].key_of(row)

    def _origin(self, row: Row) -> tuple[str, int]:
        return self._source, number_at(row.sequence)

    def _outcome(self, *, is_empty: bool) -> Outcome:
        self._counts["rekeyed"] += self._counts.pop("events", 0)  # they were counted before
        outcome = super()._outcome(is_empty=is_empty)
        sources = {name: self._sources.get(name) for name in sorted(self._heard)}
        change = {name: one and one.change() for name, one in sources.items()}
        outcome.change["sources"] = self._saved() if self._is_new else change
        outcome.change["ahead"] = sorted(self._ahead.items())
        self._heard.clear()
        self._is_new = False
        return outcome

    def snapshot(self) -> Any:
        return super().snapshot() | {"sources": self._saved(), "ahead": sorted(self._ahead.items())}

    def _saved(self) -> dict[str, Any]:
        return {name: one.save() for name, one in self._sources.items()}

    def restore(self, base: Any | None, changes: Iterable[Any]) -> None:
        super().restore(base and self._restored(base), map(self._restored, changes))

    def _restored(self, saved: Any) -> Any:
        for name, kept in saved["sources"].items():
            if kept is None:
                self._sources.pop(name, None)
            else:
                self._sources.setdefault(name, Source()).restore(kept)
        self._ahead = Counter(dict(saved["ahead"]))
        return saved
