"""Functions of dates, timestamps and time zones.

A moment's zone is followed in its type: the clock's hour, day or date of a moment is asked in that zone.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from sql import timeformats
from sql.casts import convert
from sql.duck import cast, failure, string
from sql.errors import SqlError
from sql.functions.call import Call, Scalar
from sql.typed import Typed, coerce, local
from sql.types import BIGINT, DATE, DOUBLE, INTEGER, TIMESTAMP, TIMESTAMP_TZ, VARCHAR, SqlType, common

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


def _back(wall: str, of: Typed) -> Typed:
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
    return _back(f"date_trunc('{unit}', {wall})", of)


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
    return _back(f"({local(of, f'date_add() ({call.where})')} + {span})", of)


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
        f"case when {text} is null then null"
        f" when regexp_full_match({text}, '[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}')"
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
            f"{name!r} is not a time zone that the laptop knows ({where}): "
            "write one such as 'UTC' or 'Europe/Berlin'."
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


FUNCTIONS: dict[str, Scalar] = {
    "at_timezone": _at_timezone,
    "date": _date,
    "date_add": _date_add,
    "date_diff": _date_diff,
    "date_format": partial(_date_format, language=timeformats.mysql),
    "date_parse": partial(_date_parse, language=timeformats.read_mysql, result=TIMESTAMP),
    "date_trunc": _date_trunc,
    "format_datetime": partial(_date_format, language=timeformats.joda),
    "from_iso8601_date": _from_iso8601_date,
    "from_iso8601_timestamp": _from_iso8601_timestamp,
    "from_unixtime": _from_unixtime,
    "last_day_of_month": _last_day_of_month,
    "now": _now,
    "parse_datetime": partial(_date_parse, language=timeformats.read_joda, result=TIMESTAMP_TZ),
    "to_iso8601": _to_iso8601,
    "to_unixtime": _to_unixtime,
    **PARTS_OF_TIME,
}
