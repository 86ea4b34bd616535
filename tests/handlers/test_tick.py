from typing import Any

import pytest

from tests.effects.support import Faults, keys, real, refusal
from tests.handlers.support import NOON, SHARD, Sent, World, deploy, detect_event, put, reading, tick_event

# A hot reading opens an incident; a cool one later clears it, and a minute after that it is over.
HOT = reading("sensor-1", 31, NOON)
COOL = reading("sensor-1", 20, NOON + 30)
OVER = NOON + 30 + 60 + 10 + 1  # settle, lateness, and the arrival's own delay


@pytest.fixture
def world(aws: Faults, monkeypatch: pytest.MonkeyPatch) -> World:  # noqa: ARG001 - the account it is in
    return deploy(monkeypatch, "temperature")


def detected(world: World, *records: Sent) -> None:
    world.container("lambdas.detect").handler(detect_event(put(world, records)), None)


def states(world: World) -> list[str]:
    return [row["state"] for row in world.messages()]


@pytest.mark.semantics(line=2, clause="passes")
def test_silence_resolves_an_incident(world: World) -> None:
    detected(world, HOT, COOL)
    world.container("lambdas.tick").handler(tick_event(OVER), None)
    assert states(world) == ["opened", "resolved"]
    assert world.objects() == ["2.entry", "2.sent", "1.entry", "1.sent"]
    assert {row["change_id"] for row in world.rows("incident_change")} == {
        id for kind, id in world.committed() if kind == "incident_change"
    }


@pytest.mark.semantics(line=2, clause="nothing")
def test_nothing_due_reads_one_entry_and_writes_nothing(world: World, aws: Faults) -> None:
    detected(world, HOT, COOL)
    before = keys()
    aws.requests.clear()
    world.container("lambdas.tick").handler(tick_event(NOON + 60), None)
    assert keys() == before
    assert [name for name, _ in aws.requests] == ["list_objects_v2", "get_object"]


@pytest.mark.semantics(line=2, clause="nothing")
def test_a_tick_that_comes_twice_changes_nothing_more(world: World) -> None:
    detected(world, HOT, COOL)
    tick = world.container("lambdas.tick")
    tick.handler(tick_event(OVER), None)
    before = keys()
    tick.handler(tick_event(OVER), None)
    tick.handler(tick_event(OVER + 3_600), None)
    assert keys() == before


@pytest.mark.semantics(line=2, clause="idle")
def test_a_stalled_consumer_does_not_look_like_silence(world: World) -> None:
    detected(world, HOT, COOL)
    put(world, [reading("sensor-1", 32, NOON + 40)])  # nobody has read it yet
    before = keys()
    world.container("lambdas.tick").handler(tick_event(OVER + 3_600), None)
    assert keys() == before
    assert states(world) == ["opened"]


def test_a_warm_tick_goes_on_from_what_detect_has_saved_since(world: World) -> None:
    tick = world.container("lambdas.tick")
    detect = world.container("lambdas.detect")
    detect.handler(detect_event(put(world, [HOT, COOL])), None)
    tick.handler(tick_event(OVER), None)
    detect.handler(
        detect_event(put(world, [reading("sensor-2", 33, OVER), reading("sensor-2", 20, OVER + 1)])), None
    )
    tick.handler(tick_event(OVER + 90), None)
    assert [(row["key"], row["state"]) for row in world.messages()] == [
        ("sensor-1", "opened"),
        ("sensor-1", "resolved"),
        ("sensor-2", "opened"),
        ("sensor-2", "resolved"),
    ]


@pytest.mark.semantics(line=3, clause="commit")
def test_a_stale_warm_detect_starts_over_on_the_ticks_entry(world: World, aws: Faults) -> None:
    detect = world.container("lambdas.detect")
    detect.handler(detect_event(put(world, [HOT, COOL])), None)
    world.container("lambdas.tick").handler(tick_event(OVER), None)
    aws.requests.clear()
    detect.handler(detect_event(put(world, [reading("sensor-1", 33, OVER)])), None)
    assert [request["Key"] for request in aws.requested("put_object") if request.get("IfNoneMatch")] == [
        f"state/temperature/{SHARD}/{10**12 - number:012d}.entry" for number in (2, 3)
    ]
    # The tick's entry is followed, not overwritten: the old incident is over and another one begins.
    assert states(world) == ["opened", "resolved", "opened"]
    assert len({row["incident_id"] for row in world.rows("incident_change")}) == 2


@pytest.mark.semantics(line=3, clause="after")
def test_what_a_dead_detect_still_owes_is_sent_by_the_tick(world: World, aws: Faults) -> None:
    aws.before("send_message_batch", refusal("SendMessageBatch", "InternalError", 500))
    with pytest.raises(Exception, match="InternalError"):
        detected(world, HOT, COOL)
    assert states(world) == []
    world.container("lambdas.tick").handler(tick_event(NOON + 60), None)
    assert states(world) == ["opened"]
    assert world.objects() == ["1.entry", "1.sent"]


