"""A shard takes each record once, whatever was given up, redriven, repeated or read anew, in any order."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.columns import Value
from lambdas.model import Row
from lambdas.streaming.shard import Outcome, Record, Shard
from lambdas.streaming.taken import Range
from pipelines.temperature.pipeline import pipeline
from tests.support import SHARD, START

NAMED = pipeline.named("temperature")
RECORDS = 24


def record(number: int) -> Record:
    """One event; numbers are far apart, as Kinesis's are, and all happen at once, so that none is late."""
    values: dict[str, Value] = {"sensor_id": f"sensor-{number}", "temperature": 20.0, "measured_at": START}
    return Record(number * 10**50, START, [Row(START, values, START, number * 10**50)])


@dataclass
class Kept:
    """A shard's log, what was handed over of it, and the shard as a container has it."""

    shard: Shard = field(default_factory=lambda: Shard(NAMED, SHARD))
    base: str | None = None
    changes: list[str] = field(default_factory=list)
    handed_over: list[Range] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)

    def save(self, outcome: Outcome, records: list[Record]) -> None:
        self.changes.append(json.dumps(outcome.change))
        events = outcome.counts.get("events", 0)
        assert events + outcome.counts.get("replayed", 0) == len(records)
        self.taken.append(events)

    def write_base(self) -> None:
        self.handed_over += self.shard.taken.hand_over()
        self.base, self.changes = json.dumps(self.shard.snapshot()), []

    def cold(self) -> None:
        self.shard = Shard(NAMED, SHARD)
        self.shard.restore(json.loads(self.base) if self.base else None, map(json.loads, self.changes))


@pytest.mark.semantics(line=5, clause="redrive")
@given(
    cuts=st.sets(st.integers(1, RECORDS - 1), max_size=8),
    fates=st.lists(st.sampled_from(["taken", "given up", "taken and given up"]), min_size=9, max_size=9),
    repeats=st.lists(st.tuples(st.integers(0, 8), st.booleans(), st.booleans(), st.booleans()), max_size=12),
)
def test_every_record_is_taken_once(
    cuts: set[int], fates: list[str], repeats: list[tuple[int, bool, bool, bool]]
) -> None:
    edges = [0, *sorted(cuts), RECORDS]
    batches = [[record(number) for number in range(*ends)] for ends in itertools.pairwise(edges)]
    kept = Kept()
    for batch, fate in zip(batches, fates, strict=False):
        if fate != "given up":
            kept.save(kept.shard.process(batch), batch)
    given_up = [batch for batch, fate in zip(batches, fates, strict=False) if fate != "taken"]

    taken = [batch for batch, fate in zip(batches, fates, strict=False) if fate == "taken"]
    # when what was given up is redriven in any order, in between repeated, and read anew by other containers
    at_last = [(place, True, False, True) for place in range(len(given_up))]
    for place, is_redrive, is_base, is_cold in [*repeats, *at_last]:
        if is_base:
            kept.write_base()
        if is_cold:
            kept.cold()
        before = kept.shard.sequence
        if is_redrive and given_up:
            batch = given_up[place % len(given_up)]
            kept.save(kept.shard.redrive(batch, kept.handed_over), batch)
            assert kept.shard.sequence == max(before, batch[-1].sequence)
        elif taken:
            kept.save(kept.shard.process(taken[0]), taken[0])
    # then the events of all of them were taken, and none twice
    assert sum(kept.taken) == RECORDS


def test_a_redrive_of_what_was_taken_is_nothing_to_save() -> None:
    shard = Shard(NAMED, SHARD)
    batch = [record(1), record(2)]
    assert not shard.redrive(batch, []).is_empty
    assert shard.redrive(batch, []).is_empty
    assert Shard(NAMED, SHARD).redrive(batch, [(batch[0].sequence, batch[1].sequence)]).is_empty


def test_of_a_batch_that_was_taken_in_part_the_rest_is_taken() -> None:
    shard = Shard(NAMED, SHARD)
    shard.process([record(number) for number in (3, 4)])
    outcome = shard.redrive([record(number) for number in range(1, 7)], [])
    assert outcome.counts["redriven"] == 4
    assert outcome.change["taken"] == [
        [str(first * 10**50), str(last * 10**50)] for first, last in ((1, 2), (5, 6))
    ]


def test_a_log_of_an_older_version_says_of_nothing_that_it_was_taken() -> None:
    shard = Shard(NAMED, SHARD)
    change = shard.process([record(1)]).change
    del change["taken"]
    again = Shard(NAMED, SHARD)
    again.restore(None, [change])
    assert not again.redrive([record(1)], []).is_empty


def test_a_shard_whose_keys_have_gone_to_its_children_lists_what_is_redriven_as_late() -> None:
    shard = Shard(NAMED, SHARD)
    shard.process([record(1)])
    shard.seal()
    outcome = shard.redrive([record(0)], [])
    assert [item.kind for item in outcome.outbox] == ["late_event"]
    assert outcome.counts["late"] == 1
