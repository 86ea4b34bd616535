"""Where things stand in a chart: in percent of its width, so that it fits any screen at one size of text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

GRAIN = 10_000  # parts that a path's width and height are counted in
PLOT, TOP = 150, 14  # px: a plot's height, and the room above it
DAY = 86_400
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)  # s
DAYS = tuple(DAY * each for each in (1, 2, 7, 14, 30, 60, 90, 180, 365))


@dataclass(frozen=True)
class Span:
    """What an axis shows, from `low` to `high`."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Sequence[float]) -> Span:
        """From the least to the greatest value, with some air."""
        air = (max(values) - min(values)) * 0.08 or abs(values[0]) * 0.1 or 1
        return cls(min(values) - air, max(values) + air)

    @property
    def length(self) -> float:
        return (self.high - self.low) or 1

    def part(self, value: float) -> float:
        """Where a value stands, 0 to 1; at the nearer end where it is outside."""
        return min(max((value - self.low) / self.length, 0), 1)

    def x(self, value: float) -> str:
        return f"{100 * self.part(value):.2f}%"

    def width(self, low: float, high: float) -> str:
        return f"{100 * (self.part(high) - self.part(low)):.2f}%"

    def y(self, value: float) -> float:
        return round(TOP + PLOT * (1 - self.part(value)), 1)

    def values(self) -> list[float]:
        """Round values, at most six.

        >>> Span(17.2, 46.1).values()
        [20, 30, 40]
        """
        power: float = 10 ** math.floor(math.log10(self.length) - 1)
        step = next(power * each for each in (1, 2, 5, 10, 20, 50) if self.length / (power * each) <= 5.5)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [round(each * step, 12) for each in range(first, last + 1)]

    def times(self) -> Iterator[tuple[float, str]]:
        """Round times in UTC with their labels, at most seven; a midnight's is its day.

        >>> [label for _, label in Span(36_000, 39_600).times()]
        ['10:00', '10:15', '10:30', '10:45', '11:00']
        """
        fitting = (each for each in (*STEPS, *DAYS) if self.length / each <= (5 if each < DAY else 6))
        step = next(fitting, math.ceil(self.length / 6))
        for each in range(math.ceil(self.low / step), math.floor(self.high / step) + 1):
            form = "%b %Y" if step > 60 * DAY else "%-d %b" if each * step % DAY == 0 else "%H:%M"
            yield each * step, utc(each * step, "%H:%M:%S" if step < 60 else form)


def utc(seconds: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def path(points: Sequence[tuple[float, float]], time: Span, values: Span, gap: float) -> str:
    """A line through points in order of time, broken where nothing came for longer than `gap` (s)."""
    parts, previous = [], -math.inf
    for at, value in points:
        place = f"{round(GRAIN * time.part(at))} {round(GRAIN * (1 - values.part(value)))}"
        # A line of no length is drawn as a dot, so that a reading by itself is seen.
        parts.append(place if at - previous <= gap else f"M{place}h0L{place}")
        previous = at
    return " ".join(parts)
