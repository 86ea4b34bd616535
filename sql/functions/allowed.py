"""The functions that the laptop answers as Athena does: the allow-list.

What is in these tables has a test of its Athena meaning in tests/sql/test_functions.py, which fails when a
name has none; any other name is refused. Meanings follow Trino's documentation,
https://trino.io/docs/current/functions.html. Where its versions differ, or where only DuckDB's answer could
be given, the call stops with a sentence instead.
"""

from __future__ import annotations

from sql.functions import aggregates, arrays, conditions, documents, moments, numbers, texts, windows
from sql.functions.aggregates import Aggregate
from sql.functions.call import Scalar

SCALARS: dict[str, Scalar] = {
    **arrays.FUNCTIONS,
    **conditions.FUNCTIONS,
    **documents.FUNCTIONS,
    **moments.FUNCTIONS,
    **numbers.FUNCTIONS,
    **texts.FUNCTIONS,
}
AGGREGATES: dict[str, Aggregate] = aggregates.FUNCTIONS
WINDOWS: dict[str, Aggregate] = windows.FUNCTIONS
# What has a syntax of its own.
SPECIAL = (
    "case",
    "cast",
    "current_date",
    "current_timestamp",
    "extract",
    "if",
    "localtimestamp",
    "position",
    "try_cast",
    "unnest",
)


def known() -> list[str]:
    """All names on the list."""
    return sorted({*SCALARS, *AGGREGATES, *WINDOWS, *SPECIAL})
