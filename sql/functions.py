"""The functions that the laptop answers as Athena does: the allow-list.

What is in `SCALARS`, `AGGREGATES` or `WINDOWS` has a test of its Athena meaning in tests/sql/test_functions.py
(which fails when a name has none); any other name is refused. Meanings follow Trino's documentation,
https://trino.io/docs/current/functions.html; where its versions differ, or where only DuckDB's answer could be
given, the call stops with a sentence instead.

`approx_distinct` and `approx_percentile` are approximate in Athena and exact here.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sql import patterns, timeformats
from sql.casts import convert
from sql.duck import cast, failure, quoted, string
from sql.errors import SqlError
from sql.typed import Typed, coerce, local
from sql.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    INTEGER,
    JSON,
    REAL,
    TIMESTAMP,
    TIMESTAMP_TZ,
    UNKNOWN_ZONE,
    VARCHAR,
    SqlType,
    array,
    as_decimal,
    common,
    decimal,
)


@dataclass(frozen=True)
class Call:
    """One call in a query: its name, its arguments already understood, and where it stands."""

    name: str
    arguments: tuple[Typed, ...]
    where: str
    now: str = ""

    def wrong(self, problem: str) -> SqlError:
        return SqlError(f"{self.name}() {problem} ({self.where}).")

    def counts(self, *allowed: int) -> None:
        if len(self.arguments) not in allowed:
            wanted = " or ".join(str(number) for number in allowed)
            raise self.wrong(f"takes {wanted} arguments and got {len(self.arguments)}")

    def given(self, index: int, to: SqlType) -> str:
        """An argument as the type that the function declares, by the conversions that Athena makes by itself."""
        argument = self.arguments[index]
        if common(argument.type, to) != to:
            raise self.wrong(f"needs {to} as argument {index + 1} and got {argument.type}: cast the argument")
        return coerce(argument, to)

    def number(self, index: int = 0) -> Typed:
        argument = self.arguments[index]
        if argument.type.name == "unknown":
            return Typed(cast("null", DOUBLE), DOUBLE, is_stored=True)
        if not argument.type.is_number:
            raise self.wrong(
                f"needs a number as argument {index + 1} and got {argument.type}: cast the argument"
            )
        return argument

    def text(self, index: int) -> str:
        """The value of an argument that must be written out in the query."""
        argument = self.arguments[index]
        if argument.text is None:
            raise self.wrong(f"needs a text written out as argument {index + 1}, not a computed one")
        return argument.text

    def whole(self, index: int) -> int:
        digits = self.arguments[index].digits or ""
        if not digits.isdigit():
            raise self.wrong(f"needs a whole number written out as argument {index + 1}, not a computed one")
        return int(digits)

    def together(self, *, orderable: bool = False) -> tuple[SqlType, list[str]]:
        """All arguments in the type that they share."""
        shared = self.arguments[0].type
        for argument in self.arguments[1:]:
            found = common(shared, argument.type)
            if found is None:
                raise self.wrong(
                    f"has arguments of {shared} and {argument.type}, which Athena does not compare: cast one of them"
                )
            shared = found
        if orderable and not shared.is_orderable and shared.name != "unknown":
            raise self.wrong(f"cannot put {shared} in an order")
        return shared, [coerce(argument, shared) for argument in self.arguments]


Scalar = Callable[[Call], Typed]


def _plain(template: str, result: SqlType, *parameters: SqlType) -> Scalar:
    """A function whose arguments have one type each and which one DuckDB expression answers."""

    def answer(call: Call) -> Typed:
        call.counts(len(parameters))
        given = [call.given(index, wanted) for index, wanted in enumerate(parameters)]
        return Typed(template.format(*given), result)

    return answer


# -- texts


def _concat(call: Call) -> Typed:
    if len(call.arguments) < 2:
        raise call.wrong("takes at least 2 arguments")
    kinds = {argument.type.name for argument in call.arguments}
    if kinds <= {"varchar", "unknown"}:
        # DuckDB's concat() leaves nulls out; || does not, and neither does Athena.
        return Typed("(" + " || ".join(coerce(one, VARCHAR) for one in call.arguments) + ")", VARCHAR)
    if kinds == {"array"}:
        shared, given = call.together()
        return Typed("(" + " || ".join(given) + ")", shared)
    raise call.wrong("joins varchars with varchars or arrays with arrays: cast what is neither")


def _substring(call: Call) -> Typed:
    call.counts(2, 3)
    given = [call.given(0, VARCHAR), *(call.given(index, BIGINT) for index in range(1, len(call.arguments)))]
    macro = "athena_substr" if len(given) == 2 else "athena_substr_of"
    return Typed(f"{macro}({', '.join(given)})", VARCHAR)


def _replace(call: Call) -> Typed:
    call.counts(2, 3)
    put = call.given(2, VARCHAR) if len(call.arguments) == 3 else "''"
    return Typed(f"athena_replace({call.given(0, VARCHAR)}, {call.given(1, VARCHAR)}, {put})", VARCHAR)


def _pad(call: Call) -> Typed:
    call.counts(3)
    text, size, pad = call.given(0, VARCHAR), call.given(1, BIGINT), call.given(2, VARCHAR)
    # DuckDB stops at an empty padding by itself; the check must not depend on its words.
    padded = f"{call.name}({text}, {cast(f'greatest({size}, 0)', INTEGER)}, case when {pad} = '' then ' ' else {pad} end)"
    return Typed(f"athena_pad({padded}, {size}, {pad})", VARCHAR)


def _pattern(call: Call) -> tuple[str, patterns.Pattern]:
    """The text to look into, wrapped in the checks that the pattern asks for, and the pattern."""
    pattern = patterns.translate(call.text(1))
    text = call.given(0, VARCHAR)
    if pattern.ascii_only:
        text = f"athena_ascii({text})"
    if pattern.one_line:
        text = f"athena_one_line({text})"
    return text, pattern


def _regexp_like(call: Call) -> Typed:
    call.counts(2)
    text, pattern = _pattern(call)
    return Typed(f"regexp_matches({text}, {string(pattern.text)})", BOOLEAN)


def _regexp_extract(call: Call) -> Typed:
    call.counts(2, 3)
    text, pattern = _pattern(call)
    group = call.whole(2) if len(call.arguments) == 3 else 0
    if group > pattern.groups:
        raise call.wrong(f"asks for group {group} of a pattern with {pattern.groups}")
    if group and pattern.optional_groups:
        raise call.wrong(
            "asks for a group of a pattern with | or an optional group, where Athena answers null and DuckDB '': "
            "write one regexp_extract for each case and join them with coalesce"
        )
    written = string(pattern.text)
    return Typed(
        f"case when regexp_matches({text}, {written}) then regexp_extract({text}, {written}, {group}) end",
        VARCHAR,
    )


def _regexp_replace(call: Call) -> Typed:
    call.counts(2, 3)
    text, pattern = _pattern(call)
    if pattern.matches_nothing:
        raise call.wrong("has a pattern that matches the empty text: use + instead of *")
    put = patterns.replacement(call.text(2), pattern.groups) if len(call.arguments) == 3 else ""
    return Typed(f"regexp_replace({text}, {string(pattern.text)}, {string(put)}, 'g')", VARCHAR)


# -- numbers


def _abs(call: Call) -> Typed:
    call.counts(1)
    of = call.number()
    return Typed(cast(f"abs({of.sql})", of.type), of.type, is_stored=of.is_stored)


def _round(call: Call) -> Typed:
    call.counts(1, 2)
    of = call.number()
    digits = call.whole(1) if len(call.arguments) == 2 else None
    if of.type.is_integer:
        return of
    if of.type.name == "decimal":
        if digits is None:
            kind = decimal(of.type.precision - of.type.scale + min(1, of.type.scale), 0)
        else:
            kind = decimal(of.type.precision + 1, of.type.scale)
        if of.type.scale == 0:
            return Typed(cast(of.sql, kind), kind)
        # One digit more before rounding: 9.9 becomes 10, which decimal(2,1) cannot hold.
        wide = cast(of.sql, decimal(of.type.precision + 1, of.type.scale))
        rounded = f"round({wide}, {min(digits or 0, of.type.scale)})"
        return Typed(cast(rounded, kind), kind)
    return Typed(cast(f"round({of.sql}, {digits or 0})", of.type), of.type, is_stored=of.is_stored)


def _floor(call: Call) -> Typed:
    call.counts(1)
    of = call.number()
    if of.type.is_integer:
        return of
    kind = of.type
    if kind.name == "decimal":
        kind = decimal(of.type.precision - of.type.scale + min(1, of.type.scale), 0)
    name = "floor" if call.name == "floor" else "ceil"
    wide = (
        cast(of.sql, decimal(of.type.precision + 1, of.type.scale)) if of.type.name == "decimal" else of.sql
    )
    return Typed(cast(f"{name}({wide})", kind), kind, is_stored=of.is_stored)


def _sign(call: Call) -> Typed:
    call.counts(1)
    of = call.number()
    kind = decimal(1, 0) if of.type.name == "decimal" else of.type
    return Typed(cast(f"sign({of.sql})", kind), kind)


def _greatest(call: Call) -> Typed:
    shared, given = call.together(orderable=True)
    if shared.is_floating:
        pairs = zip(call.arguments, given, strict=True)
        given = [f"athena_number({sql})" if one.may_be_nan else sql for one, sql in pairs]
    missing = " or ".join(f"{sql} is null" for sql in given)
    # DuckDB leaves nulls out, Athena answers null.
    return Typed(f"case when {missing} then null else {call.name}({', '.join(given)}) end", shared)


def divide(left: Typed, right: Typed) -> Typed:
    """Athena's `/`: whole numbers truncate, decimals keep the longer fraction, doubles are IEEE's."""
    shared = common(left.type, right.type)
    if shared is None or not shared.is_number:
        raise SqlError(f"Athena cannot divide {left.type} by {right.type}")
    if shared.is_floating:
        return Typed(f"({coerce(left, shared)} / {coerce(right, shared)})", shared)
    if shared.is_integer:
        return Typed(f"({coerce(left, shared)} // {coerce(right, shared)})", shared)
    above, below = as_decimal(left.type), as_decimal(right.type)
    kind = decimal(
        above.precision + below.scale + max(0, below.scale - above.scale), max(above.scale, below.scale)
    )
    zeros = kind.scale - above.scale + below.scale
    dividend = f"(athena_unscaled({coerce(left, above)}) * cast('1{'0' * zeros}' as HUGEINT))"
    return _scaled(f"athena_divide({dividend}, athena_unscaled({coerce(right, below)}))", kind)


def _scaled(unscaled: str, kind: SqlType) -> Typed:
    """The decimal whose digits are the given whole number."""
    if kind.scale == 0:
        return Typed(cast(unscaled, kind), kind)
    one = f"cast('0.{'0' * (kind.scale - 1)}1' as DECIMAL({kind.scale},{kind.scale}))"
    return Typed(cast(f"({cast(unscaled, decimal(38, 0))} * {one})", kind), kind)


def arithmetic(sign: str, left: Typed, right: Typed) -> Typed:
    """Athena's `+ - * %` on numbers; the result's type is Athena's, so that sums overflow where they do there."""
    shared = common(left.type, right.type)
    if shared is None or not shared.is_number:
        raise SqlError(f"Athena has no {left.type} {sign} {right.type}")
    if shared.name != "decimal":
        given = f"({coerce(left, shared)} {sign} {coerce(right, shared)})"
        return Typed(given if shared != REAL else cast(given, REAL), shared)
    one, other = as_decimal(left.type), as_decimal(right.type)
    before = max(one.precision - one.scale, other.precision - other.scale)
    scale = max(one.scale, other.scale)
    match sign:
        case "*":
            kind = decimal(one.precision + other.precision, one.scale + other.scale)
            # DuckDB keeps a product of two short decimals short; one long factor makes it long.
            first = decimal(38, one.scale) if kind.precision > 18 else one
            return Typed(cast(f"({coerce(left, first)} * {coerce(right, other)})", kind), kind)
        case "%":
            kind = decimal(min(one.precision - one.scale, other.precision - other.scale) + scale, scale)
            wide = decimal(before + scale, scale)
        case _:
            kind = wide = decimal(1 + before + scale, scale)
    return Typed(cast(f"({coerce(left, wide)} {sign} {coerce(right, wide)})", kind), kind)


