"""What a new shard takes over from those that it follows, and when a tick may let it begin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, Self, TypeVar

from lambdas.effects.session import Result, Session, Shard
from lambdas.effects.state_log import Newest
from lambdas.effects.stream import Stream
from lambdas.lineage import Lineage, Parent, Span


class Heir(Shard, Protocol):
    """A shard that can be followed by others, and follow others."""

    def seal(self) -> Result | None: ...
    def inherit(self, parent: Self, among: Span, span: Span) -> None: ...


H = TypeVar("H", bound=Heir)


def inherit(
    stream_of: Callable[[str], tuple[str, str]], session: Session[H], shard_id: str, shard: H
) -> None:
    """Gives a shard that has no log yet what its parents leave it, and seals their logs. `stream_of` names
    the stream of a log's shard, and the shard there.

    Whatever comes between the two (a crash, another container), a sealed log stays as it is, so a child that
    begins again takes over the same. A parent without a log first inherits by itself: from then on no other
    writer can begin it.
    """
    (prefix, _), (stream, listed_id) = split(shard_id), stream_of(shard_id)
    lineage = Stream(stream).lineage()
    for parent in lineage.parents(listed_id):
        left = session.claim(f"{prefix}{parent.id}", type(shard).seal)
        shard.inherit(left, parent.span, lineage.span(listed_id))


def is_to_inherit(stream: Stream, lineage: Lineage, newest: Callable[[str], Newest], shard_id: str) -> bool:
    """Whether a shard without a log of its own has something to take over, and nothing more comes of those
    that leave it: each has been read to its end.

    A sealed one has: Lambda hands over a child's records only after all of its parents'.
    """
    found = list(followed(lineage, newest, shard_id))
    return any(each.number for _, each in found) and all(
        each.is_sealed or not parent.is_listed or stream.is_drained(parent.id, each.sequence)
        for parent, each in found
    )


def is_heir(lineage: Lineage, newest: Callable[[str], Newest], shard_id: str) -> bool:
    """Whether somebody has left something to a shard without a log of its own."""
    return any(each.number for _, each in followed(lineage, newest, shard_id))


def followed(
    lineage: Lineage, newest: Callable[[str], Newest], shard_id: str
) -> Iterator[tuple[Parent, Newest]]:
    """Whom a shard follows, back to those that have a log, and what their logs say."""
    prefix, listed_id = split(shard_id)
    for parent in lineage.parents(listed_id):
        parent_id = f"{prefix}{parent.id}"
        found = newest(parent_id)
        yield parent, found
        if not found.number:
            yield from followed(lineage, newest, parent_id)


def split(shard_id: str) -> tuple[str, str]:
    """A state's name as what stands before the shard's id, and the id as the stream lists it."""
    prefix, slash, listed_id = shard_id.rpartition("/")
    return prefix + slash, listed_id
