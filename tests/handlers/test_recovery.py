"""A log of which something cannot be read: the shard goes on, and nobody sees that anything was amiss."""

import json
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from lambdas.effects import recovery, session
from lambdas.effects.state_log import StateLog, packed, unpacked
from lambdas.streaming.shard import Shard
from lambdas.streaming.taken import Within
from pipelines.temperature.pipeline import pipeline
from tests.effects.support import BUCKET, Faults, body, keys, real, refusal, silence
from tests.handlers.support import (
    NOON,
    ROW_IDS,
    SHARD,
    Sent,
    World,
    deploy,
    detect_event,
    put,
    reading,
    tick_event,
    until_done,
)

NAMED = pipeline.named("temperature")
PREFIX = f"state/temperature/{SHARD}/"
STREAM = "temperature-stream"
Break = Callable[[str], None]


class Story:
    """A shard in its world, and the same shard alone, of which nothing is ever lost."""

    def __init__(self, world: World, aws: Faults) -> None:
        self.world = world
        self.now = NOON
        self.alone = Shard(NAMED, SHARD)
        self.owed: dict[tuple[str, str], dict[str, Any]] = {}
        self.detect, self.tick = world.container("lambdas.detect"), world.container("lambdas.tick")
        self._arrivals: dict[str, float] = {}
        aws.answering("get_records", self._as_they_arrived)

    def _as_they_arrived(self, call: Any, request: dict[str, Any]) -> Any:
        """moto's records arrive by its own clock."""
        answer = call(**request)
        for record in answer["Records"]:
            at = self._arrivals[record["SequenceNumber"]]
            record["ApproximateArrivalTimestamp"] = datetime.fromtimestamp(at, UTC)
        return answer

    def put(self, *heats: float, sensor: str = "sensor-1") -> list[Sent]:
        """Puts records a second apart, which nobody has read yet."""
        sent = self.put_records([reading(sensor, heat, self.now + at) for at, heat in enumerate(heats)])
        self.now += len(heats)
        return sent

    def put_records(self, records: list[Sent]) -> list[Sent]:
        sent = put(self.world, records)
        self._arrivals |= {str(each.sequence): each.at for each in sent}
        return sent

    def batch(self, *heats: float, sensor: str = "sensor-1") -> None:
        self.hand_over(self.put(*heats, sensor=sensor))

    def hand_over(self, sent: list[Sent]) -> None:
        event = detect_event(sent)
        self._owe(self.alone.process(self.detect.reader.batch(event["Records"])[0]).outbox)
        assert until_done(self.detect, event, self.check_nothing_rash) == {"batchItemFailures": []}

    def wait(self, seconds: float) -> None:
        self.now += seconds
        due = self.alone.due()
        self._owe(self.alone.advance(self.now).outbox if due is not None and due <= self.now else [])
        until_done(self.tick, tick_event(self.now), self.check_nothing_rash)

    def restart(self) -> None:
        self.detect, self.tick = self.world.container("lambdas.detect"), self.world.container("lambdas.tick")

    def _owe(self, outbox: Iterable[Any]) -> None:
        self.owed |= {(item.kind, item.id): item.body for item in outbox if item.kind in ROW_IDS}

    def check_nothing_rash(self) -> None:
        assert self.world.seen().items() <= self.owed.items()

    def check(self) -> None:
        """Everybody has seen what comes of the events; the next container begins where nothing was lost."""
        assert self.world.seen() == self.owed
        changes = [row["change_id"] for row in self.world.messages()]
        assert len(changes) == len(set(changes))
        loaded, shard = StateLog(BUCKET, "temperature").load(SHARD), Shard(NAMED, SHARD)
        shard.restore(loaded.base, loaded.changes)
        assert loaded.unsent == []
        assert plain(shard) == plain(self.alone)
        sequences = [int(each) for each in self._arrivals]
        handed_over = self.detect.session.taken.around(SHARD, min(sequences), max(sequences))
        known = Within([*handed_over, *shard.taken.ranges()])
        assert [each for each in sequences if each not in known] == []