def _mod(call: Call) -> Typed:
    call.counts(2)
    return arithmetic("%", call.number(0), call.number(1))


# -- time

_UNITS = ("millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year")
_UNITS_OF_TIME = _UNITS[:4]


def _unit(call: Call, of: Typed) -> str:
    unit = call.text(0).lower()
    if unit not in _UNITS:
        raise call.wrong(f"knows no unit {unit!r}, units are {', '.join(_UNITS)}")
    if of.type == DATE and unit in _UNITS_OF_TIME:
        raise call.wrong(f"has no {unit} in a date: cast the argument to timestamp")
    return unit


def _moment(call: Call, index: int) -> Typed:
    of = call.arguments[index]
    if of.type.name == "unknown":
        return Typed(cast("null", TIMESTAMP), TIMESTAMP)
    if of.type not in (DATE, TIMESTAMP) and not of.type.is_instant:
        raise call.wrong(
            f"needs a date or a timestamp as argument {index + 1} and got {of.type}: cast the argument"
        )
    return of


def _back(call: Call, wall: str, of: Typed) -> Typed:
    """A wall clock's timestamp as the type of the argument that it was made from."""
    if of.type == DATE:
        return Typed(cast(wall, DATE), DATE)
    if of.type.is_instant:
        return Typed(f"timezone('{of.type.zone}', {wall})", of.type)
    return Typed(wall, TIMESTAMP)


