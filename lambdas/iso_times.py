"""Many ISO 8601 times at once. Within a second those of a stream differ in the fraction alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

# Only what divides cleanly into a second and what follows it; all other shapes are read one by one.
SECOND = re.compile(r"\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):\d\d:\d\d", re.ASCII)
REST = re.compile(r"(\.\d{1,3})?(Z|[+-]\d\d:\d\d)?", re.ASCII)
MOST_KEPT = 10_000  # parts of either kind


def milliseconds(texts: Iterable[str]) -> list[int]:
    """Milliseconds since 1970 of each text; raises `ValueError` where one is not of the usual shape.

    >>> milliseconds(["2026-01-31T10:00:00.250Z", "2026-01-31 11:00:00+01:00", "2026-01-31T10:00:00"])
    [1769853600250, 1769853600000, 1769853600000]
    """
    return [SECONDS[text[:19]] + RESTS[text[19:]] for text in texts]


class Parts(dict[str, int]):
    """Milliseconds of parts of times, each read once."""

    def __init__(self, shape: re.Pattern[str], whole: Callable[[str], str]) -> None:
        super().__init__()
        self._shape = shape
        self._whole = whole

    def __missing__(self, part: str) -> int:
        if not self._shape.fullmatch(part):
            raise ValueError("not of the usual shape")
        moment = datetime.fromisoformat(self._whole(part))
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if len(self) >= MOST_KEPT:
            self.clear()
        self[part] = read = round(aware.timestamp() * 1000)
        return read


SECONDS = Parts(SECOND, lambda second: second)
RESTS = Parts(REST, lambda rest: f"1970-01-01T00:00:00{rest}")
