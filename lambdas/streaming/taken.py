"""Which records a shard has taken in: what tells one that was given up from one that only came again."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

Range = tuple[int, int]  # sequence numbers, the last one included


class Taken:
    """Ranges of sequence numbers, until they are handed over to where they are kept for longer.

    A range is what one batch brought without a gap. Two are never joined: between them may lie a batch that
    was given up.
    """

    def __init__(self) -> None:
        self._ranges: list[Range] = []
        self._added: list[Range] = []

    def add(self, first: int, last: int) -> None:
        self._ranges.append((first, last))
        self._added.append((first, last))

    def change(self) -> list[list[str]]:
        """The ranges added since the last change, as plain data."""
        added, self._added = self._added, []
        return plain(added)

    def snapshot(self) -> list[list[str]]:
        return plain(self._ranges)

    def restore(self, saved: Iterable[Iterable[str]]) -> None:
        for first, last in saved:
            self._ranges.append((int(first), int(last)))

    def ranges(self) -> list[Range]:
        return list(self._ranges)

    def hand_over(self) -> list[Range]:
        """All ranges, which are forgotten here."""
        ranges, self._ranges = self._ranges, []
        return ranges


def plain(ranges: Iterable[Range]) -> list[list[str]]:
    """Of Kinesis a number has 184 bits, more than JSON readers keep."""
    return [[str(first), str(last)] for first, last in ranges]


class Within:
    """Whether a number lies in one of many ranges, which may overlap."""

    def __init__(self, ranges: Iterable[Range]) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in sorted(ranges):
            if self._lasts and first <= self._lasts[-1]:
                self._lasts[-1] = max(self._lasts[-1], last)
            else:
                self._firsts.append(first)
                self._lasts.append(last)

    def __contains__(self, number: int) -> bool:
        """
        >>> [number in Within([(5, 9), (7, 12), (1, 2)]) for number in (2, 3, 9, 12, 13)]
        [True, False, True, True, False]
        """
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number <= self._lasts[place]
