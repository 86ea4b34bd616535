"""A user's own file as a pipeline's records: CSV with a heading, JSON Lines, Parquet, other lines."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any  # what stands in a file is as mixed as JSON

import orjson

from lambdas.columns import Column, Text, Timestamp, Unfit
from lambdas.formats.decode import Decoder
from lambdas.model import Event, Pipeline, Reference, Row
from pipelines.discovery import nearest
from pipelines.entries import (
    JSON_LINES,
    PARQUET,
    TABLES,
    Entry,
    RecordingError,
    entries_of,
    is_number,
    kind_of,
)

RECORD_LIMIT = 1024 * 1024  # what Kinesis takes, partition key included
TIMES = ("timestamp", "time", "datetime", "date", "ts", "at", "eventtime", "createdat")
SAMPLE = 100
EARLIEST = 1e8  # s since 1970, which is 1973: a smaller number is a measure and no time
TIME_LIKE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}\b")
# Day before month, as only dots say it without doubt.
DOTTED_TIME = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:[ T,]+(\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?))?")
MANY = 10  # values, from which on a name would have come again
FAR_AHEAD_MS = 7_258_118_400_000  # the year 2200, when no event comes too early


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as its producer would send it. `time` is the event's own (s since 1970), none where it has
    none that can be read.
    """

    number: int
    data: bytes
    partition_key: str
    time: float | None
    fault: str = ""


@dataclass(frozen=True)
class Mapped:
    """Which of a file's values stands for which column, constants for the others, and how it was settled."""

    columns: Mapping[str, str]
    constants: Mapping[str, Any]
    told: Sequence[str] = ()
    times: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)

    def object_of(self, columns: Mapping[str, Column], values: Mapping[str, Any]) -> dict[str, Any]:
        """The values under the names that the pipeline reads; empty ones are missing."""
        made = {columns[name].source: value for name, value in self.constants.items()}
        for name, given in self.columns.items():
            value = values.get(given)
            if value not in (None, ""):
                made[columns[name].source] = self.times.get(name, same)(value)
        return made


def same(value: Any) -> Any:
    return value


def lines_of(
    path: Path, pipeline: Pipeline, *, columns: Mapping[str, str], constants: Mapping[str, str]
) -> tuple[list[Line], list[str]]:
    """Every line of a file as a record of the pipeline, and in words how its columns were found.

    `columns` says the file's name for a column, `constants` a value for one. Raises `RecordingError`.
    """
    entries = list(entries_of(path))
    if not entries:
        raise RecordingError(f"{path}: the file has no row; give one that has.")
    decoder = Decoder(pipeline)
    mapped = None
    if not fits_as_it_is(path, entries, decoder) or columns or constants:
        mapped = map_columns(path, entries, pipeline.event, columns=columns, constants=constants)
    elif refusals := unread(entries[:SAMPLE], decoder):
        raise RecordingError(
            f"{path}: {pipeline.name} reads none of its first lines: {refusals[0]} Give {', '.join(TABLES)} "
            f"with a heading, Parquet, JSON Lines, or lines as {pipeline.name} gets them."
        )
    lines = list(made(entries, pipeline, decoder, mapped))
    return lines, ["each line is a record as it is"] if mapped is None else list(mapped.told)


def rows_of(path: Path, reference: type[Reference]) -> list[dict[str, Any]]:
    """A reference's rows from a file, with the values that its columns read."""
    entries = list(entries_of(path))
    mapped = map_columns(path, entries, reference, columns={}, constants={})
    rows = []
    for entry in entries:
        row = mapped.object_of(reference.columns, entry.values or {})
        try:
            rows.append(
                {
                    name: column.read(row[column.source])
                    for name, column in reference.columns.items()
                    if column.source in row
                }
            )
        except Unfit as unfit:
            raise RecordingError(f"{path}, row {entry.number}: a value {unfit}; mend the row.") from None
        if reference.key.name not in rows[-1]:
            raise RecordingError(f"{path}, row {entry.number}: it has no {reference.key.name}; mend the row.")
    return rows


