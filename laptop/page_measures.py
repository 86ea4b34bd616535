"""What the detectors judge, and where a run's lake has it."""
# ruff: noqa: S608 - the queries are made of declared names, of numbers, and of texts that literal() quotes

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lambdas.alerting.story import duration
from lambdas.columns import Aggregate, Column, Compare, Expression
from lambdas.detectors.detector import Detector
from lambdas.detectors.sequence import Sequence as Steps
from lambdas.detectors.window import Window
from lambdas.model import Pipeline, key_columns

# A window that is not kept is made of the events again: the aggregate of a step, then of a window's steps.
STEPWISE = {"total": ("sum", "sum"), "count": ("count", "sum"), "low": ("min", "min"), "high": ("max", "max")}
MOST_STEPS = 60


def literal(text: str) -> str:
    """A text as SQL writes it.

    >>> literal("a' or 'b")
    "'a'' or ''b'"
    """
    return "'" + text.replace("'", "''") + "'"


def literals(texts: Iterable[str]) -> str:
    return ", ".join(map(literal, texts)) or "null"


def key_sql(columns: Sequence[Column]) -> str:
    """A key as `model.key_text` makes it."""
    names = [f"cast({column.name} as varchar)" for column in columns]
    if len(names) == 1:
        return names[0]
    return " || '|' || ".join(rf"replace(replace({name}, '\', '\\'), '|', '\|')" for name in names)


@dataclass(frozen=True)
class Measure:
    """What a detector judges. `rows` selects key, at (s since 1970) and value of the run's lake."""

    detector: Detector[Any]
    expression: Expression
    limits: Sequence[tuple[float, str]]
    rows: str
    about: str
    noun: str


def measures_of(pipeline: Pipeline) -> Iterator[Measure]:
    """Of what each detector judges the numbers that the lake has: columns, and aggregates of windows."""
    for detector in pipeline.detectors:
        assert isinstance(detector, Detector)  # the model knows of detectors no more than their protocol
        steps = detector.steps if isinstance(detector, Steps) else [detector]
        conditions = [when for step in steps if (when := getattr(step, "when", None)) is not None]
        leaves = [leaf for condition in conditions for leaf in condition.leaves()]
        compared = [leaf for leaf in leaves if isinstance(leaf, Compare) and leaf.direction != "seen"]
        judged = {leaf.left.label: leaf.left for leaf in compared}
        if isinstance(detector, Window):
            judged |= {aggregate.label: aggregate for aggregate in detector.aggregates}
        for label, expression in judged.items():
            found = rows_of(pipeline, detector, expression)
            if found is not None:
                limits = [
                    (float(leaf.right), leaf.limit())
                    for leaf in compared
                    if leaf.left.label == label and isinstance(leaf.right, int | float)
                ]
                yield Measure(detector, expression, limits, *found)


def rows_of(
    pipeline: Pipeline, detector: Detector[Any], expression: Expression
) -> tuple[str, str, str] | None:
    """The SQL of a measure's rows, what they are and what one is; none where the lake does not have them."""
    key, event = key_sql(key_columns(pipeline.event, detector)), pipeline.event
    time = "arrived_at" if event.time is None else f"coalesce({event.time.name}, arrived_at)"
    if isinstance(expression, Column) and not expression.reference:
        value = f"cast({expression.name} as double) as value"
        sql = f"select {key} as key, to_unixtime({time}) as at, {value} from {pipeline.table}"
        return sql, f"{expression.about[:1].upper()}{expression.about[1:]}.", "reading"
    if not isinstance(detector, Window) or not isinstance(expression, Aggregate):
        return None
    if detector.keep:
        sql = (
            "select key, to_unixtime(window_end) as at, "
            f"element_at(aggregates, {literal(expression.label)}) as value from window_results "
            f"where pipeline = {literal(pipeline.name)} and detector = {literal(detector.name)}"
        )
        length = f" of {duration(detector.span_ms / 1000)}" if detector.every else ""
        return sql, f"Of each window{length}, at its end.", "window"
    steps = detector.span_ms // detector.every_ms if detector.every else MOST_STEPS + 1
    if detector.where is not None or expression.function not in STEPWISE or steps > MOST_STEPS:
        return None
    of_step, of_window = STEPWISE[expression.function]
    argument = "*" if expression.of is None else expression.of.name
    sql = (
        f"select key, cast((step + ahead + 1) * {detector.every_ms} as double) / 1000 as at, "
        f"{of_window}(part) as value from (select {key} as key, "
        f"cast(floor(to_unixtime({time}) * 1000 / {detector.every_ms}) as bigint) as step, "
        f"cast({of_step}({argument}) as double) as part from {pipeline.table} group by 1, 2) as steps "
        f"cross join unnest(array{list(range(steps))}) as later (ahead) group by key, step + ahead"
    )
    return sql, f"Of each window of {duration(detector.span_ms / 1000)}, made of the lake’s events.", "window"
