"""JSON to Parquet by a Glue table's column types, as lenient as Firehose's converter with the OpenX SerDe.

Names match in any case at every depth, strings are read as numbers, a lone value becomes an array of one, an
array fills a struct by position and what is missing is null. What fits nowhere raises Unfit.
https://docs.aws.amazon.com/firehose/latest/dev/record-format-conversion.html
https://github.com/rcongiu/Hive-JSON-Serde
"""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any  # JSON values, and pyarrow has no types

import orjson
import pyarrow as pa
from pyarrow import parquet

from laptop.services import NotHonoured

Reader = Callable[[Any], Any]
# By T and Z with each number in full, or by a space and no zone, in UTC both. An offset has no form.
TIMESTAMP = re.compile(
    r"(?=\d{4}(?:-\d\d){2}T\d\d(?::\d\d){2}[.Z].*(?<=Z)$|[^TZ]*$)"
    r"(\d{4})-(\d\d?)-(\d\d?)[T ](\d\d?):(\d\d?):(\d\d?)(?:\.(\d{1,9}))?Z?",
    re.ASCII,
)
SPACE = re.compile(r"\s*")
DECODER = json.JSONDecoder()


class Unfit(Exception):
    """A record that cannot be converted; `code` is Firehose's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = f"DataFormatConversion.{code}"


def _no(value: object, kind: str) -> Unfit:
    return Unfit("MalformedData", f"{json.dumps(value)[:100]} is no {kind}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _integer(bits: int) -> Reader:
    limit = 1 << (bits - 1)

    def read(value: Any) -> int:
        number = int(value) if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,20}", value) else value
        if type(number) is int and -limit <= number < limit:
            return number
        raise _no(value, f"integer of {bits} bits")

    return read


def _double(value: Any) -> float:
    try:
        if not isinstance(value, bool) and "_" not in str(value):
            return float(value)
    except (ValueError, TypeError):
        pass
    raise _no(value, "double")


def _boolean(value: Any) -> bool:
    if isinstance(value, bool) or value in ("true", "false"):
        return value in (True, "true")
    raise _no(value, "boolean")


def _timestamp(value: Any) -> int:
    """Return milliseconds since the epoch, all that Athena keeps."""
    try:
        if match := TIMESTAMP.fullmatch(str(value)):
            year, month, day, hour, minute, second = map(int, match.groups()[:6])
            moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
            return int(moment.timestamp()) * 1000 + int((match[7] or "")[:3].ljust(3, "0"))
        number = _double(value)
        # From 1e12 on it is milliseconds: September 2001, or else the year 33658.
        return round(number if abs(number) >= 1e12 else number * 1000)
    except (Unfit, ValueError, OverflowError):
        raise _no(value, "timestamp") from None


SIMPLE: dict[str, tuple[Any, Reader]] = {
    "string": (pa.string(), _text),
    "int": (pa.int32(), _integer(32)),
    "bigint": (pa.int64(), _integer(64)),
    "double": (pa.float64(), _double),
    "boolean": (pa.bool_(), _boolean),
    "timestamp": (pa.timestamp("ms"), _timestamp),
}


def _parts(inside: str) -> list[str]:
    """Split what stands between a type's brackets at the commas that stand in no further brackets."""
    parts, depth = [""], 0
    for character in inside:
        depth += (character == "<") - (character == ">")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts if inside else []


def _column(hive: str) -> tuple[Any, Reader]:
    """Return a Hive type's Arrow type and what reads a JSON value, null too, as it."""
    kind, _, inside = hive.replace(" ", "").lower().removesuffix(">").partition("<")
    parts = _parts(inside)
    if kind in SIMPLE and not parts:
        arrow, read = SIMPLE[kind]
    elif kind == "array" and len(parts) == 1:
        item, one = _column(parts[0])
        arrow, read = pa.list_(item), lambda v: [one(i) for i in (v if isinstance(v, list) else [v])]
    elif kind == "map" and len(parts) == 2 and parts[0] == "string":
        item, one = _column(parts[1])
        arrow, read = pa.map_(pa.string(), item), lambda v: [(key, one(i)) for key, i in _object(v).items()]
    elif kind == "struct" and parts:
        fields = {name: _column(inner) for name, _, inner in (part.partition(":") for part in parts)}
        arrow = pa.struct([(name, inner) for name, (inner, _) in fields.items()])
        read = _struct({name: reader for name, (_, reader) in fields.items()})
    else:
        known = f"{', '.join(SIMPLE)}, array, map and struct"
        raise NotHonoured(f"A column has the type {hive}; the laptop converts {known}. Use these.")
    return arrow, lambda value: None if value is None else read(value)


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise _no(value, "object")


def _struct(readers: dict[str, Reader]) -> Reader:
    fields = list(readers.items())

    def read(value: Any) -> dict[str, Any]:
        if isinstance(value, list):
            value = dict(zip(readers, value, strict=False))
        found = {key.lower(): item for key, item in _object(value).items()}
        return {name: one(found.get(name)) for name, one in fields}

    return read


class Converter:
    """Reads records into rows and writes rows as one Parquet file; `columns` are (name, Hive type).

    >>> Converter([("sensor", "string"), ("degrees", "double")]).rows(b'{"Sensor": "a", "degrees": "21.5"}{}')
    [{'sensor': 'a', 'degrees': 21.5}, {'sensor': None, 'degrees': None}]
    """

    def __init__(self, columns: Iterable[tuple[str, str]]) -> None:
        types = {name.lower(): _column(hive) for name, hive in columns}
        self._schema = pa.schema([(name, arrow) for name, (arrow, _) in types.items()])
        self._row = _struct({name: read for name, (_, read) in types.items()})

    def rows(self, record: bytes) -> list[dict[str, Any]]:
        """Return a row for each JSON object of one record, or raise Unfit for the record as a whole."""
        return [self._row(_object(value)) for value in _values(record)]

    def parquet(self, rows: list[dict[str, Any]]) -> bytes:
        columns = [pa.array([row[field.name] for row in rows], type=field.type) for field in self._schema]
        file = BytesIO()
        parquet.write_table(pa.Table.from_arrays(columns, schema=self._schema), file, compression="snappy")
        return file.getvalue()


def _values(record: bytes) -> list[Any]:
    """Parse a record's JSON texts, with or without anything between them."""
    try:
        return [orjson.loads(record)]
    except orjson.JSONDecodeError:
        pass
    values, place = [], 0
    if not record.strip():
        raise Unfit("MalformedData", "The record is empty")
    try:
        text = record.decode().strip()
        while place < len(text):
            _, end = DECODER.raw_decode(text, place)
            values.append(orjson.loads(text[place:end]))  # stricter: no NaN, no half of a surrogate pair
            place = SPACE.match(text, end).end()  # type: ignore[union-attr] # it matches nothing, too
    except ValueError as error:
        raise Unfit("ParseError", f"The record is not JSON: {error}") from None
    return values
