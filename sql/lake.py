"""The lake of one run on the laptop, asked in Athena's SQL.

A run's folder holds `catalog.json`, what the deployed Glue catalog says of each table and view, and `lake/`,
the files as they lie in S3. Read are the folders of the hours that a table projects, or those that are
registered as its partitions. DuckDB reads the files; what a query means is decided by `sql.transpile`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from sql import answer as answers
from sql.answer import Answer
from sql.duck import cast, explained, prepare, quoted, string
from sql.errors import SqlError, nearest
from sql.transpile import Analysis, Schema, analyse
from sql.types import TIMESTAMP, SqlType, from_hive

__all__ = ["Answer", "Lake", "render"]


@dataclass(frozen=True)
class _Column:
    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class _Entry:
    """One table or view of the catalog."""

    name: str
    is_view: bool
    columns: tuple[_Column, ...]
    partition_keys: tuple[_Column, ...]
    comment: str
    location: str
    format: str
    sql: str
    first_hour: str  # of those that the table projects
    partitions: tuple[tuple[tuple[str, ...], str], ...] | None  # values and location; None where projected

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> _Entry:
        def columns(part: str) -> tuple[_Column, ...]:
            return tuple(
                _Column(one["name"].lower(), one["type"], one.get("comment", ""))
                for one in given.get(part, [])
            )

        return cls(
            name=given["name"].lower(),
            is_view=given["type"] == "view",
            columns=columns("columns"),
            partition_keys=columns("partition_keys"),
            comment=given.get("comment", ""),
            location=given.get("location", ""),
            format=given.get("format", "parquet"),
            sql=given.get("sql", ""),
            first_hour=given.get("first_hour", ""),
            partitions=tuple((tuple(one["values"]), one["location"]) for one in given["partitions"])
            if "partitions" in given
            else None,
        )

    @property
    def every_column(self) -> tuple[_Column, ...]:
        return (*self.columns, *self.partition_keys)


class Lake:
    """A run's tables and views.

    `now` is the moment at which queries are said to begin, for a run on a simulated clock; without it, the
    machine's clock.
    """

    def __init__(self, run_folder: Path, *, now: datetime | None = None) -> None:
        self._folder = run_folder
        self._now = now
        try:
            listed = json.loads((run_folder / "catalog.json").read_text())
        except OSError as error:
            raise SqlError(
                f"{run_folder} has no catalog.json, so it is not a finished run: run make demo."
            ) from error
        self._entries = {entry.name: entry for entry in map(_Entry.read, listed)}
        self._connection = duckdb.connect()
        prepare(self._connection)
        # A table is made known to DuckDB once for each set of files.
        self._known: dict[str, tuple[Path, ...]] = {}

    @property
    def schema(self) -> Schema:
        """Table or view → column → Hive type, partition keys last, as Athena lists them."""
        return {
            entry.name: {column.name: column.type for column in entry.every_column}
            for entry in self._entries.values()
        }

    def query(self, sql: str) -> Answer:
        """Answer a select, `show tables` or `describe <table>`; raises SqlError with a sentence."""
        for pattern, answer in _STATEMENTS.items():
            if (asked := re.fullmatch(pattern, sql.strip().rstrip(";"), re.IGNORECASE)) is not None:
                return answer(self, *asked.groups())
        analysis = self._analyse(sql)
        for name in sorted(analysis.reads):
            self._make_known(name, ())
        return answers.ask(self._connection, analysis)

    def stale_views(self) -> list[str]:
        """A sentence for each view that declares other columns than its SQL yields (VIEW_IS_STALE)."""
        sentences = []
        for entry in self._entries.values():
            if entry.is_view:
                try:
                    self._make_known(entry.name, ())
                except SqlError as error:
                    sentences.append(str(error))
        return sentences

    def _analyse(self, sql: str) -> Analysis:
        views = [entry.name for entry in self._entries.values() if entry.is_view]
        return analyse(sql, self.schema, now=self._now, views=views)

    def _make_known(self, name: str, around: tuple[str, ...]) -> None:
        entry = self._entries[name]
        if name in around:
            raise SqlError(f"The views {' → '.join((*around, name))} read each other: take one of them out.")
        try:
            if entry.is_view:
                self._make_view(entry, around)
            else:
                self._make_table(entry)
        except duckdb.Error as error:
            raise SqlError(f"{name}: {explained(error)}") from error

    def _make_view(self, entry: _Entry, around: tuple[str, ...]) -> None:
        try:
            analysis = self._analyse(entry.sql)
        except SqlError as error:
            raise SqlError(f"The view {entry.name!r} cannot be answered: {error}") from error
        for name in sorted(analysis.reads):
            self._make_known(name, (*around, entry.name))
        declared = [(column.name, from_hive(column.type)) for column in entry.columns]
        found = [(column.name, column.type) for column in analysis.columns]
        if declared != found:
            different = [
                f"{name} {kind} where the SQL gives {other} {other_kind}"
                for (name, kind), (other, other_kind) in zip(declared, found, strict=False)
                if (name, kind) != (other, other_kind)
            ] or [f"{len(declared)} columns where the SQL gives {len(found)}"]
            raise SqlError(
                f"The view {entry.name!r} is stale (Athena: VIEW_IS_STALE): "
                f"it declares {'; '.join(different)}; cast the column, or deploy the view again."
            )
        self._connection.execute(f"create or replace view {quoted(entry.name)} as {analysis.sql}")

    def _make_table(self, entry: _Entry) -> None:
        parts = {values: files for values, at in self._parts(entry) if (files := self._files(entry, at))}
        files = tuple(file for each in parts.values() for file in each)
        if self._known.get(entry.name) == files:
            return
        columns = {column.name: from_hive(column.type) for column in entry.every_column}
        source = self._source(entry, parts) if files else "(select 1) where false"
        held = self._held(source) if files else {}
        listed = [
            f"{self._as_declared(entry, name, kind, held)} as {quoted(name)}"
            for name, kind in columns.items()
        ]
        self._connection.execute(
            f"create or replace view {quoted(entry.name)} as select {', '.join(listed)} " + f"from {source}"
        )
        self._known[entry.name] = files

    def _parts(self, entry: _Entry) -> Iterable[tuple[tuple[str, ...], str]]:
        """Values and location of each registered partition; or all that are projected, without values."""
        return [((), entry.location)] if entry.partitions is None else entry.partitions

    def _files(self, entry: _Entry, location: str) -> tuple[Path, ...]:
        folder = self._folder / "lake" / location
        return tuple(
            path
            for path in sorted(folder.rglob("*"))
            if path.is_file() and _is_data(path, folder) and _hour(path, folder) >= entry.first_hour
        )

    def _source(self, entry: _Entry, parts: Mapping[tuple[str, ...], Sequence[Path]]) -> str:
        if entry.partitions is None:
            return self._read(entry, parts[()], "hive_partitioning = true, hive_types_autocast = false")
        keys = [column.name for column in entry.partition_keys]
        apart = f"columns(lambda c: lower(c) not in ({', '.join(map(string, keys))}))"
        selects = []
        for values, files in parts.items():
            named = ", ".join(
                f"{string(value)} as {quoted(key)}" for key, value in zip(keys, values, strict=True)
            )
            read = self._read(entry, files, "hive_partitioning = false")
            # A partition's value is the catalog's, whatever a file or its path says.
            selects.append(f"select {apart}, {named} " + f"from {read}")
        return f"({' union all by name '.join(selects)})"

    def _read(self, entry: _Entry, files: Sequence[Path], options: str) -> str:
        paths = f"[{', '.join(string(str(path)) for path in files)}]"
        options = f"{options}, union_by_name = true"
        if entry.format == "parquet":
            return f"read_parquet({paths}, {options})"
        fields = ", ".join(
            f"{string(column.name)}: {string(from_hive(column.type).duckdb)}" for column in entry.columns
        )
        return f"read_json({paths}, format = 'newline_delimited', columns = {{{fields}}}, {options})"

    def _held(self, source: str) -> dict[str, str]:
        """The columns that the files hold, in any case, with DuckDB's types."""
        rows = self._connection.execute("describe select * " + f"from {source}").fetchall()
        return {str(name): str(kind) for name, kind, *_ in rows}

    def _as_declared(self, entry: _Entry, name: str, kind: SqlType, held: Mapping[str, str]) -> str:
        """A column as the catalog declares it; a file written before the column existed has null there."""
        spelt = next((one for one in held if one.lower() == name), None)
        if spelt is None:
            return cast("null", kind)
        column, found = quoted(spelt), held[spelt]
        if kind == TIMESTAMP:
            if found.startswith("TIMESTAMP WITH"):
                column = f"timezone('UTC', {column})"
            elif not found.startswith("TIMESTAMP"):
                raise self._misfit(entry, name, kind, found)
            # Athena's timestamps are milliseconds.
            return f"date_trunc('milliseconds', {cast(column, kind)})"
        if found.replace('"', "") == kind.duckdb.replace('"', ""):
            return column
        if kind.arguments or (kind.is_number and found.partition("(")[0] in _NUMBERS):
            return cast(column, kind)
        raise self._misfit(entry, name, kind, found)

    def _misfit(self, entry: _Entry, name: str, kind: SqlType, found: str) -> SqlError:
        return SqlError(
            f"The files of {entry.name!r} hold {name!r} as {found} where the catalog has {kind.hive} "
            "(Athena: HIVE_BAD_DATA): make the table anew, or write the files again."
        )

    def _tables(self) -> Answer:
        rows = [
            (entry.name, "view" if entry.is_view else "table", entry.comment)
            for entry in sorted(self._entries.values(), key=lambda entry: entry.name)
        ]
        return Answer(("name", "kind", "about"), ("varchar",) * 3, rows)

    def _describe(self, name: str) -> Answer:
        known = name.lower().replace('"', "").rpartition(".")[2]
        if known not in self._entries:
            raise SqlError(
                f"There is no table or view {known!r}; {nearest(known, self._entries)}; "
                "show tables lists them."
            )
        entry = self._entries[known]
        rows = [
            (
                column.name,
                column.type,
                column.comment,
                "partition key" if column in entry.partition_keys else "",
            )
            for column in entry.every_column
        ]
        return Answer(("column", "type", "comment", "key"), ("varchar",) * 4, rows)

    def _create_view(self, name: str) -> Answer:
        entry = self._entries.get(name.lower())
        if entry is None or not entry.is_view:
            views = [entry.name for entry in self._entries.values() if entry.is_view]
            raise SqlError(f"There is no view {name!r}; {nearest(name, views)}.")
        return Answer(("sql",), ("varchar",), [(entry.sql,)])


_STATEMENTS: dict[str, Callable[..., Answer]] = {
    r"show\s+(?:tables|views)(?:\s+(?:in|from)\s+\w+)?": Lake._tables,
    r"(?:describe|desc)\s+([\w\".]+)": Lake._describe,
    r"show\s+columns\s+(?:in|from)\s+([\w\".]+)": Lake._describe,
    r"show\s+create\s+view\s+(\w+)": Lake._create_view,
}
_NUMBERS = frozenset(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL"))


def _is_data(path: Path, folder: Path) -> bool:
    """Athena, too, passes over what begins with a dot or an underscore."""
    return not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)


def _hour(path: Path, folder: Path) -> str:
    """The hour of a projected partition; what lies in none is after all of them."""
    parts = path.relative_to(folder).parts
    return next((part.removeprefix("dt=") for part in parts if part.startswith("dt=")), "~")


def render(answer: Answer, *, csv: bool = False) -> str:
    """The answer as text: CSV, or a table when standard output is a terminal, or lines with tabs."""
    if csv:
        return answers.to_csv(answer)
    return answers.render(answer, is_terminal=sys.stdout.isatty())
