"""Athena's types in the three languages they are written in: Trino (queries), Hive (Glue), DuckDB (laptop).

One table, `_SCALARS`, says how each scalar type is spelt; nesting, decimals and the parsers follow from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from sql.errors import SqlError

UNKNOWN_ZONE = "?"


@dataclass(frozen=True)
class SqlType:
    """One type as Trino sees it.

    `zone` belongs to a timestamp with time zone: Trino keeps a zone in each value and DuckDB does not, so it
    is followed here, in the type. It is `UNKNOWN_ZONE` where the rows of one column may differ in it.
    """

    name: str
    arguments: tuple[SqlType, ...] = ()
    fields: tuple[str, ...] = ()
    precision: int = 0
    scale: int = 0
    zone: str = ""

    def __str__(self) -> str:
        return self.trino

    @property
    def trino(self) -> str:
        """As a query, a view's base64 text and an error message write it."""
        inner = [argument.trino for argument in self.arguments]
        match self.name:
            case "decimal":
                return f"decimal({self.precision},{self.scale})"
            case "array" | "map":
                return f"{self.name}({', '.join(inner)})"
            case "row":
                named = [f'"{field}" {text}' for field, text in zip(self.fields, inner, strict=True)]
                return f"row({', '.join(named)})"
            case _:
                return self.name

    @property
    def hive(self) -> str:
        """As Glue writes it; raises SqlError for a type that Glue does not have."""
        inner = [argument.hive for argument in self.arguments]
        match self.name:
            case "decimal":
                return f"decimal({self.precision},{self.scale})"
            case "array" | "map":
                return f"{self.name}<{','.join(inner)}>"
            case "row":
                named = [f"{field}:{text}" for field, text in zip(self.fields, inner, strict=True)]
                return f"struct<{','.join(named)}>"
            case _:
                spelt = _SPELT[self.name].hive
                if spelt is None:
                    raise SqlError(
                        f"Glue has no type for {self.name}: cast it to {_SPELT[self.name].instead}."
                    )
                return spelt

    @property
    def duckdb(self) -> str:
        inner = [argument.duckdb for argument in self.arguments]
        match self.name:
            case "decimal":
                return f"DECIMAL({self.precision},{self.scale})"
            case "array":
                return f"{inner[0]}[]"
            case "map":
                return f"MAP({inner[0]}, {inner[1]})"
            case "row":
                named = [f'"{field}" {text}' for field, text in zip(self.fields, inner, strict=True)]
                return f"STRUCT({', '.join(named)})"
            case _:
                return _SPELT[self.name].duckdb

    @property
    def is_integer(self) -> bool:
        return self.name in _INTEGERS

    @property
    def is_floating(self) -> bool:
        return self.name in ("real", "double")

    @property
    def is_number(self) -> bool:
        return self.is_integer or self.is_floating or self.name == "decimal"

    @property
    def is_instant(self) -> bool:
        """A point in time with its own zone."""
        return self.name == TIMESTAMP_TZ.name

    @property
    def is_orderable(self) -> bool:
        return not self.arguments and self.name not in ("json", "unknown")


@dataclass(frozen=True)
class _Spelling:
    trino: str
    hive: str | None
    duckdb: str
    instead: str = ""


_SCALARS = (
    _Spelling("boolean", "boolean", "BOOLEAN"),
    _Spelling("tinyint", "tinyint", "TINYINT"),
    _Spelling("smallint", "smallint", "SMALLINT"),
    _Spelling("integer", "int", "INTEGER"),
    _Spelling("bigint", "bigint", "BIGINT"),
    _Spelling("real", "float", "FLOAT"),
    _Spelling("double", "double", "DOUBLE"),
    _Spelling("varchar", "string", "VARCHAR"),
    _Spelling("varbinary", "binary", "BLOB"),
    _Spelling("date", "date", "DATE"),
    _Spelling("timestamp(3)", "timestamp", "TIMESTAMP"),
    _Spelling("timestamp(3) with time zone", None, "TIMESTAMP WITH TIME ZONE", "timestamp"),
    _Spelling("json", None, "JSON", "varchar, or take single values out with json_extract_scalar"),
    _Spelling("interval day to second", None, "INTERVAL", "a number, with date_diff"),
    _Spelling("interval year to month", None, "INTERVAL", "a number, with date_diff"),
    _Spelling("unknown", None, "INTEGER", "the type that null stands for"),
)
_SPELT = {scalar.trino: scalar for scalar in _SCALARS}
_INTEGERS = ("tinyint", "smallint", "integer", "bigint")
_DIGITS_OF_INTEGER = {"tinyint": 3, "smallint": 5, "integer": 10, "bigint": 19}

