"""Running aggregates: each takes values one by one, merges with another of its kind, and is plain data when
saved.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

from lambdas.columns import Aggregate, Value

LARGEST = 1e150  # beyond it a sum of squares leaves the range of a double, so such a value is left out
GAMMA = 1.01 / 0.99  # bucket growth of the quantile sketch: each bucket is within 1 % of its middle
LOG_GAMMA = math.log(GAMMA)


class Running(Protocol):
    """The aggregate of the values taken so far."""

    def take(self, value: Value) -> None: ...
    def merge(self, other: Any) -> None: ...
    def result(self) -> float | int | None: ...
    def save(self) -> Any: ...


class Count:
    __slots__ = ("events",)

    def __init__(self, events: int = 0) -> None:
        self.events = events

    def take(self, value: Value) -> None:
        self.events += 1

    def merge(self, other: Count) -> None:
        self.events += other.events

    def result(self) -> int:
        return self.events

    def save(self) -> Any:
        return [self.events]


class Moments:
    """Count, mean and squared deviations by Welford's method, with the sum and the extremes beside them.

    Source: B. P. Welford, "Note on a method for calculating corrected sums of squares and products",
    Technometrics 4 (1962) 419; merging after Chan, Golub and LeVeque (1979).
    """

    __slots__ = ("function", "highest", "lowest", "mean", "squares", "taken", "total")

    def __init__(
        self,
        function: str,
        taken: int = 0,
        total: float = 0.0,
        mean: float = 0.0,
        squares: float = 0.0,
        lowest: float | None = None,
        highest: float | None = None,
    ) -> None:
        self.function = function
        self.taken = taken
        self.total = total
        self.mean = mean
        self.squares = squares
        self.lowest = lowest
        self.highest = highest

    def take(self, value: Value) -> None:
        if value is None or not isinstance(value, int | float) or not -LARGEST < value < LARGEST:
            return
        self.taken += 1
        self.total += value
        if self.function == "spread":
            step = value - self.mean
            self.mean += step / self.taken
            self.squares += step * (value - self.mean)
        elif self.function == "low":
            self.lowest = value if self.lowest is None else min(self.lowest, value)
        elif self.function == "high":
            self.highest = value if self.highest is None else max(self.highest, value)

    def merge(self, other: Moments) -> None:
        taken = self.taken + other.taken
        if other.taken and self.function == "spread":
            step = other.mean - self.mean
            self.squares += other.squares + step * step * self.taken * other.taken / taken
            self.mean += step * other.taken / taken
        self.taken = taken
        self.total += other.total
        self.lowest = min((each for each in (self.lowest, other.lowest) if each is not None), default=None)
        self.highest = max((each for each in (self.highest, other.highest) if each is not None), default=None)

    def result(self) -> float | None:
        if self.function == "spread":
            return math.sqrt(self.squares / (self.taken - 1)) if self.taken > 1 else None
        if not self.taken:
            return None
        results = {
            "share": self.total / self.taken,
            "total": self.total,
            "mean": self.total / self.taken,
            "low": self.lowest,
            "high": self.highest,
        }
        return results[self.function]

    def save(self) -> Any:
        return [self.taken, self.total, self.mean, self.squares, self.lowest, self.highest]


class Distinct:
    """The different values themselves, at most `most` of them: exact until then, and staying there after."""

    __slots__ = ("most", "values")

    def __init__(self, most: int, values: Any = ()) -> None:
        self.most = most
        self.values: dict[Value, None] = dict.fromkeys(values)

    def take(self, value: Value) -> None:
        if value is not None and len(self.values) < self.most:
            self.values[value] = None

    def merge(self, other: Distinct) -> None:
        for value in other.values:
            self.take(value)

    def result(self) -> int:
        return len(self.values)

    def save(self) -> Any:
        return list(self.values)


class Sketch:
    """A quantile within 1 % of its value, from counts in buckets that grow geometrically.

    Source: Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
    guarantees", PVLDB 12 (2019) 2195. Memory: one number a bucket, about 230 buckets for each two orders of
    magnitude.
    """

    __slots__ = ("buckets", "fraction")

    def __init__(self, fraction: float, buckets: Any = ()) -> None:
        self.fraction = fraction
        self.buckets: dict[tuple[int, int], int] = {
            (sign, bucket): events for sign, bucket, events in buckets
        }

    def take(self, value: Value) -> None:
        if value is None or not isinstance(value, int | float) or not -LARGEST < value < LARGEST:
            return
        if abs(value) < 1e-12:
            bucket = (0, 0)
        else:
            bucket = (1 if value > 0 else -1, math.ceil(math.log(abs(value)) / LOG_GAMMA))
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def merge(self, other: Sketch) -> None:
        for bucket, events in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + events

    def result(self) -> float | None:
        rank = max(1, math.ceil(self.fraction * sum(self.buckets.values())))
        for (sign, bucket), events in sorted(
            self.buckets.items(), key=lambda item: item[0][0] * 1e6 + item[0][0] * item[0][1]
        ):
            rank -= events
            if rank <= 0:
                return sign * 2 * GAMMA**bucket / (GAMMA + 1)
        return None

    def save(self) -> Any:
        return [[sign, bucket, events] for (sign, bucket), events in self.buckets.items()]


def running(aggregate: Aggregate, distinct_cap: int, saved: Any = None) -> Running:
    """A running aggregate, begun anew or as it was saved."""
    if aggregate.function == "count":
        return Count(*(saved or ()))
    if aggregate.function == "distinct":
        return Distinct(distinct_cap, saved or ())
    if aggregate.function == "quantile":
        assert aggregate.fraction is not None  # quantile() gives one
        return Sketch(aggregate.fraction, saved or ())
    return Moments(aggregate.function, *(saved or ()))