def plain(shard: Shard) -> Any:
    """The state without in which batches records came to it: what was read again came in others."""
    return json.loads(json.dumps(shard.snapshot() | {"taken": None, "first": None}))


def break_bits(key: str) -> None:
    content = bytearray(body(key))
    content[-3] ^= 1
    real("s3").put_object(Bucket=BUCKET, Key=key, Body=bytes(content))


def delete(key: str) -> None:
    real("s3").delete_object(Bucket=BUCKET, Key=key)


BREAKS = [break_bits, delete]


def key_of(number: int, kind: str = "entry") -> str:
    return f"{PREFIX}{10**12 - number:012d}.{kind}"


@pytest.fixture
def story(aws: Faults, monkeypatch: pytest.MonkeyPatch) -> Story:
    monkeypatch.setattr(recovery, "PAUSE", 0)
    real("kinesis").create_stream(StreamName=STREAM, ShardCount=1)
    return Story(deploy(monkeypatch, "temperature"), aws)


def an_incident_with_a_tick(story: Story) -> None:
    """Six entries: an incident in two, another sensor, the tick that ends it, and two incidents more."""
    story.batch(31, 32)
    story.batch(46, 20)
    story.batch(20, sensor="sensor-2")
    story.wait(600)
    story.batch(33, 20, sensor="sensor-2")
    story.batch(34)
    assert [name for name in story.world.objects() if name.endswith(".entry")] == [
        f"{number}.entry" for number in range(6, 0, -1)
    ]


@pytest.mark.semantics(line=3, clause="damage")
@pytest.mark.parametrize(("number", "damage"), list(zip(range(1, 7), 3 * BREAKS, strict=True)))
def test_an_entry_is_made_again_as_it_was(story: Story, number: int, damage: Break) -> None:
    an_incident_with_a_tick(story)
    damage(key_of(number))
    story.restart()
    story.batch(35, 20)
    story.check()
    story.wait(600)
    story.check()


@pytest.mark.parametrize("damage", BREAKS)
def test_the_newest_entry_of_which_nothing_was_sent_yet_is_made_again_and_sent(
    story: Story, aws: Faults, damage: Break
) -> None:
    story.batch(20)
    sent = story.put(31, 46)
    aws.before("send_message_batch", refusal("SendMessageBatch", "InternalError", 500), times=9)
    with pytest.raises(Exception, match="InternalError"):
        story.detect.handler(detect_event(sent), None)
    aws.coming.clear()
    damage(key_of(2))
    story.restart()
    story.hand_over(sent)  # as Lambda does, since it failed
    story.check()


def test_the_newest_entry_that_had_nothing_to_say_is_made_again(story: Story) -> None:
    story.batch(31)
    story.batch(32)  # no more than a finding: an entry with a mark
    story.batch(20)
    assert story.world.objects()[0] == "3.entry"
    break_bits(key_of(3))
    story.restart()
    story.batch(25)
    story.check()


def test_a_shard_that_has_fallen_silent_is_mended_by_the_tick(story: Story) -> None:
    story.batch(31)
    story.batch(20)  # it owes nothing, so no mark says how far it came
    break_bits(key_of(2))
    story.restart()
    story.wait(600)
    assert [row["state"] for row in story.world.messages()] == ["opened", "resolved"]
    story.check()


def test_the_tick_reads_the_stream_no_more_once_a_log_is_mended(story: Story, aws: Faults) -> None:
    story.batch(31)
    break_bits(key_of(1))
    story.restart()
    story.wait(10)
    aws.requests.clear()
    story.wait(10)
    assert not aws.requested("get_records")
    story.check()


