"""What a name can mean at one place of a query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from sql.errors import SqlError, nearest
from sql.parse import place_of
from sql.typed import Typed, named
from sql.typed import field as field_of
from sql.types import SqlType

DATABASE = "freshet"


@dataclass(frozen=True)
class Column:
    """A column of a source: the name by which the query knows it, and the name by which DuckDB does."""

    name: str
    type: SqlType
    inner: str
    is_stored: bool = False


@dataclass
class Source:
    """A table, a subquery or an unnest in `from`; `is_listed` says that `describe` knows it."""

    alias: str
    columns: Sequence[Column]
    inner: str
    is_listed: bool = False

    def typed(self, column: Column) -> Typed:
        return Typed(named(self.inner, column.inner), column.type, is_stored=column.is_stored)


@dataclass
class Scope:
    """What a name can mean in one select; `outputs` are set where its columns can be named: in order by."""

    parent: Scope | None = None
    sources: list[Source] = field(default_factory=list)
    merged: dict[str, Typed] = field(default_factory=dict)
    windows: dict[str, exp.Window] = field(default_factory=dict)
    outputs: Sequence[tuple[str, Typed]] = ()
    aliases: frozenset[str] = frozenset()

    def columns(self) -> Iterator[str]:
        for source in self.sources:
            for column in source.columns:
                yield column.name


@dataclass(frozen=True)
class Context:
    """What a query inherits: the sources around it, and the queries of `with`."""

    scope: Scope | None = None
    withs: Mapping[str, tuple[str, Sequence[Column]]] = field(default_factory=dict)


def lookup(text: str, names: list[str], scope: Scope, node: exp.Expr) -> Typed:
    around: Scope | None = scope
    while around is not None:
        found = _in_scope(text, names, around, node)
        if found is not None:
            return found
        around = around.parent
    raise unknown_column(text, ".".join(names), scope, node)


def _in_scope(text: str, names: list[str], scope: Scope, node: exp.Expr) -> Typed | None:
    if len(names) > 2 and names[0] == DATABASE and any(source.alias == names[1] for source in scope.sources):
        names = names[1:]
    shown = {value.sql: value for name, value in scope.outputs if name == names[0]}
    if shown and not (len(names) > 1 and any(source.alias == names[0] for source in scope.sources)):
        return _one_of(text, list(shown.values()), names, 1, node)
    if len(names) > 1:
        for source in scope.sources:
            if source.alias != names[0]:
                continue
            if names[1] in scope.merged:
                raise SqlError(
                    f"{names[1]!r} belongs to both sides of using ({place_of(text, node)}): "
                    f"write {names[1]} without {names[0]}."
                )
            columns = [column for column in source.columns if column.name == names[1]]
            if columns:
                return _one_of(text, [source.typed(column) for column in columns], names, 2, node)
    if names[0] in scope.merged:
        return _one_of(text, [scope.merged[names[0]]], names, 1, node)
    found = [
        source.typed(column)
        for source in scope.sources
        for column in source.columns
        if column.name == names[0]
    ]
    return _one_of(text, found, names, 1, node) if found else None


def _one_of(text: str, found: Sequence[Typed], names: Sequence[str], used: int, node: exp.Expr) -> Typed:
    if len(found) > 1:
        raise SqlError(
            f"{names[0]!r} is a column of several sources ({place_of(text, node)}): "
            f"write its table before it, as in t.{names[0]}."
        )
    value = found[0]
    for name in names[used:]:
        if name not in value.type.fields:
            raise SqlError(
                f"{'.'.join(names[:used])} has no field {name!r} ({place_of(text, node)}); "
                f"{nearest(name, value.type.fields)}."
            )
        value = field_of(value, name)
    return value


def unknown_column(text: str, name: str, scope: Scope, node: exp.Expr) -> SqlError:
    tables = [source.alias for source in scope.sources if source.alias]
    where = place_of(text, node)
    if not scope.sources:
        return SqlError(f"There is no column {name!r} ({where}): the query has no from.")
    alone = name.rpartition(".")[2]
    hint = nearest(alone, scope.columns())
    ask = f"; describe {tables[0]} lists them" if tables and scope.sources[0].is_listed else ""
    if alone in scope.aliases:
        hint = "an alias can be used in order by only: repeat the expression"
        ask = ""
    return SqlError(
        f"There is no column {name!r} in {', '.join(tables) or 'the subquery'} ({where}); {hint}{ask}."
    )


# Functions.