def _date_trunc(call: Call) -> Typed:
    call.counts(2)
    of = _moment(call, 1)
    unit = _unit(call, of)
    wall = local(of, f"date_trunc() ({call.where})")
    if of.type.is_instant and unit in _UNITS_OF_TIME:
        # Taking the rest off keeps the right one of the two hours when clocks are set back.
        return Typed(f"({of.sql} - ({wall} - date_trunc('{unit}', {wall})))", of.type)
    return _back(call, f"date_trunc('{unit}', {wall})", of)


def _date_add(call: Call) -> Typed:
    call.counts(3)
    of = _moment(call, 2)
    unit = _unit(call, of)
    count = call.given(1, BIGINT)
    if unit in _UNITS_OF_TIME:
        sql = f"({of.at_any_zone().sql if of.type.is_instant else of.sql} + to_{unit}s({count}))"
        return Typed(sql, of.type)
    times, name = {"week": (7, "days"), "quarter": (3, "months")}.get(unit, (1, f"{unit}s"))
    span = f"to_{name}({cast(f'({count} * {times})', INTEGER)})"
    return _back(call, f"({local(of, f'date_add() ({call.where})')} + {span})", of)


def _date_diff(call: Call) -> Typed:
    call.counts(3)
    first, second = _moment(call, 1), _moment(call, 2)
    shared = common(first.type, second.type)
    if shared is None:
        raise call.wrong("needs two dates or timestamps")
    unit = _unit(call, replace(first, type=shared))
    if shared.is_instant and unit not in _UNITS_OF_TIME:
        zones = {one.type.zone for one in (first, second) if one.type.is_instant} | {"UTC"}
        if zones != {"UTC"}:
            raise call.wrong(
                f"counts {unit}s in a time zone of their own: put at time zone 'UTC' behind both"
            )
    return Typed(f"date_sub('{unit}', {coerce(first, shared)}, {coerce(second, shared)})", BIGINT)


def _extracted(name: str, part: str, *, of_time: bool = False, template: str = "{0}") -> Scalar:
    def answer(call: Call) -> Typed:
        call.counts(1)
        of = _moment(call, 0)
        if of_time and of.type == DATE:
            raise call.wrong("has no time in a date: cast the argument to timestamp")
        sql = f"{part}({local(of, f'{name}() ({call.where})')})"
        return Typed(cast(template.format(sql), BIGINT), BIGINT)

    return answer


