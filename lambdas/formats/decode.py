"""One verdict on a record's bytes, for the lake and for the detectors alike: rows, and what cannot be read
with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, repeat
from typing import Any

from lambdas.columns import Column, Unfit, Value, Values, lake_time
from lambdas.formats.aggregate import is_aggregate, opened
from lambdas.model import Format, Pipeline, Row, private_within
from lambdas.tables import PARTS

# Parts of one record. Firehose takes an answer of 6 MB, which is 4.1 MB of rows in base64: a record of 1 MB
# in 5,000 rows leaves each 600 bytes for its columns' names and its provenance. What is beyond stays
# together, one part with the record's bytes, so that neither memory nor the answer's size is the producer's
# to decide.
MOST_PARTS = 5_000
SHOWN_CHARACTERS = 200
NOTHING: Mapping[str, Any] = {}
DAMAGED = "The record is an aggregate of the Kinesis producer library that cannot be opened: it is damaged."


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A part of a record that is no event: why, in which column, and the value there (empty where it is
    private, or holds what is).
    """

    index: int
    reason: str
    field: str = ""
    value: str = ""


class Decoder:
    """Reads a pipeline's records. Made once a container; pure."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._formats = pipeline.formats
        self._columns: list[tuple[str, str, list[str], Callable[[Any], Value], Column]] = [
            (name, column.source, column.source.split("."), column.read, column)
            for name, column in pipeline.event.columns.items()
        ]
        columns = pipeline.event.columns
        self._hidden = {name for name, each in columns.items() if private_within(each, columns.values())}
        self._time = None if pipeline.event.time is None else pipeline.event.time.name
        self._ahead_ms = round(pipeline.ahead.total_seconds() * 1000)
        self._read_all = getattr(self._formats[0], "read_all", None)

    def decode_all(
        self, datas: Sequence[bytes], arrivals_ms: Sequence[int], sequences: Sequence[int]
    ) -> list[tuple[list[Row], int]]:
        """What `decode` says of each record, in short: its rows, and how many parts cannot be read. The usual
        record is one object whose values fit: all such are read together, column by column, which takes a
        fraction of the time.
        """
        decoded: list[tuple[list[Row], int]] = []
        usual = self._usual_rows(datas, arrivals_ms, sequences)
        for row, data, arrival_ms, sequence in zip(usual, datas, arrivals_ms, sequences, strict=True):
            if row is not None:
                decoded.append(([row], 0))
            else:
                parts = list(self._opened(data, arrival_ms, sequence))
                rows = [part for part in parts if isinstance(part, Row)]
                decoded.append((rows, len(parts) - len(rows)))
        return decoded

    def _opened(self, data: bytes, arrival_ms: int, sequence: int) -> Iterator[Row | Unreadable]:
        """The parts of a record as Lambda hands it over: of an aggregate those of its records, which Firehose
        hands over one by one, with the same place each.
        """
        inner = opened(data)
        for place, each in enumerate([data] if inner is None else inner):
            for part in self.decode(each, arrival_ms, sequence=sequence):
                yield replace(part, index=place * PARTS + part.index) if place else part

    def _usual_rows(
        self, datas: Sequence[bytes], arrivals_ms: Sequence[int], sequences: Sequence[int]
    ) -> list[Row | None]:
        """The row of each record that is one object in which nothing is wrong."""
        if self._read_all is None:
            return [None] * len(datas)
        # In place of what is no object an empty one: its key is missing, so it is no row.
        parts = [NOTHING if part is None else part for part in self._read_all(datas)]
        rows: list[dict[str, Value]] = [{} for _ in parts]
        unfit: set[int] = set()
        for name, source, path, _, column in self._columns:
            values = [part.get(source) for part in parts]
            if len(path) > 1:
                pairs = zip(parts, values, strict=True)
                values = [walk(part, path) if value is None else value for part, value in pairs]
            for row, value in zip(rows, read_column(column, values, unfit), strict=True):
                row[name] = value
        placed = list(map(self._placed, rows, arrivals_ms, sequences, repeat(0)))
        for place in unfit:
            placed[place] = None
        return placed

    def decode(self, data: bytes, arrival_ms: int, *, sequence: int = 0) -> Iterator[Row | Unreadable]:
        """The parts of one record in order. `arrival_ms` is when the stream took it, ms since 1970."""
        if is_aggregate(data):
            yield Unreadable(0, DAMAGED)
            return
        index = 0
        try:
            parts = iter(self._format(data).read(data))
            for part in parts:
                if index == MOST_PARTS:
                    left = 1 + sum(1 for _ in islice(parts, MOST_PARTS))
                    yield Unreadable(
                        index,
                        f"The record holds more than {MOST_PARTS:,} events; those after them, at least "
                        f"{left:,}, were left out; send smaller records.",
                    )
                    return
                if isinstance(part, Unfit):
                    yield Unreadable(index, sentence(str(part)))
                else:
                    yield self._row(part, arrival_ms, sequence, index)
                index += 1
            if not index:
                yield Unreadable(0, "The record holds no event.")
        except Exception as error:
            # Whatever a format stumbles over, no record may stop a consumer. The error's own text may hold
            # a private value, so only its type is told.
            yield Unreadable(index, f"The record cannot be parsed: {type(error).__name__}.")

    def _format(self, data: bytes) -> Format:
        return next((each for each in self._formats if each.recognises(data)), self._formats[0])

    def _row(self, part: Mapping[str, Any], arrival_ms: int, sequence: int, index: int) -> Row | Unreadable:
        values: dict[str, Value] = {}
        for name, source, path, read, column in self._columns:
            value = part.get(source)
            if value is None and len(path) > 1:
                value = walk(part, path)
            if value is None:
                if column.required:
                    return Unreadable(index, f"{source} is missing.", name)
                values[name] = None
                continue
            try:
                values[name] = read(value)
            except Unfit as unfit:
                shown = "" if name in self._hidden else str(value)[:SHOWN_CHARACTERS]
                return Unreadable(index, f"{source} {unfit}.", name, shown)
            except Exception as error:
                return Unreadable(index, f"{source} cannot be read: {type(error).__name__}.", name)
        row = self._placed(values, arrival_ms, sequence, index)
        return self._too_far_ahead(values, arrival_ms / 1000, index) if row is None else row

    def _placed(self, values: dict[str, Value], arrival_ms: int, sequence: int, index: int) -> Row | None:
        """Values that fit, as an event with its time; none where that is too far ahead."""
        arrival = arrival_ms / 1000
        # Only a Timestamp is an event's time.
        time: Any = arrival if self._time is None else values[self._time]
        if time is None and self._time:
            time = values[self._time] = arrival
        if time > arrival and round(time * 1000) > arrival_ms + self._ahead_ms:
            return None
        return Row(time, values, arrival, sequence, index)

    def _too_far_ahead(self, values: Mapping[str, Value], arrival: float, index: int) -> Unreadable:
        field = self._time or ""
        time: Any = values[field]
        if field in self._hidden:  # with the arrival, how far ahead would say when
            return Unreadable(index, f"{field} is too far ahead of the record's arrival.", field)
        return Unreadable(
            index,
            f"{field} is {ahead_words(time - arrival)} ahead of the record's arrival.",
            field,
            lake_time(time),
        )


def read_column(column: Column, values: Sequence[Any], unfit: set[int]) -> Sequence[Value]:
    """The column's own values of incoming ones; adds the places of those that do not fit to `unfit`."""
    read = column.read_all(values)
    if read is not None:
        return read
    missing = {place for place, value in enumerate(values) if value is None}
    if column.required:
        unfit |= missing
    read = column.read_all([value for value in values if value is not None]) if missing else None
    if read is not None:
        present = iter(read)
        return [None if value is None else next(present) for value in values]
    one_by_one: list[Value] = []
    for place, value in enumerate(values):
        try:
            one_by_one.append(None if value is None else column.read(value))
        except Exception:  # a column of a pipeline's own may raise anything; `decode` finds the words for it
            one_by_one.append(None)
            unfit.add(place)
    return one_by_one


def walk(part: Mapping[str, Any], path: list[str]) -> Any:
    """The value at a dotted path of nested objects, or none; in a list a number says which, from 0."""
    value: Any = part
    for name in path:
        if isinstance(value, list) and name.isdecimal():
            value = value[int(name)] if int(name) < len(value) else None
        elif isinstance(value, Mapping):
            value = value.get(name)
        else:
            return None
    return value


def ahead_words(seconds: float) -> str:
    """
    >>> ahead_words(400), ahead_words(5_459_319_196)
    ('400 s', '63,187 days')
    """
    days = seconds / 86_400
    return f"{days:,.0f} days" if days >= 2 else f"{seconds:,.0f} s"


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def lake_row(columns: Mapping[str, Column], values: Values) -> dict[str, Any]:
    """An event's values as Firehose's converter reads them."""
    return {name: column.write(values.get(name)) for name, column in columns.items()}
