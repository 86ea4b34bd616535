"""Sequence: steps that follow each other in time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Ordered
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

from lambdas.columns import AllOf, Predicate, Test
from lambdas.detectors.detector import Detector, seconds_of, span_words
from lambdas.model import Finding, Row, limit_leaf, literal_problems, span_problems


@dataclass(frozen=True, kw_only=True)
class Step:
    """`times` events that meet `when`; `unbroken` where no other event of the key may come in between."""

    when: Predicate
    times: int = 1
    unbroken: bool = False


@dataclass(slots=True)
class Attempt:
    """A match that has begun: the step that it waits in and how many events that step has."""

    began: float  # event time, s
    step: int = 0
    seen: int = 0


@dataclass(frozen=True, kw_only=True)
class Sequence(Detector[list[Attempt]]):
    """Finds `steps` one after another within a span, as `MATCH_RECOGNIZE … AFTER MATCH SKIP PAST LAST ROW`.

    Catches five wins in a row; a guest who enters and sits down within half an hour. Misses steps in another
    order or further apart than `within` (from the first event to the last, both included). An event that
    meets a step counts for that step; one that does not breaks an `unbroken` step and is passed over by any
    other. A match ends every attempt of its key, so no event is in two matches. `where` says which events
    count at all: any other neither meets nor breaks a step.

    The score is 1. No warm-up. Memory a key: three numbers an attempt, at most `attempts` or as many as the
    steps take; the oldest leave first. Events are taken in order of their time.

    >>> wins = Step(when=Play.won > 0, times=3, unbroken=True)
    >>> streak = Sequence(name="streak", steps=[wins], within=minutes(10), severity=HIGH, do_first="Look.")
    >>> len(find(streak, plays(won=[9, 9, 9, 9]))), len(find(streak, plays(won=[9, 9, -1, 9])))
    (1, 0)
    """

    steps: Ordered[Step]
    within: timedelta
    where: Predicate | None = None
    attempts: int = 20

    @property
    def in_order(self) -> bool:
        return True

    @property
    def bytes_per_key(self) -> int:
        return 100 + 30 * self._most

    @property
    def _most(self) -> int:
        # Each event that meets a repeated step begins a match, so the first must outlive as many as it takes.
        return max(self.attempts, sum(step.times for step in self.steps))

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not self.steps:
            yield "it has no step; say steps=[Step(when=…)]."
        yield from span_problems(self, "within")
        if not self.within:
            yield "within is zero, so no two events could match; say how long the steps may take together."
        if self.attempts < 1:
            yield "attempts is below 1; say how many matches may be under way for a key."
        if self.where is not None:
            yield from literal_problems(self.where, aggregates=False)
        for step in self.steps:
            yield from literal_problems(step.when, aggregates=False)
            if step.times < 1:
                yield f"the step “{step.when.words()}” is to be met {step.times} times; say 1 or more."

    def numbers(self) -> list[str]:
        times = ["times"] if len(self._repeated) == 1 else []
        return [*sorted(self._conditions.limits()), *times, *super().numbers()]

    def overridden(self, name: str, value: float) -> Any:
        """A step's limit too, as `above` or `spent.above`, and how often a step is met, as `times`, where
        there is one such step.
        """
        leaf = limit_leaf(self._conditions, name)
        if leaf is not None:
            moved = replace(leaf, right=value)
            steps = [replace(step, when=step.when.with_leaf(leaf, moved)) for step in self.steps]
        elif name == "times" and len(self._repeated) == 1 and value == int(value):
            steps = [replace(step, times=int(value)) if step.times > 1 else step for step in self.steps]
        else:
            return super().overridden(name, value)
        return replace(self, steps=tuple(steps))

    @property
    def _conditions(self) -> Predicate:
        return AllOf(tuple(step.when for step in self.steps))

    @property
    def _repeated(self) -> list[Step]:
        return [step for step in self.steps if step.times > 1]

    @cached_property
    def _tests(self) -> list[Test]:
        return [step.when.compile() for step in self.steps]

    @cached_property
    def _where(self) -> Test | None:
        return None if self.where is None else self.where.compile()

    def begin(self) -> list[Attempt]:
        return []

    def is_blank(self, state: list[Attempt]) -> bool:
        return not state

    def save(self, state: list[Attempt]) -> Any:
        return [[attempt.began, attempt.step, attempt.seen] for attempt in state]

    def restore(self, saved: Any) -> list[Attempt]:
        return [Attempt(*each) for each in saved]

    def due(self, state: list[Attempt]) -> float | None:
        return state[0].began + seconds_of(self.within) + 0.001 if state else None

    def advance(self, state: list[Attempt], now: float) -> Iterator[Finding]:
        state[:] = [attempt for attempt in state if now - attempt.began <= seconds_of(self.within)]
        yield from ()

    def observe(self, state: list[Attempt], row: Row) -> Iterable[Finding] | None:
        if self._where is not None and not self._where(row.values):
            return None
        met = [test(row.values) is True for test in self._tests]
        if not state and not met[0]:
            return None
        within = seconds_of(self.within)
        young = [attempt for attempt in state if row.time - attempt.began <= within]
        alive = [attempt for attempt in [*young, Attempt(row.time)] if self._goes_on(attempt, met)]
        whole = next((attempt for attempt in alive if attempt.step == len(self.steps)), None)
        state[:] = [] if whole else alive[-self._most :]
        return () if whole is None else (self._finding(whole, row),)

    def _finding(self, whole: Attempt, row: Row) -> Finding:
        took = row.time - whole.began
        return Finding(
            time=row.time,
            since=whole.began,
            score=1.0,
            direction="seen",
            sentence=f"{self._words()}, within {span_words(max(1, round(took)))}.",
            shown=self.shown(row.values),
        )

    def _goes_on(self, attempt: Attempt, met: list[bool]) -> bool:
        step = self.steps[attempt.step]
        if not met[attempt.step]:
            return not step.unbroken and (attempt.step, attempt.seen) != (0, 0)
        attempt.seen += 1
        if attempt.seen == step.times:
            attempt.step, attempt.seen = attempt.step + 1, 0
        return True

    def _words(self) -> str:
        parts = [
            step.when.words()
            + (f", {step.times} times" if step.times > 1 else "")
            + (" in a row" if step.times > 1 and step.unbroken else "")
            for step in self.steps
        ]
        return ", then ".join(parts)