PARTS_OF_TIME: dict[str, Scalar] = {
    "year": _extracted("year", "year"),
    "quarter": _extracted("quarter", "quarter"),
    "month": _extracted("month", "month"),
    "week": _extracted("week", "week"),
    "week_of_year": _extracted("week_of_year", "week"),
    "day": _extracted("day", "day"),
    "day_of_month": _extracted("day_of_month", "day"),
    "day_of_week": _extracted("day_of_week", "isodow"),
    "dow": _extracted("dow", "isodow"),
    "day_of_year": _extracted("day_of_year", "dayofyear"),
    "doy": _extracted("doy", "dayofyear"),
    "year_of_week": _extracted("year_of_week", "isoyear"),
    "yow": _extracted("yow", "isoyear"),
    "hour": _extracted("hour", "hour", of_time=True),
    "minute": _extracted("minute", "minute", of_time=True),
    "second": _extracted("second", "second", of_time=True),
    "millisecond": _extracted("millisecond", "millisecond", of_time=True, template="({0} % 1000)"),
}


def _date_format(call: Call, *, language: Callable[[str], str]) -> Typed:
    call.counts(2)
    of = _moment(call, 0)
    wall = local(of, f"{call.name}() ({call.where})")
    return Typed(f"strftime({wall}, {string(language(call.text(1)))})", VARCHAR)


def _date_parse(call: Call, *, language: Callable[[str], tuple[str, str]], result: SqlType) -> Typed:
    call.counts(2)
    written, looks_like = language(call.text(1))
    text = call.given(0, VARCHAR)
    wrong = failure(f"{call.name}() cannot read the text by {call.text(1)!r}.", TIMESTAMP, about=text)
    # DuckDB's strptime skips blanks, Athena does not.
    wall = (
        f"case when {text} is null then null when regexp_full_match({text}, {string(looks_like)})"
        f" then date_trunc('milliseconds', strptime({text}, {string(written)})) else {wrong} end"
    )
    return Typed(f"timezone('UTC', {wall})" if result.is_instant else wall, result)


def _from_unixtime(call: Call) -> Typed:
    call.counts(1, 2)
    zone = zone_named(call.text(1), call.where) if len(call.arguments) == 2 else "UTC"
    seconds = call.given(0, DOUBLE)
    # Java's Math.round: halves go up.
    micros = f"({cast(f'floor({seconds} * 1000 + 0.5)', BIGINT)} * 1000)"
    return Typed(f"make_timestamptz({micros})", replace(TIMESTAMP_TZ, zone=zone))


def _to_unixtime(call: Call) -> Typed:
    call.counts(1)
    of = _moment(call, 0).at_any_zone()
    return Typed(
        f"(epoch_ms({coerce(of, TIMESTAMP) if of.type == DATE else of.sql}) / cast(1000 as DOUBLE))", DOUBLE
    )


_ISO = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)


def _from_iso8601_timestamp(call: Call) -> Typed:
    call.counts(1)
    text = call.given(0, VARCHAR)
    unread = failure(
        "from_iso8601_timestamp() reads 2020-05-11T11:15:05.055Z and the like on the laptop.",
        TIMESTAMP_TZ,
        about=text,
    )
    offset = failure(
        "The moment has an offset of its own: put at time zone 'UTC' behind from_iso8601_timestamp(…), "
        "or the clock time asked for is another one than Athena's.",
        TIMESTAMP_TZ,
        about=text,
    )
    moment = f"date_trunc('milliseconds', {cast(text, TIMESTAMP_TZ)})"
    begun = f"case when {text} is null then null when not regexp_full_match({text}, '{_ISO}') then {unread}"
    has_offset = f"(regexp_matches({text}, 'T.*[+-]') and not ends_with({text}, '+00:00'))"
    return Typed(
        f"{begun} when {has_offset} then {offset} else {moment} end",
        TIMESTAMP_TZ,
        instant=f"{begun} else {moment} end",
    )


def _from_iso8601_date(call: Call) -> Typed:
    call.counts(1)
    text = call.given(0, VARCHAR)
    unread = failure("from_iso8601_date() reads 2020-05-11 on the laptop.", DATE, about=text)
    return Typed(
        f"case when {text} is null then null when regexp_full_match({text}, '[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}')"
        f" then {cast(text, DATE)} else {unread} end",
        DATE,
    )


def _to_iso8601(call: Call) -> Typed:
    call.counts(1)
    of = _moment(call, 0)
    if of.type == DATE:
        return Typed(f"strftime({of.sql}, '%Y-%m-%d')", VARCHAR)
    if of.type.is_instant and of.type.zone != "UTC":
        raise call.wrong(
            "writes an offset for other zones than UTC: put at time zone 'UTC' behind the argument"
        )
    end = "Z" if of.type.is_instant else ""
    return Typed(f"strftime({local(of, 'to_iso8601()')}, '%Y-%m-%dT%H:%M:%S.%g{end}')", VARCHAR)


def _date(call: Call) -> Typed:
    call.counts(1)
    return convert(call.arguments[0], DATE, is_try=False, where=call.where)


