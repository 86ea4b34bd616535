"""The agreed shape of what the other ten pipelines declare and no room can do yet.

Detectors, sources, formats and a column kind, as frozen dataclasses that validate themselves: enough to prove
that the model carries the use cases. Their logic comes with their own rooms, and each leaves this file then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from lambdas.columns import Column, DeclarationError, Predicate, Text
from lambdas.detectors.detector import Detector
from lambdas.model import Source, literal_problems

DAY = timedelta(days=1)


class Folded(Text):
    """Text whose changing parts (numbers, ids, addresses) are folded into `#`: what is alike reads alike."""


@dataclass(frozen=True, kw_only=True)
class Silence(Detector[Any]):
    """A key that used to speak has said nothing for `after`, or for `pauses` times its usual pause.

    After an event that meets `until` its silence is as it should be.
    """

    after: timedelta = timedelta(0)
    pauses: float = 0.0
    until: Predicate | None = None

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.after <= timedelta(0) and self.pauses <= 1:
            yield "it says not how long a silence is strange; say after=minutes(5) or pauses=20."
        if self.until is not None:
            yield from literal_problems(self.until, aggregates=False)


@dataclass(frozen=True, kw_only=True)
class Novelty(Detector[Any]):
    """A value of `of` that its key never showed, or shows in less than `rarer_than` of its events.

    Silent for a key's first `learning`; what was seen counts half after each `half_life`.
    """

    of: Column
    where: Predicate | None = None
    rarer_than: float = 0.0
    learning: timedelta = DAY
    half_life: timedelta = 14 * DAY
    max_values: int = 1_000

    @property
    def bytes_per_key(self) -> int:
        return 30 * self.max_values

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not 0 <= self.rarer_than < 1:
            yield "rarer_than is a share of a key's events; say one from 0 to 1, as 0.001."
        if self.learning <= timedelta(0) or self.half_life <= timedelta(0):
            yield "learning and half_life are above zero; say hours(24) and more."
        if self.where is not None:
            yield from literal_problems(self.where, aggregates=False)


@dataclass(frozen=True, kw_only=True)
class Hotspots(Detector[Any]):
    """Dense regions among the last `window` points: each has `least` points within `radius` of one of them.

    An incident is a region: it appears, moves, dissolves.
    """

    on: Sequence[Column]
    radius: float
    window: int = 1_000
    least: int = 20

    @property
    def bytes_per_key(self) -> int:
        return 20 * len(self.on) * self.window

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from numeric_problems(self.on)
        if self.radius <= 0:
            yield "radius is zero or less; say how far apart points of a region may be, in the columns' unit."
        if not 1 < self.least <= self.window:
            yield "least is not from 2 to the window's points; say how many make a region."


@dataclass(frozen=True, kw_only=True)
class RandomCutForest(Detector[Any]):
    """Points that are easily cut off from the ones before: those that score above `cutoff`, or more than
    `deviations` standard deviations above the key's mean score; with neither, an adaptive limit.
    """

    on: Sequence[Column]
    cutoff: float | None = None
    deviations: float | None = None
    trees: int = 50
    sample: int = 256
    decay: int = 100_000
    shingle: int = 1

    @property
    def bytes_per_key(self) -> int:
        return self.trees * self.sample * (8 * len(self.on) * self.shingle + 16)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from numeric_problems(self.on)
        if self.cutoff is not None and self.deviations is not None:
            yield "it has a cutoff and deviations; say one of them, or neither for an adaptive limit."
        if min(self.trees, self.sample, self.decay, self.shingle) < 1:
            yield "trees, sample, decay and shingle are 1 or more."


@dataclass(frozen=True, kw_only=True)
class Seasonal(Detector[Any]):
    """A value outside the band that its key's level, trend and seasons let expect; scores are in band widths.

    `every` is the time from one value to the next; gaps are allowed.
    """

    of: Column
    every: timedelta
    seasons: Sequence[timedelta] = (DAY, 7 * DAY)

    @property
    def bytes_per_key(self) -> int:
        return 100 + 20 * sum(season // self.every for season in self.seasons if self.every)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from numeric_problems([self.of])
        if self.every <= timedelta(0) or any(season < 2 * self.every for season in self.seasons):
            yield "every is above zero and each season at least twice as long; say every=hours(1)."


@dataclass(frozen=True, kw_only=True)
class Correlation(Detector[Any]):
    """The relation between a key's values of `of` for different `across` breaks, though each is in range.

    Values are compared once every `every`; the finding names what left the relation.
    """

    of: Column
    across: Column
    every: timedelta
    most: int = 10

    @property
    def bytes_per_key(self) -> int:
        return 100 + 60 * self.most * self.most

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from numeric_problems([self.of])
        if self.every <= timedelta(0):
            yield "every is zero or less; say how often values are compared, as minutes(1)."
        if self.most < 2:
            yield "most is below 2; say how many values of across there may be."


def numeric_problems(columns: Sequence[Column]) -> Iterator[str]:
    if not columns:
        yield "it is on no column; say on=[…]."
    for column in columns:
        if not column.numeric:
            yield f"the column {column.label!r} is no number; say an Integer or Double column."


@dataclass(frozen=True, kw_only=True)
class LogsSubscription(Source):
    """A CloudWatch Logs subscription of a log group; the log stream is the partition key.

    With `cross_account` a destination instead, to which accounts that the settings name may subscribe.
    """

    log_group: str = ""
    pattern: str = ""
    cross_account: bool = False

    def __post_init__(self) -> None:
        if bool(self.log_group) == self.cross_account:
            raise DeclarationError("LogsSubscription: say log_group= or cross_account=True, one of them.")


@dataclass(frozen=True, kw_only=True)
class Connect(Source):
    """The agent events of the Amazon Connect instance that the settings name."""


@dataclass(frozen=True, kw_only=True)
class Rum(Source):
    """The events of a CloudWatch RUM app monitor for the domain that the settings name."""


@dataclass(frozen=True, kw_only=True)
class Polled(Source):
    """A function asks the endpoint in the settings `every` so often; its cursor is kept in the state log."""

    every: timedelta
    method: str

    def __post_init__(self) -> None:
        if self.every < timedelta(minutes=1):
            raise DeclarationError("Polled: a schedule is one minute at best; say every=minutes(1) or more.")


@dataclass(frozen=True)
class LogEvents:
    """A subscription's log events: `id`, `timestamp`, `message`, `owner`, `log_group`, `log_stream`.

    With `line` the values of the message too, in order; `missing` is how it writes a missing one.
    """

    line: Sequence[Column] = ()
    delimiter: str = " "
    missing: str = "-"

    def recognises(self, data: bytes) -> bool:
        return data[:2] == b"\x1f\x8b"

    def read(self, data: bytes) -> Iterator[Mapping[str, Any]]:
        raise TypeError("LogEvents is declared only; its reading comes with the first log pipeline.")


@dataclass(frozen=True)
class RumEvents:
    """CloudWatch RUM's events, with `details` and `metadata` opened: they are JSON text inside of JSON."""

    def recognises(self, data: bytes) -> bool:
        return data.lstrip()[:1] == b"{"

    def read(self, data: bytes) -> Iterator[Mapping[str, Any]]:
        raise TypeError("RumEvents is declared only; its reading comes with web_vitals.")
