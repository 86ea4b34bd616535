"""A state is its detector's as it was declared: one that is declared otherwise begins anew, and no other."""

import json
from typing import Any

import pytest

from lambdas.detectors.sequence import Sequence, Step
from lambdas.model import HIGH, Row, minutes
from lambdas.streaming.shard import Shard
from tests.detectors.support import Reading
from tests.streaming.support import SHARD, pipeline, records


def three_hot(name: str, within: int) -> Sequence:
    steps = [Step(when=Reading.temperature > 30, times=3)]
    return Sequence(name=name, steps=steps, within=minutes(within), severity=HIGH, do_first="Look.")


def hot(at: float, sensor: str = "sensor-1") -> Row:
    return Row(at, {"sensor_id": sensor, "temperature": 31.0, "at": at})


@pytest.mark.parametrize("is_base", [True, False], ids=["base", "change"])
@pytest.mark.parametrize(
    ("within", "anew", "found"), [(10, [], ["changed", "kept"]), (20, ["changed"], ["kept"])]
)
def test_a_detector_that_is_declared_otherwise_begins_anew_and_the_others_keep_their_states(
    is_base: bool, within: int, anew: list[str], found: list[str]
) -> None:
    given = records([hot(100.0), hot(101.0), hot(200.0, "sensor-2"), hot(201.0)])
    before = Shard(pipeline(Reading, three_hot("changed", 10), three_hot("kept", 10)), SHARD)
    change: Any = json.loads(json.dumps(before.process(given[:3]).change))
    base = json.loads(json.dumps(before.snapshot()))

    after = Shard(pipeline(Reading, three_hot("changed", within), three_hot("kept", 10)), SHARD)
    after.restore(base if is_base else None, [] if is_base else [change])

    assert after.began_anew == anew
    outbox = [*after.process(given[3:]).outbox, *after.advance(1_000.0).outbox]
    assert sorted(item.body["detector"] for item in outbox if item.kind == "finding") == found
