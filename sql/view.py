"""A view's file: one select whose first line states its grain and whose output columns are each cast.

The casts are the single source of a view's column types: Glue's (Hive) and those inside the view's own text
(Trino) are both read from them, so that they cannot drift apart (Athena answers VIEW_IS_STALE when they do).
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from sqlglot import exp

from sql.errors import SqlError
from sql.parse import capitals, name_of, parse, place_of
from sql.types import SqlType, from_trino

CATALOG = "awsdatacatalog"


@dataclass(frozen=True)
class ViewColumn:
    """An output column and its type in the two languages that a view is written in."""

    name: str
    trino_type: str
    hive_type: str


@dataclass(frozen=True)
class View:
    """A view as its file says; `comment` is the grain, `reads` what must exist before it."""

    name: str
    sql: str
    comment: str
    columns: tuple[ViewColumn, ...]
    reads: frozenset[str]

    @classmethod
    def read(cls, path: Path) -> View:
        """Read `<view_name>.sql`; raises SqlError with a sentence that names the file."""
        try:
            if re.fullmatch("[a-z0-9_]+", path.stem) is None or path.suffix != ".sql":
                raise SqlError(
                    "A view's file is called <view_name>.sql with a to z, 0 to 9 and _ only: rename it."
                )
            return cls.parse(path.stem, path.read_text(encoding="utf-8"))
        except SqlError as error:
            raise SqlError(f"{path}: {error}") from error

    @classmethod
    def parse(cls, name: str, text: str) -> View:
        """Read a view's text; raises SqlError with a sentence."""
        return _parse(name, text.strip())


def in_order(views: Iterable[View]) -> list[View]:
    """Views so that each stands after those that it reads."""
    by_name = {view.name: view for view in views}
    sorter = TopologicalSorter({name: sorted(view.reads & by_name.keys()) for name, view in by_name.items()})
    try:
        return [by_name[name] for name in sorter.static_order()]
    except CycleError as error:
        raise SqlError(
            f"The views {' → '.join(error.args[1])} read each other: take one of them out."
        ) from error


def glue_properties(view: View, *, database: str, catalog: str = CATALOG) -> dict[str, Any]:
    """The TableInput of an AWS::Glue::Table that Athena takes for a view it created itself."""
    text = json.dumps(
        {
            "originalSql": view.sql,
            "catalog": catalog,
            "schema": database,
            "columns": [{"name": column.name, "type": column.trino_type} for column in view.columns],
            "runAsInvoker": False,
            "properties": {},
        }
    )
    return {
        "Name": view.name,
        "Description": view.comment,
        "TableType": "VIRTUAL_VIEW",
        # Athena wants the list even where it is empty; one left out is null to it.
        "PartitionKeys": [],
        "Parameters": {"presto_view": "true", "comment": "Presto View"},
        "ViewOriginalText": f"/* Presto View: {b64encode(text.encode()).decode()} */",
        "ViewExpandedText": "/* Presto View */",
        "StorageDescriptor": {
            "Columns": [{"Name": column.name, "Type": column.hive_type} for column in view.columns],
            "SerdeInfo": {},
        },
    }


def _parse(name: str, text: str) -> View:
    comment = first_comment(text, "its grain, such as: -- one row per sensor and hour")
    if (capital := capitals(text)) is not None:
        raise capital
    query = parse(text)
    star = next(
        (star for star in query.find_all(exp.Star) if not isinstance(star.parent, exp.Anonymous)), None
    )
    if star is not None:
        raise SqlError(f"select * is in it ({place_of(text, star)}): list the columns.")
    return View(name, text.rstrip(";").rstrip(), comment, _columns(text, query), tables_read(text, query))


def first_comment(text: str, what: str) -> str:
    """The comment on the first line of a file, or a sentence that asks for it."""
    comment = re.match(r"--[ \t]*(\S[^\n]*)", text)
    if comment is None:
        raise SqlError(f"The first line has no comment: state {what}.")
    return comment.group(1).strip()


def tables_read(text: str, query: exp.Query) -> frozenset[str]:
    """The tables and views that a query names, without those that its own `with` defines."""
    names = set()
    for table in query.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            continue
        name = name_of(text, table.this)
        if table.args.get("db") is not None or name not in _in_sight(text, table):
            names.add(name)
    return frozenset(names)


def _in_sight(text: str, table: exp.Table) -> Iterator[str]:
    """The names of `with` that a table's place can see: those before its own, and those around."""
    node: exp.Expr | None = table
    while node is not None:
        around = node.parent
        clause = node.args.get("with_")
        if clause is not None:
            for part in clause.expressions:
                # A query of `with` sees the ones before it, not itself: `with t as (select … from t)`.
                if any(table is inner for inner in part.find_all(exp.Table)):
                    break
                yield name_of(text, part.args["alias"].this)
        node = around


def _columns(text: str, query: exp.Expr) -> tuple[ViewColumn, ...]:
    if isinstance(query, exp.Subquery):
        return _columns(text, query.this)
    if isinstance(query, exp.SetOperation):
        left, right = (_columns(text, query.args[side]) for side in ("this", "expression"))
        for one, other in zip(left, right, strict=False):
            if one != other:
                raise SqlError(
                    f"The branches of a union differ: {one.name} {one.trino_type} stands beside "
                    f"{other.name} {other.trino_type} ({place_of(text, query.args['expression'])}); "
                    "give both the same names and casts."
                )
        if len(left) != len(right):
            raise SqlError(
                f"The branches of a union have {len(left)} and {len(right)} columns "
                f"({place_of(text, query.args['expression'])}): give both the same columns."
            )
        return left
    columns = tuple(_column(text, projection) for projection in query.args.get("expressions") or [])
    names = [column.name for column in columns]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SqlError(f"Two output columns are called {twice[0]!r} ({place_of(text, query)}): rename one.")
    return columns


def _column(text: str, projection: exp.Expr) -> ViewColumn:
    where = place_of(text, projection)
    if not isinstance(projection, exp.Alias):
        raise SqlError(f"An output column has no name ({where}): write cast(… as type) as name.")
    name = name_of(text, projection.args["alias"])
    if re.fullmatch("[a-z_][a-z0-9_]*", name) is None:
        raise SqlError(f"The output column {name!r} ({where}) needs a name of a to z, 0 to 9 and _ only.")
    value = projection.this
    if not isinstance(value, exp.Cast):
        raise SqlError(
            f"The output column {name!r} has no cast ({where}): write cast(… as type) as {name}, "
            "so that Athena's and Glue's types are the same."
        )
    kind = _declared(value)
    try:
        return ViewColumn(name, kind.trino, kind.hive)
    except SqlError as error:
        raise SqlError(f"The output column {name!r} ({where}): {error}") from error


def _declared(value: exp.Cast) -> SqlType:
    return from_trino(value.args["to"].sql(dialect="trino"))
