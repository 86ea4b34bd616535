"""Whatever fails, wherever: nothing is lost, nothing doubled, nothing seen that was not committed."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from docs import faults
from lambdas.effects import session
from lambdas.effects.state_log import Conflict, StateLog
from lambdas.streaming.shard import Shard
from pipelines.temperature.pipeline import pipeline
from tests.effects.support import BUCKET, Faults, refusal, silence
from tests.handlers.fault_matrix import EFFECTS, FAILURES, Effect, heat, text
from tests.handlers.support import (
    NOON,
    SHARD,
    World,
    deploy,
    detect_event,
    expected,
    numbered,
    put,
    reading,
    tick_event,
    until_done,
)

NAMED = pipeline.named("temperature")
HEATS = [20, 31, 32, 46, 25, 33, 20, 20]
RECORDS = numbered(
    [reading(f"sensor-{second % 2}", heat, NOON + second) for second, heat in enumerate(HEATS)]
)


@pytest.fixture
def world(aws: Faults, monkeypatch: pytest.MonkeyPatch) -> World:  # noqa: ARG001 - the account it is in
    monkeypatch.setattr(session, "ENTRIES_A_BASE", 2)
    return deploy(monkeypatch, "temperature")


def is_about(*endings: str) -> Callable[[dict[str, Any]], bool]:
    return lambda request: str(request.get("Key", "")).endswith(endings)


def test_the_page_has_the_effects_and_the_ways_that_are_tried() -> None:
    def as_it_is(effect: Effect, failure: str) -> str:
        return faults.shown().get((effect.name, failure), "missing")

    assert faults.page(as_it_is) == faults.PAGE.read_text(), (
        "docs/faults.md is stale. Write it anew: make docs"
    )


@pytest.mark.semantics(line=3, clause="fault")
@pytest.mark.semantics(line=3, clause="after")
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.name)
def test_an_effect_fails_at_each_of_its_turns(effect: Effect, failure: str) -> None:
    """Nothing is lost, doubled or seen too early, and it goes as the page says."""
    assert text(effect, failure) == faults.shown()[effect.name, failure]


def check_nothing_rash(world: World) -> None:
    assert set(world.seen()) <= world.committed()


def check(world: World) -> None:
    seen = world.seen()
    assert set(seen) == world.committed()
    assert seen == expected(NAMED, RECORDS)
    # The queue itself knows a change that it is sent again; the alert function would know it by its version.
    changes = [row["change_id"] for row in world.messages()]
    assert len(changes) == len(set(changes))
    assert set(changes) == {id for kind, id in seen if kind == "incident_change"}
    owing = [entry["n"] for entry in world.entries() if entry["outbox"]]
    assert set(world.objects()) >= {f"{number}.sent" for number in owing}


@pytest.mark.semantics(line=3, clause="after")
def test_a_container_that_dies_between_commit_and_sending_is_followed_by_one_that_sends(
    world: World, aws: Faults
) -> None:
    aws.before("send_message_batch", KeyboardInterrupt())  # nothing catches it, as nothing catches a crash
    with pytest.raises(KeyboardInterrupt):
        world.container("lambdas.detect").handler(detect_event(RECORDS[:2]), None)
    assert (world.objects(), world.seen()) == (["1.entry"], {})
    world.container("lambdas.detect").handler(detect_event(RECORDS[:2]), None)
    assert world.objects() == ["1.entry", "1.sent"]
    assert len(aws.requested("send_message_batch")) == 2
    assert set(world.seen()) == world.committed()
    assert [row["state"] for row in world.messages()] == ["opened"]


@pytest.mark.semantics(line=3, clause="lost")
def test_a_commit_whose_answer_was_lost_is_not_done_twice(world: World, aws: Faults) -> None:
    aws.after("put_object", silence(), when=is_about(".entry"))
    world.container("lambdas.detect").handler(detect_event(RECORDS), None)
    assert world.objects() == ["1.entry", "1.sent"]
    check(world)


@pytest.mark.semantics(line=3, clause="commit")
@pytest.mark.parametrize("same_batch", [True, False])
def test_of_two_racing_writers_one_wins_and_the_other_starts_over(
    world: World, aws: Faults, same_batch: bool
) -> None:
    slow, fast = world.container("lambdas.detect"), world.container("lambdas.detect")
    for each in (slow, fast):
        each.handler(detect_event(RECORDS[:2]), None)  # the second sees a replay
    raced: list[dict[str, Any]] = []

    def lets_the_other_go_first(call: Any, request: dict[str, Any]) -> Any:
        if not raced:
            raced.append({})
            fast.handler(detect_event(RECORDS[2:] if same_batch else RECORDS[2:4]), None)
            raced[0] = world.entries()[0]
            check_nothing_rash(world)
        return call(**request)

    aws.answering("put_object", lets_the_other_go_first)
    slow.handler(detect_event(RECORDS[2:]), None)
    assert raced[0] in world.entries()  # as the winner wrote it
    check(world)


def test_a_log_that_others_keep_writing_gets_a_sentence(world: World, aws: Faults) -> None:
    log = StateLog(BUCKET, "temperature")
    writing: list[bool] = []

    def always_too_late(call: Any, request: dict[str, Any]) -> Any:
        if not writing:
            writing.append(True)
            number = 10**12 - int(request["Key"].rpartition("/")[2].removesuffix(".entry"))
            log.commit(SHARD, number, Shard(NAMED, SHARD).process([]))
            writing.clear()
        return call(**request)

    aws.answering("put_object", always_too_late)
    with pytest.raises(Conflict) as refused:
        world.container("lambdas.detect").handler(detect_event(RECORDS), None)
    assert str(refused.value) == (
        f"The log of temperature/{SHARD} had another writer 5 times in a row; look whether more than one "
        "function or mapping reads the stream for this pipeline."
    )
    assert world.seen() == {}


@pytest.mark.semantics(line=3, clause="fault")
@pytest.mark.parametrize("seed", range(10))
def test_any_schedule_of_batches_ticks_and_failures_comes_to_the_same(
    world: World, aws: Faults, seed: int
) -> None:
    chance = random.Random(seed)
    detect, tick = world.container("lambdas.detect"), world.container("lambdas.tick")
    alone, owed = Shard(NAMED, SHARD), dict[tuple[str, str], dict[str, Any]]()
    now = NOON
    for _ in range(12):
        effect = chance.choice([each for each in EFFECTS if each.scene is heat])
        turn = chance.choice([aws.before, aws.after])
        error = chance.choice([refusal(effect.call, "InternalError", 500), silence()])
        turn(effect.call, error, when=effect.is_meant)
        if chance.random() < 0.3:
            now += chance.choice([5, 61, 2_000])
            until_done(tick, tick_event(now), lambda: check_nothing_rash(world))
            due = alone.due()
            outbox = alone.advance(now).outbox if due is not None and due <= now else []
        else:
            heats = chance.choices([20, 31, 46], k=chance.randint(1, 4))
            sent = put(world, [reading(f"sensor-{chance.randint(0, 2)}", heat, now) for heat in heats])
            until_done(detect, detect_event(sent), lambda: check_nothing_rash(world))
            outbox = alone.process(detect.reader.records(detect_event(sent)["Records"])).outbox
            now += 1
        owed |= {(item.kind, item.id): item.body for item in outbox}
        if chance.random() < 0.3:
            detect, tick = world.container("lambdas.detect"), world.container("lambdas.tick")
    seen = world.seen()
    assert seen == owed
    assert set(seen) == world.committed()
