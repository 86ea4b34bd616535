"""Both stages of re-keying in the same two functions, by a stream of two shards in moto and a second one."""

import json
from base64 import b64decode
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from lambdas.columns import lake_time
from lambdas.effects.second_stream import decoded
from lambdas.lineage import place
from pipelines.casino.pipeline import pipeline as casino
from tests.effects.support import BUCKET, Faults, keys, make_table, real, refusal
from tests.handlers.support import NOON, Sent, World, deploy, detect_event, tick_event
from tests.streaming.rekeying import on_four_shards

FIRST, SECOND = "casino-stream", "casino-second-stream"
LOW, HIGH = "shardId-000000000000", "shardId-000000000001"
GUESTS = {place(guest) >> 127: guest for guest in ("guest-1", "guest-2", "guest-3", "guest-4")}
TABLES = [f"state/casino/rekeyed/table_id/{shard}/" for shard in (LOW, HIGH)]


class Casino:
    """The deployed functions and their two streams, which are read when a test says so."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._read: dict[tuple[str, str], int] = {}
        self.detect = world.container("lambdas.detect")
        self.tick = world.container("lambdas.tick")

    def bet(self, half: int, second: float, won: float, table: str = "table-1") -> None:
        """A bet of a guest of the first or the second shard, so many seconds after noon."""
        event = {
            "play_id": f"{half}-{second}-{won}",
            "customer_id": GUESTS[half],
            "table_id": table,
            "action": "bet",
            "gaming_event": won,
            "played_at": lake_time(NOON + second),
        }
        data = json.dumps(event).encode()
        real("kinesis").put_record(StreamName=FIRST, Data=data, PartitionKey=GUESTS[half])

    def records(self, stream: str, shard_id: str) -> list[dict[str, Any]]:
        where = {"StreamName": stream, "ShardId": shard_id, "ShardIteratorType": "TRIM_HORIZON"}
        iterator = real("kinesis").get_shard_iterator(**where)["ShardIterator"]
        found: list[dict[str, Any]] = real("kinesis").get_records(ShardIterator=iterator)["Records"]
        return found

    def marks(self) -> list[dict[str, Any]]:
        held = [decoded(each["Data"]) for shard in (LOW, HIGH) for each in self.records(SECOND, shard)]
        return [each for each in held if "reaches" in each]

    def event(self, stream: str, shard_id: str) -> dict[str, Any] | None:
        """What has not been read of a shard, as Lambda hands it over."""
        first = self._read.get((stream, shard_id), 0)
        new = self.records(stream, shard_id)[first:]
        self._read[stream, shard_id] = first + len(new)
        at = NOON if stream == FIRST else NOON + 600
        batch = [Sent(at, each["Data"], int(each["SequenceNumber"])) for each in new]
        event = detect_event(batch)
        for record in event["Records"]:
            record["eventID"] = record["eventID"].replace(LOW, shard_id)
            record["eventSourceARN"] = f"arn:aws:kinesis:eu-central-1:123456789012:stream/{stream}"
            if stream == FIRST:
                record["kinesis"]["approximateArrivalTimestamp"] = NOON + seconds_of(record)
        return event if batch else None

    def read(self, stream: str, *shard_ids: str) -> None:
        for shard_id in shard_ids or (LOW, HIGH):
            event = self.event(stream, shard_id)
            if event is not None:
                assert self.detect.handler(event, None) == {"batchItemFailures": []}

    def split(self) -> tuple[str, str]:
        """Splits the second stream's shard that has the table's records, when they have been read; the child
        that goes on with them, and the other.
        """
        (shard_id,) = [shard for shard in (LOW, HIGH) if self.records(SECOND, shard)]
        self.read(SECOND)
        middle = (0 if shard_id == LOW else 2**127) + 2**126
        real("kinesis").split_shard(StreamName=SECOND, ShardToSplit=shard_id, NewStartingHashKey=str(middle))
        below, above = "shardId-000000000002", "shardId-000000000003"
        return (below, above) if place("table-1") < middle else (above, below)

    def found(self) -> list[tuple[str, str]]:
        return [(row["key"], row["found_at"][11:19]) for row in self.world.rows("finding")]


def seconds_of(record: dict[str, Any]) -> float:
    """How long after noon an event of the first stream happened."""
    played_at = json.loads(b64decode(record["kinesis"]["data"]))["played_at"]
    return datetime.fromisoformat(f"{played_at}+00:00").timestamp() - NOON


@pytest.fixture
def played(aws: Faults, monkeypatch: pytest.MonkeyPatch) -> Casino:  # noqa: ARG001 - the account it is in
    monkeypatch.setattr("time.sleep", lambda _: None)
    tables = on_four_shards(casino)
    only = [one for one in tables.detectors if one.name == "chips_run_low"]
    monkeypatch.setattr("pipelines.casino.pipeline.pipeline", replace(tables, detectors=only))
    for stream in (FIRST, SECOND):
        real("kinesis").create_stream(StreamName=stream, ShardCount=2)
    guests = json.dumps({"guests": make_table("guests-table", "customer_id")})
    return Casino(
        deploy(monkeypatch, "casino", FRESHET_SECOND_STREAM=SECOND, FRESHET_REFERENCE_TABLES=guests)
    )


def test_a_table_is_seen_though_its_guests_are_in_two_shards(played: Casino) -> None:
    # given
    played.bet(0, 0, 1_500)
    played.bet(1, 1, 1_500)
    # when
    played.read(FIRST)
    played.read(SECOND)
    played.tick.handler(tick_event(NOON + 60), None)
    played.read(SECOND)
    # then
    assert played.found()[0] == ("table-1", "12:00:02")
    assert [row["state"] for row in played.world.messages()] == ["opened"]
    assert any(keys(prefix=each) for each in TABLES)


def test_a_shard_whose_records_are_not_read_is_no_silence(played: Casino) -> None:
    # given what one shard has handed on, and what the other still has to read
    played.bet(0, 0, 1_500)
    played.bet(1, 1, 1_500)
    played.read(FIRST, LOW)
    played.read(SECOND)
    # when time goes on
    for minute in (1, 2):
        played.tick.handler(tick_event(NOON + 60 * minute), None)
        played.read(SECOND)
    assert played.found() == []
    assert played.marks()[-1]["reaches"][HIGH] is None
    # then it is detected as if it had come at once
    played.read(FIRST)
    played.read(SECOND)
    played.tick.handler(tick_event(NOON + 180), None)
    played.read(SECOND)
    assert played.found()[0] == ("table-1", "12:00:02")
    assert played.world.rows("late_event") == []


def test_a_shard_that_cannot_be_asked_is_reported_and_waited_for(played: Casino, aws: Faults) -> None:
    played.bet(0, 0, 1_500)
    played.read(FIRST)
    played.read(SECOND)

    def refuses_one(call: Any, request: dict[str, Any]) -> Any:
        if request["ShardId"] == HIGH:
            raise refusal("GetShardIterator", "InternalFailure", 500)
        return call(**request)

    aws.answering("get_shard_iterator", refuses_one)
    with pytest.raises(ExceptionGroup, match="The tick failed in 1 shards"):
        played.tick.handler(tick_event(NOON + 60), None)
    assert played.marks()[-1]["reaches"] == {LOW: NOON + 50, HIGH: None}


def test_a_quiet_shard_whose_newest_entry_is_damaged_is_told_the_time_all_the_same(played: Casino) -> None:
    # given an incident, and a log of which it is known how far it had come, but not what it awaits
    played.bet(0, 0, 1_500)
    played.bet(1, 1, 1_500)
    played.read(FIRST)
    played.read(SECOND)
    played.tick.handler(tick_event(NOON + 60), None)
    played.read(SECOND)
    newest = next(key for prefix in TABLES for key in keys(prefix=prefix) if key.endswith(".entry"))
    real("s3").put_object(Bucket=BUCKET, Key=newest, Body=b"")
    # when
    played.tick = played.world.container("lambdas.tick")
    played.detect = played.world.container("lambdas.detect")
    played.tick.handler(tick_event(NOON + 86_400), None)
    played.read(SECOND)
    # then
    assert [row["state"] for row in played.world.messages()] == ["opened", "resolved"]


def test_with_nothing_due_no_mark_is_put(played: Casino, aws: Faults) -> None:
    played.bet(0, 0, 1)
    played.read(FIRST)
    played.read(SECOND)
    aws.requests.clear()
    played.tick.handler(tick_event(NOON + 1), None)
    assert not aws.requested("put_records")
    assert not aws.requested("put_object")
    for minute in (1, 2, 3, 30):
        played.tick.handler(tick_event(NOON + 60 * minute), None)
        played.read(SECOND)
    assert len(played.marks()) == 2  # one in each shard: after it nothing is awaited


def test_what_a_crash_left_unsent_is_sent_by_the_tick(played: Casino, aws: Faults) -> None:
    played.bet(0, 0, 1_500)
    aws.before("put_records", KeyboardInterrupt())
    event = played.event(FIRST, LOW)
    with pytest.raises(KeyboardInterrupt):
        played.detect.handler(event, None)
    assert not any(played.records(SECOND, shard) for shard in (LOW, HIGH))
    played.tick.handler(tick_event(NOON + 1), None)
    played.detect.handler(event, None)
    assert sum(len(played.records(SECOND, shard)) for shard in (LOW, HIGH)) == 1


def test_a_batch_of_the_second_stream_that_was_given_up_is_redriven(played: Casino) -> None:
    # given
    played.bet(0, 0, 1_500)
    played.bet(1, 1, 1_500)
    played.read(FIRST)
    (shard_id,) = [shard for shard in (LOW, HIGH) if played.records(SECOND, shard)]
    payload = json.dumps(played.event(SECOND, shard_id))
    real("s3").put_object(Bucket=BUCKET, Key="given-up", Body=json.dumps({"payload": payload}))
    # when
    place_of = {"redrive": {"bucket": BUCKET, "key": "given-up"}}
    counts = [played.detect.handler(place_of, None)["counts"] for _ in range(2)]
    # then
    assert [(each["redriven"], each.get("rekeyed", 0)) for each in counts if "redriven" in each] == [(2, 2)]
    assert counts[1]["replayed"] == 2
    played.tick.handler(tick_event(NOON + 60), None)
    played.read(SECOND)
    assert played.found()[0] == ("table-1", "12:00:02")


def test_a_child_in_the_second_stream_that_nothing_comes_to_gets_a_mark(played: Casino, aws: Faults) -> None:
    # given a parent whose keys one child has claimed, for both
    played.bet(0, 0, 1_500)
    played.read(FIRST)
    _, other = played.split()
    somebodys = detect_event([Sent(NOON + 1, b"no record of ours", 1)])
    for record in somebodys["Records"]:
        record["eventID"] = f"{other}:1"
        record["eventSourceARN"] = f"arn:aws:kinesis:eu-central-1:123456789012:stream/{SECOND}"
    played.detect.handler(somebodys, None)
    # when
    aws.requests.clear()
    played.tick.handler(tick_event(NOON + 2), None)
    # then
    (marks,) = aws.requested("put_records")
    assert len(marks["Records"]) == 3  # one for each open shard


def test_a_child_in_the_second_stream_goes_on_with_its_parents_keys(played: Casino) -> None:
    # given a window that is open when the table's shard is split
    played.bet(0, 0, 1_500)
    played.read(FIRST)
    child, _ = played.split()
    # when
    played.bet(1, 1, 1_500)
    played.read(FIRST)
    played.tick.handler(tick_event(NOON + 60), None)
    played.read(SECOND, child)
    # then
    assert played.found()[0] == ("table-1", "12:00:02")
