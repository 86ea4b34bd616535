"""Where it is kept which records a shard has taken in."""

import pytest

from lambdas.effects.taken_records import DamagedRanges, TakenRecords
from tests.effects.support import BUCKET, Faults, keys, real

SHARD = "shardId-000000000000"
FAR = 10**55  # as long as real numbers are


@pytest.fixture
def taken(aws: Faults) -> TakenRecords:  # noqa: ARG001 - the account it is in
    return TakenRecords(BUCKET, "temperature")


def around(taken: TakenRecords, first: int, last: int, shard_id: str = SHARD) -> list[tuple[int, int]]:
    return sorted(taken.around(shard_id, FAR + first, FAR + last))


def test_what_spans_a_batch_is_read_and_nothing_else(taken: TakenRecords, aws: Faults) -> None:
    taken.keep(SHARD, 1, [(FAR + 1, FAR + 3)])
    taken.keep(SHARD, 2, [(FAR + 20, FAR + 29), (FAR + 4, FAR + 5)])
    taken.keep(SHARD, 3, [(FAR + 30, FAR + 33)])
    taken.keep("shardId-000000000001", 1, [(FAR + 10, FAR + 11)])
    both = [(FAR + 4, FAR + 5), (FAR + 20, FAR + 29)]
    assert around(taken, 10, 12) == both  # within a gap of one object
    assert around(taken, 29, 29) == both
    assert around(taken, 0, 1) == [(FAR + 1, FAR + 3)]
    assert len(aws.requested("get_object")) == 3
    assert around(taken, 34, 99) == []
    assert around(taken, 10, 12, "shardId-000000000002") == []


def test_the_same_again_is_the_same_object_and_nothing_is_none(taken: TakenRecords) -> None:
    taken.keep(SHARD, 1, [])
    assert keys() == []
    for _ in range(2):
        taken.keep(SHARD, 1, [(FAR + 1, FAR + 3)])
    (key,) = keys()
    assert key == f"taken/temperature/{SHARD}/000000000001-{FAR + 1}-{FAR + 3}"


def test_damage_is_a_sentence_and_never_taken_for_nothing(taken: TakenRecords) -> None:
    taken.keep(SHARD, 1, [(FAR + 1, FAR + 3)])
    (key,) = keys()
    real("s3").put_object(Bucket=BUCKET, Key=key, Body=b"")
    with pytest.raises(DamagedRanges, match="so which records were taken in before is not known"):
        around(taken, 1, 1)
