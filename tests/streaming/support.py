"""A shard driven through its log: cut into batches, saved as JSON and restored between any two of them."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from lambdas.formats.json_objects import Json
from lambdas.model import Event, Pipeline, Row, seconds
from lambdas.streaming.lane import Item
from lambdas.streaming.shard import Record, Shard

SHARD = "shardId-000000000000"


def pipeline(event: type[Event], *detectors: Any, lateness: float = 10, remember: float = 600) -> Pipeline:
    return Pipeline(
        about="a test's",
        event=event,
        detectors=detectors,
        formats=[Json()],
        lateness=seconds(lateness),
        remember=seconds(remember),
        name="test",
    )


def records(rows: Iterable[Row]) -> list[Record]:
    """One record a row, numbered from 1, arriving when it happened or when the one before it arrived."""
    made: list[Record] = []
    arrival = 0.0
    for number, row in enumerate(rows, start=1):
        arrival = max(arrival, row.time)
        made.append(Record(number, arrival, [Row(row.time, dict(row.values), arrival, number, 0)]))
    return made


class Log:
    """What the state log keeps: changes as JSON, a base now and then, and what was sent."""

    def __init__(self, pipeline: Pipeline, *, base_every: int = 3, shard_id: str = SHARD) -> None:
        self.pipeline = pipeline
        self.shard_id = shard_id
        self.base: str | None = None
        self.changes: list[str] = []
        self.sent: list[Item] = []
        self.base_every = base_every

    def load(self) -> Shard:
        shard = Shard(self.pipeline, self.shard_id)
        base = None if self.base is None else json.loads(self.base)
        shard.restore(base, [json.loads(change) for change in self.changes])
        return shard

    def save(self, shard: Shard, outcome: Any) -> bool:
        """Whether there was anything to save."""
        if outcome.is_empty:
            return False
        self.changes.append(json.dumps(outcome.change))
        self.sent += [Item(item.kind, item.id, json.loads(json.dumps(item.body))) for item in outcome.outbox]
        if len(self.changes) == self.base_every:
            self.base, self.changes = json.dumps(shard.snapshot()), []
        return True


def run(
    pipeline: Pipeline,
    given: Sequence[Record],
    *,
    cuts: Sequence[int] = (),
    cold: bool = False,
    tick: float | None = None,
) -> list[Item]:
    """Everything sent for the records, cut into batches at `cuts`, restored from the log before each if
    `cold`.
    """
    log = Log(pipeline)
    shard = log.load()
    ends = sorted({min(cut, len(given)) for cut in cuts} | {len(given)})
    start = 0
    for end in ends:
        shard = log.load() if cold else shard
        log.save(shard, shard.process(given[start:end]))
        start = end
    if tick is not None:
        shard = log.load() if cold else shard
        log.save(shard, shard.advance(tick))
    return log.sent


def bodies(items: Iterable[Item], kind: str) -> list[dict[str, Any]]:
    return [item.body for item in items if item.kind == kind]
