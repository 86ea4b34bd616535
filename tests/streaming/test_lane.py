"""Which keys a detector's lane keeps, in which order they leave, and what a batch writes of them."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.columns import count
from lambdas.detectors.detector import Detector
from lambdas.detectors.window import Window
from lambdas.model import HIGH, Row, Said, hours
from lambdas.streaming.shard import Shard
from tests.detectors.support import Reading
from tests.streaming.support import SHARD, pipeline, records

MOST = 5


def counting(most: int) -> Window:
    return Window(
        name="counting", every=hours(1), also=[count()], max_keys=most, severity=HIGH, do_first="Look."
    )


def seen(*keys: str) -> list[Row]:
    """An event of each key, none of which is ever late."""
    return [Row(1_000.0, {"sensor_id": key, "temperature": 20.0, "at": 1_000.0}) for key in keys]


def written(change: dict[str, Any]) -> dict[str, Any]:
    keys: dict[str, Any] = change["keys"]["counting"]
    return keys


@pytest.mark.semantics(line=8, clause="keys")
@settings(max_examples=200, deadline=None)
@given(
    batches=st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=12), max_size=6),
    cold=st.booleans(),
)
def test_least_recently_seen_leave_first_and_are_written_in_that_order(
    batches: list[list[str]], cold: bool
) -> None:
    declared = pipeline(Reading, counting(MOST))
    shard, kept, changes = Shard(declared, SHARD), OrderedDict[str, int](), list[Any]()
    number = 0
    for batch in batches:
        touched: set[str] = set()
        for key in batch:
            kept[key] = kept.pop(key, 0) + 1
            touched.add(key)
            if len(kept) > MOST:
                touched.add(kept.popitem(last=False)[0])
        given_records = records(seen(*batch))
        for record in given_records:
            record.sequence += number
        number += len(batch)
        if cold:
            shard = Shard(declared, SHARD)
            shard.restore(None, changes)

        outcome = shard.process(given_records)

        changes.append(outcome.change)
        gone = sorted(touched - kept.keys())
        assert list(written(outcome.change)) == gone + [key for key in kept if key in touched]
        assert list(written(shard.snapshot())) == list(kept)
        assert [kept_events(written(shard.snapshot())[key]) for key in kept] == list(kept.values())


def kept_events(saved: Any) -> int:
    (_, panes, _), _ = saved
    ((_, _, ((events,),)),) = panes
    return int(events)


@pytest.mark.semantics(line=8, clause="touched")
def test_a_batch_that_touches_a_hundred_keys_of_many_writes_a_hundred() -> None:
    shard = Shard(pipeline(Reading, counting(20_000)), SHARD)
    shard.process(records(seen(*(f"sensor-{number}" for number in range(20_000)))))
    given_records = records(seen(*(f"sensor-{number}" for number in range(0, 20_000, 200)), "sensor-200"))
    for record in given_records:
        record.sequence += 20_000

    change = shard.process(given_records).change

    assert list(written(change))[:3] == ["sensor-0", "sensor-400", "sensor-600"]
    assert list(written(change))[-1] == "sensor-200"
    assert len(written(change)) == 100


@dataclass(frozen=True, kw_only=True)
class Tally(Detector[list[int]]):
    """A user's own detector: it has nothing to say, knows no blank state, and cannot stand one value."""

    def begin(self) -> list[int]:
        return [0]

    def save(self, state: list[int]) -> Any:
        return list(state)

    def observe(self, state: list[int], row: Row) -> Iterable[Said] | None:
        state[0] += 1
        if row.values["temperature"] == 13.0:
            raise ValueError
        return None


def test_keys_that_begin_with_something_each_have_a_state_of_their_own() -> None:
    shard = Shard(pipeline(Reading, Tally(name="counting", severity=HIGH, do_first="Look.")), SHARD)
    rows = seen("unlucky", "a", "b", "a")
    rows[0].values["temperature"] = 13.0

    outcome = shard.process(records(rows))

    assert {key: saved for key, (saved, _) in written(outcome.change).items()} == {
        "unlucky": [0],
        "b": [1],
        "a": [2],
    }
    assert outcome.faults == ["counting raised ValueError"]
