"""Running aggregates: each takes values one by one, merges with another of its kind, and is plain data when
saved.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Callable
from typing import Any, Protocol

from lambdas.columns import Aggregate, Value

LARGEST = 1e150  # beyond it a sum of squares leaves the range of a double, so such a value is left out
GAMMA = 1.01 / 0.99  # bucket growth of the quantile sketch: each bucket is within 1 % of its middle
LOG_GAMMA = math.log(GAMMA)
MOST_BUCKETS = 300
SMALLEST = 1e-12


class Running(Protocol):
    """The aggregate of the values taken so far; what is missing in an event, only `count` takes."""

    def take(self, value: Any) -> None: ...
    def merge(self, other: Any) -> None: ...
    def result(self) -> float | int | None: ...
    def save(self) -> Any: ...


class Count:
    __slots__ = ("events",)

    def __init__(self, events: int = 0) -> None:
        self.events = events

    def take(self, value: object) -> None:
        self.events += 1

    def merge(self, other: Count) -> None:
        self.events += other.events

    def result(self) -> int:
        return self.events

    def save(self) -> Any:
        return [self.events]


class Total:
    __slots__ = ("taken", "total")

    def __init__(self, taken: int = 0, total: float = 0.0) -> None:
        self.taken = taken
        self.total = total

    def take(self, value: float | None) -> None:
        if value is not None and -LARGEST < value < LARGEST:
            self.taken += 1
            self.total += value

    def merge(self, other: Total) -> None:
        self.taken += other.taken
        self.total += other.total

    def result(self) -> float | None:
        return self.total if self.taken else None

    def save(self) -> Any:
        return [self.taken, self.total]


class Mean(Total):
    """Of a condition it is the share of the events that meet it."""

    __slots__ = ()

    def result(self) -> float | None:
        return self.total / self.taken if self.taken else None


class Low:
    __slots__ = ("value",)

    def __init__(self, value: float | None = None) -> None:
        self.value = value

    def take(self, value: float | None) -> None:
        if value is not None and -LARGEST < value < LARGEST and (self.value is None or value < self.value):
            self.value = value

    def merge(self, other: Low) -> None:
        self.take(other.value)

    def result(self) -> float | None:
        return self.value

    def save(self) -> Any:
        return [self.value]


class High(Low):
    __slots__ = ()

    def take(self, value: float | None) -> None:
        if value is not None and -LARGEST < value < LARGEST and (self.value is None or value > self.value):
            self.value = value


class Spread:
    """Count, mean and squared deviations by Welford's method.

    Source: B. P. Welford, "Note on a method for calculating corrected sums of squares and products",
    Technometrics 4 (1962) 419; merging after Chan, Golub and LeVeque (1979).
    """

    __slots__ = ("mean", "squares", "taken")

    def __init__(self, taken: int = 0, mean: float = 0.0, squares: float = 0.0) -> None:
        self.taken = taken
        self.mean = mean
        self.squares = squares

    def take(self, value: float | None) -> None:
        if value is not None and -LARGEST < value < LARGEST:
            self.taken += 1
            step = value - self.mean
            self.mean += step / self.taken
            self.squares += step * (value - self.mean)

    def merge(self, other: Spread) -> None:
        taken = self.taken + other.taken
        if other.taken:
            step = other.mean - self.mean
            self.squares += other.squares + step * step * self.taken * other.taken / taken
            self.mean += step * other.taken / taken
        self.taken = taken

    def result(self) -> float | None:
        return math.sqrt(self.squares / (self.taken - 1)) if self.taken > 1 else None

    def save(self) -> Any:
        return [self.taken, self.mean, self.squares]


class Distinct:
    """The different values themselves, at most `most` of them: exact until then, and staying there after."""

    __slots__ = ("most", "values")

    def __init__(self, most: int, values: Any = ()) -> None:
        self.most = most
        self.values: dict[Value, None] = dict.fromkeys(values)

    def take(self, value: Value) -> None:
        if isinstance(value, str) and len(value) > 18:
            value = "~" + hashlib.blake2b(value.encode(), digest_size=8).hexdigest()
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
    guarantees", PVLDB 12 (2019) 2195. At most `MOST_BUCKETS` are kept, enough for values that span two and a
    half orders of magnitude; beyond that the lowest are counted together, so that low quantiles lose first.
    """

    __slots__ = ("buckets", "fraction")

    def __init__(self, fraction: float, buckets: Any = ()) -> None:
        self.fraction = fraction
        self.buckets: dict[int, int] = dict(buckets)

    def take(self, value: float | None) -> None:
        if value is not None and -LARGEST < value < LARGEST:
            self._add(bucket_of(value), 1)

    def merge(self, other: Sketch) -> None:
        for bucket, events in other.buckets.items():
            self._add(bucket, events)

    def _add(self, bucket: int, events: int) -> None:
        self.buckets[bucket] = self.buckets.get(bucket, 0) + events
        if len(self.buckets) > MOST_BUCKETS:
            lowest, second = heapq.nsmallest(2, self.buckets)
            self.buckets[second] += self.buckets.pop(lowest)

    def result(self) -> float | None:
        rank = max(1, math.ceil(self.fraction * sum(self.buckets.values())))
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank <= 0:
                return middle_of(bucket)
        return None

    def save(self) -> Any:
        return [[bucket, events] for bucket, events in self.buckets.items()]


def bucket_of(value: float) -> int:
    """A bucket's number; numbers are in the order of the values, 0 is for what is as good as zero."""
    if abs(value) < SMALLEST:
        return 0
    number = math.ceil(math.log(abs(value) / SMALLEST) / LOG_GAMMA) + 1
    return number if value > 0 else -number


def middle_of(bucket: int) -> float:
    """The value that is within 1 % of all in the bucket."""
    if bucket == 0:
        return 0.0
    return math.copysign(SMALLEST * 2 * GAMMA ** (abs(bucket) - 1) / (GAMMA + 1), bucket)


PLAIN: dict[str, Callable[..., Running]] = {
    "count": Count,
    "total": Total,
    "mean": Mean,
    "share": Mean,
    "low": Low,
    "high": High,
    "spread": Spread,
}


def running(aggregate: Aggregate, distinct_cap: int, saved: Any = None) -> Running:
    """A running aggregate, begun anew or as it was saved."""
    if aggregate.function == "distinct":
        return Distinct(distinct_cap, saved or ())
    if aggregate.function == "quantile":
        assert aggregate.fraction is not None  # quantile() gives one
        return Sketch(aggregate.fraction, saved or ())
    return PLAIN[aggregate.function](*(saved or ()))