def _last_day_of_month(call: Call) -> Typed:
    call.counts(1)
    of = _moment(call, 0)
    return Typed(f"last_day({cast(local(of, f'last_day_of_month() ({call.where})'), DATE)})", DATE)


def zone_named(name: str, where: str) -> str:
    """A time zone by its name, checked; offsets such as +02:00 have no name in DuckDB."""
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, zoneinfo.ZoneInfoNotFoundError, OSError) as error:
        raise SqlError(
            f"{name!r} is not a time zone that the laptop knows ({where}): write one such as 'UTC' or 'Europe/Berlin'."
        ) from error
    return name


def at_zone(of: Typed, zone: str, where: str) -> Typed:
    """The same moment on another clock. A timestamp without a zone is taken as UTC, Athena's session zone."""
    if of.type.name == "unknown" or (of.type != TIMESTAMP and not of.type.is_instant):
        raise SqlError(f"at time zone needs a timestamp and got {of.type} ({where}): cast it.")
    return Typed(coerce(of, TIMESTAMP_TZ), replace(TIMESTAMP_TZ, zone=zone_named(zone, where)))


def _at_timezone(call: Call) -> Typed:
    call.counts(2)
    return at_zone(call.arguments[0], call.text(1), call.where)


def _now(call: Call) -> Typed:
    call.counts(0)
    return now(call.name, call.now)


def now(name: str, moment: str) -> Typed:
    """The moment at which the query began, in milliseconds; the same wherever it is asked in one query."""
    instant = f"cast('{moment}+00:00' as TIMESTAMP WITH TIME ZONE)"
    match name:
        case "current_date":
            return Typed(f"cast('{moment[:10]}' as DATE)", DATE)
        case "localtimestamp":
            return Typed(f"cast('{moment}' as TIMESTAMP)", TIMESTAMP)
    return Typed(instant, TIMESTAMP_TZ)


# -- JSON


def _path(call: Call) -> str:
    """A JSON path of Athena, such as $.store.book[0]["a title"], as DuckDB writes it."""
    path = call.text(1)
    parts = []
    at = 1
    piece = re.compile(
        r"""\.([A-Za-z_$@][\w$@-]*)|\[([0-9]+)\]|\["((?:[^"\\])*)"\]|\['((?:[^'\\"])*)'\]|\[([A-Za-z_]\w*)\]"""
    )
    while path.startswith("$") and at < len(path):
        found = piece.match(path, at)
        if found is None:
            break
        index = found.group(2)
        name = next((one for one in found.group(1, 3, 4, 5) if one is not None), "")
        parts.append(f"[{index}]" if index is not None else f'."{name}"')
        at = found.end()
    if not parts or at < len(path):
        raise call.wrong(f'cannot follow the path {path!r}: write it like $.store.book[0]["a title"]')
    return string("$" + "".join(parts))


def _json_text(call: Call) -> str:
    of = call.arguments[0]
    if of.type.name not in ("varchar", "json", "unknown"):
        raise call.wrong(f"needs varchar or json as argument 1 and got {of.type}: cast the argument")
    return cast(of.sql, VARCHAR)


def _json_extract_scalar(call: Call) -> Typed:
    call.counts(2)
    return Typed(f"athena_json_at({_json_text(call)}, {_path(call)}, 'text')", VARCHAR)


def _json_extract(call: Call) -> Typed:
    call.counts(2)
    return Typed(cast(f"athena_json_at({_json_text(call)}, {_path(call)}, 'json')", JSON), JSON)


def _json_parse(call: Call) -> Typed:
    call.counts(1)
    return Typed(cast(call.given(0, VARCHAR), JSON), JSON)


def _json_array_length(call: Call) -> Typed:
    call.counts(1)
    return Typed(f"athena_json_array_length({_json_text(call)})", BIGINT)


# -- conditions


def _coalesce(call: Call) -> Typed:
    if len(call.arguments) < 2:
        raise call.wrong("takes at least 2 arguments")
    shared, given = call.together()
    return Typed(
        f"coalesce({', '.join(given)})", shared, is_stored=all(one.is_stored for one in call.arguments)
    )


def _nullif(call: Call) -> Typed:
    call.counts(2)
    shared, given = call.together(orderable=True)
    first = call.arguments[0]
    equal = f"({given[0]} = {given[1]})"
    if shared.is_floating and any(one.may_be_nan for one in call.arguments):
        equal = f"athena_ordered({given[0]}, {given[1]}, {equal}, false)"
    return Typed(f"case when {equal} then null else {first.sql} end", first.type, is_stored=first.is_stored)


def _try(call: Call) -> Typed:
    call.counts(1)
    return replace(call.arguments[0], sql=f"try({call.arguments[0].sql})", text=None, digits=None, instant="")


# -- arrays and maps


def _array(call: Call, index: int = 0) -> Typed:
    of = call.arguments[index]
    if of.type.name != "array":
        raise call.wrong(f"needs an array as argument {index + 1} and got {of.type}")
    return of


def _cardinality(call: Call) -> Typed:
    call.counts(1)
    of = call.arguments[0]
    if of.type.name not in ("array", "map"):
        raise call.wrong(f"needs an array or a map and got {of.type}")
    counted = "len" if of.type.name == "array" else "cardinality"
    return Typed(cast(f"{counted}({of.sql})", BIGINT), BIGINT)