@pytest.mark.parametrize("is_followed", [True, False])
def test_what_was_late_by_a_tick_that_is_lost_is_late_all_the_same(story: Story, is_followed: bool) -> None:
    story.batch(31)
    story.batch(20)
    story.wait(600)
    if is_followed:
        story.batch(20, sensor="sensor-2")
    break_bits(key_of(3))
    story.restart()
    old = reading("sensor-1", 46, NOON + 5)
    story.hand_over(story.put_records([Sent(story.now, old.data)]))
    story.check()


def test_nothing_that_was_sent_goes_out_again(story: Story, aws: Faults) -> None:
    an_incident_with_a_tick(story)
    break_bits(key_of(3))
    delete(key_of(4))
    story.restart()
    aws.requests.clear()
    story.batch(20)
    assert not aws.requested("send_message_batch")
    assert not aws.requested("put_record_batch")


def test_a_run_of_entries_is_made_again(story: Story) -> None:
    an_incident_with_a_tick(story)
    for number, damage in ((1, delete), (2, break_bits), (3, delete), (6, delete)):
        damage(key_of(number))
    story.restart()
    story.batch(35)
    story.check()


@pytest.mark.parametrize("damage", BREAKS)
def test_bases_that_are_gone_are_made_again_where_their_entries_are_there(
    story: Story, monkeypatch: pytest.MonkeyPatch, damage: Break
) -> None:
    monkeypatch.setattr(session, "ENTRIES_A_BASE", 2)
    an_incident_with_a_tick(story)
    bases = [key for key in keys(prefix=PREFIX) if key.endswith(".base")]
    assert len(bases) > 1
    for key in [*bases, key_of(4)]:
        damage(key)
    story.restart()
    story.batch(35)
    story.check()


def test_what_was_read_again_is_committed_once_and_the_log_is_whole(story: Story, aws: Faults) -> None:
    an_incident_with_a_tick(story)
    break_bits(key_of(2))
    story.restart()
    aws.requests.clear()
    story.batch(35)
    assert len(aws.requested("get_records")) == 1
    story.restart()
    aws.requests.clear()
    story.batch(36)
    assert not aws.requested("get_records")
    assert body(key_of(2)) != body(key_of(3))  # the damaged one is still there for whoever wonders
    story.check()


