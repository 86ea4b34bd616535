"""What a shard remembers of events: those that wait for their turn, and the ids of those it has had."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

from lambdas.model import Row

MOST_CHARACTERS = 256


class ReorderBuffer:
    """Rows by time, then by their place in the stream, until the watermark has passed them; `first` is the
    first one's time.
    """

    def __init__(self) -> None:
        self.first = math.inf
        self._heap: list[tuple[float, int, int, int, Row]] = []
        self._turn = itertools.count()  # two shards may have numbered rows of one time alike
        self._added: list[Row] = []

    def add(self, row: Row) -> None:
        self._push(row)
        self._added.append(row)

    def _push(self, row: Row) -> None:
        heapq.heappush(self._heap, (row.time, row.sequence, row.index, next(self._turn), row))
        self.first = self._heap[0][0]

    def inherit(self, left: ReorderBuffer, is_mine: Callable[[Row], bool]) -> None:
        for *_, row in left._heap:
            if is_mine(row):
                self.add(row)

    def __len__(self) -> int:
        return len(self._heap)

    def take(self) -> Row:
        *_, row = heapq.heappop(self._heap)
        self.first = self._heap[0][0] if self._heap else math.inf
        return row

    def change(self, watermark: float) -> list[Any]:
        """The rows added since the last change that are still waiting, as plain data."""
        added, self._added = self._added, []
        return [plain(row) for row in added if row.time > watermark]

    def snapshot(self) -> list[Any]:
        return [plain(row) for *_, row in sorted(self._heap, key=lambda item: item[:4])]

    def restore(self, saved: Iterable[Any]) -> None:
        for time, arrival, sequence, index, values in saved:
            self._push(Row(time, values, arrival, int(sequence), index))

    def forget_until(self, watermark: float) -> None:
        """Drops what had been released by the time that the watermark came here."""
        while self.first <= watermark:
            self.take()


def plain(row: Row) -> list[Any]:
    return [row.time, row.arrival, str(row.sequence), row.index, row.values]


class Ids:
    """The ids of events by event time: whatever comes again within `span` seconds is a repeat.

    At most `most` are kept; the oldest leave first and are counted in `lost`. What is known depends on the
    events and the watermark alone, not on when something was pruned or restored.
    """

    def __init__(self, span: float, most: int) -> None:
        self._span = span
        self._most = most
        self._oldest = float("-inf")  # event time from which ids are known
        self._known: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []  # may hold ids that were forgotten or came again since
        self._added: list[tuple[str, float]] = []
        self.lost = 0

    def is_repeat(self, id: str, time: float) -> bool:
        """Whether the id is known; if not it is from now on."""
        id = bounded(id)
        known = self._known.get(id)
        if known is not None and known >= max(self._oldest, time - self._span):
            return True
        self._remember(id, time)
        self._added.append((id, time))
        if time < self._oldest or len(self._known) > self._most:
            self._prune()
        return False

    def _remember(self, id: str, time: float) -> None:
        self._known[id] = time
        heapq.heappush(self._heap, (time, id))

    def forget_until(self, watermark: float) -> None:
        self._oldest = watermark - self._span
        if self._heap and self._heap[0][0] < self._oldest:
            self._prune()

    def _prune(self) -> None:
        while self._heap and (self._heap[0][0] < self._oldest or len(self._known) > self._most):
            time, id = heapq.heappop(self._heap)
            if self._known.get(id) == time:
                del self._known[id]
                self.lost += time >= self._oldest

    def change(self) -> list[Any]:
        added, self._added = self._added, []
        return [[id, time] for id, time in added if self._known.get(id) == time]

    def snapshot(self) -> list[Any]:
        return sorted([id, time] for id, time in self._known.items())

    def inherit(self, left: Ids) -> None:
        for id, time in left._known.items():
            if self._known.get(id, float("-inf")) < time:
                self._remember(id, time)
                self._added.append((id, time))

    def restore(self, saved: Iterable[Any]) -> None:
        for id, time in saved:
            self._remember(id, time)

    def restored(self, watermark: float | None) -> None:
        """After the last `restore`: forgets what had been forgotten, which is no new loss."""
        if watermark is not None:
            self._oldest = watermark - self._span
        self._prune()
        self.lost = 0


def bounded(text: str) -> str:
    """A text from outside as a key: cut to a length that a state can hold many of, and still itself.

    >>> bounded("sensor-1"), len(bounded("x" * 5_000))
    ('sensor-1', 217)
    """
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:200]}~{hashlib.sha256(text.encode()).hexdigest()[:16]}"