def _element_at(call: Call) -> Typed:
    call.counts(2)
    of = call.arguments[0]
    if of.type.name == "map":
        key = call.given(1, of.type.arguments[0])
        return Typed(f"map_extract_value({of.sql}, {key})", of.type.arguments[1])
    element = _array(call).type.arguments[0]
    index = call.given(1, BIGINT)
    wrong = failure("element_at() counts from 1.", element)
    return Typed(f"case when {index} = 0 then {wrong} else list_extract({of.sql}, {index}) end", element)


def subscript(call: Call) -> Typed:
    """`a[1]` and `m['key']`, which stop the query where there is nothing; element_at() answers null there."""
    of = call.arguments[0]
    if of.type.name == "map":
        key = call.given(1, of.type.arguments[0])
        wrong = failure(
            "The map has no such key: element_at(map, key) answers null there.",
            of.type.arguments[1],
            about=key,
        )
        missing = f"({of.sql} is not null and not map_contains({of.sql}, {key}))"
        return Typed(
            f"case when {missing} then {wrong} else map_extract_value({of.sql}, {key}) end",
            of.type.arguments[1],
        )
    if of.type.name != "array":
        raise SqlError(f"[…] takes an element of an array or a map, and got {of.type} ({call.where}).")
    element = of.type.arguments[0]
    index = call.given(1, BIGINT)
    wrong = failure(
        "The array has no such element: element_at(array, index) answers null there.", element, about=index
    )
    return Typed(
        f"case when {index} < 1 or {index} > len({of.sql}) then {wrong} else list_extract({of.sql}, {index}) end",
        element,
    )


def _contains(call: Call) -> Typed:
    call.counts(2)
    of = _array(call)
    element = common(of.type.arguments[0], call.arguments[1].type)
    if element is None or not element.is_orderable:
        raise call.wrong(f"cannot look for {call.arguments[1].type} in {of.type}: cast one of them")
    return Typed(
        f"athena_contains({coerce(of, array(element))}, {coerce(call.arguments[1], element)})", BOOLEAN
    )


def _array_join(call: Call) -> Typed:
    call.counts(2, 3)
    of = _array(call)
    if of.type.arguments[0] != VARCHAR:
        raise call.wrong(f"joins array(varchar) on the laptop and got {of.type}: cast the array")
    given = of.sql
    if len(call.arguments) == 3:
        given = f"list_transform({given}, lambda one: coalesce(one, {call.given(2, VARCHAR)}))"
    joined = f"array_to_string({given}, {call.given(1, VARCHAR)})"
    # An array with nothing to join is an empty text in Athena.
    return Typed(f"case when {of.sql} is null then null else coalesce({joined}, '') end", VARCHAR)


def _array_sort(call: Call) -> Typed:
    call.counts(1)
    of = _array(call)
    if not of.type.arguments[0].is_orderable or of.type.arguments[0].is_floating:
        raise call.wrong(f"cannot put {of.type} in an order on the laptop")
    return Typed(f"list_sort({of.sql}, 'asc', 'nulls last')", of.type)


def _array_extreme(call: Call) -> Typed:
    call.counts(1)
    of = _array(call)
    element = of.type.arguments[0]
    if not element.is_orderable or element.is_floating:
        raise call.wrong(f"cannot put {of.type} in an order on the laptop")
    name = "list_max" if call.name == "array_max" else "list_min"
    # DuckDB leaves nulls out, Athena answers null.
    missing = f"len(list_filter({of.sql}, lambda one: one is null)) > 0"
    return Typed(f"case when {missing} then null else {name}({of.sql}) end", element)


def _map_side(call: Call) -> Typed:
    call.counts(1)
    of = call.arguments[0]
    if of.type.name != "map":
        raise call.wrong(f"needs a map and got {of.type}")
    return Typed(f"{call.name}({of.sql})", array(of.type.arguments[0 if call.name == "map_keys" else 1]))


def _row(call: Call) -> Typed:
    if not call.arguments:
        raise call.wrong("needs values")
    kinds = tuple(argument.type for argument in call.arguments)
    fields = tuple(f"field{index}" for index in range(len(kinds)))
    packed = ", ".join(
        f"{quoted(name)} := {one.sql}" for name, one in zip(fields, call.arguments, strict=True)
    )
    return Typed(f"struct_pack({packed})", SqlType("row", kinds, fields), parts=call.arguments)


