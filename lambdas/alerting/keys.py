"""An incident's key in its parts and in words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lambdas.alerting.characters import one_line
from lambdas.columns import Column

PART = re.compile(r"(?:^|\|)((?:[^\\|]|\\.)*)", re.DOTALL)  # up to a | without a backslash before it


def key_parts(key: str, columns: Sequence[Column]) -> list[tuple[Column | None, str]]:
    """The parts of a key with the columns that they are of; the inverse of `model.key_text`.

    A key whose parts do not fit the columns, as after a redeploy with another key, is one part of no column.
    """
    if len(columns) == 1:
        return [(columns[0], key)]
    parts = [re.sub(r"\\([\\|])", r"\1", part) for part in PART.findall(key)]
    if len(parts) != len(columns):
        return [(None, key)]
    return list(zip(columns, parts, strict=True))


def noun(words: str) -> str:
    """What a column is about, as a person says it.

    >>> noun("customer id"), noun("strap")
    ('customer', 'strap')
    """
    return words.removesuffix(" id").removesuffix(" key")


def key_words(key: str, columns: Sequence[Column]) -> str:
    """Whose incident it is: each part by its column's noun, unless it begins with it.

    >>> from lambdas.columns import Text
    >>> sensor, table = Text("where"), Text("where")
    >>> sensor.name, table.name = "sensor_id", "table_id"
    >>> key_words("sensor-1", [sensor]), key_words("4", [table]), key_words("sensor-1|4", [sensor, table])
    ('sensor-1', 'table 4', 'sensor-1, table 4')
    """
    return ", ".join(part_words(column, text) for column, text in key_parts(key, columns))


def part_words(column: Column | None, text: str) -> str:
    shown = one_line(text) or "(blank)"
    if column is None or shown.lower().startswith(noun(column.words).lower()):
        return shown
    return f"{noun(column.words)} {shown}"
