"""`cast` and `try_cast` as Athena does them.

DuckDB casts more texts than Athena ('12.0' to a whole number, 'yes' to a boolean), rounds doubles half to
even and prints doubles in its own way. Each pair of types below is exact or refused.

Where versions of Athena's engine differ (blanks around a number), both casts stop the query.
"""

from __future__ import annotations

import re
from dataclasses import replace

from sql.duck import cast, failure, string
from sql.errors import SqlError
from sql.typed import Typed, coerce, local
from sql.types import BIGINT, DATE, DOUBLE, TIMESTAMP, VARCHAR, SqlType, as_decimal, common, decimal

_NUMBER = r"[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"
_WHOLE = "[+-]?[0-9]+"
_DAY = "[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
# The texts that are certainly a value of the type, and those of which versions of Athena think differently.
_TEXTS = {
    "integer": (_WHOLE, rf"\s*{_WHOLE}\s*"),
    "double": (rf"{_NUMBER}|-?Infinity|NaN", rf"\s*[+-]?({_NUMBER}[dDfF]?|Infinity|NaN)\s*"),
    "decimal": (_NUMBER, rf"\s*{_NUMBER}\s*"),
    "boolean": ("(?i)(t|f|true|false|1|0)", ""),
    "date": (_DAY, r"\s*[+-]?[0-9]+-[0-9]{1,2}-[0-9]{1,2}\s*"),
    "timestamp": (
        rf"{_DAY}( [0-9]{{1,2}}:[0-9]{{1,2}}(:[0-9]{{1,2}}([.][0-9]{{1,6}})?)?)?",
        r"\s*[+-]?[0-9]{4,}-[0-9]{1,2}-[0-9]{1,2} ?([0-9:]*([.][0-9]+)?)?\s*",
    ),
}


def convert(of: Typed, to: SqlType, *, is_try: bool, where: str) -> Typed:
    """`cast(of as to)`, or `try_cast` when `is_try`."""
    sql = _converted(of, to, is_try=is_try, where=where)
    zone = of.type.zone if of.type.is_instant and to.is_instant else to.zone
    return Typed(sql, replace(to, zone=zone), is_stored=of.is_stored or not to.is_floating)


def _converted(of: Typed, to: SqlType, *, is_try: bool, where: str) -> str:
    kind = of.type
    if replace(kind, zone="") == replace(to, zone="") or kind.name == "unknown":
        return coerce(of, to)
    if kind == VARCHAR:
        return _from_text(of, to, is_try=is_try, where=where)
    sql = _between_scalars(of, to, where)
    if sql is None and of.parts and to.name == "row" and len(of.parts) == len(to.arguments):
        inner = zip(of.parts, to.arguments, to.fields, strict=True)
        return (
            "struct_pack("
            + ", ".join(
                f'"{name}" := {_converted(one, wanted, is_try=is_try, where=where)}'
                for one, wanted, name in inner
            )
            + ")"
        )
    if sql is None and common(kind, to) == to:
        sql = coerce(of, to)
    if sql is None:
        raise SqlError(
            f"A cast from {kind} to {to} is not answered on the laptop ({where}): {_instead(kind, to)}."
        )
    return f"try({sql})" if is_try else sql


def _instead(kind: SqlType, to: SqlType) -> str:
    if kind.is_floating and to == VARCHAR:
        return (
            "Athena's versions print a double in different ways, "
            "cast it to a decimal first: cast(cast(value as decimal(18,2)) as varchar)"
        )
    if kind.name == "json":
        return "take single values out with json_extract_scalar(value, '$.path') and cast those"
    if to.name == "json":
        return "json_parse(text) reads a text as JSON"
    if to.is_instant:
        return "from_iso8601_timestamp(text) reads a moment with its zone"
    if to.name in ("array", "map", "row"):
        return "both must have the same fields in the same order"
    return "go through a type that both know, such as varchar"


