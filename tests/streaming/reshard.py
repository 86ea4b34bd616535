"""A stream whose shards are split and merged, and the logs of their states, without AWS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from lambdas.lineage import PLACES, Lineage, Listed, Span, place
from lambdas.model import Row
from lambdas.streaming.lane import Item
from lambdas.streaming.shard import Outcome, Record, Shard

BASE_EVERY = 4


Dies = Callable[[str], bool]  # whether a container dies that has "claimed", or is about to "commit"


class Died(Exception):
    """A container is gone, and what it had not saved with it."""


def never(_moment: str) -> bool:
    return False


@dataclass
class SavedShard:
    """A shard's log: a base or none, and the changes after it, all as JSON."""

    base: str | None = None
    changes: list[str] = field(default_factory=list)

    @property
    def is_blank(self) -> bool:
        return self.base is None and not self.changes

    def restore(self, shard: Shard) -> Shard:
        shard.restore(json.loads(self.base) if self.base else None, map(json.loads, self.changes))
        return shard

    def save(self, shard: Shard, outcome: Outcome) -> None:
        self.changes.append(json.dumps(outcome.change))
        if len(self.changes) == BASE_EVERY:
            self.base, self.changes = json.dumps(shard.snapshot()), []


class Stream:
    """Records go to the open shard that has their key's place. A shard is read once those that it follows
    have been read to their ends, as Lambda does.
    """

    def __init__(self, begin: Callable[[str], Shard], shards: int = 1) -> None:
        self.sent: list[Item] = []
        self.put_so_far: list[Record] = []
        self._begin = begin
        self._listed: dict[str, Listed] = {}
        self._unread: dict[str, list[Record]] = {}
        self._logs: dict[str, SavedShard] = {}
        for number in range(shards):
            self._add(Span(PLACES * number // shards, PLACES * (number + 1) // shards - 1))

    def _add(self, span: Span, *parents: str) -> str:
        id = f"shardId-{len(self._listed):012d}"
        self._listed[id] = Listed(id, span, parents)
        self._unread[id], self._logs[id] = [], SavedShard()
        return id

    @property
    def lineage(self) -> Lineage:
        return Lineage(self._listed.values())

    @property
    def open(self) -> list[Listed]:
        lineage = self.lineage
        return sorted(
            (shard for shard in self._listed.values() if not lineage.is_closed(shard.id)),
            key=lambda shard: shard.span.first,
        )

    def split(self, shard: Listed) -> list[str]:
        middle = (shard.span.first + shard.span.last) // 2
        return [
            self._add(Span(shard.span.first, middle), shard.id),
            self._add(Span(middle + 1, shard.span.last), shard.id),
        ]

    def merge(self, low: Listed, high: Listed) -> str:
        assert low.span.last + 1 == high.span.first
        return self._add(Span(low.span.first, high.span.last), low.id, high.id)

    def put(self, key: str, row: Row, now: float) -> Record:
        number = len(self.put_so_far) + 1
        record = Record(number, now, [Row(row.time, dict(row.values), now, number, 0)])
        self.put_so_far.append(record)
        [shard] = [shard for shard in self.open if place(key) in shard.span]
        self._unread[shard.id].append(record)
        return record

    def _ancestors(self, id: str) -> Iterator[str]:
        for parent in self.lineage.parents(id):
            yield parent.id
            yield from self._ancestors(parent.id)

    def readable(self) -> list[str]:
        return [
            id
            for id in self._listed
            if self._unread[id] and not any(self._unread[each] for each in self._ancestors(id))
        ]

    def read(self, id: str, most: int = 1_000, dies: Dies = never) -> None:
        """One batch of a shard; it comes again where the container dies."""
        batch = self._unread[id][:most]
        try:
            shard = self.load(id, dies)
            self._commit(id, shard, shard.process(batch), dies)
        except Died:
            return
        del self._unread[id][:most]

    def read_to_the_end(self) -> None:
        while ids := self.readable():
            self.read(ids[0])

    def tick(self, now: float) -> None:
        """Time goes on in shards that are open and have been read to their ends."""
        for shard in self.open:
            ancestors = list(self._ancestors(shard.id))
            if any(self._unread[id] for id in [shard.id, *ancestors]):
                continue
            if self._logs[shard.id].is_blank and all(self._logs[id].is_blank for id in ancestors):
                continue
            state = self.load(shard.id)
            due = state.due()
            if due is not None and due <= now:
                self._commit(shard.id, state, state.advance(now))
            elif state.is_heir:
                self._commit(shard.id, state, state.process([]))

    def load(self, id: str, dies: Dies = never) -> Shard:
        """A shard's state as a new container has it: from its log, else from those that it follows."""
        shard = self._begin(id)
        if not self._logs[id].is_blank:
            return self._logs[id].restore(shard)
        lineage = self.lineage
        for parent in lineage.parents(id):
            shard.inherit(self._claim(parent.id, dies), parent.span, lineage.span(id))
            if dies("claimed"):
                raise Died
        return shard

    def _claim(self, id: str, dies: Dies) -> Shard:
        shard = self.load(id, dies)
        outcome = shard.seal()
        if outcome is not None:
            self._commit(id, shard, outcome)
        return shard

    def _commit(self, id: str, shard: Shard, outcome: Outcome, dies: Dies = never) -> None:
        if outcome.is_empty:
            return
        if dies("commit"):
            raise Died
        self._logs[id].save(shard, outcome)
        self.sent += [Item(item.kind, item.id, json.loads(json.dumps(item.body))) for item in outcome.outbox]

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        return [item.body for item in self.sent if item.kind == kind]


def alone(begin: Callable[[str], Shard], records: Iterable[Record], until: float) -> list[Item]:
    """What one shard says to all records, and by itself up to `until`."""
    shard = begin("shardId-000000000000")
    return [*shard.process(list(records)).outbox, *shard.advance(until).outbox]
