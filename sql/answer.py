"""A query's answer: asked of DuckDB, checked against Athena's types, and shown."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sql.duck import explained
from sql.errors import SqlError
from sql.transpile import Analysis, Output
from sql.types import UNKNOWN_ZONE, YEAR_TO_MONTH, SqlType


@dataclass(frozen=True)
class Answer:
    """The rows of a query, with Athena's names and types of their columns.

    `bytes_scanned` is what was read from files, footers of Parquet included.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    bytes_scanned: int = 0


def ask(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> Answer:
    """Run a query that has been understood; raises SqlError with a sentence when it stops."""
    for column in analysis.columns:
        _refuse_unprintable(column.name, column.type)
    try:
        connection.execute("pragma enable_profiling = 'no_output'")
        cursor = connection.execute(_for_python(analysis))
        found = [str(column[1]) for column in cursor.description or ()]
        rows = cursor.fetchall()
        profile = json.loads(connection.get_profiling_information())
    except duckdb.Error as error:
        raise explained(error) from error
    _check_types(analysis.columns, found)
    zones = [ZoneInfo(column.type.zone) if column.type.is_instant else None for column in analysis.columns]
    if any(zones):
        rows = [tuple(map(_in_zone, row, zones)) for row in rows]
    return Answer(
        columns=tuple(column.name for column in analysis.columns),
        types=tuple(column.type.trino for column in analysis.columns),
        rows=rows,
        # No such part where the footers' statistics alone gave the answer; Athena, too, counts none then.
        bytes_scanned=int(profile.get("io", {}).get("total_bytes_read", 0)),
    )


def _refuse_unprintable(name: str, kind: SqlType, *, depth: int = 0) -> None:
    if kind == YEAR_TO_MONTH:
        raise SqlError(
            f"The column {name!r} is {kind}, which the laptop cannot show: use date_diff('month', …)."
        )
    if kind.is_instant and (kind.zone == UNKNOWN_ZONE or depth):
        raise SqlError(
            f"The column {name!r} holds moments with zones of their own: put at time zone 'UTC' behind it, "
            "or cast it to timestamp."
        )
    for inner in kind.arguments:
        _refuse_unprintable(name, inner, depth=depth + 1)


def _for_python(analysis: Analysis) -> str:
    """DuckDB needs a further package to hand over moments with a zone, so they come as their clock's time."""
    if not any(column.type.is_instant for column in analysis.columns):
        return analysis.sql
    names = [f"c{index}" for index in range(len(analysis.columns))]
    listed = [
        f"timezone('{column.type.zone}', {name})" if column.type.is_instant else name
        for name, column in zip(names, analysis.columns, strict=True)
    ]
    return f"select {', '.join(listed)} " + f"from ({analysis.sql}) as answer({', '.join(names)})"


def _check_types(columns: Sequence[Output], found: Sequence[str]) -> None:
    for column, kind in zip(columns, found, strict=True):
        expected = "TIMESTAMP" if column.type.is_instant else column.type.duckdb
        if column.type.name != "unknown" and expected.replace('"', "") != kind.replace('"', ""):
            raise SqlError(
                f"The column {column.name!r} came as {kind} where Athena has {column.type}, so its values "
                "may differ: this is a mistake in sql/functions; cast the column to go on."
            )


def _in_zone(value: Any, zone: ZoneInfo | None) -> Any:
    return value.replace(tzinfo=zone) if zone is not None and value is not None else value


def render(answer: Answer, *, is_terminal: bool, width: int | None = None) -> str:
    """The answer for a person: a table on a terminal, else lines of values with tabs between them."""
    cells = [[shown(value) for value in row] for row in answer.rows]
    if not is_terminal:
        return "\n".join("\t".join(row) for row in [list(answer.columns), *cells])
    table = Table(box=SIMPLE, show_edge=False)
    for name, kind in zip(answer.columns, answer.types, strict=True):
        is_number = kind.partition("(")[0] in (
            "tinyint",
            "smallint",
            "integer",
            "bigint",
            "real",
            "double",
            "decimal",
        )
        table.add_column(Text(name), justify="right" if is_number else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    console = Console(file=io.StringIO(), width=width, force_terminal=True)
    with console.capture() as capture:
        console.print(table)
        console.print(
            f"{_counted(len(answer.rows), 'row')}, {_size(answer.bytes_scanned)} scanned",
            style="dim",
            highlight=False,
        )
    return capture.get().rstrip("\n")


def to_csv(answer: Answer) -> str:
    """The answer as Athena writes its result files: every value in quotes, null as nothing at all."""
    lines = [[_in_quotes(name) for name in answer.columns]]
    lines.extend(["" if value is None else _in_quotes(shown(value)) for value in row] for row in answer.rows)
    return "".join(",".join(line) + "\n" for line in lines)


def _in_quotes(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def shown(value: Any) -> str:
    """A value as Athena prints it, but for doubles, which are printed as Python does."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case datetime():
            zone = f" {value.tzinfo}" if value.tzinfo is not None else ""
            return value.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds") + zone
        case timedelta():
            seconds, milliseconds = divmod(abs(value) // timedelta(milliseconds=1), 1000)
            hours, rest = divmod(seconds % 86400, 3600)
            sign = "-" if value < timedelta() else ""
            return f"{sign}{seconds // 86400} {hours:02}:{rest // 60:02}:{rest % 60:02}.{milliseconds:03}"
        case bytes():
            return value.hex(" ")
        case list():
            return f"[{', '.join(shown(one) for one in value)}]"
        case dict():
            return f"{{{', '.join(f'{shown(name)}={shown(one)}' for name, one in value.items())}}}"
    return str(value)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
