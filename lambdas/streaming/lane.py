"""One detector in one shard: the states of its keys, their deadlines, their incidents."""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from lambdas.columns import lake_time
from lambdas.detectors.detector import Detector
from lambdas.incidents import ESCALATED, OPENED, RESOLVED
from lambdas.model import (
    Clear,
    Finding,
    Pipeline,
    Row,
    Said,
    WindowResult,
    key_columns,
    key_reader,
    severity_of,
)
from lambdas.streaming.episode import Episode
from lambdas.streaming.reorder import MOST_CHARACTERS, bounded


@dataclass(frozen=True, slots=True)
class Item:
    """What a commit owes the world: a row of one of the shared tables, or a metric."""

    kind: str
    id: str
    body: dict[str, Any]


class Timers:
    """Deadlines of all lanes by event time, then lane, then key; `first` is the time of the first one."""

    def __init__(self) -> None:
        self.first = math.inf
        self._heap: list[tuple[float, int, str]] = []

    def add(self, due: float, lane: int, key: str) -> None:
        heapq.heappush(self._heap, (due, lane, key))
        self.first = self._heap[0][0]

    def take(self) -> tuple[float, int, str]:
        taken = heapq.heappop(self._heap)
        self.first = self._heap[0][0] if self._heap else math.inf
        return taken


class Cell:
    """One key: its state, its open incidents by direction, the earliest deadline that stands in the timers,
    and when it was last seen.
    """

    __slots__ = ("episodes", "key", "scheduled", "state", "turn")

    def __init__(self, key: str, state: Any) -> None:
        self.key = key
        self.state = state
        self.episodes: dict[str, Episode] = {}
        self.scheduled: float | None = None
        self.turn = 0  # of its lane, which counts what it sees; 0: before the lane began to count


