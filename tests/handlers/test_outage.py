"""detect's mapping is disabled for ten minutes and then enabled, while events and ticks go on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lambdas.formats.decode import Decoder
from lambdas.model import Row
from lambdas.streaming.shard import Record, Shard
from pipelines import discovery
from tests.effects.support import Faults, keys, real
from tests.handlers.support import NOON, SHARD, Sent, World, deploy, detect_event, put, reading, tick_event

MINUTES = 10
OUT = NOON + 60.0  # when the mapping is disabled
BACK = OUT + 60 * MINUTES
LONG_AFTER = BACK + 3_600
# An incident that seems to be over when the outage begins and goes on within it, then ends; and another one.
BEFORE = [reading("sensor-1", 33, NOON), reading("sensor-1", 20, NOON + 40)]
MEANWHILE = sorted(
    [
        *(reading("sensor-1", 34 if at < 300 else 21, OUT + at) for at in range(0, 600, 20)),
        *(reading("sensor-2", 35 if at < 500 else 20, OUT + at) for at in range(430, 510, 10)),
    ],
    key=lambda each: each.at,
)


@pytest.fixture
def world(aws: Faults, monkeypatch: pytest.MonkeyPatch) -> World:  # noqa: ARG001 - the account it is in
    real("kinesis").create_stream(StreamName="temperature-stream", ShardCount=1)
    return deploy(monkeypatch, "temperature")


def each_minute(began: float) -> Iterator[dict[str, Any]]:
    yield tick_event(began)


def every_ten_seconds(began: float) -> Iterator[dict[str, Any]]:
    for at in range(0, 60, 10):
        yield tick_event(began + at) | {"loop_began": tick_event(began)["scheduled_time"], "pause": 10}


def without_an_outage(records: list[Sent]) -> dict[tuple[str, str], dict[str, Any]]:
    """What one shard says to the records one by one, and long after them, by kind and id."""
    pipeline = discovery.load("temperature")
    decoder, shard = Decoder(pipeline), Shard(pipeline, SHARD)
    outcomes = []
    for record in records:
        rows = [
            part
            for part in decoder.decode(record.data, round(record.at * 1000), sequence=record.sequence)
            if isinstance(part, Row)
        ]
        outcomes.append(shard.process([Record(record.sequence, record.at, rows)]))
    outcomes.append(shard.advance(LONG_AFTER))
    return {(item.kind, item.id): item.body for outcome in outcomes for item in outcome.outbox}


@pytest.mark.semantics(line=2, clause="idle")
@pytest.mark.parametrize("ticks", [each_minute, every_ten_seconds])
def test_an_outage_is_no_silence_and_makes_nothing_late(world: World, ticks: Any) -> None:
    # given
    detect, tick = world.container("lambdas.detect"), world.container("lambdas.tick")
    before = put(world, BEFORE)
    detect.handler(detect_event(before), None)
    known, meanwhile = keys(), list[Sent]()
    # when
    for minute in range(MINUTES):
        began = OUT + 60 * minute
        meanwhile += put(world, [each for each in MEANWHILE if began <= each.at < began + 60])
        for event in ticks(began + 59):
            tick.handler(event, None)
    # then
    assert keys() == known
    # when
    detect.handler(detect_event(meanwhile), None)
    tick.handler(tick_event(LONG_AFTER), None)
    # then
    assert len(meanwhile) == len(MEANWHILE)
    assert world.seen() == without_an_outage(before + meanwhile)
    assert world.rows("late_event") == []
    told = [(row["key"], row["state"]) for row in world.messages()]
    assert told == [(key, state) for key in ("sensor-1", "sensor-2") for state in ("opened", "resolved")]
