"""The SQL that a message hands to an analyst: the events of one key around one incident."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from lambdas.alerting.keys import key_parts
from lambdas.columns import Boolean, Column, Double, Integer, Timestamp, lake_time
from lambdas.incidents import RESOLVED, IncidentChange
from lambdas.model import Pipeline

DATABASE = WORKGROUP = "freshet"
BEFORE = timedelta(minutes=5)
AFTER = timedelta(minutes=5)
STILL_OPEN = timedelta(hours=1)  # what comes after an open incident's change is what its reader wants to see
LONGEST_LITERAL = 200
LONGEST_BUFFER = timedelta(minutes=15)  # a file's partition is the arrival of its oldest record


def query_of_events(change: IncidentChange, pipeline: Pipeline, keys: tuple[Column, ...]) -> str:
    """Athena SQL for the events of the change's key from shortly before it began, in their partitions."""
    event = pipeline.event
    clock = "arrived_at" if event.time is None else event.time.name
    columns = [name for name, column in event.columns.items() if not column.private]
    since = moment(change.since) - BEFORE
    if change.state == RESOLVED:
        until = moment(change.changed_at if change.ended_at is None else change.ended_at) + AFTER
    else:
        until = moment(change.changed_at) + STILL_OPEN
    first = since - pipeline.ahead - LONGEST_BUFFER
    last = until + max(pipeline.lateness, timedelta(hours=1))
    conditions = [
        f"dt between '{first:%Y-%m-%d-%H}' and '{last:%Y-%m-%d-%H}'",
        *equalities(change.key, keys),
        f"{clock} between {timestamp(since)} and {timestamp(until)}",
    ]
    return "\n".join(
        [
            f"select {', '.join([clock, *(name for name in columns if name != clock)])}",
            f"from {DATABASE}.{pipeline.table}",
            f"where {conditions[0]}",
            *(f"  and {condition}" for condition in conditions[1:]),
            f"order by {clock}",
        ]
    )


def equalities(key: str, columns: tuple[Column, ...]) -> Iterator[str]:
    for column, text in key_parts(key, columns):
        if column is None:
            continue
        if len(text) > LONGEST_LITERAL:
            start = literal(column, text[:LONGEST_LITERAL])
            yield f"substr({column.name}, 1, {LONGEST_LITERAL}) = {start}"
        else:
            yield f"{column.name} = {literal(column, text)}"


def literal(column: Column, text: str) -> str:
    """A key's part as it is compared with its column.

    >>> literal(Integer("strap"), "7"), literal(Column("who"), "it's")
    ('7', "'it''s'")
    """
    try:
        if isinstance(column, Integer):
            return str(column.read(text))
        if isinstance(column, Double):
            return f"double '{column.read(text)}'"
        if isinstance(column, Boolean):
            return str(column.read(text.lower())).lower()
        if isinstance(column, Timestamp):
            return f"timestamp '{lake_time(float(text))}'"
    except (ValueError, OverflowError):
        pass  # a key from before its column became another type; as text it can still be compared
    doubled = text.replace("'", "''")
    if all(unicodedata.category(each)[0] not in "CZ" or each == " " for each in text):
        return f"'{doubled}'"
    # What would break a line or hide in it is written by its number, so that the query can still be pasted.
    escaped = "".join(
        f"\\+{ord(each):06X}" if unicodedata.category(each)[0] in "CZ" and each != " " else each
        for each in doubled.replace("\\", "\\\\")
    )
    return f"U&'{escaped}'"


def timestamp(at: datetime) -> str:
    return f"timestamp '{lake_time(at.timestamp())}'"


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
