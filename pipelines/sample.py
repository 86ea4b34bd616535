"""The columns of a user's own file, which `freshet new --from` goes by."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from lambdas.columns import Boolean, Column, Double, Integer, Json, Text, Timestamp, Unfit
from lambdas.model import NAME, PROVENANCE, RESERVED, TAKEN, snake
from pipelines.discovery import nearest
from pipelines.entries import PARQUET, TABLES, entries_of, kind_of
from pipelines.recording import moment

LOOKED_AT = 20_000  # rows
MOST_UNFIT = 0.05  # of a column's values; more, and the column is of another type
# Names that the generated view gives to its own columns.
OF_VIEW = ("hour", "readings", "mean", "lowest", "highest", "above_mean", "day")
NOT_FREE = frozenset((*TAKEN, *RESERVED, *PROVENANCE, *OF_VIEW))
KINDS = (
    Boolean("a candidate"),
    Integer("a candidate"),
    Double("a candidate"),
    Timestamp("a candidate"),
)
# Numbers that can be times since 1970, by their form: the years 2001 to 2096.
EPOCHS = {"seconds": (1e9, 4e9), "milliseconds": (1e12, 4e12)}
TIMES = re.compile(r"(^|_)(time|timestamp|datetime|date|ts|at|when)(_|$)")
KEYS = re.compile(r"(^|_)(id|device|sensor|machine|host|station|customer|user|account|meter|site|name)$")
# A name in quotes in Python, JSON, SQL and Markdown alike.
PLAIN = re.compile(r"[^\"\\`\x00-\x1f\x7f]{1,80}")
WRITE_TIMES = "write times as 2026-01-31T10:00:00Z or in seconds since 1970"
DECIMAL_COMMA = re.compile(r"-?[0-9]+,[0-9]+")


class Unreadable(ValueError):
    """A file of which no pipeline can be made; the message says which, why, and what to do."""


@dataclass(frozen=True)
class SampleColumn:
    """A column of the file: its name in the pipeline, the file's own, and what its values are.

    `rewritten` is a value in a form that only a replay of the file turns into the pipeline's.
    """

    name: str
    source: str
    kind: type[Column]
    form: str = ""
    unfit: int = 0
    values: Sequence[str] = ()
    rewritten: str = ""

    @property
    def numbers(self) -> list[float]:
        found = [read(self.kind("a number"), value) for value in self.values]
        return sorted(number for number in found if isinstance(number, int | float))


@dataclass(frozen=True)
class Sample:
    """What a file says of the events in it. `key` and `time` are none where no column can be."""

    file: str
    rows: int
    columns: Sequence[SampleColumn]
    measure: SampleColumn
    key: SampleColumn | None
    time: SampleColumn | None
    left_out: Sequence[str]
    is_nested: bool = False


def look(path: Path, *, watch: str = "", key: str = "", time: str = "") -> Sample:
    """The columns of a file by its first rows; for each part a column is named, or evident names say it.

    Raises `Unreadable` and `RecordingError`.
    """
    rows = [entry.values for entry in islice(entries_of(path), LOOKED_AT) if entry.values]
    values: dict[str, list[object]] = {}
    for row in rows:
        for source, value in row.items():
            if value is not None and value != "":
                values.setdefault(source, []).append(value)
    if not values:
        raise Unreadable(f"{path}: no row can be read; give CSV with a heading, JSON Lines or Parquet.")
    # A record cannot hold a value and an object under one name.
    left_out = [
        source
        for source in values
        if not PLAIN.fullmatch(source) or any(source.startswith(f"{other}.") for other in values)
    ]
    kept = {source: found for source, found in values.items() if source not in left_out}
    # A table's heading is not nested, whatever dots stand in it.
    is_nested = kind_of(path) not in (*TABLES, *PARQUET) and any("." in source for source in kept)
    last_parts = dict(shortened(list(kept))) if is_nested else {}
    columns: list[SampleColumn] = []
    for place, (source, found) in enumerate(kept.items(), start=1):
        name = column_name(last_parts.get(source, source), place, {column.name for column in columns})
        columns.append(column_of(source, name, found))
    clock = _named(path, columns, time, "time", is_time) or _first_time(columns)
    if clock is not None and clock.kind is not Timestamp:
        unfit = [moment(value) is None for value in clock.values]
        shown = clock.values[unfit.index(False)]
        written = replace(clock, kind=Timestamp, form="iso", unfit=sum(unfit), rewritten=shown)
        columns[columns.index(clock)], clock = written, written
    rest = [column for column in columns if column is not clock]
    whose = _named(path, rest, key, "key", is_key) or _first_key(rest, len(rows))
    measures = [column for column in rest if column is not whose and is_measure(column)]
    measure = _named(path, rest, watch, "number to watch", is_measure) or min(
        (column for column in measures if not KEYS.search(column.name)),
        key=lambda column: bool(TIMES.search(column.name)),
        default=None,
    )
    if measure is None:
        comma = any(DECIMAL_COMMA.fullmatch(value) for column in rest for value in column.values[:100])
        raise Unreadable(
            f"{path}: no column holds numbers that differ, and the new pipeline is to watch one; "
            + (
                "write numbers with a point, not a comma."
                if comma
                else "leave --from out and write the columns."
            )
        )
    return Sample(path.name, len(rows), columns, measure, whose, clock, left_out, is_nested)


def shortened(sources: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The last parts of dotted names, of those for which no other name has the same and that can be names.

    >>> dict(shortened(["data.temp", "data.size", "lid.size", "device.id"]))
    {'data.temp': 'temp'}
    """
    ends = {source: source.rpartition(".")[2] for source in sources}
    times = Counter(plain_name(end) for end in ends.values())
    for source, end in ends.items():
        name = plain_name(end)
        if source != end and times[name] == 1 and NAME.fullmatch(name) and name not in NOT_FREE:
            yield source, end


