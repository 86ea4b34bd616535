"""What a mapping gave up, handed to detect by its place in S3: each record once, whatever fails."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from lambdas.effects import session
from lambdas.streaming.shard import Shard
from pipelines.temperature.pipeline import pipeline
from tests.effects.support import BUCKET, Faults, keys, real, refusal, silence
from tests.handlers.support import (
    NOON,
    SHARD,
    Sent,
    World,
    deploy,
    detect_event,
    expected,
    numbered,
    reading,
    until_done,
)

NAMED = pipeline.named("temperature")
# All happen at once: whatever comes later is not late.
RECORDS = numbered([reading(f"sensor-{place % 2}", 20 + 5 * place, NOON) for place in range(6)])
KEY = f"aws/lambda/mapping/{SHARD}/2026/01/31/batch"
REDRIVE = {"redrive": {"bucket": BUCKET, "key": KEY}}


@pytest.fixture
def world(aws: Faults, monkeypatch: pytest.MonkeyPatch) -> World:  # noqa: ARG001 - the account it is in
    return deploy(monkeypatch, "temperature")


def give_up(records: Sequence[Sent]) -> None:
    document = {"payload": json.dumps(detect_event(records))}
    real("s3").put_object(Bucket=BUCKET, Key=KEY, Body=json.dumps(document).encode())


@pytest.mark.semantics(line=5, clause="redrive")
def test_what_was_given_up_comes_to_what_the_stream_would_have(world: World) -> None:
    detect = world.container("lambdas.detect")
    detect.handler(detect_event(RECORDS[:2]), None)
    give_up(RECORDS[2:])
    answer = detect.handler(REDRIVE, None)
    assert answer["failed"] == []
    assert answer["counts"]["redriven"] == 4
    assert world.seen() == expected(NAMED, RECORDS)
    assert detect.handler(REDRIVE, None)["counts"] == {"replayed": 4}


@pytest.mark.parametrize("is_warm", [True, False], ids=["warm", "cold"])
def test_what_is_older_than_the_log_still_is_known(
    world: World, monkeypatch: pytest.MonkeyPatch, is_warm: bool
) -> None:
    # given a log that writes a base after each entry, and forgets at once
    monkeypatch.setattr(session, "ENTRIES_A_BASE", 1)
    monkeypatch.setattr(session, "KEPT_FOR", -1)
    detect = world.container("lambdas.detect")
    for record in (RECORDS[0], RECORDS[1], RECORDS[4], RECORDS[5]):
        detect.handler(detect_event([record]), None)
    assert "1.entry" not in world.objects()
    assert len(keys(prefix=f"taken/temperature/{SHARD}/")) >= 2
    # when a batch is redriven of which the middle was given up and the rest was taken
    give_up(RECORDS)
    detect = detect if is_warm else world.container("lambdas.detect")
    counts = detect.handler(REDRIVE, None)["counts"]
    assert (counts["redriven"], counts["replayed"]) == (2, 4)
    again = world.container("lambdas.detect").handler(REDRIVE, None)
    assert again["counts"] == {"replayed": 6}


@pytest.mark.semantics(line=5, clause="redrive")
@pytest.mark.parametrize("is_after", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("stays_warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize(
    ("operation", "part"),
    [
        ("list_objects_v2", ""),
        ("get_object", ""),
        ("put_object", ".entry"),
        ("put_object", "taken/"),
        ("put_object", ".base"),
        ("put_object", ".sent"),
        ("send_message_batch", ""),
        ("put_record_batch", ""),
    ],
)
def test_an_effect_that_fails_makes_nothing_lost_or_twice(
    world: World,
    aws: Faults,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    part: str,
    stays_warm: bool,
    is_after: bool,
) -> None:
    monkeypatch.setattr(session, "ENTRIES_A_BASE", 2)
    detect = world.container("lambdas.detect")
    detect.handler(detect_event(RECORDS[:1]), None)
    detect.handler(detect_event(RECORDS[5:]), None)
    give_up(RECORDS[1:5])
    turn = aws.after if is_after else aws.before
    for failure in (refusal(operation, "InternalError", 500), silence()):
        turn(operation, failure, when=lambda request: part in str(request.get("Key", "")))
        until_done(detect, REDRIVE, lambda: None)
        if not stays_warm:
            detect = world.container("lambdas.detect")
    seen = world.seen()
    alone = Shard(NAMED, SHARD)
    read, _ = detect.reader.batch(detect_event(RECORDS)["Records"])
    outcomes = [alone.process(read[:1]), alone.process(read[5:]), alone.redrive(read[1:5], [])]
    items = [item for outcome in outcomes for item in outcome.outbox]
    assert seen == {(item.kind, item.id): item.body for item in items}
    assert set(seen) == world.committed()
    assert detect.handler(REDRIVE, None)["counts"] == {"replayed": 4}


def test_two_that_redrive_at_once_take_each_record_once(world: World, aws: Faults) -> None:
    first, second = world.container("lambdas.detect"), world.container("lambdas.detect")
    give_up(RECORDS)
    racing: list[dict[str, Any]] = []

    def overtaken(call: Any, request: dict[str, Any]) -> Any:
        if request["Key"].endswith(".entry") and not racing:
            racing.append({})
            racing.append(second.handler(REDRIVE, None)["counts"])
        return call(**request)

    aws.answering("put_object", overtaken)
    loser = first.handler(REDRIVE, None)["counts"]
    assert (racing[1]["redriven"], loser) == (6, {"replayed": 6})


@pytest.mark.parametrize("document", [b"no JSON", b"{}", b"[]", b'{"payload": "{}"}', b'{"payload": 7}'])
def test_an_object_that_holds_no_batch_gets_a_sentence(world: World, document: bytes) -> None:
    real("s3").put_object(Bucket=BUCKET, Key=KEY, Body=document)
    with pytest.raises(RuntimeError, match=f"{KEY} holds no records of a stream; read its events from"):
        world.container("lambdas.detect").handler(REDRIVE, None)
    assert world.objects() == []


def test_damaged_ranges_stop_a_redrive_and_no_batch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ENTRIES_A_BASE", 1)
    world.container("lambdas.detect").handler(detect_event(RECORDS[:2]), None)
    (key,) = keys(prefix="taken/")
    real("s3").put_object(Bucket=BUCKET, Key=key, Body=b"damaged")
    give_up(RECORDS[:2])
    detect = world.container("lambdas.detect")
    with pytest.raises(RuntimeError, match=f"{key} is damaged, so which records were taken in before"):
        detect.handler(REDRIVE, None)
    detect.handler(detect_event(RECORDS[2:]), None)
    assert world.seen() == expected(NAMED, RECORDS)
