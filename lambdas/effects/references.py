"""What is known about the entities in events: items of the reference tables, read in batches and kept a
while.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from lambdas.columns import Column, Integer, Unfit, Value
from lambdas.effects import clients
from lambdas.effects.sending import attempts, batches
from lambdas.effects.settings import SettingsError
from lambdas.model import Pipeline, Reference, Row

MOST_KEPT = 20_000  # items of a reference, missing ones too
MOST_KEYS, MOST_KEY_BYTES = 100, 2_048  # of one call; of one key
TRIES = 8  # keys are also left over where the items together are too large for an answer


class Unread(RuntimeError):
    """A reference table that went on leaving keys unread; the message names it."""


class References:
    """Adds to rows the references' columns that a detector of the pipeline reads; private ones never.

    A value is less than the reference's `stale_after` old by the clock of the records' arrival, so that this
    container finds the same for a batch that comes again within that span. What is missing, or does not fit
    its column, is null; that an item is missing is kept as long as an item is.
    """

    def __init__(self, pipeline: Pipeline, tables: Mapping[str, str]) -> None:
        read: dict[str, dict[str, Column]] = {}
        for detector in pipeline.detectors:
            for column in detector.reads():
                if column.reference and not column.private:
                    read.setdefault(column.reference, {})[column.name] = column
        self._lookups = []
        for name, columns in read.items():
            if name not in tables:
                raise SettingsError(
                    f"The variable FRESHET_REFERENCE_TABLES names no table for {name!r}; deploy the stack "
                    "again, which sets it."
                )
            holder, reference = pipeline.event.references()[name]
            self._lookups.append(Lookup(tables[name], holder, reference, list(columns.values())))

    def enrich(self, rows: Iterable[Row]) -> Counter[str]:
        """Adds `reference.column` values to the rows; returns how many rows found nothing and how many
        values did not fit.
        """
        together = list(rows) if self._lookups else []
        counts: Counter[str] = Counter()
        for lookup in self._lookups:
            lookup.enrich(together, counts)
        return counts


class Lookup:
    """One reference table."""

    def __init__(self, table: str, holder: Column, reference: type[Reference], columns: list[Column]) -> None:
        self._table = table
        self._holder = holder.name
        self._key = reference.key
        self._stale_seconds = reference.stale_after.total_seconds()
        self._key_type = "N" if isinstance(reference.key, Integer) else "S"
        self._columns = columns
        self._nothing: dict[str, Value] = {column.label: None for column in columns}
        self._kept: dict[
            str, tuple[float, dict[str, Value] | None]
        ] = {}  # in the order in which they were read

    def enrich(self, rows: list[Row], counts: Counter[str]) -> None:
        holders = {row.values.get(self._holder) for row in rows}
        keys = {value: self._key_text(value) for value in holders}
        now = max((row.arrival for row in rows), default=0.0)
        found = self._find({key for key in keys.values() if key is not None}, now, counts)
        for row in rows:
            key = keys[row.values.get(self._holder)]
            values = None if key is None else found[key]
            counts["reference_missing"] += values is None
            row.values.update(self._nothing if values is None else values)

    def _key_text(self, value: Value) -> str | None:
        """A key as the table has it; none for a value that no item can have, which would fail the whole
        call.
        """
        try:
            text = "" if value is None else str(self._key.read(value))
        except Unfit:
            return None
        return text if 0 < len(text.encode()) <= MOST_KEY_BYTES else None

    def _find(self, keys: set[str], now: float, counts: Counter[str]) -> dict[str, dict[str, Value] | None]:
        found: dict[str, dict[str, Value] | None] = {}
        for key in keys:
            read_at, values = self._kept.get(key, (float("-inf"), None))
            # The clock goes back where old records are processed again: what was read later is stale for
            # them, too.
            if abs(now - read_at) < self._stale_seconds:
                found[key] = values
        for batch in batches(
            sorted(keys - found.keys()), len, most=MOST_KEYS, most_bytes=MOST_KEYS * MOST_KEY_BYTES
        ):
            items = self._read(batch)
            for key in batch:
                found[key] = self._values(items[key], counts) if key in items else None
                self._kept.pop(key, None)
                self._kept[key] = now, found[key]
        while len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return found

    def _read(self, keys: list[str]) -> dict[str, dict[str, Any]]:
        """The items of the keys. Only columns that are read leave the table, so no other one can leak."""
        names = [self._key.name, *(column.name for column in self._columns if column is not self._key)]
        asked = {
            "ProjectionExpression": ", ".join(f"#{place}" for place in range(len(names))),
            "ExpressionAttributeNames": {f"#{place}": name for place, name in enumerate(names)},
        }
        items: dict[str, dict[str, Any]] = {}
        left: list[dict[str, Any]] = [{self._key.name: {self._key_type: key}} for key in keys]
        for _ in attempts(TRIES):
            answer = clients.client("dynamodb").batch_get_item(
                RequestItems={self._table: {"Keys": left, **asked}}
            )
            for item in answer["Responses"].get(self._table, ()):
                items[item[self._key.name][self._key_type]] = item
            left = answer["UnprocessedKeys"].get(self._table, {}).get("Keys", [])
            if not left:
                return items
        raise Unread(
            f"The reference table {self._table} left {len(left)} of {len(keys)} keys unread {TRIES} times; "
            "give it more read capacity."
        )

    def _values(self, item: dict[str, Any], counts: Counter[str]) -> dict[str, Value]:
        values = dict(self._nothing)
        for column in self._columns:
            try:
                value = (
                    plain(TypeDeserializer().deserialize(item[column.name])) if column.name in item else None
                )
                values[column.label] = None if value is None else column.read(value)
            except (Unfit, TypeError):  # a TypeError: bytes or a set, which no JSON has
                counts["reference_unfit"] += 1
        return values


def plain(value: Any) -> Any:
    """A value as JSON would have given it: a column reads both alike."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value
