"""A piece of a query that has been understood: what it is in DuckDB's SQL and what type it has in Athena."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sql.duck import cast, quoted
from sql.errors import SqlError
from sql.types import DATE, DOUBLE, TIMESTAMP, UNKNOWN_ZONE, SqlType


@dataclass(frozen=True)
class Typed:
    """DuckDB SQL that can stand anywhere, with its Athena type.

    `text` is the value of a string literal and `digits` of a number, which some functions need to see.
    `is_stored` says that it is a column of a table or a literal: no NaN gets in there. `instant` is the same
    moment without the check that its zone is UTC, for those who do not ask for the zone. `parts` are the
    values of an array[…] or of a row(…) that has no field names yet.
    """

    sql: str
    type: SqlType
    text: str | None = None
    digits: str | None = None
    is_stored: bool = False
    instant: str = ""
    parts: tuple[Typed, ...] = ()

    @property
    def may_be_nan(self) -> bool:
        return self.type.is_floating and not self.is_stored

    def at_any_zone(self) -> Typed:
        return replace(self, sql=self.instant) if self.instant else self


def local(of: Typed, asked: str) -> str:
    """The wall clock's timestamp of a moment in its own zone; `asked` says who wants to know."""
    if not of.type.is_instant:
        return cast(of.sql, TIMESTAMP) if of.type == DATE else of.sql
    if of.type.zone == UNKNOWN_ZONE:
        raise SqlError(
            f"{asked} needs the time zone of its argument, which may differ from row to row: "
            "put at time zone 'UTC' (or another zone) behind the argument."
        )
    return f"timezone('{of.type.zone}', {of.sql})"


def coerce(of: Typed, to: SqlType) -> str:
    """DuckDB SQL of a value that Athena turns into a wider type by itself; `to` is from `types.common`."""
    if replace(of.type, zone="") == replace(to, zone=""):
        return of.at_any_zone().sql
    if of.type.name == "unknown":
        return cast("null", to)
    if of.type.is_number and to.is_number:
        if of.digits is not None and to == DOUBLE:
            return cast(of.digits, DOUBLE)
        return cast(of.sql, to)
    if to == TIMESTAMP:
        return cast(of.sql, TIMESTAMP)
    if to.is_instant:
        return f"timezone('UTC', {cast(of.sql, TIMESTAMP)})"
    # Lists, maps and rows of the same shape: DuckDB goes through them by place and by name alike.
    return cast(of.sql, to)


def field(of: Typed, name: str) -> Typed:
    """One field of a row."""
    if of.type.name != "row" or name not in of.type.fields:
        raise SqlError(f"{name!r} is not a field of {of.type}.")
    found = of.type.arguments[of.type.fields.index(name)]
    return Typed(
        f"struct_extract({of.sql}, '{name.replace(chr(39), chr(39) * 2)}')", found, is_stored=of.is_stored
    )


def named(table: str, column: str) -> str:
    return f"{quoted(table)}.{quoted(column)}"
