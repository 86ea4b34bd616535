"""What is promised of streams holds for every pipeline, those that are declared only among them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from random import Random

import pytest

from lambdas.columns import Boolean, Column, Integer, Text, Timestamp, Value
from lambdas.detectors.detector import Detector
from lambdas.formats.decode import Decoder
from lambdas.model import Pipeline, Row
from lambdas.streaming.lane import Item
from lambdas.streaming.shard import Record, Shard
from pipelines import discovery
from pipelines.cases import enriched, reference_values
from tests.streaming.schedules import Consumer
from tests.streaming.support import SHARD, Log
from tests.support import START
from tests.test_declarations import DECLARED_ONLY, load

NAMES = sorted([*discovery.names(), *DECLARED_ONLY])
LATER = START + 100_000.0
SECRET = "hush-hush"


def is_whole(detector: object) -> bool:
    """Whether a detector has its logic; some declarations name detectors that have none yet."""
    return getattr(type(detector), "begin", None) is not Detector.begin


@cache
def given(name: str) -> tuple[Pipeline, list[Record]]:
    """A pipeline with those of its detectors that can run, and ten minutes of its events."""
    pipeline = load(name)
    pipeline = replace(pipeline, detectors=[each for each in pipeline.detectors if is_whole(each)])
    return pipeline, list(played(pipeline) if name in discovery.names() else made_up(pipeline))


def played(pipeline: Pipeline) -> Iterator[Record]:
    module = importlib.import_module(f"pipelines.{pipeline.name}.traffic")
    known = reference_values(pipeline, module.references(5) if hasattr(module, "references") else {})
    decoder = Decoder(pipeline)
    for number, sent in enumerate(module.traffic(seed=5, start=START, seconds=600), start=1):
        parts = list(decoder.decode(sent.data, round(sent.at * 1000), sequence=number))
        rows = [enriched(part, pipeline, known) for part in parts if isinstance(part, Row)]
        yield Record(number, sent.at, rows, len(parts) - len(rows))


def made_up(pipeline: Pipeline) -> Iterator[Record]:
    """Events of which some are out of order, some late and some come twice."""
    chance = Random(pipeline.name)
    id, time = pipeline.event.id, pipeline.event.time
    columns = dict(pipeline.event.columns)
    for reference in pipeline.references.values():
        columns |= {column.label: column for column in reference.columns.values()}
    records: list[Record] = []
    for number in range(1, 601):
        at = START + number + chance.uniform(0, 0.9)
        happened = round(at - chance.choice((0, 0.5, 5, 9, 200)), 3)
        values = {label: value_of(column, chance) for label, column in columns.items()}
        if id is not None:
            values[id.name] = f"event-{number}"
        if time is not None:
            values[time.name] = happened
        if number % 20 == 0:  # one of those before comes again
            known = chance.choice(records).rows[0]
            values, happened = dict(known.values), known.time
        records.append(Record(number, at, [Row(happened if time else at, values, at, number)]))
    yield from records


def value_of(column: Column, chance: Random) -> Value:
    if column.private:
        return SECRET
    if isinstance(column, Boolean):
        return chance.random() < 0.5
    if isinstance(column, Timestamp):
        return START
    if isinstance(column, Integer):
        return chance.choice((0, 1, 22, 443, 500, 3_000))
    if isinstance(column, Text):
        return chance.choice(("a", "b", "c", "REJECT", "LCP", "4625", "MISSED"))
    return chance.choice((0.0, 1.5, 50.0, 1_100.0, 9_000.0))


def straight(pipeline: Pipeline, records: list[Record]) -> list[Item]:
    """What is said when each record comes once, by itself, into a shard that nothing ever interrupts."""
    shard = Shard(pipeline, SHARD)
    said = [item for record in records for item in shard.process([record]).outbox]
    return [*said, *shard.advance(LATER).outbox]


@pytest.mark.semantics(line=1, clause="cut")
@pytest.mark.semantics(line=3, clause="replay")
@pytest.mark.semantics(line=3, clause="cold")
@pytest.mark.parametrize("name", NAMES)
def test_how_events_reach_the_detectors_changes_nothing(name: str) -> None:
    pipeline, records = given(name)
    consumer, chance = Consumer(Log(pipeline)), Random(name)

    while len(consumer.had) < len(records):
        consumer.waiting = records[len(consumer.had) :][: chance.choice((1, 7, 60))]
        consumer.deliver(
            again=chance.choice((0, 0, 5, 40)), dies=chance.random() < 0.1, is_cold=chance.random() < 0.3
        )
    consumer.let_pass(round(LATER * 1000))

    assert consumer.log.sent == straight(pipeline, records)
    assert consumer.log.sent or not pipeline.detectors


@pytest.mark.semantics(line=11, clause="shard")
@pytest.mark.parametrize("name", NAMES)
def test_private_values_stay_where_they_came_in(name: str) -> None:
    pipeline, records = given(name)
    owners = [pipeline.event.columns, *(each.columns for each in pipeline.references.values())]
    private = {column.label for columns in owners for column in columns.values() if column.private}
    told = [
        replace(
            record,
            rows=[replace(row, values=row.values | dict.fromkeys(private, SECRET)) for row in record.rows],
        )
        for record in records
    ]
    shard = Shard(pipeline, SHARD)

    outcomes = [shard.process([record]) for record in told]
    left = json.dumps([[each.change, [item.body for item in each.outbox], each.faults] for each in outcomes])

    assert SECRET not in left
    assert SECRET not in json.dumps(shard.snapshot())


@pytest.mark.semantics(line=2, clause="passes")
@pytest.mark.semantics(line=2, clause="nothing")
@pytest.mark.semantics(line=10, clause="life")
@pytest.mark.parametrize("name", NAMES)
def test_quiet_shard_ends_all_that_is_open_and_then_awaits_nothing(name: str) -> None:
    pipeline, records = given(name)
    shard = Shard(pipeline, SHARD)
    said = [item for record in records for item in shard.process([record]).outbox]

    said += shard.advance(LATER).outbox

    newest = {item.body["incident_id"]: item.body["state"] for item in said if item.kind == "incident_change"}
    assert set(newest.values()) <= {"resolved"}
    assert shard.due() is None
    assert shard.advance(LATER + 100_000).is_empty