class Lane:
    """Feeds rows and deadlines to a detector and turns what it says into items.

    A detector that raises is reported; the key that it raised on begins anew and keeps its open incidents.
    """

    def __init__(
        self,
        detector: Detector[Any],
        pipeline: Pipeline,
        shard_id: str,
        index: int,
        timers: Timers,
        send: Callable[[Item], None],
        counts: Counter[str],
    ) -> None:
        self.detector = detector
        self.in_order = detector.in_order
        self.fingerprint = detector.fingerprint()
        self.faults: list[str] = []
        self.could_not_restore = False
        self._pipeline = pipeline.name
        self._shard_id = shard_id
        self._index = index
        self._timers = timers
        self._send = send
        self._counts = counts
        keys = key_columns(pipeline.event, detector)
        self.labels = {column.label for column in (*keys, *detector.reads())}
        self.key_labels = tuple(column.label for column in keys)
        self.read_key = key_reader(keys)
        self._settle = detector.settle.total_seconds()
        self._quiet = detector.patience.total_seconds()
        # The least recently seen first, but for those in `_stirred`, which were seen since that was last so.
        self._cells: OrderedDict[str, Cell] = OrderedDict()
        self._stirred: list[Cell] = []
        self._ordered_at = 0
        self._turn = 0
        self._touched: dict[str, None] = {}  # keys, beside those in `_stirred`
        self._blank = Cell("", detector.begin())  # of every key that has no state
        self._begins_blank = begins_blank(detector)

    def observe(self, key: str | None, row: Row) -> None:
        """Takes a row whose key is `key_of` it."""
        if key is None:
            self._counts["keyless"] += 1
            return
        known = self._cells.get(key)
        cell = self._blank if known is None else known
        heard: Iterable[Said] | None = ()
        try:
            heard = self.detector.observe(cell.state, row)
        except Exception as error:  # a user's own detector may raise anything; the others must go on
            self._fault(cell, error)
        if heard is None and known is not None:
            self._stir(known)
            return
        if known is None:
            if heard is None and self._begins_blank:
                return
            cell.key, self._blank = key, Cell("", self.detector.begin())
        try:
            for said in heard or ():
                self._hear(key, cell, said, f"{row.sequence}.{row.index}")
        except Exception as error:  # as above
            self._fault(cell, error)
        self._keep(key, cell)

    def _stir(self, cell: Cell) -> None:
        """The cell was seen: it is to be saved, and leaves after all others."""
        if cell.turn <= self._ordered_at:
            self._stirred.append(cell)
        self._turn += 1
        cell.turn = self._turn

    def _put_in_order(self) -> None:
        for cell in sorted(self._stirred, key=turn_of):
            if self._cells.get(cell.key) is cell:
                self._cells.move_to_end(cell.key)
            self._touched[cell.key] = None
        self._stirred.clear()
        self._ordered_at = self._turn

    def key_of(self, row: Row) -> str | None:
        key = self.read_key(row.values)
        return key if key is None or len(key) <= MOST_CHARACTERS else bounded(key)

    def advance(self, key: str, due: float) -> None:
        """A deadline that stood in the timers has come."""
        cell = self._cells.get(key)
        if cell is None or cell.scheduled != due:
            return
        cell.scheduled = None
        wanted = self._due(cell)
        is_wanted = wanted is not None and wanted <= due
        if is_wanted:
            self._advance(key, cell, due)
        over = [way for way, each in cell.episodes.items() if each.due(self._settle, self._quiet) <= due]
        for way in over:
            episode = cell.episodes.pop(way)
            self._resolve(key, way, episode, due, "quiet" if episode.cleared_at is None else "clear")
        if is_wanted or over:
            self._keep(key, cell)
        else:
            self._schedule(key, cell)  # what was due has been put off by later events

    def _advance(self, key: str, cell: Cell, due: float) -> None:
        try:
            for said in self.detector.advance(cell.state, due):
                self._hear(key, cell, said, "")
            again = self.detector.due(cell.state)
            if again is not None and again <= due:
                raise RuntimeError("the deadline did not move on")
        except Exception as error:  # as in observe
            self._fault(cell, error)

    def _keep(self, key: str, cell: Cell) -> None:
        known = key in self._cells
        if not cell.episodes and self._is_blank(cell):
            if known:
                del self._cells[key]
                self._touched[key] = None
            return
        self._cells[key] = cell
        self._stir(cell)
        self._schedule(key, cell)
        if not known and len(self._cells) > self.detector.max_keys:
            self._evict()

    def _due(self, cell: Cell) -> float | None:
        try:
            return self.detector.due(cell.state)
        except Exception as error:  # as in observe
            self._fault(cell, error)
            return None

    def _is_blank(self, cell: Cell) -> bool:
        try:
            return self.detector.is_blank(cell.state)
        except Exception as error:  # as in observe
            self._fault(cell, error)
            return True

    def _schedule(self, key: str, cell: Cell) -> None:
        due = self._due(cell)
        for episode in cell.episodes.values():
            over = episode.due(self._settle, self._quiet)
            due = over if due is None or over < due else due
        if due is not None and (cell.scheduled is None or due < cell.scheduled):
            cell.scheduled = due
            self._timers.add(due, self._index, key)

    def _evict(self) -> None:
        self._put_in_order()
        key, cell = self._cells.popitem(last=False)
        self._touched[key] = None
        self._counts["evicted"] += 1
        for way, episode in cell.episodes.items():
            self._resolve(key, way, episode, episode.heard_until, "lost sight")

    def _fault(self, cell: Cell, error: Exception) -> None:
        self._counts["faults"] += 1
        # The error's own text may hold a value of the event, so only its type is told.
        self.faults.append(f"{self.detector.name} raised {type(error).__name__}")
        cell.state = self.detector.begin()

    def _hear(self, key: str, cell: Cell, said: Said, origin: str) -> None:
        if isinstance(said, Clear):
            for episode in cell.episodes.values():
                episode.cleared(said.time)
        elif isinstance(said, WindowResult):
            self._window_result(key, said)
        else:
            self._finding(key, cell, said, origin)

    def _window_result(self, key: str, result: WindowResult) -> None:
        self._counts["windows"] += 1
        who = {"pipeline": self._pipeline, "detector": self.detector.name, "key": key}
        id = self._id(key, result.since, result.until)
        aggregates = {name: value for name, value in result.values.items() if value is not None}
        body = {
            "result_id": id,
            **who,
            "window_start": lake_time(result.since),
            "window_end": lake_time(result.until),
            "aggregates": aggregates,
        }
        if getattr(self.detector, "keep", True):
            self._send(Item("window_result", id, body))
        if getattr(self.detector, "metric", False):
            self._send(Item("metric", id, {**who, "window_end": result.until, "aggregates": aggregates}))

    def _finding(self, key: str, cell: Cell, finding: Finding, origin: str) -> None:
        self._counts["findings"] += 1
        severity = severity_of(self.detector.severity, finding.score)
        way = finding.direction
        for other, episode in cell.episodes.items():
            if other != way:
                episode.cleared(finding.time)
        known = cell.episodes.get(way)
        if known is None:
            known = Episode.opened(self._id(key, way, finding.since, finding.time, origin), finding, severity)
            cell.episodes[way] = known
            self._change(OPENED, key, way, known, finding.time)
        elif known.repeated(finding, severity):
            self._change(ESCALATED, key, way, known, max(finding.time, known.detected_at))
        id = self._id("finding", key, way, finding.since, finding.time, origin)
        self._send(
            Item(
                "finding",
                id,
                {
                    "finding_id": id,
                    "incident_id": known.incident_id,
                    "pipeline": self._pipeline,
                    "detector": self.detector.name,
                    "key": key,
                    "found_at": lake_time(finding.time),
                    "direction": way,
                    "severity": severity.name.lower(),
                    "since": lake_time(finding.since),
                    "score": finding.score,
                    "observed": finding.observed,
                    "unit": finding.unit,
                    "expected": finding.expected,
                    "sentence": finding.sentence,
                    "contributions": [asdict(each) for each in finding.contributions],
                    "shown": {name: str(value) for name, value in finding.shown.items()},
                },
            )
        )

    def _resolve(self, key: str, way: str, episode: Episode, time: float, reason: str) -> None:
        episode.version += 1
        self._change(RESOLVED, key, way, episode, time, reason)

    def _change(
        self, state: str, key: str, way: str, episode: Episode, time: float, reason: str = ""
    ) -> None:
        self._counts["changes"] += 1
        if state == OPENED:
            self._counts["opened"] += 1
        change = episode.change(state, time, (self._pipeline, self.detector.name, key, way), reason)
        self._send(Item("incident_change", change.change_id, change.to_row()))

    def _id(self, *parts: object) -> str:
        whole = "\x1f".join(
            str(part) for part in (self._pipeline, self._shard_id, self.detector.name, *parts)
        )
        return hashlib.sha256(whole.encode()).hexdigest()[:20]

    @property
    def is_touched(self) -> bool:
        """Whether there is anything to save since the last change."""
        return bool(self._touched or self._stirred)

    def change(self) -> dict[str, Any]:
        """The keys touched since the last change, the least recently touched first; `None` for a key that has
        gone.
        """
        self._put_in_order()
        # Not as a difference of sets: that would walk all keys of the shard.
        gone: dict[str, Any] = dict.fromkeys(sorted(key for key in self._touched if key not in self._cells))
        living = sorted((self._cells[key] for key in self._touched if key not in gone), key=turn_of)
        self._touched.clear()
        return gone | {cell.key: self._saved(cell) for cell in living}

    def snapshot(self) -> dict[str, Any]:
        self._put_in_order()
        return {key: self._saved(cell) for key, cell in self._cells.items()}

    def _saved(self, cell: Cell) -> list[Any]:
        try:
            state = self.detector.save(cell.state)
        except Exception as error:  # as in observe
            self._fault(cell, error)
            state = self.detector.save(cell.state)
        return [state, {way: each.save() for way, each in cell.episodes.items()}]

    def restore(self, saved: dict[str, Any], fingerprint: str) -> None:
        """Takes over keys as they were saved; under another fingerprint, or where they cannot be read, only
        their open incidents.
        """
        for key, kept in saved.items():
            self._cells.pop(key, None)
            if kept is None:
                continue
            state, episodes = kept
            restored = self._restored(state) if fingerprint == self.fingerprint else self.detector.begin()
            cell = Cell(key, restored)
            cell.episodes = {way: Episode.restore(each) for way, each in episodes.items()}
            self._cells[key] = cell

    def _restored(self, state: Any) -> Any:
        try:
            return self.detector.restore(state)
        except Exception:  # a state that its detector cannot read must not make the shard unreadable
            self.could_not_restore = True
            return self.detector.begin()

    def forget(self) -> None:
        self._cells.clear()

    def inherit(self, left: Lane, is_mine: Callable[[str], bool]) -> None:
        """Takes over the keys that are mine from a lane of the same detector, which must not be used any
        more. Where both have a key, the other's open incidents go on here or end.
        """
        for key, cell in left._cells.items():
            if not is_mine(key):
                continue
            cell.scheduled, cell.turn = None, 0
            mine = self._cells.setdefault(key, cell)
            self._touched[key] = None
            for way, episode in cell.episodes.items() if mine is not cell else ():
                if mine.episodes.setdefault(way, episode) is not episode:
                    self._resolve(key, way, episode, episode.heard_until, "lost sight")
        self.set_timers()
        while len(self._cells) > self.detector.max_keys:
            self._evict()

    def set_timers(self) -> None:
        """After the last `restore`: every deadline into the timers."""
        for key, cell in list(self._cells.items()):
            if not cell.episodes and self._is_blank(cell):
                del self._cells[key]
            else:
                self._schedule(key, cell)


def begins_blank(detector: Detector[Any]) -> bool:
    try:
        return detector.is_blank(detector.begin())
    except Exception:  # as in observe
        return False


def turn_of(cell: Cell) -> int:
    return cell.turn


def orphans(saved: dict[str, Any]) -> Iterator[tuple[str, str, Episode]]:
    """The open incidents of a detector that the pipeline no longer has: key, direction, episode."""
    for key, kept in saved.items():
        if kept is not None:
            for way, episode in kept[1].items():
                yield key, way, Episode.restore(episode)
