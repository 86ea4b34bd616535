"""Places of a shard whose time has come further than the shard's own watermark."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lambdas.lineage import Span, place


@dataclass(frozen=True, slots=True)
class Closed:
    """Places that are closed through `until` (event time, s): the watermark of the shard that they come from.
    `None`: for good, since its children have them.
    """

    span: Span
    until: float | None

    def save(self) -> list[Any]:
        # A place has 128 bits, more than JSON readers keep.
        return [str(self.span.first), str(self.span.last), self.until]

    @classmethod
    def restore(cls, saved: Iterable[Any]) -> Closed:
        first, last, until = saved
        return cls(Span(int(first), int(last)), until)


FOR_GOOD = Closed(Span(), None)


def closed_by(closed: Iterable[Closed], key: str | None, time: float) -> Closed | None:
    """What makes an event of this key and time late, if anything does."""
    at = place(key or "")
    return next(
        (each for each in closed if at in each.span and (each.until is None or time < each.until)), None
    )


def still_closed(closed: Iterable[Closed], watermark: float | None) -> list[Closed]:
    """Those that the shard's own watermark has not come to."""
    return [each for each in closed if each.until is None or watermark is None or watermark < each.until]
