"""Window: aggregates of a key over spans of event time, and a condition on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property, lru_cache
from typing import Any

from lambdas.columns import Aggregate, Predicate, Test, Value, Values, number
from lambdas.detectors.aggregates import MOST_BUCKETS, Running, running
from lambdas.detectors.detector import (
    SHOWN_CHARACTERS,
    Detector,
    briefly,
    columns_in,
    reason,
    score_of,
    seconds_of,
    span_words,
)
from lambdas.model import (
    Clear,
    Contribution,
    Finding,
    Row,
    Said,
    WindowResult,
    literal_problems,
    span_problems,
)

# An aggregate takes this column of an event, or whether it meets this condition.
Feed = tuple[str, Test | None, Running]


@dataclass(slots=True)
class Pane:
    """The aggregates of one stretch of time: `since` and, for a session, `last` (event time, ms). An event
    from `since` up to `until` changes nothing but the aggregates.
    """

    since: int
    last: int
    until: int
    feeds: tuple[Feed, ...]

    @property
    def aggregates(self) -> list[Running]:
        return [aggregate for _, _, aggregate in self.feeds]

    def merge(self, other: Pane) -> None:
        for mine, others in zip(self.aggregates, other.aggregates, strict=True):
            mine.merge(others)


@dataclass(slots=True)
class Panes:
    """A key's open panes by their start, and the start of the next window to close (event time, ms)."""

    open: dict[int, Pane] = field(default_factory=dict)
    following: int | None = None
    shown: dict[str, Value] | None = None  # of the newest event, by column
    latest: Pane | None = None  # the pane of the last event, while it is open