def plain_name(source: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", source).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", snake(ascii_only)).strip("_")[:25].strip("_")


def column_name(source: str, place: int, taken: set[str]) -> str:
    """A name for the pipeline's column: lower snake case, no reserved word, not taken.

    >>> column_name("Air Temp [°C]", 1, set()), column_name("end", 2, set()), column_name("日", 3, set())
    ('air_temp_c', 'end_of_reading', 'column_3')
    """
    name = plain_name(source)
    name = name if NAME.fullmatch(name) else f"column_{name or place}"
    if name in NOT_FREE:
        name = f"{name}_of_reading"
    return name if name not in taken else f"{name}_{place}"


def column_of(source: str, name: str, values: Sequence[object]) -> SampleColumn:
    if any(isinstance(value, dict | list) for value in values):
        return SampleColumn(name, source, Json)
    texts = [str(value) for value in values]
    for kind in KINDS:
        if kind.hive == "boolean" and not all(
            isinstance(value, bool) or value in ("true", "false") for value in values[:100]
        ):
            continue
        misfits = [value for value in values if read(kind, value) is None]
        if kind.hive == "bigint" and any(read(Double("a candidate"), value) is not None for value in misfits):
            continue
        unfit = len(misfits)
        if unfit <= MOST_UNFIT * len(values):
            form = epoch(name, kind, values) if kind.numeric else ""
            return SampleColumn(name, source, Timestamp if form else type(kind), form, unfit, texts)
    return SampleColumn(name, source, Text, values=texts)


def read(kind: Column, value: object) -> object:
    try:
        return kind.read(value)
    except Unfit:
        return None


def epoch(name: str, kind: Column, values: Sequence[object]) -> str:
    """How a column of numbers counts time since 1970, if it does."""
    if not TIMES.search(name):
        return ""
    numbers = [number for value in values if isinstance(number := read(kind, value), int | float)]
    return next(
        (form for form, (least, most) in EPOCHS.items() if all(least <= number < most for number in numbers)),
        "",
    )


def is_time(column: SampleColumn) -> bool:
    """Whether a column can be the time: as it is, or as a replay of the file reads times."""
    if column.kind is not Text:
        return column.kind is Timestamp
    return sum(moment(value) is None for value in column.values) <= MOST_UNFIT * len(column.values)


def is_key(column: SampleColumn) -> bool:
    return column.kind in (Text, Integer)


def is_measure(column: SampleColumn) -> bool:
    numbers = column.numbers if column.kind in (Integer, Double) else []
    return len(numbers) > 1 and numbers[0] < numbers[-1]


def _first_time(columns: Sequence[SampleColumn]) -> SampleColumn | None:
    times = [column for column in columns if is_time(column)]
    return next((column for column in times if TIMES.search(column.name)), times[0] if times else None)


def _first_key(columns: Sequence[SampleColumn], rows: int) -> SampleColumn | None:
    """The column by whose name rows belong together, else the first text that comes again and again."""
    keys = [column for column in columns if is_key(column) and repeats(column, rows)]
    evident = (column for column in keys if KEYS.search(column.name))
    return next(evident, next((column for column in keys if column.kind is Text), None))


def repeats(column: SampleColumn, rows: int) -> bool:
    return len(set(column.values)) <= max(1, rows // 2)


def _named(
    path: Path, columns: Sequence[SampleColumn], name: str, role: str, fits: object
) -> SampleColumn | None:
    """The column that the user has named for a part, by the file's name or the pipeline's."""
    if not name:
        return None
    found = next((column for column in columns if name in (column.source, column.name)), None)
    if found is None:
        known = [column.source for column in columns]
        raise Unreadable(f"{path}: there is no column {name!r} for the {role}; {nearest(name, known)}.")
    assert callable(fits)
    if not fits(found):
        fitting = ", ".join(column.source for column in columns if fits(column)) or "none"
        shown = f" such as {found.values[0]!r}" if found.values else ""
        hint = f"; {WRITE_TIMES}" if role == "time" and fitting == "none" else ""
        raise Unreadable(
            f"{path}: the column {name!r} is {found.kind.__name__}{shown} and cannot be the {role}; those "
            f"that can: {fitting}{hint}."
        )
    return found
