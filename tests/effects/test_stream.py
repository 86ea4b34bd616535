from types import SimpleNamespace
from typing import Any

import pytest

from lambdas.effects import stream as streams
from lambdas.effects.stream import MOST_READS, PAUSE, Stream
from tests.effects.support import Faults, real, refusal

NAME = "temperature-events"
SHARD = "shardId-000000000000"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were asked for; none is made."""
    asked: list[float] = []
    monkeypatch.setattr(streams, "time", SimpleNamespace(sleep=asked.append))
    return asked


@pytest.fixture
def stream(aws: Faults, pauses: list[float]) -> Stream:  # noqa: ARG001 - its account, and no waiting
    real("kinesis").create_stream(StreamName=NAME, ShardCount=2)
    return Stream(NAME)


def put(count: int = 1) -> list[int]:
    """Puts records into the first shard and returns their numbers."""
    return [
        int(
            real("kinesis").put_record(StreamName=NAME, Data=b"{}", PartitionKey="x", ExplicitHashKey="0")[
                "SequenceNumber"
            ]
        )
        for _ in range(count)
    ]


def behind(milliseconds: list[int]) -> Any:
    """Kinesis answers without records and so far behind, which it may do anywhere in a shard."""

    def answer(call: Any, request: dict[str, Any]) -> Any:
        return call(**request) | {"Records": [], "MillisBehindLatest": milliseconds.pop(0)}

    return answer


def test_every_shard_is_listed(stream: Stream) -> None:
    assert stream.lineage().shard_ids == [SHARD, "shardId-000000000001"]


def test_a_shard_is_idle_when_nothing_came_after_the_last_record(stream: Stream) -> None:
    first, last = put(2)
    assert stream.is_idle(SHARD, last)
    assert not stream.is_idle(SHARD, first)
    assert not stream.is_idle(SHARD, -1)


def test_a_shard_that_never_had_a_record_is_idle(stream: Stream) -> None:
    assert stream.is_idle(SHARD, -1)


@pytest.mark.semantics(line=2, clause="idle")
def test_a_record_that_comes_later_ends_the_idleness(stream: Stream) -> None:
    (last,) = put()
    assert stream.is_idle(SHARD, last)
    put()
    assert not stream.is_idle(SHARD, last)


@pytest.mark.semantics(line=2, clause="idle")
def test_an_empty_answer_is_no_proof_before_the_end_is_reached(stream: Stream, aws: Faults) -> None:
    (last,) = put()
    aws.answering("get_records", behind([5_000, 2_000, 0]))
    assert stream.is_idle(SHARD, last)
    assert len(aws.requested("get_records")) == 3


def test_a_proof_that_takes_too_long_goes_on_at_the_next_tick(stream: Stream, aws: Faults) -> None:
    (last,) = put()
    aws.answering("get_records", behind([1_000] * MOST_READS + [0]))
    assert not stream.is_idle(SHARD, last)
    assert stream.is_idle(SHARD, last)
    assert len(aws.requested("get_shard_iterator")) == 1


def test_a_proof_leaves_reads_to_the_shards_consumers(
    stream: Stream, aws: Faults, pauses: list[float]
) -> None:
    (last,) = put()
    assert stream.is_idle(SHARD, last)
    assert pauses == []  # what is idle is mostly proven by one read
    aws.answering("get_records", behind([1_000] * MOST_READS))
    stream.is_idle(SHARD, last)
    assert pauses == [PAUSE] * (MOST_READS - 1)
    assert 1 / PAUSE < 5  # of all consumers together, a second


def test_an_expired_place_to_go_on_from_is_looked_up_again(stream: Stream, aws: Faults) -> None:
    (last,) = put()
    assert stream.is_idle(SHARD, last)
    expired = real("kinesis").exceptions.ExpiredIteratorException
    aws.before("get_records", expired({"Error": {"Code": "ExpiredIteratorException"}}, "GetRecords"))
    assert stream.is_idle(SHARD, last)


def test_after_a_last_record_that_is_no_longer_kept_the_rest_is_read(stream: Stream, aws: Faults) -> None:
    gone = real("kinesis").exceptions.InvalidArgumentException
    aws.before(
        "get_shard_iterator", gone({"Error": {"Code": "InvalidArgumentException"}}, "GetShardIterator")
    )
    assert stream.is_idle(SHARD, 7)
    put()
    aws.before(
        "get_shard_iterator", gone({"Error": {"Code": "InvalidArgumentException"}}, "GetShardIterator")
    )
    assert not Stream(NAME).is_idle(SHARD, 7)


def test_a_closed_shard_read_to_its_end_is_drained_and_not_idle(stream: Stream, aws: Faults) -> None:
    (last,) = put()

    def closed(call: Any, request: dict[str, Any]) -> Any:
        answer = call(**request)
        del answer["NextShardIterator"]
        return answer | {"MillisBehindLatest": 900}

    aws.answering("get_records", closed)
    assert not stream.is_idle(SHARD, last)  # what comes after its last record comes to its children
    assert stream.is_drained(SHARD, last)


def test_a_closed_shard_with_records_to_read_is_not_drained(stream: Stream) -> None:
    first, last = put(2)
    assert not stream.is_drained(SHARD, first)
    assert stream.is_drained(SHARD, last)


def test_a_stream_that_may_not_be_read_is_not_taken_for_idle(stream: Stream, aws: Faults) -> None:
    aws.before("get_records", refusal("GetRecords", "AccessDeniedException", 400))
    with pytest.raises(Exception, match="AccessDeniedException"):
        stream.is_idle(SHARD, -1)