@dataclass(frozen=True, kw_only=True)
class Window(Detector[Panes]):
    """Aggregates the events of a key by time and finds each window for which `when` holds.

    Catches a mean, a total, a count … that is too high or too low over a span. Misses a burst that is spread
    over two tumbling windows so that neither reaches the limit: let the windows overlap then.

    `every` alone makes tumbling windows of that length, aligned to 1970 in UTC. With `span` each window is
    that long and a new one starts every `every` (a whole number of them). With `gap` instead, a session: it
    goes on until no event comes for that long. `where` says which events count. `also` are aggregates to keep
    though no condition asks for them. With `keep` each window is a row of the lake, with `metric` a
    CloudWatch metric too (only where the keys are few: each key is a metric of its own). A window closes once
    the watermark has come to its end; one without events has no result.

    The score is the aggregate that went past its limit, in its unit (its negative where it fell below). No
    warm-up. Memory a key: about 60 bytes an aggregate and open pane; `distinct` up to `distinct_cap` values;
    a `quantile` a number a bucket. Values beyond ±1e150 are left out.

    >>> above = mean(Beat.heart_rate) > 120
    >>> fast = Window(name="fast", every=seconds(60), when=above, severity=HIGH, do_first="Call.")
    >>> [finding.sentence for finding in find(fast, beats(heart_rate=[118, 130, 128]), until=60)]
    ['mean heart rate is 125.3 bpm over 1 min; expected at most 120 bpm.']
    """

    when: Predicate | None = None
    every: timedelta = timedelta(0)
    span: timedelta = timedelta(0)
    gap: timedelta = timedelta(0)
    where: Predicate | None = None
    also: Sequence[Aggregate] = ()
    keep: bool = True
    metric: bool = False
    distinct_cap: int = 1_000

    @property
    def patience(self) -> timedelta:
        # Between two findings of a key lies a whole window.
        return max(self.quiet, self.every + self.settle)

    @property
    def bytes_per_key(self) -> int:
        return self.bytes_with(timedelta(0))

    def bytes_with(self, lateness: timedelta) -> int:
        each = {"distinct": 24 * self.distinct_cap, "quantile": 16 * MOST_BUCKETS}
        pane = 40 + sum(each.get(aggregate.function, 60) for aggregate in self.aggregates)
        shown = (SHOWN_CHARACTERS + 50) * len(self.show)
        late = -(-lateness // self.every) if self.every else 1
        return 60 + shown + pane * (self._panes_a_window + 1 + late)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from span_problems(self, "every", "span", "gap")
        if self.gap and (self.every or self.span):
            yield "it has a gap and a length; a session has gap=, any other window every= and perhaps span=."
        if not self.gap and not self.every:
            yield "its window is zero long; say every=seconds(60), or gap= for a session."
        if self.every and (self.every_ms != self.every / timedelta(milliseconds=1) or self.span % self.every):
            yield "span is not a whole number of every; make it one, as span=seconds(60), every=seconds(10)."
        if self.gap and not self.gap_ms:
            yield "its gap is below a millisecond, the finest that times are kept in; say gap=seconds(30)."
        if self.when is None and not self.also:
            yield "it aggregates nothing; say when=mean(…) > 1, or also=[mean(…)]."
        if self.when is not None:
            yield from literal_problems(self.when, aggregates=True)
        if self.where is not None:
            yield from literal_problems(self.where, aggregates=False)
        for aggregate in self.aggregates:
            numeric = aggregate.of is None or aggregate.of.numeric
            if not numeric and aggregate.function != "distinct":
                yield (
                    f"{aggregate.label} is on a column that is no number; count, distinct or a numeric "
                    "column fit."
                )
            if aggregate.that is not None:
                yield from literal_problems(aggregate.that, aggregates=False)
            if aggregate.fraction is not None and not 0 < aggregate.fraction < 1:
                yield f"{aggregate.label} asks for a fraction outside 0 to 1; say one such as 0.75."

    @cached_property
    def aggregates(self) -> tuple[Aggregate, ...]:
        asked = (
            []
            if self.when is None
            else [part for part in self.when.expressions() if isinstance(part, Aggregate)]
        )
        return tuple({aggregate.label: aggregate for aggregate in [*asked, *self.also]}.values())

    @cached_property
    def every_ms(self) -> int:
        return round(self.every / timedelta(milliseconds=1))

    @cached_property
    def span_ms(self) -> int:
        return round(self.span / timedelta(milliseconds=1)) or self.every_ms

    @cached_property
    def gap_ms(self) -> int:
        return round(self.gap / timedelta(milliseconds=1))

    @property
    def _panes_a_window(self) -> int:
        return self.span_ms // self.every_ms if self.every_ms else 1

    @cached_property
    def _where(self) -> Test | None:
        return None if self.where is None else self.where.compile()

    @cached_property
    def _when(self) -> Test | None:
        return None if self.when is None else self.when.compile()

    @cached_property
    def _taken(self) -> list[tuple[str, Test | None]]:
        """What each aggregate takes of an event; `count` takes whatever it is."""
        return [
            ("" if each.of is None else each.of.label, None if each.that is None else each.that.compile())
            for each in self.aggregates
        ]

    def begin(self) -> Panes:
        return Panes()

    def is_blank(self, state: Panes) -> bool:
        return not state.open

    def save(self, state: Panes) -> Any:
        panes = [[p.since, p.last, [each.save() for _, _, each in p.feeds]] for p in state.open.values()]
        return [state.following, panes, state.shown or {}]

    def restore(self, saved: Any) -> Panes:
        following, panes, shown = saved
        opened = {since: self._pane(since, last, kept) for since, last, kept in panes}
        return Panes(opened, following, shown or None, next(reversed(opened.values()), None))

    def _pane(self, since: int, last: int, saved: Any = None) -> Pane:
        kept = saved or [None] * len(self.aggregates)
        feeds = tuple(
            (label, test, running(each, self.distinct_cap, old))
            for (label, test), each, old in zip(self._taken, self.aggregates, kept, strict=True)
        )
        if self.gap_ms:
            return Pane(since, last, last, feeds)
        since, until = bounds(since, self.every_ms)
        return Pane(since, since, until, feeds)

    def due(self, state: Panes) -> float | None:
        if not state.open:
            return None
        if self.gap_ms:
            return min(pane.last for pane in state.open.values()) / 1000 + seconds_of(self.gap)
        return ((state.following or 0) + self.span_ms) / 1000

    def observe(self, state: Panes, row: Row) -> Iterable[Said] | None:
        if self._where is not None and not self._where(row.values):
            return None
        at = round(row.time * 1000)
        pane, is_new = state.latest, False
        if pane is None or not pane.since <= at < pane.until:
            before = len(state.open)
            pane = state.latest = self._session(state, at) if self.gap_ms else self._tumbling(state, at)
            is_new = len(state.open) > before
        values = row.values
        for label, test, aggregate in pane.feeds:
            aggregate.take(values.get(label) if test is None else test(values))
        if self.show:
            state.shown = {column.label: briefly(row.values.get(column.label)) for column in self.show}
        return () if is_new else None

    def _tumbling(self, state: Panes, at: int) -> Pane:
        since = at - at % self.every_ms
        pane = state.open.get(since)
        if pane is None:
            pane = state.open[since] = self._pane(since, at)
            first = since + self.every_ms - self.span_ms
            state.following = first if state.following is None else min(state.following, first)
        return pane

    def _session(self, state: Panes, at: int) -> Pane:
        near = [p for p in state.open.values() if p.since - self.gap_ms < at < p.last + self.gap_ms]
        if not near:
            pane = state.open[at] = self._pane(at, at)
            return pane
        near.sort(key=lambda p: p.since)
        whole = near[0]
        if len(near) > 1 or at < whole.since:
            for pane in near:
                del state.open[pane.since]
            for pane in near[1:]:
                whole.last = max(whole.last, pane.last)
                whole.merge(pane)
            whole.since = min(whole.since, at)
            state.open[whole.since] = whole
        whole.last = whole.until = max(whole.last, at)
        return whole

    def advance(self, state: Panes, now: float) -> Iterator[Said]:
        clock = round(now * 1000)
        state.latest = None
        while (due := self.due(state)) is not None and round(due * 1000) <= clock:
            if self.gap_ms:
                first = min(state.open.values(), key=lambda pane: (pane.last, pane.since))
                del state.open[first.since]
                yield from self._closed(first.since, first.last, [first], state.shown or {})
            else:
                yield from self._close_next(state)

    def _close_next(self, state: Panes) -> Iterator[Said]:
        since = state.following or 0
        inside = [state.open[at] for at in sorted(state.open) if since <= at < since + self.span_ms]
        yield from self._closed(since, since + self.span_ms, inside, state.shown or {})
        state.open.pop(since, None)
        earliest = min(state.open, default=None)
        state.following = (
            None if earliest is None else max(since + self.every_ms, earliest + self.every_ms - self.span_ms)
        )

    def _closed(self, since: int, until: int, panes: list[Pane], shown: Values) -> Iterator[Said]:
        whole = panes[0] if len(panes) == 1 else self._pane(since, since)
        for pane in panes if len(panes) > 1 else ():
            whole.merge(pane)
        values = {
            asked.label: each.result() for asked, each in zip(self.aggregates, whole.aggregates, strict=True)
        }
        if self.keep or self.metric:
            yield WindowResult(since / 1000, until / 1000, values)
        if self._when is not None:
            met = self._when(values)
            if met:
                yield self._finding(since / 1000, until / 1000, values, self.shown(shown))
            elif met is False:
                # Windows that do not overlap say that all was well from the first event of this one on.
                yield Clear((until if self._panes_a_window > 1 else since) / 1000)

    def _finding(
        self, since: float, until: float, values: dict[str, float | int | None], shown: dict[str, Any]
    ) -> Finding:
        assert self.when is not None  # it held
        leaf = reason(self.when, values)
        over = f"over {span_words(until - since)}"
        if leaf is None:
            sentence = f"{self.when.words()} {over}."
            return Finding(
                time=until, since=since, score=1.0, direction="seen", sentence=sentence, shown=shown
            )
        observed = values[leaf.left.label]
        assert observed is not None  # a comparison with it held
        unit, expected = leaf.left.unit, leaf.limit(opposite=True)
        return Finding(
            time=until,
            since=since,
            score=score_of(leaf, observed),
            direction=leaf.direction,
            observed=observed,
            unit=unit,
            expected=expected,
            contributions=tuple(
                Contribution(column.label, leaf.direction, 1.0, observed, unit)
                for column in columns_in(leaf.left)
            ),
            sentence=f"{leaf.left.words} is {number(observed, unit)} {over}; expected {expected}.",
            shown=shown,
        )


@lru_cache(maxsize=1_000)
def bounds(since: int, length: int) -> tuple[int, int]:
    """Where a pane begins and ends: the same two numbers in memory for all keys, which are many."""
    return since, since + length
