"""Names, clauses and refusals: what a query means as a whole, and the sentence for what is not answered."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from sql.answer import Answer
from sql.errors import SqlError
from sql.transpile import analyse, to_duckdb

Query = Callable[[str], Answer]

# (select, column names, rows)
CLAUSES: list[tuple[str, tuple[str, ...], list[tuple[Any, ...]]]] = [
    (
        "select 7 / 2, bad, device.name as who from readings where bad = 1",
        ("_col0", "bad", "who"),
        [(3, 1, "A")],
    ),
    (
        "select * from rooms where room = 'cellar'",
        ("sensor", "room", "limit_celsius"),
        [("c", "cellar", 10.0)],
    ),
    (
        "select r.* from rooms as r where r.room = 'cellar'",
        ("sensor", "room", "limit_celsius"),
        [("c", "cellar", 10.0)],
    ),
    ("select Celsius from Readings where Sensor = 'b'", ("celsius",), [(None,)]),
    ('select "Room" from awsdatacatalog.freshet.rooms order by 1 limit 1', ("room",), [("cellar",)]),
    ("select freshet.rooms.room from freshet.rooms order by 1 limit 1", ("room",), [("cellar",)]),
    (
        "select sensor, count(*) as n from readings group by sensor order by n desc, sensor",
        ("sensor", "n"),
        [("a", 2), ("b", 1), (None, 1)],
    ),
    (
        "select hour(at) as h, count(*) as n from readings group by hour(at) order by h",
        ("h", "n"),
        [(5, 2), (6, 1), (None, 1)],
    ),
    (
        "select element_at(tags, 1) as t, count(*) as n from readings group by element_at(tags, "
        "1) order by 1",
        ("t", "n"),
        [("x", 1), ("z", 1), (None, 2)],
    ),
    (
        "select cast(dt as varchar) as d, sum(bad) as s from readings group by cast(dt as "
        "varchar) having sum(bad) > 1",
        ("d", "s"),
        [("2026-11-22-06", 7)],
    ),
    # an output's name goes before a column's in order by, and is unknown elsewhere
    ("select -bad as bad from readings order by bad limit 2", ("bad",), [(-4,), (-3,)]),
    ("select bad as n from readings order by n + 1 desc limit 1", ("n",), [(4,)]),
    ("select distinct sensor as s from readings order by s desc", ("s",), [("b",), ("a",), (None,)]),
    ("select distinct sensor as s from readings order by sensor", ("s",), [("a",), ("b",), (None,)]),
    (
        "select avg(celsius) as m from readings group by sensor order by m desc",
        ("m",),
        [(25.75,), (25.0,), (None,)],
    ),
    # joins
    (
        "select r.bad, room from readings r join rooms on r.sensor = rooms.sensor and bad = 1 order by room",
        ("bad", "room"),
        [(1, "kitchen"), (1, "kitchen again")],
    ),
    (
        "select rooms.room, r.bad from rooms left join readings r on r.sensor = rooms.sensor "
        "and r.bad = 1 order by room",
        ("room", "bad"),
        [("cellar", None), ("kitchen", 1), ("kitchen again", 1)],
    ),
    (
        "select * from rooms join (select sensor, bad from readings) as r using (sensor) where "
        "bad = 1 and room = 'kitchen'",
        ("sensor", "room", "limit_celsius", "bad"),
        [("a", "kitchen", 30.0, 1)],
    ),
    (
        "select sensor, room, bad from rooms full join (select sensor, bad from readings) as r using (sensor)"
        " where bad > 1 or bad is null and sensor = 'c' order by sensor",
        ("sensor", "room", "bad"),
        [("b", None, 3), ("c", "cellar", None), (None, None, 4)],
    ),
    ("select count(*) as n from rooms, rooms as other", ("n",), [(9,)]),
    ("select count(*) as n from rooms cross join readings", ("n",), [(12,)]),
    # with, subqueries
    ("with a as (select 1 as x), b(y) as (select x + 1 from a) select x, y from a, b", ("x", "y"), [(1, 2)]),
    (
        "with readings as (select sensor from readings where bad = 1) select * from readings",
        ("sensor",),
        [("a",)],
    ),
    ("with rooms_1 as (select 5 as x) select x from rooms_1", ("x",), [(5,)]),
    ("select x from (with a as (select 2 as x) select x from a)", ("x",), [(2,)]),
    (
        "select (select max(limit_celsius) from rooms where rooms.sensor = r.sensor) as top "
        "from readings r order by top limit 1",
        ("top",),
        [(30.0,)],
    ),
    (
        "select count(*) as n from readings r where exists (select 1 from rooms where "
        "rooms.sensor = r.sensor)",
        ("n",),
        [(2,)],
    ),
    (
        "select room from rooms where sensor not in (select sensor from readings where sensor is not null)",
        ("room",),
        [("cellar",)],
    ),
    (
        "select count(*) as n from rooms where limit_celsius in (select bad * 10 from readings)",
        ("n",),
        [(2,)],
    ),
    ("select a.x.y from (select cast(row(1) as row(y integer)) as x) as a", ("y",), [(1,)]),
    # sets
    ("select 1 as x union all select 2.5 order by x", ("x",), [(Decimal("1.0"),), (Decimal("2.5"),)]),
    ("select bad from readings where bad = 1 union select cast(1 as bigint)", ("bad",), [(1,)]),
    (
        "select bad from readings except select 1 intersect select 1 order by 1",
        ("bad",),
        [(3,), (4,), (None,)],
    ),
    (
        "(select bad from readings order by bad limit 1) union all (select bad from readings "
        "order by bad desc limit 1) order by 1",
        ("bad",),
        [(1,), (4,)],
    ),
    (
        "select bad, bad from readings where bad = 1 union all select 1, 2 order by 2 desc",
        ("bad", "bad"),
        [(1, 2), (1, 1)],
    ),
    (
        "select n, s from (values (1, 'a'), (2, null)) as t(n, s) order by n",
        ("n", "s"),
        [(1, "a"), (2, None)],
    ),
    ("select sensor from empty_one", ("sensor",), []),
    ("select 1 as one; -- and a word", ("one",), [(1,)]),
]

# (select, words of the sentence)
REFUSED: list[tuple[str, str]] = [
    # names
    (
        "select foo from rooms",
        "There is no column 'foo' in rooms (line 1, column 8); there are: limit_celsius, room, sensor",
    ),
    ("select rooms.roem from rooms", "nearest: room; describe rooms lists them"),
    ("select\n  sensor,\n  celsus\nfrom readings", "(line 3, column 3); nearest: celsius"),
    (
        "select room from rums",
        "There is no table or view 'rums' (line 1, column 18): nearest: rooms; show tables",
    ),
    ("select room from other.rooms", "database 'freshet' only"),
    ("select device.nam from readings", "no field 'nam'"),
    ("select hour(at) as h from readings group by h", "an alias can be used in order by only"),
    ("select sensor from readings r join rooms on r.sensor = rooms.sensor", "column of several sources"),
    ("select r.sensor from rooms r join readings using (sensor)", "without r"),
    ("select a.room from rooms a, rooms a", "Two sources are called 'a'"),
    ("select room as end from rooms", "reserved word"),
    ("select 1 as a, 2 as a order by a", "may mean several"),
    ("select foo", "the query has no from"),
    # types
    ("select bad = '1' from readings", "cannot compare integer with varchar"),
    ("select at > '2026-01-01' from readings", "cannot compare timestamp(3) with varchar"),
    ("select 'a' || bad from readings", "joins varchars"),
    ("select bad + sensor from readings", "has no answer here"),
    ("select sensor from readings where bad", "where needs a boolean"),
    ("select if(bad > 1, 1, 'x') from readings", "branches give integer and varchar"),
    ("select array[1, 'a']", "mixes integer and varchar"),
    ("select substr(bad, 1) from readings", "needs varchar as argument 1 and got integer"),
    ("select lower()", "takes 1 arguments and got 0"),
    ("select cast(celsius as varchar) from readings", "decimal first"),
    ("select cast(sensor as varchar(3)) from readings", "use varchar"),
    ("select cast(sensor as string) from readings", "no type 'string'"),
    ("select cast(at as timestamp(6)) from readings", "milliseconds"),
    ("select timestamp '2020-01-01 00:00:00.123456'", "three digits"),
    ("select 'a' union select 1", "varchar and integer as column '_col0'"),
    ("select 1 union select 1, 2", "1 and 2 columns"),
    ("select day + interval '1' hour from readings", "whole days"),
    ("select hour(day) from readings", "no time in a date"),
    ("select tags = tags from readings", "cannot compare array(varchar)"),
    ("select max(device) from readings", "cannot put row"),
    ("select 99999999999999999999", "too large for bigint"),
    ("select interval '1' month", "cannot show"),
    ("select array[now()]", "zones of their own"),
    # functions
    ("select parse_url('a')", "parse_url() is not among the functions"),
    ("select approx_percentil(bad, 0.5) from readings", "nearest: approx_percentile"),
    ("select transform(tags, x -> x) from readings", "transform() is not among"),
    ("select contains(tags, x -> x) from readings", "lambda"),
    ("select random()", "random() is not among"),
    ("select lower(distinct sensor) from readings", "not an aggregate"),
    ("select lower(sensor) over () from readings", "not an aggregate"),
    ("select array_agg(bad order by 1) from readings", "A constant orders nothing"),
    ("select row_number() from readings", "needs over"),
    ("select lag(bad) over () from readings", "needs an order by"),
    ("select lag(bad, -1) over (order by bad) from readings", "whole number written out"),
    ("select sum(distinct bad) over () from readings", "no distinct here"),
    ("select max(bad order by at) from readings", "no order by"),
    ("select sum(bad) ignore nulls over () from readings", "no ignore nulls"),
    ("select regexp_like(sensor, room) from readings, rooms", "column of several"),
    ("select regexp_like('a', payload) from readings", "written out"),
    ("select regexp_like('a', '(?<=x)a')", "group with (?"),
    ("select regexp_like('a', '(a)\\1')", "it has \\1"),
    ("select regexp_like('a', 'a++')", "possessive"),
    ("select regexp_extract('a', '(a)|(b)', 2)", "optional group"),
    ("select regexp_replace('a', 'x*', 'y')", "matches the empty text"),
    ("select date_format(at, '%U') from readings", "%U"),
    ("select date_parse('1 Jan', '%d %b')", "printed but not read"),
    ("select format_datetime(at, 'Z') from readings", "Z in the time format"),
    ("select date_trunc('fortnight', at) from readings", "no unit 'fortnight'"),
    ("select date_trunc('hour', day) from readings", "no hour in a date"),
    ("select now() at time zone 'Mars/Olympus'", "not a time zone"),
    ("select json_extract_scalar(payload, '$..a') from readings", "cannot follow the path"),
    ("select approx_percentile(celsius, celsius) from readings", "share from 0 to 1"),
    ("select extract(timezone_hour from now())", "extract knows no timezone_hour"),
    # clauses
    ("select * from readings tablesample bernoulli (10)", "tablesample is not answered"),
    ("select sensor, count(*) from readings group by rollup (sensor)", "Rollup is not answered"),
    ("select distinct sensor from readings order by bad", "only the columns of the result"),
    ("select bad from readings union select 1 order by bad + 1", "only the columns of the result"),
    ("select bad from readings order by 2", "names no column"),
    ("select sensor, bad from readings group by sensor", "GROUP BY"),
    ("select count(*) from readings where count(*) > 1", "aggregates"),
    ("select * from rooms natural join readings", "method is not answered"),
    ("select * from rooms left join readings", "needs a condition"),
    ("select x from readings cross join unnest(tags)", "needs a name"),
    ("select x from readings cross join unnest(tags) as t(x, y)", "1 columns and 2 names"),
    ("with recursive t(n) as (select 1) select n from t", "recursive is not answered"),
    ("select * except (room) from rooms", "except is not answered"),
    ("select bad from readings fetch first 1 rows with ties", "with ties is not answered"),
    ("select current_timestamp(6)", "current_timestamp() is not among"),
    ("select sum(bad) over (order by bad groups 1 preceding) from readings", "rows or a range"),
    # what sqlglot forgives and Athena does not
    ("select room, from rooms", "A comma stands before 'from' (line 1, column 14)"),
    ("select room::varchar from rooms", "Athena has no '::'"),
    ("select 1 == 1", "Athena has no '=='"),
    ("select 1_000", "1_000"),
    ("select 'a' 'b'", "side by side"),
    ("select decimal '1.5'", "cast('…' as decimal)"),
    ("select room from rooms where room = ?", "placeholder"),
    (
        "select room from rooms where",
        "This is not Athena SQL: Something is missing at 'where', line 1, column 28",
    ),
    ("selec room from rooms", "This is not Athena SQL"),
    ("select 'room from rooms", "not closed"),
    # statements
    ("", "There is no SQL"),
    ("select 1; select 2", "several statements"),
    ("insert into rooms select 'a', 'b', 1e0", "Only a select can be asked"),
    ("drop table rooms", "Only a select can be asked"),
    ("explain select 1", "Only a select can be asked"),
]


@pytest.mark.parametrize(("sql", "names", "rows"), CLAUSES, ids=[case[0] for case in CLAUSES])
def test_query_is_answered_as_in_athena(
    query: Query, sql: str, names: tuple[str, ...], rows: list[Any]
) -> None:
    answer = query(sql)

    assert answer.columns == names
    assert answer.rows == rows


@pytest.mark.parametrize(("sql", "words"), REFUSED, ids=[case[0] for case in REFUSED])
def test_what_is_not_answered_gets_a_sentence(query: Query, sql: str, words: str) -> None:
    with pytest.raises(SqlError, match=re.escape(words)) as refused:
        query(sql)

    assert "\n" not in str(refused.value)


def test_empty_schema_is_a_schema() -> None:
    assert to_duckdb("select 7 / 2 as half", {}) == 'select (7 // 2) as "half"'
    with pytest.raises(SqlError, match="there are none"):
        to_duckdb("select a from t", {})


def test_reads_are_the_tables_that_a_query_needs() -> None:
    schema = {"a": {"x": "int"}, "b": {"x": "int"}, "c": {"x": "int"}}

    analysis = analyse("with c as (select x from a) select x from c where x in (select x from b)", schema)

    assert analysis.reads == {"a", "b"}


def test_the_same_expression_is_the_same_text_wherever_it_stands() -> None:
    written = to_duckdb("select cast(x as bigint) from t\ngroup by cast(x as bigint)", {"t": {"x": "string"}})

    projection = written.partition("select ")[2].partition(' as "_col0"')[0]
    assert written.endswith(f"group by {projection}")
