"""Children take over from their parents' logs, whatever fails and whoever else is at it."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from moto.kinesis.models import kinesis_backends

from lambdas.effects.state_log import unpacked
from lambdas.effects.stream import Stream
from lambdas.lineage import PLACES, Lineage, Span, place
from tests.effects.support import BUCKET, Faults, keys, objects, real, refusal, silence
from tests.handlers.support import (
    NOON,
    Sent,
    World,
    deploy,
    detect_event,
    put,
    reading,
    tick_event,
    until_done,
)

STREAM = "temperature-stream"
PARENT, LOW, HIGH, MERGED = (f"shardId-{number:012d}" for number in range(4))
MIDDLE = PLACES // 2
SENSORS = [f"sensor-{number}" for number in range(8)]
LOW_SENSOR = next(sensor for sensor in SENSORS if place(sensor) < MIDDLE)
HIGH_SENSOR = next(sensor for sensor in SENSORS if place(sensor) >= MIDDLE)
OVER = NOON + 3_600


@pytest.fixture
def world(aws: Faults, monkeypatch: pytest.MonkeyPatch) -> World:  # noqa: ARG001 - the account it is in
    return deploy(monkeypatch, "temperature")


def hot(sensor: str, at: float) -> Sent:
    return reading(sensor, 31, at)


def cool(sensor: str, at: float) -> Sent:
    return reading(sensor, 20, at)


def put_into(shard_id: str, records: Sequence[Sent]) -> list[Sent]:
    """Puts records into one shard of the stream; moto's own put would find the closed one."""
    shard = kinesis_backends["123456789012"]["eu-central-1"].streams[STREAM].shards[shard_id]
    return [
        Sent(each.at, each.data, int(shard.put_record("key", b64encode(each.data).decode(), "")))
        for each in records
    ]


def batch(shard_id: str, records: Sequence[Sent]) -> dict[str, Any]:
    event = detect_event(records)
    for record in event["Records"]:
        record["eventID"] = f"{shard_id}:{record['kinesis']['sequenceNumber']}"
    return event


def detected(world: World, shard_id: str, *records: Sent) -> None:
    world.container("lambdas.detect").handler(batch(shard_id, put_into(shard_id, records)), None)


def split() -> None:
    real("kinesis").split_shard(StreamName=STREAM, ShardToSplit=PARENT, NewStartingHashKey=str(MIDDLE))


def merge() -> None:
    real("kinesis").merge_shards(StreamName=STREAM, ShardToMerge=LOW, AdjacentShardToMerge=HIGH)


def ticked(world: World, at: float) -> None:
    world.container("lambdas.tick").handler(tick_event(at), None)


def lives(world: World) -> list[tuple[str, list[str]]]:
    """Each incident's key and states, in the order in which they were told."""
    told: dict[str, tuple[str, list[str]]] = {}
    for row in world.messages():
        told.setdefault(row["incident_id"], (row["key"], []))[1].append(row["state"])
    return sorted(told.values())


def log(shard_id: str) -> list[dict[str, Any]]:
    """A shard's entries, the newest first."""
    found = sorted(objects(f"state/temperature/{shard_id}/"))
    return [unpacked(body) or {} for key, body in found if key.endswith(".entry")]


ENDED = [(sensor, ["opened", "resolved"]) for sensor in sorted([LOW_SENSOR, HIGH_SENSOR])]


@pytest.fixture
def parted(world: World) -> World:
    """A stream that was split while two sensors were hot, one for each child."""
    sent = put(world, [hot(LOW_SENSOR, NOON), hot(HIGH_SENSOR, NOON + 1)])
    world.container("lambdas.detect").handler(detect_event(sent), None)
    split()
    return world


def test_an_incident_goes_on_in_the_child_of_its_key(parted: World) -> None:
    detected(parted, LOW, cool(LOW_SENSOR, NOON + 30))
    detected(parted, HIGH, cool(HIGH_SENSOR, NOON + 30))
    ticked(parted, OVER)
    assert lives(parted) == ENDED
    assert [len(log(shard_id)) for shard_id in (PARENT, LOW, HIGH)] == [2, 2, 2]
    assert set(log(LOW)[-1]["change"]["keys"]["too_hot"]) == {LOW_SENSOR}


def test_the_first_child_seals_the_parents_log_and_the_second_finds_it_so(parted: World, aws: Faults) -> None:
    detected(parted, LOW, cool(LOW_SENSOR, NOON + 30))
    assert [entry["change"].get("closed") for entry in log(PARENT)] == [[["0", str(PLACES - 1), None]], None]
    aws.requests.clear()
    detected(parted, HIGH, cool(HIGH_SENSOR, NOON + 30))
    written = [request["Key"] for request in aws.requested("put_object")]
    assert [key.split("/")[2] for key in written] == [HIGH]