def fits_as_it_is(path: Path, entries: Sequence[Entry], decoder: Decoder) -> bool:
    """Whether the pipeline reads the file's lines themselves: then nothing is to be mapped."""
    if kind_of(path) in (*TABLES, *PARQUET):
        return False
    if kind_of(path) not in JSON_LINES:
        return True
    return not unread(entries[:SAMPLE], decoder)


def unread(entries: Sequence[Entry], decoder: Decoder) -> list[str]:
    """Why each of the lines makes no event; nothing as soon as one of them makes one."""
    reasons = []
    for entry in entries:
        part = next(decoder.decode(entry.raw, FAR_AHEAD_MS))
        if isinstance(part, Row):
            return []
        reasons.append(part.reason)
    return reasons


def made(
    entries: Iterable[Entry], pipeline: Pipeline, decoder: Decoder, mapped: Mapped | None
) -> Iterator[Line]:
    columns, time, key = pipeline.event.columns, pipeline.event.time, pipeline.event.key.name
    for entry in entries:
        data, fault = entry.raw, entry.fault
        if mapped is not None and entry.values is not None:
            data = orjson.dumps(mapped.object_of(columns, entry.values), default=str)
        row = next((part for part in decoder.decode(data, FAR_AHEAD_MS) if isinstance(part, Row)), None)
        partition_key = str((row and row.values.get(key)) or "unknown")[:256]
        weight = len(data) + len(partition_key.encode())
        if weight > RECORD_LIMIT and not fault:
            fault = (
                f"The record has {weight:,} bytes and a stream takes {RECORD_LIMIT:,}; split or shorten it."
            )
        # What has no time of its own has the arrival's, which is later than any.
        own = row.time if row is not None and time is not None and row.time < FAR_AHEAD_MS / 1000 else None
        yield Line(entry.number, data, partition_key, own, fault)


def map_columns(
    path: Path,
    entries: Sequence[Entry],
    table: type[Event] | type[Reference],
    *,
    columns: Mapping[str, str],
    constants: Mapping[str, str],
) -> Mapped:
    """Finds the file's name for each column: as said, else by its name, else where only one is left."""
    rows = [entry.values for entry in entries if entry.values is not None][:SAMPLE]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        raise RecordingError(
            f"{path}: none of its first rows can be read; see whether it is {', '.join(TABLES)} with a "
            "heading or a JSON object a line."
        )
    given = {name: [row[name] for row in rows if row.get(name) not in (None, "")] for name in names}
    check_names(path, table, names, columns=columns, constants=constants)
    found = dict(columns)
    for name, column in table.columns.items():
        alike = [each for each in names if folded(each) in (folded(name), folded(column.source))]
        if name not in {*found, *constants} and alike:
            found[name] = alike[0]
    filled: dict[str, Any] = dict(constants)
    time = getattr(table, "time", None)
    left = [each for each in names if each not in found.values()]
    if time is not None and time.name not in {*found, *filled}:
        evident = [each for each in left if folded(each) in TIMES] or [
            each for each in left if any(moment(value) is not None for value in given[each][:1])
        ]
        found |= {time.name: evident[0]} if len(evident) == 1 else {}
    needed = [column for column in table.columns.values() if column.required or column is table.key]
    for is_kind in (lambda column: column.numeric, lambda column: isinstance(column, Text)):
        wanting = [one for one in needed if is_kind(one) and one.name not in {*found, *filled}]
        left = [each for each in names if each not in found.values() and given[each]]
        fitting = [each for each in left if wanting and fits(wanting[0], given[each])]
        if wanting and isinstance(wanting[0], Text):
            fitting = [each for each in fitting if could_be_key(given[each])]
        if len(wanting) == 1 and len(fitting) == 1:
            found[wanting[0].name] = fitting[0]
    if isinstance(table.key, Text) and table.key.name not in {*found, *filled} and issubclass(table, Event):
        filled[table.key.name] = path.name.split(".")[0]
    for column in needed:
        if column.name not in {*found, *filled}:
            alike = [each for each in names if difflib.get_close_matches(folded(each), [folded(column.name)])]
            hint = f" Did you mean {alike[0]}?" if alike else ""
            raise RecordingError(
                f"{path}: no column of it is evidently {column.name} ({column.about}); it has "
                f"{', '.join(names)}.{hint} Say --map {column.name}=NAME, or --fill {column.name}=VALUE for "
                "every row."
            )
    if time is not None and time.name not in {*found, *filled}:
        for name in names:
            if name not in found.values() and any(TIME_LIKE.match(str(value)) for value in given[name][:1]):
                raise unreadable_time(path, time, name, given[name])
    times = {}
    if time is not None and time.name in found:
        times = {time.name: time_writer(path, time, found[time.name], given[found[time.name]])}
    told = [f"{name} ← {given_name}" for name, given_name in found.items()]
    told += [f"{name} = {value!r} in every row" for name, value in filled.items()]
    told += [
        f"{name} stays empty: nothing in the file is called so"
        for name in table.columns
        if name not in {*found, *filled}
    ]
    return Mapped(found, filled, told, times)


