"""What stands in a user's file, entry by entry: rows of CSV and Parquet, JSON objects, other lines."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any  # what stands in a file is as mixed as JSON

import orjson

DELIMITERS = ",;\t|"
MOST_LINES = 100  # of one CSV row, whose texts may hold line breaks
JSON_LINES, PARQUET = (".jsonl", ".ndjson", ".json"), (".parquet", ".pq")
TABLES = (".csv", ".tsv", ".psv")


class RecordingError(ValueError):
    """A file that cannot be replayed; the message says where, what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line or row of a file: its number from 1, its bytes, its values by name where it has any.

    `fault` says why it makes no record.
    """

    number: int
    raw: bytes
    values: Mapping[str, Any] | None = None
    fault: str = ""


def kind_of(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def entries_of(path: Path) -> Iterator[Entry]:
    """A file's entries in order."""
    if kind_of(path) in PARQUET:
        yield from parquet(path)
        return
    content = text_of(path)
    if kind_of(path) in TABLES:
        yield from table(path, content)
        return
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            yield Entry(number, line, values_of(line))


def text_of(path: Path) -> bytes:
    """The file's bytes, in UTF-8 where it says that it is in UTF-16."""
    try:
        content = path.read_bytes()
        if path.suffix.lower() == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RecordingError(f"{path}: it cannot be read: {why}; name a file that can.") from None
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace").encode()
    return content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")


def values_of(line: bytes) -> Mapping[str, Any] | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return dict(leaves(value)) if isinstance(value, dict) else None


def leaves(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested objects by dotted names, as columns name their sources.

    >>> dict(leaves({"at": 1, "data": {"temp": 2, "tags": ["a"]}}))
    {'at': 1, 'data.temp': 2, 'data.tags': ['a']}
    """
    for name, each in value.items():
        if isinstance(each, dict):
            yield from leaves(each, f"{above}{name}.")
        else:
            yield f"{above}{name}", each


def table(path: Path, content: bytes) -> Iterator[Entry]:
    """The rows of CSV. A row that has not its heading's values spoils no other."""
    csv.field_size_limit(max(csv.field_size_limit(), len(content)))  # a long text is judged as a record
    lines = content.split(b"\n")
    try:
        heading = lines[0].decode()
    except UnicodeDecodeError as error:
        raise RecordingError(
            f"{path}: its heading is not UTF-8 text (byte {error.start}); save the file as UTF-8."
        ) from None
    delimiter = max(DELIMITERS, key=heading.count)
    names = [name.strip() for name in next(csv.reader([heading], delimiter=delimiter), [])]
    if not all(names) or len(set(names)) < len(names) or any(is_number(name) for name in names):
        raise RecordingError(
            f"{path}: its first line does not name each column once: {heading[:80]!r}; write a heading such "
            "as timestamp,value."
        )
    at = 1
    while at < len(lines):
        used, entry = row_at(lines, at, names, delimiter)
        if entry is not None:
            yield entry
        at += used


def row_at(lines: Sequence[bytes], at: int, names: Sequence[str], delimiter: str) -> tuple[int, Entry | None]:
    """The row that begins at a line and how many lines it takes: more than one where a text is quoted."""
    line = lines[at]
    if not line.strip():
        return 1, None
    longest = 1
    if line.count(b'"') % 2:
        quotes = 0
        for used, following in enumerate(islice(lines, at, at + MOST_LINES), start=1):
            quotes += following.count(b'"')
            if quotes % 2 == 0:
                longest = used
                break
    for used in dict.fromkeys((longest, 1)):
        raw = b"\n".join(lines[at : at + used])
        try:
            found = list(csv.reader(raw.decode().splitlines(keepends=True), delimiter=delimiter, strict=True))
        except UnicodeDecodeError:
            return 1, Entry(at + 1, line)  # the transform says at which byte
        except csv.Error:
            continue
        if len(found) == 1 and len(found[0]) == len(names):
            values = {name: value.strip() for name, value in zip(names, found[0], strict=True)}
            return used, Entry(at + 1, raw, values)
    count = len(next(csv.reader([line.decode()], delimiter=delimiter), []))
    fault = (
        f"The line has {count} value{'' if count == 1 else 's'} and the file's heading names {len(names)}; "
        "mend the line."
    )
    return 1, Entry(at + 1, line, None, fault)


def parquet(path: Path) -> Iterator[Entry]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        number = 0
        for batch in file.iter_batches(use_threads=False):
            for row in batch.to_pylist():
                number += 1
                yield Entry(number, b"", {name: plain(value) for name, value in row.items()})
    except (OSError, pa.ArrowException) as error:
        raise RecordingError(f"{path}: it cannot be read as Parquet: {error}; write it again.") from None


def plain(value: Any) -> Any:
    """A value of Parquet as JSON has it."""
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat()
    return value


def is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