BOOLEAN = SqlType("boolean")
INTEGER = SqlType("integer")
BIGINT = SqlType("bigint")
REAL = SqlType("real")
DOUBLE = SqlType("double")
VARCHAR = SqlType("varchar")
DATE = SqlType("date")
TIMESTAMP = SqlType("timestamp(3)")
TIMESTAMP_TZ = SqlType("timestamp(3) with time zone", zone="UTC")
JSON = SqlType("json")
DAY_TO_SECOND = SqlType("interval day to second")
YEAR_TO_MONTH = SqlType("interval year to month")
UNKNOWN = SqlType("unknown")


def decimal(precision: int, scale: int) -> SqlType:
    return SqlType("decimal", precision=min(38, precision), scale=scale)


def array(element: SqlType) -> SqlType:
    return SqlType("array", (element,))


def as_decimal(of: SqlType) -> SqlType:
    """The decimal that holds every value of an integer type; a decimal is itself."""
    return of if of.name == "decimal" else decimal(_DIGITS_OF_INTEGER[of.name], 0)


def from_hive(text: str) -> SqlType:
    """Read a Glue column type, such as `array<struct<name:string,share:double>>`."""
    return _Reader(text, hive=True).whole()


def from_trino(text: str) -> SqlType:
    """Read a type as a query writes it, such as `decimal(10,2)` or `row(name varchar, share double)`."""
    return _Reader(text, hive=False).whole()


