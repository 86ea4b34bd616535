"""The SQL gate of `make check`: every view and saved query, before anything is deployed.

One parser (sqlglot's Trino, held to Athena by `sql.parse`) and one binder (DuckDB over empty tables). A
second parser, Trino's own grammar, is not among them yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import duckdb

from sql.answer import ask
from sql.duck import prepare, quoted
from sql.errors import SqlError
from sql.parse import parse
from sql.transpile import Schema, analyse
from sql.types import from_hive
from sql.view import View, first_comment, in_order, tables_read

__all__ = ["check", "in_order"]

VIEWS = "views"


def check(paths: Iterable[Path], schemas: Schema) -> list[str]:
    """A sentence for everything that is wrong with these files; none is good.

    A file in a folder `views` is a view, any other is a saved query. `schemas` has the tables (Hive types, as
    in Glue); a view of `paths` that is in it too must have the columns that it is declared with there.
    """
    views: dict[str, View] = {}
    sentences: list[str] = []
    queries: dict[Path, str] = {}
    where: dict[str, Path] = {}
    for path in sorted(paths):
        try:
            if path.parent.name == VIEWS:
                view = View.read(path)
                if view.name in views:
                    raise SqlError(
                        f"{path}: {where[view.name]} makes the view {view.name!r} already: rename one."
                    )
                views[view.name], where[view.name] = view, path
            else:
                queries[path] = path.read_text(encoding="utf-8")
        except SqlError as error:
            sentences.append(str(error))
    with duckdb.connect() as connection:
        prepare(connection)
        known = {name: dict(columns) for name, columns in schemas.items()}
        _make_tables(connection, {name: columns for name, columns in known.items() if name not in views})
        order = _in_order(views, where, sentences)
        for view in order:
            sentences.extend(_check_view(view, where[view.name], known, connection))
            known[view.name] = {column.name: column.hive_type for column in view.columns}
        for path, text in queries.items():
            sentences.extend(_check_query(path, text, known, connection))
    return sentences


def _in_order(views: Mapping[str, View], where: Mapping[str, Path], sentences: list[str]) -> Sequence[View]:
    try:
        return in_order(views.values())
    except SqlError as error:
        sentences.append(f"{', '.join(str(path) for path in where.values())}: {error}")
        return []


def _make_tables(connection: duckdb.DuckDBPyConnection, schemas: Schema) -> None:
    for name, columns in schemas.items():
        listed = ", ".join(f"{quoted(column)} {from_hive(kind).duckdb}" for column, kind in columns.items())
        connection.execute(f"create table {quoted(name)} ({listed})")


def _check_view(
    view: View, path: Path, known: Schema, connection: duckdb.DuckDBPyConnection
) -> Iterator[str]:
    declared = {column.name: column.hive_type for column in view.columns}
    if view.name in known and dict(known[view.name]) != declared:
        yield f"{path}: the catalog has other columns for {view.name!r} than its casts: synthesize again."
    try:
        analysis = analyse(view.sql, known)
        ask(connection, analysis)
    except SqlError as error:
        yield f"{path}: {error}"
        # So that what reads the view is not found wrong as well.
        _make_tables(connection, {view.name: declared})
        return
    found = {column.name: column.type.hive for column in analysis.columns}
    if found != declared:
        yield f"{path}: its casts say {declared} and its SQL gives {found}: a mistake of sql/transpile."
    connection.execute(f"create view {quoted(view.name)} as {analysis.sql}")


def _check_query(
    path: Path, text: str, known: Schema, connection: duckdb.DuckDBPyConnection
) -> Iterator[str]:
    try:
        first_comment(text.strip(), "what the query answers")
        tables_read(text, parse(text))
        ask(connection, analyse(text, known))
    except SqlError as error:
        yield f"{path}: {error}"