def _between_scalars(of: Typed, to: SqlType, where: str) -> str | None:
    kind, sql = of.type, of.sql
    moments = (DATE, TIMESTAMP)
    if kind.is_number and to.is_number:
        return _between_numbers(of, to)
    if kind.is_number and to.name == "boolean":
        return f"({sql} <> 0)"
    if kind.name == "boolean" and (to.is_number or to == VARCHAR):
        return cast(sql, to)
    if kind.is_integer and to == VARCHAR:
        return cast(sql, to)
    if kind.name == "decimal" and to == VARCHAR:
        # DuckDB writes .5 where no digit may stand before the point.
        wide = kind.precision + 1 if kind.precision == kind.scale else kind.precision
        return cast(cast(sql, decimal(wide, kind.scale)), to)
    if kind == DATE and to == VARCHAR:
        return f"strftime({sql}, '%Y-%m-%d')"
    if kind == TIMESTAMP and to == VARCHAR:
        return f"strftime({sql}, '%Y-%m-%d %H:%M:%S.%g')"
    if kind.is_instant and to == VARCHAR:
        return (
            f"(strftime({local(of, f'cast to varchar ({where})')}, '%Y-%m-%d %H:%M:%S.%g') || ' {kind.zone}')"
        )
    if kind in moments and to in moments:
        return cast(sql, to)
    if kind in moments and to.is_instant:
        return coerce(of, to)
    if kind.is_instant and to in moments:
        return cast(local(of, f"cast to {to} ({where})"), to)
    if kind.name == "json" and to == VARCHAR:
        return f"athena_json_text({sql})"
    if kind.name == "json" and to.is_number:
        text = Typed(f"athena_json_text({sql})", VARCHAR)
        return _from_text(text, to, is_try=False, where=where)
    if kind.name == "json" and to.name == "array" and to.arguments[0].name == "json":
        wrong = failure("Only a JSON array can be cast to array(json).", to, about=sql)
        return (
            f"case json_type({sql}) when 'ARRAY' then {cast(sql, to)} when 'NULL' then null else {wrong} end"
        )
    return None


def _between_numbers(of: Typed, to: SqlType) -> str:
    kind, sql = of.type, of.sql
    if of.digits is not None and to == DOUBLE:
        return cast(of.digits, to)
    if kind.is_floating and to.is_integer:
        # Athena rounds halves away from zero, as DuckDB's round() does and its cast does not.
        return cast(f"round({cast(sql, DOUBLE) if kind != DOUBLE else sql})", to)
    if kind.is_floating and to.name == "decimal":
        # Athena goes by the shortest digits that make the double, DuckDB by its exact value.
        return cast(cast(sql, VARCHAR), to)
    if kind.is_integer and to.name == "decimal":
        return cast(cast(sql, as_decimal(kind)), to) if kind != BIGINT else cast(sql, to)
    return cast(sql, to)


def _from_text(of: Typed, to: SqlType, *, is_try: bool, where: str) -> str:
    group = "integer" if to.is_integer else "double" if to.is_floating else to.name.partition("(")[0]
    if group not in _TEXTS or to.is_instant:
        raise SqlError(
            f"A cast from varchar to {to} is not answered on the laptop ({where}): {_instead(of.type, to)}."
        )
    certain, doubtful = _TEXTS[group]
    if (
        of.text is not None
        and to in (DATE, TIMESTAMP)
        and re.fullmatch(certain, of.text)
        and "." not in of.text
    ):
        return f"try_cast({of.sql} as {to.duckdb})" if is_try else cast(of.sql, to)
    reads = f"regexp_full_match({of.sql}, {string(certain)})"
    value = f"try_cast({of.sql} as {to.duckdb})" if is_try else cast(of.sql, to)
    if to == TIMESTAMP:
        # Athena rounds to milliseconds here, it does not truncate.
        value = f"date_trunc('milliseconds', {value} + to_microseconds(500))"
    wrong = failure(f"The text cannot be cast to {to}; try_cast answers null instead.", to, about=of.sql)
    if not is_try:
        return f"case when {of.sql} is null then null when {reads} then {value} else {wrong} end"
    if not doubtful:
        return f"case when {reads} then {value} end"
    unsure = failure(
        f"The text is read as {to} by some versions of Athena only: trim() it or take out what is odd.",
        to,
        about=of.sql,
    )
    return (
        f"case when {of.sql} is null then null when {reads} then {value}"
        f" when regexp_full_match({of.sql}, {string(doubtful)}) then {unsure} end"
    )
