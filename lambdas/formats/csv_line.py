"""CSV: a line an event, its values in a declared order."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lambdas.columns import Column, DeclarationError, Unfit


@dataclass(frozen=True)
class Csv:
    """Lines without a heading whose values are `columns` in order; an empty value is a missing one."""

    columns: Sequence[Column]
    delimiter: str = ","

    def __post_init__(self) -> None:
        if not self.columns:
            raise DeclarationError("Csv: it has no columns; say Csv([Beat.device_id, Beat.heart_rate]).")

    def recognises(self, data: bytes) -> bool:
        return data.lstrip()[:1] not in (b"{", b"[", b"")

    def read(self, data: bytes) -> Iterator[Mapping[str, Any] | Unfit]:
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            yield Unfit(f"the record is not UTF-8 text (byte {error.start})")
            return
        try:
            for values in csv.reader(text.splitlines(), delimiter=self.delimiter):
                if values:  # a blank line is none
                    yield self._part(values)
        except csv.Error as error:
            yield Unfit(f"the record is not CSV: {error}")

    def _part(self, values: Sequence[str]) -> Mapping[str, Any] | Unfit:
        if len(values) != len(self.columns):
            found = f"{len(values)} value{'' if len(values) == 1 else 's'}"
            wanted = ", ".join(column.name for column in self.columns)
            return Unfit(f"the line has {found}, {len(self.columns)} are expected: {wanted}")
        return {
            column.source: value.strip()
            for column, value in zip(self.columns, values, strict=True)
            if value.strip()
        }