def test_a_shard_without_a_log_is_left_alone(world: World) -> None:
    put(world, [HOT])
    world.container("lambdas.tick").handler(tick_event(OVER), None)
    assert keys() == []


def test_one_shards_failure_does_not_stop_the_others_time(world: World, aws: Faults) -> None:
    real("kinesis").update_shard_count(
        StreamName="temperature-stream", TargetShardCount=2, ScalingType="UNIFORM_SCALING"
    )
    detected(world, HOT, COOL)
    aws.before(
        "list_objects_v2",
        refusal("ListObjectsV2", "AccessDenied", 403),
        when=lambda request: SHARD not in request["Prefix"],
        times=9,
    )
    with pytest.raises(ExceptionGroup, match="The tick failed in 2 shards of temperature-stream"):
        world.container("lambdas.tick").handler(tick_event(OVER), None)


def test_each_shard_comes_first_in_its_turn(world: World, aws: Faults) -> None:
    real("kinesis").update_shard_count(
        StreamName="temperature-stream", TargetShardCount=2, ScalingType="UNIFORM_SCALING"
    )
    tick, first = world.container("lambdas.tick"), set[str]()
    for minute in range(3):
        aws.requests.clear()
        tick.handler(tick_event(NOON + 60 * minute), None)
        first.add(aws.requested("list_objects_v2")[0]["Prefix"])
    assert len(first) == 3


def test_every_minute_of_an_hour_costs_one_listing_and_one_read(world: World, aws: Faults) -> None:
    detected(world, reading("sensor-1", 20, NOON))
    tick = world.container("lambdas.tick")
    aws.requests.clear()
    for minute in range(60):
        tick.handler(tick_event(NOON + 60 * minute), None)
    assert {name for name, _ in aws.requests} == {"list_objects_v2", "get_object"}
    assert len(aws.requests) == 120


def test_a_busy_shard_costs_a_tick_no_state(world: World, aws: Faults) -> None:
    detected(world, *(reading(f"sensor-{number}", 32, NOON + number) for number in range(3)))
    put(world, [reading("sensor-1", 32, NOON + 40)])  # there is more to read, so the shard is not idle
    aws.requests.clear()
    world.container("lambdas.tick").handler(tick_event(OVER), None)
    assert [name for name, _ in aws.requests if name in ("list_objects_v2", "get_object")] == [
        "list_objects_v2",
        "get_object",
    ]


# --- several times a minute


def loop_event(at: float, began: float) -> dict[str, Any]:
    """What the state machine says to a tick of its loop, ten seconds after the one before."""
    return tick_event(at) | {"loop_began": tick_event(began)["scheduled_time"], "pause": 10}


def ticks_of_a_minute(world: World, began: float) -> list[float]:
    """When a loop ticks that began then, in seconds after that."""
    tick, at = world.container("lambdas.tick"), began
    while tick.handler(loop_event(at, began), None)["again"]:
        at += 10
    return [10.0 * number for number in range(round((at - began) / 10) + 1)]


@pytest.mark.semantics(line=2, clause="clock")
def test_a_loop_ends_at_once_where_nothing_is_awaited(world: World) -> None:
    assert ticks_of_a_minute(world, NOON) == [0]
    detected(world, reading("sensor-1", 20, NOON))
    assert ticks_of_a_minute(world, NOON + 60) == [0]


@pytest.mark.semantics(line=2, clause="clock")
def test_a_loop_ends_at_once_where_nothing_is_due_within_its_minute(world: World) -> None:
    detected(world, HOT, COOL)  # due at OVER, 101 s after noon
    assert ticks_of_a_minute(world, OVER - 60.5) == [0]


@pytest.mark.semantics(line=2, clause="clock")
def test_a_loop_goes_on_until_what_is_due_is_done(world: World) -> None:
    detected(world, HOT, COOL)
    assert ticks_of_a_minute(world, OVER - 35) == [0, 10, 20, 30, 40]
    assert states(world) == ["opened", "resolved"]


def test_a_loop_leaves_the_next_minute_to_the_next_loop(world: World) -> None:
    detected(world, HOT, COOL)
    put(world, [reading("sensor-1", 32, NOON + 40)])  # nobody has read it: it stays due and is not done
    assert ticks_of_a_minute(world, OVER) == [0, 10, 20, 30, 40, 50]


def test_a_schedules_own_tick_is_never_wanted_again(world: World) -> None:
    detected(world, HOT, COOL)
    assert world.container("lambdas.tick").handler(tick_event(OVER - 5), None) == {"again": False}
