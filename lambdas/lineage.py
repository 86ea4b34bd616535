"""How a stream's shards follow each other, and which of them a key belongs to. Standard library only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PLACES = 2**128


@dataclass(frozen=True, slots=True)
class Span:
    """A shard's part of the places that partition keys have, both ends within it; by default all places."""

    first: int = 0
    last: int = PLACES - 1

    def __contains__(self, place: int) -> bool:
        return self.first <= place <= self.last


@dataclass(frozen=True, slots=True)
class Listed:
    """A shard as the stream lists it. A parent may be so old that the stream no longer lists it."""

    id: str
    span: Span = Span()
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parent:
    """A shard that another one follows; `span` is its part of the places as far as the stream knows it."""

    id: str
    span: Span
    is_listed: bool = True


def place(key: str) -> int:
    """Where a stream puts a partition key: its MD5 as a number.

    >>> place("sensor-1") in Span(0, PLACES // 2 - 1), place("sensor-2") in Span(0, PLACES // 2 - 1)
    (False, True)
    """
    return int.from_bytes(hashlib.md5(key.encode(), usedforsecurity=False).digest(), "big")


def belongs(key: str, span: Span, among: Span) -> bool:
    """Whether a key whose state lies in a shard of the places `among` goes to its child of the places `span`.

    The children of a shard share its places, so each key goes to one of them; also a key that is not in its
    own place, since producers partition by something else or the detector has another key.

    >>> low, high = Span(0, 99), Span(100, 199)
    >>> [belongs(key, low, Span(0, 199)) + belongs(key, high, Span(0, 199)) for key in "abcdef"]
    [1, 1, 1, 1, 1, 1]
    """
    at = place(key)
    if at not in among:
        at = among.first + at % (among.last - among.first + 1)
    return at in span


class Lineage:
    """The shards of a stream, the closed ones among them whose records it still keeps."""

    def __init__(self, listed: Iterable[Listed]) -> None:
        self._listed = {shard.id: shard for shard in listed}
        self._closed = {parent for shard in self._listed.values() for parent in shard.parents}

    @classmethod
    def of(cls, shards: Iterable[Mapping[str, Any]]) -> Lineage:
        """From what ListShards says of each shard."""
        return cls(
            Listed(
                shard["ShardId"],
                Span(
                    int(shard["HashKeyRange"]["StartingHashKey"]), int(shard["HashKeyRange"]["EndingHashKey"])
                ),
                tuple(shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if shard.get(name)),
            )
            for shard in shards
        )

    @property
    def shard_ids(self) -> list[str]:
        return list(self._listed)

    def span(self, shard_id: str) -> Span:
        return self._listed[shard_id].span if shard_id in self._listed else Span()

    def is_closed(self, shard_id: str) -> bool:
        """Whether another shard has followed it."""
        return shard_id in self._closed

    def parents(self, shard_id: str) -> list[Parent]:
        """Whom a shard follows: one that was split, or two that were merged."""
        shard = self._listed.get(shard_id)
        if shard is None:
            return []
        # One that is no longer listed had all that a merged child has, or more than a split one's.
        unlisted = shard.span if len(shard.parents) > 1 else Span()
        return [
            Parent(id, self._listed[id].span, is_listed=True)
            if id in self._listed
            else Parent(id, unlisted, is_listed=False)
            for id in shard.parents
        ]
