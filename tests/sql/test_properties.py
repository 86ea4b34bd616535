"""What a table of examples cannot hold: meanings against independent computations on many values."""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sql.answer import ask
from sql.duck import prepare
from sql.transpile import analyse
from sql.types import from_trino

# One query a property, its values in the rows of a table: rows are cheap and queries are not.
MANY = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MOMENTS = st.datetimes(datetime(1999, 1, 1), datetime(2031, 1, 1)).map(  # noqa: DTZ001 - Athena's timestamps have no zone
    lambda one: one.replace(microsecond=one.microsecond // 1000 * 1000)
)
LAST_DAYS = st.builds(
    lambda year, month, hour: datetime(
        year, month, calendar.monthrange(year, month)[1], hour, tzinfo=UTC
    ).replace(tzinfo=None),
    st.integers(2019, 2025),
    st.integers(1, 12),
    st.integers(0, 23),
)


class Over(Protocol):
    """Asks a select over a table `t` of the given rows."""

    def __call__(
        self, sql: str, columns: dict[str, str], rows: Sequence[tuple[Any, ...]]
    ) -> list[tuple[Any, ...]]: ...


@pytest.fixture(scope="module")
def over() -> Iterator[Over]:
    with duckdb.connect() as connection:
        prepare(connection)

        def asked(
            sql: str, columns: dict[str, str], rows: Sequence[tuple[Any, ...]]
        ) -> list[tuple[Any, ...]]:
            kinds = ", ".join(f"{name} {from_trino(kind).duckdb}" for name, kind in columns.items())
            connection.execute(f"create or replace table t (place integer, {kinds})")
            every = [list(range(len(rows))), *map(list, zip(*rows, strict=True))]
            spread = ", ".join(f"unnest(${number})" for number in range(1, len(every) + 1))
            connection.execute(f"insert into t select {spread}", every)
            schema = {"t": {"place": "int"} | {name: from_trino(kind).hive for name, kind in columns.items()}}
            return ask(connection, analyse(f"{sql} from t order by place", schema)).rows

        yield asked


def months_between(first: datetime, second: datetime) -> int:
    """Whole months as Joda-Time counts them: the last day of a month completes one begun on a later day."""
    if second < first:
        return -months_between(second, first)
    count = (second.year - first.year) * 12 + second.month - first.month
    last = calendar.monthrange(second.year, second.month)[1]
    if second.day == last and first.day > second.day:
        first = first.replace(day=min(second.day, calendar.monthrange(first.year, first.month)[1]))
    into_second = second - second.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    into_first = first - first.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return count - (into_second < into_first)


def years_between(first: datetime, second: datetime) -> int:
    """Whole years as Joda-Time counts them, the 29th of February balanced."""
    if second < first:
        return -years_between(second, first)
    into_first, into_second = (one - datetime(one.year, 1, 1) for one in (first, second))  # noqa: DTZ001 - as above
    leap_day = timedelta(days=59)
    if into_first >= leap_day:
        if calendar.isleap(first.year):
            if not calendar.isleap(second.year):
                into_first -= timedelta(days=1)
        elif into_second >= leap_day and calendar.isleap(second.year):
            into_second -= timedelta(days=1)
    return second.year - first.year - (into_second < into_first)


def truncated(span: timedelta, unit: timedelta) -> int:
    return span // unit if span >= timedelta() else -(-span // unit)


@MANY
@given(st.lists(st.tuples(MOMENTS | LAST_DAYS, MOMENTS | LAST_DAYS), min_size=50, max_size=200))
def test_date_diff_counts_whole_units(over: Over, pairs: list[tuple[datetime, datetime]]) -> None:
    units = ("millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year")
    counted = ", ".join(f"date_diff('{unit}', a, b)" for unit in units)

    rows = over(f"select {counted}", {"a": "timestamp", "b": "timestamp"}, pairs)

    spans = [timedelta(milliseconds=1), timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)]
    spans += [timedelta(days=1), timedelta(weeks=1)]
    for (first, second), row in zip(pairs, rows, strict=True):
        months = months_between(first, second)
        quarters = months // 3 if months >= 0 else -(-months // 3)
        expected = [truncated(second - first, span) for span in spans]
        assert list(row) == [*expected, months, quarters, years_between(first, second)], (first, second)


NUMBERS = st.decimals(Decimal("-99999999.9999"), Decimal("99999999.9999"), places=4)


@MANY
@given(st.lists(st.tuples(NUMBERS, NUMBERS.filter(bool)), min_size=20, max_size=100))
def test_decimals_are_divided_exactly_and_rounded_half_away_from_zero(
    over: Over, pairs: list[tuple[Decimal, Decimal]]
) -> None:
    rows = over(
        "select a / b, a * b, a + b, a - b, a % b", {"a": "decimal(12,4)", "b": "decimal(12,4)"}, pairs
    )

    with localcontext() as context:
        context.prec = 60
        for (a, b), row in zip(pairs, rows, strict=True):
            quotient = (a / b).quantize(Decimal("0.0001"), ROUND_HALF_UP)
            assert row == (quotient, a * b, a + b, a - b, a % b), (a, b)


@MANY
@given(
    st.lists(
        st.floats(-1e9, 1e9).map(lambda x: round(x, 6)) | st.floats(-1e9, 1e9), min_size=20, max_size=200
    )
)
def test_double_becomes_the_decimal_of_its_shortest_digits(over: Over, values: list[float]) -> None:
    rows = over(
        "select cast(x as decimal(18,3)), cast(x as bigint)", {"x": "double"}, [(value,) for value in values]
    )

    for value, (as_decimal, as_bigint) in zip(values, rows, strict=True):
        assert as_decimal == Decimal(repr(value)).quantize(Decimal("0.001"), ROUND_HALF_UP)
        assert as_bigint == int(Decimal(value).quantize(Decimal(1), ROUND_HALF_UP))


def substring(text: str, start: int, length: int | None = None) -> str:
    """As Athena's: from 1, from the end when below zero, nothing before the beginning."""
    if start == 0 or abs(start) > len(text) or (length is not None and length <= 0):
        return ""
    begin = start - 1 if start > 0 else len(text) + start
    return text[begin:] if length is None else text[begin : begin + length]


@MANY
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
            st.integers(-8, 8),
            st.integers(-2, 8),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_substr_counts_characters(over: Over, cases: list[tuple[str, int, int]]) -> None:
    rows = over(
        "select substr(x, s), substr(x, s, n), length(x), reverse(x)",
        {"x": "varchar", "s": "bigint", "n": "bigint"},
        cases,
    )

    for (text, start, length), row in zip(cases, rows, strict=True):
        assert row == (substring(text, start), substring(text, start, length), len(text), text[::-1]), text


@MANY
@given(st.lists(MOMENTS, min_size=20, max_size=100))
def test_clock_of_a_zone_is_that_of_the_zone_database(over: Over, moments: list[datetime]) -> None:
    parts = "cast(m at time zone 'Europe/Berlin' as varchar), hour(m at time zone 'Europe/Berlin')"
    trunc = "to_unixtime(date_trunc('hour', m at time zone 'Europe/Berlin'))"
    rows = over(
        f"select {parts}, {trunc}, cast(m at time zone 'Europe/Berlin' as date)",
        {"m": "timestamp"},
        [(moment,) for moment in moments],
    )

    for moment, row in zip(moments, rows, strict=True):
        there = moment.replace(tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin"))
        text = there.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds") + " Europe/Berlin"
        hour = moment.replace(minute=0, second=0, microsecond=0, tzinfo=UTC).timestamp()
        assert row == (text, there.hour, hour, there.date())
