"""What every refusal in this package is: one sentence that says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SqlError(Exception):
    """A statement that cannot be answered as Athena would; its text is the sentence for the analyst."""


def nearest(name: str, known: Iterable[str], *, instead: str = "") -> str:
    """The known names most like a misspelt one, ready for a sentence; when none is alike, `instead` or all.

    >>> nearest("temprature", ["temperature", "sensor_id"])
    'nearest: temperature'
    >>> nearest("xyz", ["b", "a"])
    'there are: a, b'
    """
    names = sorted(set(known))
    alike = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.6)
    if alike:
        return "nearest: " + ", ".join(alike)
    if instead:
        return instead
    if not names:
        return "there are none"
    shown = names[:12]
    return "there are: " + ", ".join(shown) + (", …" if len(names) > len(shown) else "")