def test_a_seal_that_is_damaged_gives_nobody_the_keys_again(parted: World) -> None:
    # given what the parent gave up before its children took over
    put_into(PARENT, [hot("sensor-9", NOON + 2)])
    detected(parted, LOW, cool(LOW_SENSOR, NOON + 30))
    detected(parted, HIGH, cool(HIGH_SENSOR, NOON + 30))
    seal = next(key for key in keys(prefix=f"state/temperature/{PARENT}/") if key.endswith(".entry"))
    real("s3").put_object(Bucket=BUCKET, Key=seal, Body=b"")
    # when
    ticked(parted, NOON + 40)
    ticked(parted, OVER)
    # then
    assert lives(parted) == ENDED


def test_a_child_asks_once_whom_it_follows(parted: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Stream] = []
    lineage = Stream.lineage

    def ask(stream: Stream) -> Lineage:
        asked.append(stream)
        return lineage(stream)

    monkeypatch.setattr(Stream, "lineage", ask)
    first, second = put_into(LOW, [cool(LOW_SENSOR, NOON + 30), cool(LOW_SENSOR, NOON + 31)])
    parted.container("lambdas.detect").handler(batch(LOW, [first]), None)
    detect = parted.container("lambdas.detect")
    detect.handler(batch(LOW, [second]), None)
    assert len(asked) == 1


EFFECTS: dict[str, tuple[str, str]] = {
    "look for the child's log": ("list_objects_v2", LOW),
    "load the parent's log": ("list_objects_v2", PARENT),
    "load the parent's entry": ("get_object", PARENT),
    "seal the parent's log": ("put_object", PARENT),
    "commit the child's first entry": ("put_object", LOW),
}
FAILURES: dict[str, Callable[[str], BaseException]] = {
    "is refused": lambda operation: refusal(operation, "InternalError", 500),
    "is in conflict": lambda operation: refusal(operation, "ConditionalRequestConflict", 409),
    "times out": lambda _: silence(),
    "kills": lambda _: KeyboardInterrupt(),  # nothing catches it, as nothing catches a crash
}


def is_of(shard_id: str) -> Callable[[dict[str, Any]], bool]:
    return lambda request: f"/{shard_id}/" in request.get("Key", request.get("Prefix", ""))


