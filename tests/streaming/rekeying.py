"""Both streams of a pipeline whose detectors are re-keyed, without any AWS around them: shards that lag each
other, commits that are sent twice and in any order, ticks, and states restored from what was saved.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, cast

from lambdas.detectors.detector import Detector
from lambdas.effects.second_stream import puts
from lambdas.lineage import PLACES, place
from lambdas.model import Kinesis, Pipeline, Row
from lambdas.streaming import rekey
from lambdas.streaming.lane import Item
from lambdas.streaming.shard import Record, Shard
from tests.streaming.support import Log

IDS = ("result_id", "finding_id", "incident_id", "change_id")  # they are made of the shard's name


def on_four_shards(pipeline: Pipeline) -> Pipeline:
    """The same pipeline with a stream of four shards, detectors of other keys re-keyed."""
    detectors: list[Any] = [
        replace(one, rekey=True, max_keys=1_000) if one.key is not None else one
        for one in cast(Sequence[Detector[Any]], pipeline.detectors)
    ]
    return replace(pipeline, sources=[Kinesis(provisioned=4)], detectors=detectors)


class Saved(Log):
    """A shard's log, of either stream."""

    def load(self) -> Shard:
        shard = rekey.begin(self.pipeline, self.shard_id)
        base = None if self.base is None else json.loads(self.base)
        shard.restore(base, [json.loads(change) for change in self.changes])
        return shard


@dataclass
class Seen:
    """A shard as a tick finds it in its log."""

    is_settled: bool = True
    clock: dict[str, Any] = field(default_factory=dict)