SCALARS: dict[str, Scalar] = {
    "abs": _abs,
    "array_join": _array_join,
    "array_max": _array_extreme,
    "array_min": _array_extreme,
    "array_sort": _array_sort,
    "at_timezone": _at_timezone,
    "cardinality": _cardinality,
    "ceil": _floor,
    "ceiling": _floor,
    "chr": _plain("chr(cast({0} as INTEGER))", VARCHAR, BIGINT),
    "coalesce": _coalesce,
    "concat": _concat,
    "contains": _contains,
    "date": _date,
    "date_add": _date_add,
    "date_diff": _date_diff,
    "date_format": partial(_date_format, language=timeformats.mysql),
    "date_parse": partial(_date_parse, language=timeformats.read_mysql, result=TIMESTAMP),
    "date_trunc": _date_trunc,
    "element_at": _element_at,
    "exp": _plain("exp({0})", DOUBLE, DOUBLE),
    "floor": _floor,
    "format_datetime": partial(_date_format, language=timeformats.joda),
    "from_iso8601_date": _from_iso8601_date,
    "from_iso8601_timestamp": _from_iso8601_timestamp,
    "from_unixtime": _from_unixtime,
    "greatest": _greatest,
    "is_finite": _plain("isfinite({0})", BOOLEAN, DOUBLE),
    "is_infinite": _plain("isinf({0})", BOOLEAN, DOUBLE),
    "is_nan": _plain("isnan({0})", BOOLEAN, DOUBLE),
    "json_array_length": _json_array_length,
    "json_extract": _json_extract,
    "json_extract_scalar": _json_extract_scalar,
    "json_parse": _json_parse,
    "last_day_of_month": _last_day_of_month,
    "least": _greatest,
    "length": _plain("length({0})", BIGINT, VARCHAR),
    "ln": _plain("ln({0})", DOUBLE, DOUBLE),
    "log10": _plain("log10({0})", DOUBLE, DOUBLE),
    "lower": _plain("lower({0})", VARCHAR, VARCHAR),
    "lpad": _pad,
    "ltrim": _plain("athena_ltrim({0})", VARCHAR, VARCHAR),
    "map_keys": _map_side,
    "map_values": _map_side,
    "mod": _mod,
    "now": _now,
    "nullif": _nullif,
    "parse_datetime": partial(_date_parse, language=timeformats.read_joda, result=TIMESTAMP_TZ),
    "pow": _plain("power({0}, {1})", DOUBLE, DOUBLE, DOUBLE),
    "power": _plain("power({0}, {1})", DOUBLE, DOUBLE, DOUBLE),
    "regexp_extract": _regexp_extract,
    "regexp_like": _regexp_like,
    "regexp_replace": _regexp_replace,
    "replace": _replace,
    "reverse": _plain("reverse({0})", VARCHAR, VARCHAR),
    "round": _round,
    "row": _row,
    "rpad": _pad,
    "rtrim": _plain("athena_rtrim({0})", VARCHAR, VARCHAR),
    "sign": _sign,
    "split": _plain("athena_split({0}, {1})", array(VARCHAR), VARCHAR, VARCHAR),
    "split_part": _plain("athena_split_part({0}, {1}, {2})", VARCHAR, VARCHAR, VARCHAR, BIGINT),
    "sqrt": _plain("sqrt({0})", DOUBLE, DOUBLE),
    "starts_with": _plain("starts_with({0}, {1})", BOOLEAN, VARCHAR, VARCHAR),
    "strpos": _plain("cast(strpos({0}, {1}) as BIGINT)", BIGINT, VARCHAR, VARCHAR),
    "substr": _substring,
    "substring": _substring,
    "to_iso8601": _to_iso8601,
    "to_unixtime": _to_unixtime,
    "trim": _plain("athena_trim({0})", VARCHAR, VARCHAR),
    "truncate": _plain("trunc({0})", DOUBLE, DOUBLE),
    "try": _try,
    "upper": _plain("athena_upper({0})", VARCHAR, VARCHAR),
    **PARTS_OF_TIME,
}


# -- aggregates


@dataclass(frozen=True)
class Aggregation:
    """How one aggregate call is written around its arguments: distinct, order by, filter, over."""

    distinct: bool = False
    order: str = ""
    filtered: str = ""
    over: str = ""

    def __call__(self, function: str, *given: str) -> str:
        inner = ", ".join(given)
        return (
            f"{function}({'distinct ' if self.distinct else ''}{inner}{self.order})"
            f"{f' filter (where {self.filtered})' if self.filtered else ''}{self.over}"
        )


Aggregate = Callable[[Call, Aggregation], Typed]


def _count(call: Call, write: Aggregation) -> Typed:
    call.counts(0, 1)
    return Typed(write("count", call.arguments[0].sql if call.arguments else "*"), BIGINT)


def _count_if(call: Call, write: Aggregation) -> Typed:
    call.counts(1)
    return Typed(write("count", f"case when {call.given(0, BOOLEAN)} then 1 end"), BIGINT)


def _sum(call: Call, write: Aggregation) -> Typed:
    call.counts(1)
    of = call.number()
    kind = (
        BIGINT if of.type.is_integer else decimal(38, of.type.scale) if of.type.name == "decimal" else of.type
    )
    return Typed(cast(write("sum", of.sql), kind), kind)


def _avg(call: Call, write: Aggregation) -> Typed:
    call.counts(1)
    of = call.number()
    if of.type.name != "decimal":
        kind = REAL if of.type == REAL else DOUBLE
        return Typed(cast(write("avg", of.sql), kind), kind)
    total = cast(write("sum", of.sql), decimal(38, of.type.scale))
    return _scaled(
        f"athena_divide(athena_unscaled({total}), {cast(write('count', of.sql), decimal(38, 0))}::HUGEINT)",
        of.type,
    )


def _extreme(call: Call, write: Aggregation) -> Typed:
    call.counts(1)
    of = call.arguments[0]
    if not of.type.is_orderable:
        raise call.wrong(f"cannot put {of.type} in an order")
    found = write(call.name, of.sql)
    if of.may_be_nan:
        # Athena counts NaN only where there is nothing else; DuckDB holds it for the greatest.
        found = (
            f"coalesce({write(call.name, f'case when isnan({of.sql}) then null else {of.sql} end')}, {found})"
        )
    return Typed(found, of.type, is_stored=of.is_stored)