def test_a_mended_log_is_counted(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    an_incident_with_a_tick(story)
    break_bits(key_of(2))
    story.restart()
    capsys.readouterr()
    story.batch(35)
    counts = counted(capsys)
    assert counts["mended"] == 1
    assert "faults" not in counts


def counted(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    blobs = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    return {name: sum(value) for blob in blobs for name, value in blob.items() if isinstance(value, list)}


@pytest.mark.parametrize(
    ("number", "operation", "is_after"),
    [
        (2, "list_objects_v2", False),
        (2, "get_object", False),
        (2, "get_records", True),
        (2, "put_object", True),
        (6, "get_shard_iterator", False),
        (6, "put_object", False),
        (6, "put_object", True),
    ],
)
def test_mending_that_fails_half_way_is_begun_again(
    story: Story, aws: Faults, number: int, operation: str, is_after: bool
) -> None:
    an_incident_with_a_tick(story)
    if number == 6:
        delete(key_of(6, "sent"))
    break_bits(key_of(number))
    story.restart()
    (aws.after if is_after else aws.before)(operation, silence())
    story.batch(35)
    story.check()


@pytest.mark.parametrize("number", [2, 6])
@pytest.mark.parametrize("operation", ["get_records", "put_object"])
def test_two_who_mend_at_the_same_time_do_not_disturb_each_other(
    story: Story, aws: Faults, number: int, operation: str
) -> None:
    an_incident_with_a_tick(story)
    if number == 6:
        delete(key_of(6, "sent"))
    break_bits(key_of(number))
    story.restart()
    other, raced = story.world.container("lambdas.tick"), list[bool]()
    known = aws.answers.get(operation)

    def the_other_mends_first(call: Any, request: dict[str, Any]) -> Any:
        if not raced:
            raced.append(True)
            other.session.run(SHARD, lambda _: None)
        return known(call, request) if known else call(**request)

    aws.answering(operation, the_other_mends_first)
    story.batch(35)
    assert raced
    story.check()


def test_a_container_that_remembers_the_state_needs_no_log(story: Story, aws: Faults) -> None:
    an_incident_with_a_tick(story)
    break_bits(key_of(5))
    aws.requests.clear()
    story.batch(35)
    assert not aws.requested("get_records")


def test_a_writer_whose_lost_answer_meets_a_damaged_entry_begins_again(story: Story, aws: Faults) -> None:
    story.batch(31)
    broken: list[bool] = []

    def saved_and_broken(call: Any, request: dict[str, Any]) -> Any:
        answer = call(**request)
        if not broken and request["Key"] == key_of(2):
            broken.append(True)
            break_bits(key_of(2))
            raise silence()
        return answer

    aws.answering("put_object", saved_and_broken)
    sent = story.put(46)
    story.detect.handler(detect_event(sent), None)  # does not fail
    assert broken
    story.hand_over(sent)
    story.check()


def test_what_has_come_but_was_not_handed_over_yet_is_taken_in_once(story: Story) -> None:
    story.batch(31)
    story.batch(20)
    waiting = story.put(46, 20)
    break_bits(key_of(2))
    story.restart()
    story.hand_over(waiting)
    story.check()


def test_what_came_after_the_newest_was_written_is_left_for_its_own_batch(
    story: Story, aws: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "LATER", -10 * 365 * 86_400)
    story.batch(31)
    story.batch(20)
    break_bits(key_of(2))
    story.restart()
    aws.requests.clear()
    story.tick.session.run(SHARD, lambda _: None)
    last = unpacked(body(key_of(3)))
    assert last is not None
    assert last["change"]["sequence"] == last["change"]["before"]["sequence"]


class Forgetful:
    """A stream whose oldest records are over."""

    def __init__(self, story: Story, aws: Faults, until: int) -> None:
        self._known = aws.answers["get_records"]
        self._until = until
        aws.answering("get_records", self)

    def __call__(self, call: Any, request: dict[str, Any]) -> Any:
        answer = self._known(call, request)
        answer["Records"] = [one for one in answer["Records"] if int(one["SequenceNumber"]) > self._until]
        return answer


@pytest.mark.parametrize("number", [2, 3])
def test_what_the_stream_has_forgotten_is_lost_loudly_and_the_shard_goes_on(
    story: Story,
    aws: Faults,
    number: int,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    story.batch(31)
    story.batch(20, sensor="sensor-2")
    story.batch(20, sensor="sensor-3")
    Forgetful(story, aws, story.alone.sequence)
    break_bits(key_of(number))
    story.restart()
    capsys.readouterr()
    event = detect_event(story.put(46, sensor="sensor-4"))
    assert story.detect.handler(event, None) == {"batchItemFailures": []}
    assert [row["key"] for row in story.world.messages()] == ["sensor-1", "sensor-4"]
    errors = [vars(record)["reason"] for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["the stream has forgotten the record that they follow"]
    assert counted(capsys)["faults"] == 1


def test_a_log_of_which_nothing_is_left_begins_with_what_the_stream_has(
    story: Story, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session, "ENTRIES_A_BASE", 2)
    an_incident_with_a_tick(story)
    for key in keys(prefix=PREFIX):
        if key > key_of(4) or key.endswith(".base"):
            delete(key)
    break_bits(key_of(5))
    story.restart()
    story.batch(35, 20)
    (error,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert vars(error)["reason"] == "nothing is left of the log before it"
    story.check()  # all the same: the stream still had everything


def test_a_backlog_behind_the_newest_entry_is_not_taken_for_a_loss(
    story: Story, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # given more than is processed at once, of which the lost entry had a part
    monkeypatch.setattr(recovery, "MOST_RECORDS", 2)
    monkeypatch.setattr(recovery, "PAGE", 2)
    story.batch(20, 20)
    break_bits(key_of(1))
    waiting = story.put(31, 46, 20, 20)
    story.restart()
    # when
    story.hand_over(waiting)
    # then
    story.check()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("limit", [("MOST_RECORDS", 2), ("MOST_SECONDS", -1)])
def test_more_than_can_be_read_again_is_lost_loudly(
    story: Story, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, limit: tuple[str, float]
) -> None:
    monkeypatch.setattr(recovery, *limit)
    monkeypatch.setattr(recovery, "PAGE", 2)
    story.batch(20, 20)
    story.batch(20, 20, 20)
    break_bits(key_of(1))
    break_bits(key_of(2))
    story.restart()
    story.detect.handler(detect_event(story.put(31)), None)
    assert [row["state"] for row in story.world.messages()] == ["opened"]
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


def test_a_quiet_shard_is_idle_though_not_all_that_it_had_could_be_read_again(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "MOST_SECONDS", -1)
    monkeypatch.setattr(recovery, "PAGE", 2)
    story.batch(20)
    story.batch(31, 32, 33, 34, 35)
    break_bits(key_of(2))
    story.restart()
    until_done(story.tick, tick_event(story.now + 10_000), lambda: None)
    assert [row["state"] for row in story.world.messages()] == ["opened", "resolved"]


@pytest.mark.parametrize("is_followed", [True, False])
def test_what_was_given_up_before_a_lost_entry_is_not_taken_for_part_of_it(
    story: Story, is_followed: bool
) -> None:
    # given
    story.batch(20)
    given_up = story.put(31, sensor="sensor-2")
    story.batch(46, 20)
    if is_followed:
        story.batch(20)
    break_bits(key_of(2))
    story.restart()
    story.batch(20)
    # when
    batch = {"payload": json.dumps(detect_event(given_up))}
    real("s3").put_object(Bucket=BUCKET, Key="given-up", Body=json.dumps(batch).encode())
    answer = story.detect.handler({"redrive": {"bucket": BUCKET, "key": "given-up"}}, None)
    # then
    assert answer["counts"]["redriven"] == 1
    assert [row["key"] for row in story.world.messages()] == ["sensor-1", "sensor-2"]


def test_an_entry_of_an_older_version_does_not_say_what_it_follows(story: Story) -> None:
    an_incident_with_a_tick(story)
    for number in (3, 4, 5, 6):
        entry = unpacked(body(key_of(number)))
        assert entry is not None
        del entry["change"]["before"]
        real("s3").put_object(Bucket=BUCKET, Key=key_of(number), Body=packed(entry))
        real("s3").put_object(Bucket=BUCKET, Key=key_of(number, "sent"), Body=b"")
    break_bits(key_of(2))
    story.restart()
    story.batch(35)
    changes = [row["change_id"] for row in story.world.messages()]
    assert len(changes) == len(set(changes))


@pytest.mark.semantics(line=3, clause="damage")
@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_damaged_whenever_comes_to_the_same(
    story: Story, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(session, "ENTRIES_A_BASE", 3)
    story.batch(20)
    for _ in range(12):
        if chance.random() < 0.3:
            story.wait(chance.choice([5, 61, 2_000]))
        else:
            heats = chance.choices([20, 31, 46], k=chance.randint(1, 3))
            story.batch(*heats, sensor=f"sensor-{chance.randint(0, 2)}")
        if chance.random() < 0.5:
            key = chance.choice([key for key in keys(prefix=PREFIX) if not key.endswith(".sent")])
            # Of a newest entry that is gone with its mark nobody knows that it was there.
            (break_bits if key == keys(prefix=PREFIX)[0] else chance.choice(BREAKS))(key)
            story.restart()
    story.restart()
    story.batch(20)
    story.check()