def check_names(
    path: Path,
    table: type[Event] | type[Reference],
    names: Sequence[str],
    *,
    columns: Mapping[str, str],
    constants: Mapping[str, str],
) -> None:
    for option, said in (("--map", columns), ("--fill", constants)):
        for name in said:
            if name not in table.columns:
                raise RecordingError(
                    f"{option} {name}=…: there is no column {name!r} to be filled; "
                    f"{nearest(name, table.columns)}."
                )
    for name, given in columns.items():
        if given not in names:
            raise RecordingError(f"--map {name}={given}: {path} has no {given!r}; {nearest(given, names)}.")


def folded(name: str) -> str:
    return "".join(letter for letter in name.rpartition(".")[2].lower() if letter.isalnum())


def fits(column: Column, values: Sequence[Any]) -> bool:
    """Whether a column reads most of what a file has under a name."""
    fitting = 0
    for value in values:
        try:
            column.read(value)
            fitting += 1
        except Unfit:
            continue
    return fitting * 2 > len(values)


def moment(value: Any) -> float | None:
    """A time written in one of the ways that a column of times knows, or none. s since 1970."""
    if is_number(value) and float(value) < EARLIEST:
        return None
    if dotted := DOTTED_TIME.fullmatch(str(value).strip()):
        day, month, year, clock = dotted.groups()
        value = f"{year}-{int(month):02}-{int(day):02}T{(clock or '0:00').zfill(5)}"
    epoch = Timestamp(
        "", form="seconds" if is_number(value) and float(value) < 1000 * EARLIEST else "milliseconds"
    )
    try:
        return float((epoch if is_number(value) else Timestamp("")).read(value) or 0)
    except Unfit:
        return None


def unreadable_time(path: Path, column: Timestamp, name: str, values: Sequence[Any]) -> RecordingError:
    shown = json.dumps(values[0], default=str) if values else "nothing"
    return RecordingError(
        f"{path}: {name} is taken for the time and {shown} is none that can be read; write times as "
        "2026-01-31T10:00:00Z, 31.01.2026 10:00:00 or in seconds since 1970, or say "
        f"--map {column.name}=NAME."
    )


def could_be_key(values: Sequence[Any]) -> bool:
    """Whether texts look like names of what is measured: neither numbers nor times, and they come again."""
    texts = [str(value) for value in values]
    if any(is_number(text) or TIME_LIKE.match(text) for text in texts):
        return False
    return len(texts) < MANY or len(set(texts)) < len(texts)


def time_writer(path: Path, column: Timestamp, name: str, values: Sequence[Any]) -> Callable[[Any], Any]:
    """Writes a file's time as the column reads it. Raises `RecordingError` where none of them is a time."""
    if fits(column, values):
        return same
    if sum(moment(value) is not None for value in values) * 2 <= len(values):
        raise unreadable_time(path, column, name, values)
    scale = {"seconds": 1, "milliseconds": 1000}.get(column.form)

    def written(value: Any) -> Any:
        at = moment(value)
        if at is None:
            return value
        return datetime.fromtimestamp(at, UTC).isoformat() if scale is None else at * scale

    return written