def _extreme_by(call: Call, write: Aggregation) -> Typed:
    call.counts(2)
    of, by = call.arguments
    if not by.type.is_orderable:
        raise call.wrong(f"cannot put {by.type} in an order")
    place = f"athena_number({by.sql})" if by.may_be_nan else by.sql
    # In a row of its own a null is an answer; DuckDB would leave it out.
    found = write("arg_max" if call.name == "max_by" else "arg_min", f"struct_pack(v := {of.sql})", place)
    return Typed(f"struct_extract({found}, 'v')", of.type, is_stored=of.is_stored)


def _array_agg(call: Call, write: Aggregation) -> Typed:
    call.counts(1)
    return Typed(write("list", call.arguments[0].sql), array(call.arguments[0].type))


def _approx_distinct(call: Call, write: Aggregation) -> Typed:
    call.counts(1, 2)
    return Typed(replace(write, distinct=True)("count", call.arguments[0].sql), BIGINT)


def _approx_percentile(call: Call, write: Aggregation) -> Typed:
    call.counts(2)
    of = call.number()
    kind = BIGINT if of.type.is_integer else DOUBLE if of.type.name == "decimal" else of.type
    given = coerce(of, kind)
    shares = call.arguments[1].parts or (call.arguments[1],)
    if any(share.digits is None or not 0 <= float(share.digits) <= 1 for share in shares):
        raise call.wrong("needs a share from 0 to 1, or an array of them, written out as argument 2")
    found = [write("quantile_disc", given, str(share.digits)) for share in shares]
    if not call.arguments[1].parts:
        return Typed(found[0], kind)
    return Typed(f"case when {write('count', given)} > 0 then [{', '.join(found)}] end", array(kind))


def _boolean(call: Call, write: Aggregation) -> Typed:
    call.counts(1)
    return Typed(write("bool_or" if call.name == "bool_or" else "bool_and", call.given(0, BOOLEAN)), BOOLEAN)


def _any_value(call: Call, write: Aggregation) -> Typed:
    call.counts(1)
    return Typed(
        write("any_value", call.arguments[0].sql),
        call.arguments[0].type,
        is_stored=call.arguments[0].is_stored,
    )


def _spread(function: str) -> Aggregate:
    def answer(call: Call, write: Aggregation) -> Typed:
        call.counts(1)
        return Typed(write(function, call.given(0, DOUBLE)), DOUBLE)

    return answer


AGGREGATES: dict[str, Aggregate] = {
    "any_value": _any_value,
    "approx_distinct": _approx_distinct,
    "approx_percentile": _approx_percentile,
    "arbitrary": _any_value,
    "array_agg": _array_agg,
    "avg": _avg,
    "bool_and": _boolean,
    "bool_or": _boolean,
    "count": _count,
    "count_if": _count_if,
    "every": _boolean,
    "max": _extreme,
    "max_by": _extreme_by,
    "min": _extreme,
    "min_by": _extreme_by,
    "stddev": _spread("stddev_samp"),
    "stddev_pop": _spread("stddev_pop"),
    "stddev_samp": _spread("stddev_samp"),
    "sum": _sum,
    "var_pop": _spread("var_pop"),
    "var_samp": _spread("var_samp"),
    "variance": _spread("var_samp"),
}
MAY_BE_DISTINCT = frozenset(("array_agg", "avg", "count", "max", "min", "sum"))
MAY_BE_ORDERED = frozenset(("array_agg",))


# -- window functions


def _ranking(result: SqlType, function: str) -> Aggregate:
    def answer(call: Call, write: Aggregation) -> Typed:
        call.counts(0)
        return Typed(write(function), result)

    return answer


def _ntile(call: Call, write: Aggregation) -> Typed:
    call.counts(1)
    return Typed(write("ntile", str(call.whole(0))), BIGINT)


def _neighbour(call: Call, write: Aggregation) -> Typed:
    call.counts(1, 2, 3)
    of = call.arguments[0]
    given = [of.sql]
    kind = of.type
    if len(call.arguments) > 1:
        # DuckDB takes a negative step as the other direction, Athena as a mistake.
        given.append(str(call.whole(1)))
    if len(call.arguments) == 3:
        given.append(call.given(2, kind))
    return Typed(write(call.name, *given), kind, is_stored=of.is_stored)


def _edge(call: Call, write: Aggregation) -> Typed:
    call.counts(1)
    return Typed(
        write(call.name, call.arguments[0].sql), call.arguments[0].type, is_stored=call.arguments[0].is_stored
    )


WINDOWS: dict[str, Aggregate] = {
    "cume_dist": _ranking(DOUBLE, "cume_dist"),
    "dense_rank": _ranking(BIGINT, "dense_rank"),
    "first_value": _edge,
    "lag": _neighbour,
    "last_value": _edge,
    "lead": _neighbour,
    "ntile": _ntile,
    "percent_rank": _ranking(DOUBLE, "percent_rank"),
    "rank": _ranking(BIGINT, "rank"),
    "row_number": _ranking(BIGINT, "row_number"),
}
MAY_IGNORE_NULLS = frozenset(("first_value", "lag", "last_value", "lead"))
NEED_AN_ORDER = frozenset(("lag", "lead"))


def known() -> Sequence[str]:
    """All names on the list, the special forms too."""
    special = (
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
    return sorted({*SCALARS, *AGGREGATES, *WINDOWS, *special})


def unknown_zone(of: Typed) -> bool:
    return of.type.is_instant and of.type.zone == UNKNOWN_ZONE