class _Reader:
    """Reads one type; both languages differ in brackets, in how a field is named and in words only."""

    def __init__(self, text: str, *, hive: bool) -> None:
        self._text = text
        self._hive = hive
        # Trino's quoted field names are the only place for blanks or capitals that matter.
        self._words: list[str] = re.findall(r'"(?:[^"]|"")*"|\w+|\S', text)
        self._at = 0
        self._open, self._close = ("<", ">") if hive else ("(", ")")

    def whole(self) -> SqlType:
        read = self._type()
        if self._at != len(self._words):
            raise self._error(f"{self._words[self._at]!r} follows it")
        return read

    def _error(self, problem: str) -> SqlError:
        language = "Glue (Hive)" if self._hive else "Athena"
        return SqlError(f"The type {self._text!r} cannot be read as a type of {language}: {problem}.")

    def _next(self) -> str:
        if self._at == len(self._words):
            raise self._error("it ends too early")
        self._at += 1
        return self._words[self._at - 1]

    def _peek(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._words[at].lower() if at < len(self._words) else ""

    def _expect(self, word: str) -> None:
        got = self._next()
        if got != word:
            raise self._error(f"{got!r} stands where {word!r} belongs")

    def _type(self) -> SqlType:
        name = self._next().lower()
        match name:
            case "array":
                self._expect(self._open)
                element = self._type()
                self._expect(self._close)
                return array(element)
            case "map":
                self._expect(self._open)
                key = self._type()
                self._expect(",")
                value = self._type()
                self._expect(self._close)
                return SqlType("map", (key, value))
            case "struct" if self._hive:
                return self._row()
            case "row" if not self._hive:
                return self._row()
            case "decimal":
                numbers = list(self._numbers())
                precision = numbers[0] if numbers else (10 if self._hive else 38)
                return decimal(precision, numbers[1] if len(numbers) > 1 else 0)
            case "timestamp" if not self._hive:
                return self._timestamp()
            case "varchar" | "char":
                if self._peek() == "(" or name == "char" or self._hive:
                    raise self._error(
                        "strings with a length are not used in this lake, use "
                        + ("string" if self._hive else "varchar")
                    )
                return VARCHAR
            case "int" if not self._hive:
                return INTEGER
            case "double" if not self._hive and self._peek() == "precision":
                self._next()
                return DOUBLE
        for scalar in _SCALARS:
            if (scalar.hive if self._hive else scalar.trino) == name and name != "unknown":
                return SqlType(scalar.trino)
        raise self._error(f"there is no type {name!r}, types are " + ", ".join(sorted(self._scalar_names())))

    def _scalar_names(self) -> Iterator[str]:
        for scalar in _SCALARS:
            name = scalar.hive if self._hive else scalar.trino
            if name is not None and " " not in name and name != "unknown":
                yield "timestamp" if name == TIMESTAMP.name else name
        yield from ("decimal", "array", "map", "struct" if self._hive else "row")

    def _row(self) -> SqlType:
        self._expect(self._open)
        fields: list[str] = []
        types: list[SqlType] = []
        while True:
            field = self._next()
            if self._hive:
                self._expect(":")
            elif self._peek() in (",", self._close, self._open):
                raise self._error(f"the field {field!r} has a type only, write row(name type, …)")
            fields.append(field.strip('"').lower())
            types.append(self._type())
            word = self._next()
            if word == self._close:
                return SqlType("row", tuple(types), tuple(fields))
            if word != ",":
                raise self._error(f"{word!r} stands where a comma belongs")

    def _numbers(self) -> Iterator[int]:
        if self._peek() != "(":
            return
        self._next()
        while True:
            number = self._next()
            if not number.isdigit():
                raise self._error(f"{number!r} is not a number of digits")
            yield int(number)
            word = self._next()
            if word == ")":
                return
            if word != ",":
                raise self._error(f"{word!r} stands where a comma belongs")

    def _timestamp(self) -> SqlType:
        digits = list(self._numbers())
        if digits not in ([], [3]):
            raise self._error("Glue's timestamps have milliseconds, write timestamp or timestamp(3)")
        if [self._peek(ahead) for ahead in range(3)] == ["with", "time", "zone"]:
            self._at += 3
            return TIMESTAMP_TZ
        return TIMESTAMP


def common(left: SqlType, right: SqlType) -> SqlType | None:
    """The type that both become when they meet in a comparison, a `case` or a union; None where they cannot.

    Trino turns numbers into wider numbers and dates into timestamps, and nothing into or out of varchar.
    """
    if left == right:
        return left
    if left.name == "unknown":
        return right
    if right.name == "unknown":
        return left
    if left.is_number and right.is_number:
        return _common_number(left, right)
    if left.name == right.name and len(left.arguments) == len(right.arguments):
        return _common_within(left, right)
    moments = (DATE.name, TIMESTAMP.name, TIMESTAMP_TZ.name)
    if left.name in moments and right.name in moments:
        later = max(left, right, key=lambda one: moments.index(one.name))
        earlier = left if later is right else right
        # A timestamp without a zone gets the session's, which is UTC in Athena.
        if later.is_instant and not earlier.is_instant and later.zone != "UTC":
            return replace(later, zone=UNKNOWN_ZONE)
        return later
    return None


def _common_number(left: SqlType, right: SqlType) -> SqlType:
    if "double" in (left.name, right.name):
        return DOUBLE
    if "real" in (left.name, right.name):
        return REAL
    if left.is_integer and right.is_integer:
        return max(left, right, key=lambda one: _INTEGERS.index(one.name))
    one, other = as_decimal(left), as_decimal(right)
    scale = max(one.scale, other.scale)
    return decimal(scale + max(one.precision - one.scale, other.precision - other.scale), scale)


def _common_within(left: SqlType, right: SqlType) -> SqlType | None:
    if left.is_instant:
        return replace(left, zone=UNKNOWN_ZONE)
    inner = [common(one, other) for one, other in zip(left.arguments, right.arguments, strict=True)]
    known = tuple(one for one in inner if one is not None)
    if len(known) < len(inner) or left.fields != right.fields:
        return None
    return replace(left, arguments=known)
