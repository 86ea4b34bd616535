"""Threshold: a condition on one event, or on a run of events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from lambdas.columns import Predicate, Test, number
from lambdas.detectors.detector import Detector, reason, score_of, seconds_of, span_words
from lambdas.model import Clear, Contribution, Finding, Row, literal_problems, span_problems


@dataclass(slots=True)
class Run:
    """The events of a key that meet the condition one after another."""

    length: int = 0
    since: float | None = None  # event time of the run's first event, s
    hot: float | None = None  # event time of the newest finding that is not yet clear, s


@dataclass(frozen=True, kw_only=True)
class Threshold(Detector[Run]):
    """Finds each event that meets `when`.

    Catches a value past a limit at once; with `times` or `lasting` only a run of so many events, or one that
    has gone on so long. Misses what stays inside the limit, however unusual it is. A missing value neither
    meets nor ends a run.

    `clear` is the condition under which the key is as it should be again (hysteresis); by default whatever
    does not meet `when`. The score is the value that went past its limit, in the column's unit (its negative
    where it fell below), so bands of the severity read like limits. No warm-up. Memory a key: nothing while
    it is as it should be, else three numbers. With a run, events are taken in order of their time.

    >>> bands = {30: HIGH, 45: CRITICAL}
    >>> hot = Threshold(name="too_hot", when=Reading.temperature >= 30, severity=bands, do_first="Look.")
    >>> [finding.sentence for finding in find(hot, readings(temperature=[29.9, 31.5]))]
    ['temperature is 31.5 °C; expected below 30 °C.']
    """

    when: Predicate
    clear: Predicate | None = None
    times: int = 1
    lasting: timedelta = timedelta(0)

    @property
    def in_order(self) -> bool:
        return self.times > 1 or self.lasting > timedelta(0)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from literal_problems(self.when, aggregates=False)
        if self.clear is not None:
            yield from literal_problems(self.clear, aggregates=False)
        if self.times < 1:
            yield "times is below 1; say how many events in a row it takes."
        yield from span_problems(self, "lasting")

    @cached_property
    def _test(self) -> Test:
        return self.when.compile()

    @cached_property
    def _clear_test(self) -> Test | None:
        return None if self.clear is None else self.clear.compile()

    def begin(self) -> Run:
        return Run()

    def is_blank(self, state: Run) -> bool:
        return state.length == 0 and state.hot is None

    def save(self, state: Run) -> Any:
        return [state.length, state.since, state.hot]

    def restore(self, saved: Any) -> Run:
        return Run(*saved)

    def observe(self, state: Run, row: Row) -> Iterable[Finding | Clear] | None:
        met = self._test(row.values)
        if met:
            return self._met(state, row)
        if met is False and not self.is_blank(state):
            return self._not_met(state, row)
        return None

    def _met(self, state: Run, row: Row) -> Iterator[Finding]:
        if self.in_order:
            state.length += 1
            state.since = row.time if state.since is None else state.since
            if state.length < self.times or row.time - state.since < seconds_of(self.lasting):
                return
        state.hot = row.time if state.hot is None else max(state.hot, row.time)
        yield self._finding(state, row)

    def _not_met(self, state: Run, row: Row) -> Iterator[Clear]:
        state.length, state.since = 0, None
        if state.hot is not None and row.time > state.hot and self._is_clear(row):
            state.hot = None
            yield Clear(row.time)

    def _is_clear(self, row: Row) -> bool:
        return self._clear_test is None or self._clear_test(row.values) is True

    def _finding(self, state: Run, row: Row) -> Finding:
        since = row.time if state.since is None else state.since
        run = ""
        if self.times > 1:
            run = f" for {state.length} events in a row"
        elif self.lasting:
            run = f" for {span_words(row.time - since)}"
        leaf = reason(self.when, row.values)
        if leaf is None:
            return Finding(
                time=row.time,
                since=since,
                score=1.0,
                direction="seen",
                sentence=f"{self.when.words()}{run}.",
                shown=self.shown(row.values),
            )
        observed = row.values[leaf.left.label]
        assert isinstance(observed, int | float)  # a comparison with a number held, so it is one
        expected = leaf.limit(opposite=True)
        return Finding(
            time=row.time,
            since=since,
            score=score_of(leaf, observed),
            direction=leaf.direction,
            observed=observed,
            unit=leaf.left.unit,
            expected=expected,
            contributions=(Contribution(leaf.left.label, leaf.direction, 1.0, observed, leaf.left.unit),),
            sentence=f"{leaf.left.words} is {number(observed, leaf.left.unit)}{run}; expected {expected}.",
            shown=self.shown(row.values),
        )
