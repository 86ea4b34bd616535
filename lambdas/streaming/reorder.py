"""What a shard remembers of events: those that wait for their turn, and the ids of those it has had."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Any

from lambdas.model import Row


class ReorderBuffer:
    """Rows by time, then by their place in the stream, until the watermark has passed them."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, int, Row]] = []
        self._added: list[Row] = []

    def add(self, row: Row) -> None:
        heapq.heappush(self._heap, (row.time, row.sequence, row.index, row))
        self._added.append(row)

    def __len__(self) -> int:
        return len(self._heap)

    def first_time(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def take(self) -> Row:
        return heapq.heappop(self._heap)[3]

    def change(self, watermark: float) -> list[Any]:
        """The rows added since the last change that are still waiting, as plain data."""
        added, self._added = self._added, []
        return [plain(row) for row in added if row.time > watermark]

    def snapshot(self) -> list[Any]:
        return [plain(row) for *_, row in sorted(self._heap, key=lambda item: item[:3])]

    def restore(self, saved: Iterable[Any]) -> None:
        for time, arrival, sequence, index, values in saved:
            row = Row(time, values, arrival, int(sequence), index)
            heapq.heappush(self._heap, (time, row.sequence, index, row))

    def forget_until(self, watermark: float) -> None:
        """Drops what had been released by the time that the watermark came here."""
        while self._heap and self._heap[0][0] <= watermark:
            heapq.heappop(self._heap)


def plain(row: Row) -> list[Any]:
    return [row.time, row.arrival, str(row.sequence), row.index, row.values]


class Ids:
    """The ids of events by event time: a repeat is known for `span` seconds behind the watermark.

    At most `most` are kept; the oldest leave first and are counted in `lost`.
    """

    def __init__(self, span: float, most: int) -> None:
        self._span = span
        self._most = most
        self._known: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._added: list[tuple[str, float]] = []
        self.lost = 0

    def is_repeat(self, id: str, time: float) -> bool:
        """Whether the id was seen; if not it is from now on."""
        if id in self._known:
            return True
        self._remember(id, time)
        self._added.append((id, time))
        return False

    def _remember(self, id: str, time: float) -> None:
        self._known[id] = time
        heapq.heappush(self._heap, (time, id))

    def forget_until(self, watermark: float) -> None:
        while self._heap and (self._heap[0][0] < watermark - self._span or len(self._heap) > self._most):
            time, id = heapq.heappop(self._heap)
            del self._known[id]
            self.lost += time >= watermark - self._span

    def change(self) -> list[Any]:
        added, self._added = self._added, []
        return [[id, time] for id, time in added if id in self._known]

    def snapshot(self) -> list[Any]:
        return [[id, time] for time, id in sorted(self._heap)]

    def restore(self, saved: Iterable[Any]) -> None:
        for id, time in saved:
            if id not in self._known:
                self._remember(id, time)