class Stages:
    """A pipeline's two streams and the shards that read them. `chance` decides what is sent twice, in which
    order a commit's records come, and when a state is restored from its log.
    """

    def __init__(self, pipeline: Pipeline, chance: Random, *, first: int = 4, second: int = 2) -> None:
        self.pipeline = pipeline
        self.sent: list[Item] = []
        self._chance = chance
        self._first: dict[str, list[Record]] = {name(number): [] for number in range(first)}
        self._second: dict[str, list[tuple[float, str]]] = {name(number): [] for number in range(second)}
        self._now = 0.0
        self._read = dict.fromkeys([*self._first, *self._second_states()], 0)
        self._logs = {shard_id: Saved(pipeline, shard_id=shard_id) for shard_id in self._read}
        self._warm = {shard_id: log.load() for shard_id, log in self._logs.items()}
        self._seen = {shard_id: Seen() for shard_id in self._first}
        self._owed: dict[str, list[Item]] = {shard_id: [] for shard_id in self._first}

    def _second_states(self) -> Iterable[str]:
        return [state for one in self._second for state in rekey.shard_names(self.pipeline, one)]

    @property
    def shards(self) -> list[str]:
        """All that can be read: the first stream's shards, then the states of the second's."""
        return list(self._read)

    def first_shard(self, key: str) -> str:
        return at(key, list(self._first))

    def read_second(self) -> None:
        for shard_id in self._second_states():
            self.read(shard_id)

    def put(self, key: str, row: Row) -> None:
        self._now = max(self._now, row.arrival)
        records = self._first[self.first_shard(key)]
        number = 1 + sum(map(len, self._first.values()))
        records.append(Record(number, row.arrival, [Row(row.time, dict(row.values), row.arrival, number, 0)]))

    def read(self, shard_id: str, most: int = 1_000) -> bool:
        """One batch of a shard; whether there was anything to read."""
        begun = self._read[shard_id]
        if shard_id in self._first:
            self._settle(shard_id)
            batch = self._first[shard_id][begun : begun + most]
        else:
            waiting = self._second[shard_id.rpartition("/")[2]][begun : begun + most]
            batch = [
                rekey.read_record(number, arrival, json.loads(data))
                for number, (arrival, data) in enumerate(waiting, start=begun)
            ]
        if not batch:
            return False
        log = self._logs[shard_id]
        shard = log.load() if self._chance.random() < 0.3 else self._warm[shard_id]
        outcome = shard.process(batch)
        log.save(shard, outcome)
        self._warm[shard_id] = shard
        self._read[shard_id] += len(batch)
        self.sent += [item for item in outcome.outbox if item.kind != rekey.ITEM]
        if shard_id in self._first:
            clock = {name: outcome.change[name] for name in ("newest", "arrived", "watermark")}
            self._seen[shard_id] = Seen(False, json.loads(json.dumps(clock)))
            self._owed[shard_id] = [item for item in outcome.outbox if item.kind == rekey.ITEM]
            if self._chance.random() < 0.8:
                self._settle(shard_id)
        return True

    def _settle(self, shard_id: str) -> None:
        """What a commit owes the second stream is sent: in any order, part of it perhaps more than once."""
        owed, self._owed[shard_id] = self._owed[shard_id], []
        again = [item for item in owed if self._chance.random() < 0.2]
        for part in (again, owed):
            self._chance.shuffle(part)
            for item in part:
                for record in puts(json.loads(json.dumps(item.body))):
                    body = {k: v for k, v in item.body.items() if k != "partition_key"}
                    stream = self._second[at(record.partition_key, list(self._second))]
                    stream.append((self._now, json.dumps(body)))
        self._seen[shard_id].is_settled = True

    def tick(self, now: float) -> None:
        """What each shard of the first stream has come to, into each of the second."""
        idle = {one: self._read[one] == len(records) for one, records in self._first.items()}
        told = rekey.mark(
            now,
            {one: (self._seen[one], idle[one]) for one in self._first},
            self.pipeline.lateness.total_seconds(),
        )
        self._now = now
        for waiting in self._second.values():
            waiting.append((now, json.dumps(told)))
        for shard_id in self._first:
            shard = self._warm[shard_id]
            due = shard.due()
            if idle[shard_id] and self._seen[shard_id].is_settled and due is not None and due <= now:
                outcome = shard.advance(now)
                self._logs[shard_id].save(shard, outcome)
                self.sent += outcome.outbox

    def drain(self) -> None:
        while self._waits():
            for shard_id in self.shards:
                self.read(shard_id)
            for shard_id in self._first:
                self._settle(shard_id)

    def _waits(self) -> bool:
        waiting = [
            self._first[one] if one in self._first else self._second[one.rpartition("/")[2]]
            for one in self._read
        ]
        is_read = [read == len(each) for read, each in zip(self._read.values(), waiting, strict=True)]
        return not all(is_read) or any(self._owed.values())

    def due(self) -> list[float]:
        """When the shards of the second stream await something."""
        dues = [self._warm[shard_id].due() for shard_id in self._second_states()]
        return [due for due in dues if due is not None]


def name(number: int) -> str:
    return f"shardId-{number:012d}"


def at(key: str, shards: list[str]) -> str:
    """The shard that Kinesis would put a partition key into."""
    return shards[place(key) * len(shards) // PLACES]


def alone(pipeline: Pipeline, rows: Iterable[Row], ticks: Iterable[float]) -> list[Item]:
    """What one shard says that has all events, and to the ticks after them."""
    shard = Shard(pipeline, name(0))
    sent: list[Item] = []
    for number, row in enumerate(rows, start=1):
        made = Row(row.time, dict(row.values), row.arrival, number, 0)
        sent += shard.process([Record(number, row.arrival, [made])]).outbox
    for now in ticks:
        sent += shard.advance(now).outbox
    return sent


def content(items: Iterable[Item]) -> dict[str, list[str]]:
    """What was sent by kind, in any order, without what is made of a shard's name."""
    found: dict[str, list[str]] = {}
    for item in items:
        told = {name: value for name, value in item.body.items() if name not in IDS}
        found.setdefault(item.kind, []).append(json.dumps(told, sort_keys=True))
    return {kind: sorted(told) for kind, told in found.items()}