@pytest.mark.semantics(line=6, clause="claim")
@pytest.mark.parametrize("is_after", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("effect", EFFECTS)
def test_whatever_fails_between_claim_and_first_commit_nothing_is_lost_or_told_twice(
    parted: World, aws: Faults, effect: str, failure: str, is_after: bool
) -> None:
    operation, shard_id = EFFECTS[effect]
    turn = aws.after if is_after else aws.before
    turn(operation, FAILURES[failure](operation), when=is_of(shard_id))
    event = batch(LOW, put_into(LOW, [hot(LOW_SENSOR, NOON + 29), cool(LOW_SENSOR, NOON + 30)]))
    try:
        until_done(parted.container("lambdas.detect"), event, lambda: None)
    except KeyboardInterrupt:
        until_done(parted.container("lambdas.detect"), event, lambda: None)
    assert not any(fault.times for fault in aws.coming)
    ticked(parted, OVER)
    assert lives(parted) == ENDED
    assert len(log(PARENT)) == 2
    ends = [row for row in parted.rows("incident_change") if row["state"] == "resolved"]
    assert {row["key"]: row["findings"] for row in ends} == {LOW_SENSOR: 2, HIGH_SENSOR: 1}


def test_list_shards_that_fails_begins_no_child_anew(parted: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lineage = Stream.lineage

    def refused(_self: Stream) -> Any:
        monkeypatch.setattr(Stream, "lineage", lineage)
        raise refusal("ListShards", "LimitExceededException", 400)

    monkeypatch.setattr(Stream, "lineage", refused)
    event = batch(LOW, put_into(LOW, [cool(LOW_SENSOR, NOON + 30)]))
    detect = parted.container("lambdas.detect")
    with pytest.raises(Exception, match="LimitExceeded"):
        detect.handler(event, None)
    assert log(LOW) == []
    detect.handler(event, None)
    assert set(log(LOW)[-1]["change"]["keys"]["too_hot"]) == {LOW_SENSOR}


@pytest.mark.semantics(line=6, clause="claim")
def test_two_children_that_begin_at_once_each_take_their_own(parted: World, aws: Faults) -> None:
    raced: list[str] = []

    def lets_the_other_go_first(call: Any, request: dict[str, Any]) -> Any:
        if not raced and f"/{PARENT}/" in request["Key"]:
            raced.append(request["Key"])
            detected(parted, HIGH, cool(HIGH_SENSOR, NOON + 30))
        return call(**request)

    aws.answering("put_object", lets_the_other_go_first)
    detected(parted, LOW, cool(LOW_SENSOR, NOON + 30))
    assert raced
    ticked(parted, OVER)
    assert lives(parted) == ENDED
    assert len(log(PARENT)) == 2


def test_a_tick_and_a_batch_that_begin_one_child_at_once_begin_it_once(parted: World, aws: Faults) -> None:
    raced: list[str] = []

    def lets_the_batch_go_first(call: Any, request: dict[str, Any]) -> Any:
        if not raced and f"/{LOW}/" in request["Key"]:
            raced.append(request["Key"])
            detected(parted, LOW, cool(LOW_SENSOR, NOON + 30))
        return call(**request)

    aws.answering("put_object", lets_the_batch_go_first)
    ticked(parted, NOON + 29)
    assert raced
    assert [entry["n"] for entry in log(LOW)] == [1]
    ticked(parted, OVER)
    assert lives(parted) == ENDED


@pytest.mark.semantics(line=6, clause="claim")
def test_a_tick_that_proved_the_parent_idle_before_the_split_loses_to_the_claim(
    world: World, aws: Faults
) -> None:
    sent = put(world, [hot(LOW_SENSOR, NOON), cool(LOW_SENSOR, NOON + 30)])
    world.container("lambdas.detect").handler(detect_event(sent), None)
    tick = world.container("lambdas.tick")
    tick.handler(tick_event(NOON + 40), None)
    done: list[bool] = []

    def splits_meanwhile(call: Any, request: dict[str, Any]) -> Any:
        answer = call(**request)
        if len(aws.requested("get_records")) == 2 and not done:  # once it is looked up, once it is loaded
            done.append(True)
            split()
            detected(world, LOW, hot(LOW_SENSOR, NOON + 50))
        return answer

    aws.answering("get_records", splits_meanwhile)
    tick.handler(tick_event(OVER), None)
    assert done
    assert [entry["n"] for entry in log(PARENT)] == [2, 1]  # the seal, and no entry of the tick's
    assert lives(world) == [(LOW_SENSOR, ["opened"])]


@pytest.mark.semantics(line=6, clause="claim")
def test_a_warm_container_of_the_parent_does_not_write_on_over_the_seal(world: World) -> None:
    detect = world.container("lambdas.detect")
    sent = put(world, [hot(LOW_SENSOR, NOON), hot(HIGH_SENSOR, NOON + 1)])
    detect.handler(detect_event(sent), None)
    split()
    detected(world, LOW, cool(LOW_SENSOR, NOON + 30))
    straggler = Sent(NOON + 5, hot(HIGH_SENSOR, NOON + 5).data, sent[-1].sequence + 1)
    detect.handler(detect_event([straggler]), None)
    assert [entry["n"] for entry in log(PARENT)] == [3, 2, 1]
    assert [row["key"] for row in world.rows("late_event")] == [HIGH_SENSOR]
    detected(world, HIGH, cool(HIGH_SENSOR, NOON + 30))
    ticked(world, OVER)
    assert lives(world) == ENDED


def test_what_the_parent_owes_is_sent_when_it_is_claimed(world: World, aws: Faults) -> None:
    sent = put(world, [hot(LOW_SENSOR, NOON), hot(HIGH_SENSOR, NOON + 1)])
    aws.before("send_message_batch", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        world.container("lambdas.detect").handler(detect_event(sent), None)
    split()
    detected(world, LOW, cool(LOW_SENSOR, NOON + 30))
    assert lives(world) == [(sensor, ["opened"]) for sensor in sorted([LOW_SENSOR, HIGH_SENSOR])]


def test_a_child_without_records_goes_on_at_the_next_tick(parted: World) -> None:
    ticked(parted, OVER)
    assert lives(parted) == ENDED
    before = keys()
    ticked(parted, OVER + 3_600)
    assert keys() == before


def test_a_child_for_which_nothing_is_due_is_saved_once(parted: World) -> None:
    ticked(parted, NOON + 5)
    assert [len(log(shard_id)) for shard_id in (PARENT, LOW, HIGH)] == [2, 1, 1]
    before = keys()
    ticked(parted, NOON + 6)
    assert keys() == before


@pytest.mark.semantics(line=6, clause="unclaimed")
def test_a_parents_unread_record_keeps_its_children_from_beginning(parted: World) -> None:
    put_into(PARENT, [cool(LOW_SENSOR, NOON + 2)])
    before = keys()
    ticked(parted, OVER)
    assert keys() == before


@pytest.mark.semantics(line=6, clause="unclaimed")
def test_a_childs_unread_record_is_no_silence(parted: World) -> None:
    put_into(LOW, [hot(LOW_SENSOR, NOON + 20)])
    ticked(parted, OVER)
    assert log(LOW) == []
    assert dict(lives(parted)) == {LOW_SENSOR: ["opened"], HIGH_SENSOR: ["opened", "resolved"]}


def test_after_a_batch_of_the_parent_that_was_given_up_its_other_child_still_goes_on(parted: World) -> None:
    put_into(PARENT, [cool(LOW_SENSOR, NOON + 2)])  # Lambda gave it up and went on to the children
    detected(parted, LOW, cool(LOW_SENSOR, NOON + 30))
    ticked(parted, OVER)
    assert lives(parted) == ENDED


def test_a_stream_that_was_never_used_writes_nothing_when_it_is_split(world: World) -> None:
    split()
    ticked(world, OVER)
    assert keys() == []


@pytest.mark.semantics(line=6, clause="closed")
def test_a_merged_shard_takes_over_from_both_and_keeps_what_each_had_closed(parted: World) -> None:
    detected(parted, LOW, hot(LOW_SENSOR, NOON + 300))
    detected(parted, HIGH, hot(HIGH_SENSOR, NOON + 100))
    merge()
    detected(parted, MERGED, hot(LOW_SENSOR, NOON + 150), hot(HIGH_SENSOR, NOON + 150))
    assert [row["key"] for row in parted.rows("late_event")] == [LOW_SENSOR]
    ticked(parted, OVER + 3_600)
    assert lives(parted) == ENDED
    counted = Counter(row["key"] for row in parted.rows("finding"))
    assert counted == {LOW_SENSOR: 2, HIGH_SENSOR: 3}


def test_a_whole_tree_that_was_never_read_is_claimed_through(parted: World) -> None:
    merge()
    ticked(parted, OVER)
    assert lives(parted) == ENDED
    assert [len(log(shard_id)) for shard_id in (PARENT, LOW, HIGH, MERGED)] == [2, 1, 1, 1]


def test_parents_that_the_stream_has_forgotten_still_leave_their_logs(parted: World) -> None:
    merge()
    merged = real("kinesis").list_shards(StreamName=STREAM)["Shards"][-1]
    shards = kinesis_backends["123456789012"]["eu-central-1"].streams[STREAM].shards
    detected(parted, LOW, cool(LOW_SENSOR, NOON + 30))
    detected(parted, HIGH, cool(HIGH_SENSOR, NOON + 30))
    for shard_id in (PARENT, LOW, HIGH):
        del shards[shard_id]
    assert merged["ParentShardId"] == LOW
    ticked(parted, OVER)
    assert lives(parted) == ENDED


@pytest.mark.semantics(line=6, clause="demand")
def test_four_shards_from_the_start_begin_by_themselves_and_find_what_one_finds(
    aws: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert aws is not None
    real("kinesis").create_stream(StreamName=STREAM, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    world = deploy(monkeypatch, "temperature")
    shards = {
        shard["ShardId"]: Span(
            int(shard["HashKeyRange"]["StartingHashKey"]), int(shard["HashKeyRange"]["EndingHashKey"])
        )
        for shard in real("kinesis").list_shards(StreamName=STREAM)["Shards"]
    }
    assert len(shards) == 4
    for shard_id, span in shards.items():
        mine = [sensor for sensor in SENSORS if place(sensor) in span]
        if mine:
            detected(world, shard_id, *(hot(sensor, NOON + at) for at, sensor in enumerate(mine)))
    ticked(world, OVER)
    assert lives(world) == [(sensor, ["opened", "resolved"]) for sensor in SENSORS]
    assert not any("closed" in entry["change"] for shard_id in shards for entry in log(shard_id))


def test_the_log_says_nothing_of_a_reshard_that_is_over(parted: World) -> None:
    detected(parted, LOW, cool(LOW_SENSOR, NOON + 30))
    assert "closed" not in log(LOW)[0]["change"]
