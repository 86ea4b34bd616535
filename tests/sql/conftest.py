"""A connection set as the laptop sets it, and a few rows to ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import duckdb
import pytest

from sql.answer import Answer, ask
from sql.duck import prepare
from sql.transpile import analyse
from sql.types import from_hive

NOW = datetime(2026, 11, 22, 6, 30, 15, 250_400, tzinfo=UTC)

SCHEMA = {
    "readings": {
        "sensor": "string",
        "celsius": "double",
        "bad": "int",
        "seen": "bigint",
        "price": "decimal(10,2)",
        "at": "timestamp",
        "day": "date",
        "is_hot": "boolean",
        "tags": "array<string>",
        "numbers": "array<int>",
        "limits": "map<string,double>",
        "device": "struct<name:string,place:struct<hall:int,row:string>>",
        "parts": "array<struct<name:string,share:double>>",
        "payload": "string",
        "dt": "string",
    },
    "rooms": {"sensor": "string", "room": "string", "limit_celsius": "double"},
    "empty_one": {"sensor": "string", "celsius": "double"},
}

READINGS = """
insert into readings values
('a', 20.5, 1, 10, 1.50, '2026-11-22 05:10:00', '2026-11-22', false, ['x', 'y'], [3, null, 1],
 map {'low': 1.0}, {'name': 'A', 'place': {'hall': 1, 'row': 'r1'}},
 [{'name': 'p', 'share': 0.25}, {'name': 'q', 'share': 0.75}],
 '{"a": {"b": "x", "n": 1.5}, "list": [1, {"k": "v"}], "none": null}', '2026-11-22-05'),
('a', 31.0, null, 20, 2.25, '2026-11-22 05:40:30.500', '2026-11-22', true, [], [], map {},
 {'name': null, 'place': null}, [], 'not json', '2026-11-22-05'),
('b', null, 3, null, null, '2026-11-22 06:05:00', '2026-11-22', null, null, null, null, null, null, null,
 '2026-11-22-06'),
(null, 25.0, 4, 40, 4.00, null, null, true, ['z'], [5], map {'low': 2.0, 'high': 9.0},
 {'name': 'N', 'place': {'hall': 2, 'row': null}}, [{'name': null, 'share': 1.0}], '[1, 2]', '2026-11-22-06')
"""

ROOMS = "insert into rooms values ('a', 'kitchen', 30.0), ('c', 'cellar', 10.0), ('a', 'kitchen again', 25.0)"


@pytest.fixture(scope="session")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        prepare(opened)
        for table, columns in SCHEMA.items():
            listed = ", ".join(f'"{name}" {from_hive(kind).duckdb}' for name, kind in columns.items())
            opened.execute(f"create table {table} ({listed})")
        opened.execute(READINGS)
        opened.execute(ROOMS)
        yield opened


@pytest.fixture
def query(connection: duckdb.DuckDBPyConnection) -> Callable[[str], Answer]:
    """Ask the fixture's tables in Athena's SQL."""
    return lambda sql: ask(connection, analyse(sql, SCHEMA, now=NOW))
