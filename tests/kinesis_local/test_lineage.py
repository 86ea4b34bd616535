"""Shards that follow each other, on the laptop's Kinesis and on one by other authors, by the same tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, Protocol
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

import laptop.repairs
from lambdas.effects import stream as streams
from lambdas.effects.stream import Stream
from lambdas.lineage import PLACES, Lineage, Parent, Span, place
from laptop.clock import Clock
from stacks.command import CommandError
from tests.effects import support
from tests.effects.support import Faults
from tests.effects.support import aws as aws
from tests.handlers.support import NOON, Sent, World, deploy, detect_event, reading, tick_event
from tests.kinesis_local import server
from tests.kinesis_local.server import kinesis_local

MIDDLE = PLACES // 2
FIRST, SECOND, THIRD, FOURTH = (f"shardId-{number:012}" for number in range(4))
KEYS = [f"sensor-{number}" for number in range(8)]


@dataclass
class OneStream:
    """A stream and its client."""

    client: Any
    name: str

    def shards(self) -> dict[str, dict[str, Any]]:
        pages = self.client.get_paginator("list_shards").paginate(StreamName=self.name)
        return {shard["ShardId"]: shard for page in pages for shard in page["Shards"]}

    def split(self, shard_id: str = FIRST, at: int = MIDDLE) -> None:
        self.client.split_shard(StreamName=self.name, ShardToSplit=shard_id, NewStartingHashKey=str(at))
        self.settle()

    def merge(self, shard_id: str, adjacent: str) -> None:
        self.client.merge_shards(StreamName=self.name, ShardToMerge=shard_id, AdjacentShardToMerge=adjacent)
        self.settle()

    def settle(self) -> None:
        """Wait until Kinesis has done what it was asked for."""
        self.client.get_waiter("stream_exists").wait(
            StreamName=self.name, WaiterConfig={"Delay": 0.02, "MaxAttempts": 500}
        )

    def put(self, *keys: str, data: bytes = b"{}") -> list[tuple[str, int]]:
        """The shard and the number that each key's record got."""
        answers = [self.client.put_record(StreamName=self.name, PartitionKey=key, Data=data) for key in keys]
        return [(answer["ShardId"], int(answer["SequenceNumber"])) for answer in answers]

    def read(self, shard_id: str, limit: int = 10_000) -> list[dict[str, Any]]:
        """What GetRecords answers from a shard's beginning on, until it has caught up or ends."""
        where = {"StreamName": self.name, "ShardId": shard_id, "ShardIteratorType": "TRIM_HORIZON"}
        iterator, answers = self.client.get_shard_iterator(**where)["ShardIterator"], list[dict[str, Any]]()
        while iterator and not (answers and answers[-1]["MillisBehindLatest"] == 0):
            answers.append(self.client.get_records(ShardIterator=iterator, Limit=limit))
            iterator = answers[-1].get("NextShardIterator")
        return answers

    def numbers(self, shard_id: str) -> list[int]:
        answers = self.read(shard_id)
        return [int(record["SequenceNumber"]) for each in answers for record in each["Records"]]


class MakeStream(Protocol):
    def __call__(self, shards: int = 1, name: str = "") -> OneStream: ...


@pytest.fixture(scope="module")
def other() -> Iterator[Any]:
    with kinesis_local() as client:
        yield client


@pytest.fixture(params=["moto", "kinesis-local"])
def kinesis(request: pytest.FixtureRequest, aws: Faults, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ARG001 - its account
    """One of the two, which is the Kinesis of all code under test, too."""
    if request.param == "kinesis-local":
        monkeypatch.setitem(support._clients, "kinesis", request.getfixturevalue("other"))
    monkeypatch.setattr(streams, "time", SimpleNamespace(sleep=lambda _seconds: None))
    return support.real("kinesis")


@pytest.fixture
def make(kinesis: Any) -> Iterator[MakeStream]:
    made = []

    def stream(shards: int = 1, name: str = "") -> OneStream:
        one = OneStream(kinesis, name or f"events-{uuid4()}")
        kinesis.create_stream(StreamName=one.name, ShardCount=shards)
        one.settle()
        made.append(one)
        return one

    yield stream
    for one in made:
        kinesis.delete_stream(StreamName=one.name)


@pytest.mark.parametrize(
    ("code", "outcome"), [("ENOTFOUND", pytest.skip.Exception), ("EINTEGRITY", CommandError)]
)
def test_nothing_but_a_lack_of_network_excuses_from_the_second_kinesis(
    monkeypatch: pytest.MonkeyPatch, code: str, outcome: type[BaseException]
) -> None:
    # given
    def fetch(*_: object) -> None:
        raise CommandError(f"npm error code {code}\nnpm error at https://registry.example/ENOTFOUND")

    monkeypatch.setattr(server, "fetch", fetch)
    # when, then
    with pytest.raises(outcome):
        server.install()


@pytest.mark.fidelity(
    service="Kinesis",
    behaviour=(
        "ListShards gives the children of a split their parent and halves of its places; the parent is "
        "still listed and has an end"
    ),
    source="https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Shard.html",
)
def test_children_of_a_split_name_their_parent_and_share_its_places(make: MakeStream) -> None:
    # given
    stream = make()
    stream.put("a")
    # when
    stream.split(at=MIDDLE + 7)
    # then
    shards = stream.shards()
    assert list(shards) == [FIRST, SECOND, THIRD]
    assert [shards[id].get("ParentShardId") for id in shards] == [None, FIRST, FIRST]
    assert not any("AdjacentParentShardId" in shard for shard in shards.values())
    ended = ["EndingSequenceNumber" in shard["SequenceNumberRange"] for shard in shards.values()]
    assert ended == [True, False, False]
    lineage = Lineage.of(shards.values())
    assert [lineage.span(id) for id in shards] == [Span(), Span(0, MIDDLE + 6), Span(MIDDLE + 7, PLACES - 1)]
    assert lineage.parents(THIRD) == [Parent(FIRST, Span())]
    assert [lineage.is_closed(id) for id in shards] == [True, False, False]


@pytest.mark.fidelity(
    service="Kinesis",
    behaviour="a merged shard has the first as its parent, the second as its adjacent parent, both's places",
    source="https://docs.aws.amazon.com/kinesis/latest/APIReference/API_MergeShards.html",
)
def test_a_merged_shard_names_both_its_parents_and_has_their_places(make: MakeStream) -> None:
    # given
    stream = make(shards=3)
    # when
    stream.merge(SECOND, THIRD)
    # then
    shards = stream.shards()
    assert shards[FOURTH]["ParentShardId"] == SECOND
    assert shards[FOURTH]["AdjacentParentShardId"] == THIRD
    lineage = Lineage.of(shards.values())
    assert lineage.span(FOURTH) == Span(lineage.span(SECOND).first, PLACES - 1)
    assert [lineage.is_closed(id) for id in shards] == [False, True, True, False]


@pytest.mark.fidelity(
    service="Kinesis",
    behaviour="two shards that are not side by side are not merged, nor a closed one split or merged again",
    source="https://docs.aws.amazon.com/kinesis/latest/APIReference/API_MergeShards.html",
)
def test_what_cannot_be_resharded_is_refused(make: MakeStream) -> None:
    # given
    stream = make(shards=4)
    first, second, third, fourth = stream.shards()
    stream.merge(second, third)
    known = list(stream.shards())
    # when, then
    with pytest.raises(ClientError, match="InvalidArgument"):
        stream.merge(first, fourth)
    with pytest.raises(ClientError, match=r"InvalidArgument|ResourceInUse"):
        stream.split(third, at=MIDDLE + 1000)
    with pytest.raises(ClientError, match=r"InvalidArgument|ResourceInUse"):
        stream.merge(first, second)
    assert list(stream.shards()) == known


@pytest.mark.fidelity(
    service="Kinesis",
    behaviour="who reads a closed shard to its end gets no next iterator, and its children's ids and places",
    source="https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html",
)
def test_a_closed_shards_end_names_its_children(make: MakeStream) -> None:
    # given
    stream = make()
    stream.put("a", "b", "c")
    assert stream.read(FIRST)[-1]["NextShardIterator"]
    stream.split()
    # when
    *before, last = stream.read(FIRST, limit=2)
    # then
    assert all(answer["NextShardIterator"] for answer in before)
    assert not any(answer.get("ChildShards") for answer in before)
    assert last.get("NextShardIterator") is None
    shards = stream.shards()
    assert last["ChildShards"] == [
        {"ShardId": id, "ParentShards": [FIRST], "HashKeyRange": shards[id]["HashKeyRange"]}
        for id in (SECOND, THIRD)
    ]


def test_both_parents_of_a_merged_shard_name_it_at_their_ends(make: MakeStream) -> None:
    # given
    stream = make(shards=2)
    # when
    stream.merge(FIRST, SECOND)
    # then
    for parent in (FIRST, SECOND):
        (child,) = stream.read(parent)[-1]["ChildShards"]
        assert (child["ShardId"], sorted(child["ParentShards"])) == (THIRD, [FIRST, SECOND])


@pytest.mark.fidelity(
    service="Kinesis",
    behaviour="numbers grow within a shard, and a child's are larger than all of its parents'",
    source="https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-resharding-split.html",
    falls_short="the page says it of one key's records; the numbers are 1, 2, 3 …, not of 56 digits",
)
def test_a_childs_numbers_are_larger_than_its_parents(make: MakeStream) -> None:
    # given
    stream = make()
    stream.put(*KEYS)
    # when
    stream.split()
    stream.put(*KEYS)
    stream.merge(SECOND, THIRD)
    stream.put(*KEYS)
    # then
    found = {id: stream.numbers(id) for id in stream.shards()}
    assert [len(found[id]) for id in (FIRST, FOURTH)] == [8, 8]
    assert all(numbers == sorted(set(numbers)) for numbers in found.values())
    assert max(found[FIRST]) < min(found[SECOND] + found[THIRD])
    assert max(found[SECOND] + found[THIRD]) < min(found[FOURTH])


@pytest.mark.fidelity(
    service="Kinesis",
    behaviour="a shard is read from a number of its own or its StartingSequenceNumber on, from no other's",
    source="https://github.com/mhart/kinesalite/blob/master/actions/getShardIterator.js",
    falls_short="the message is the laptop's own; shards that begin together have the same numbers",
)
def test_a_child_is_not_read_from_its_parents_numbers_on(make: MakeStream) -> None:
    # given
    stream = make()
    ((_, parents),) = stream.put(KEYS[0])
    stream.split()
    ((child, own),) = stream.put(KEYS[0])
    first = stream.shards()[child]["SequenceNumberRange"]["StartingSequenceNumber"]
    where = {"StreamName": stream.name, "ShardId": child, "ShardIteratorType": "AT_SEQUENCE_NUMBER"}
    # when, then
    with pytest.raises(ClientError, match=r"InvalidArgument|ResourceNotFound"):
        stream.client.get_shard_iterator(**where, StartingSequenceNumber=str(parents))
    for number in (first, str(own)):
        iterator = stream.client.get_shard_iterator(**where, StartingSequenceNumber=number)["ShardIterator"]
        (record,) = stream.client.get_records(ShardIterator=iterator)["Records"]
        assert int(record["SequenceNumber"]) == own


@pytest.mark.fidelity(
    service="Kinesis",
    behaviour="a record goes to the open shard that has the place of its partition key's MD5",
    source="https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html",
)
def test_a_key_goes_where_its_md5_says(make: MakeStream) -> None:
    # given
    stream = make(shards=3)
    keys = [f"é {number}" for number in range(20)]
    reshards: list[Callable[[], None]] = [
        lambda: None,
        lambda: stream.split(SECOND),
        lambda: stream.merge(FIRST, FOURTH),
    ]
    for reshard in reshards:
        # when
        reshard()
        taken = stream.put(*keys)
        # then
        lineage = Lineage.of(stream.shards().values())
        for key, (shard_id, _) in zip(keys, taken, strict=True):
            assert place(key) in lineage.span(shard_id)
            assert not lineage.is_closed(shard_id)
        assert len({shard_id for shard_id, _ in taken}) > 1


@pytest.mark.fidelity(
    service="Kinesis",
    behaviour="UpdateShardCount to twice or half the number splits or merges every shard",
    source="https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html",
    falls_short="other numbers make shards of unequal size",
)
def test_shards_are_doubled_and_halved(make: MakeStream) -> None:
    # given
    stream = make(shards=2)
    for target in (4, 2):
        # when
        stream.client.update_shard_count(
            StreamName=stream.name, TargetShardCount=target, ScalingType="UNIFORM_SCALING"
        )
        stream.settle()
        # then
        lineage = Lineage.of(stream.shards().values())
        spans = sorted(
            (lineage.span(id) for id in lineage.shard_ids if not lineage.is_closed(id)),
            key=lambda span: span.first,
        )
        assert (spans[0].first, spans[-1].last) == (0, PLACES - 1)
        assert all(after.first == before.last + 1 for before, after in pairwise(spans))
        sizes = [span.last - span.first for span in spans]
        assert (len(spans), max(sizes) - min(sizes) < 10) == (target, True)


@pytest.mark.semantics(line=2, clause="idle")
@pytest.mark.parametrize(
    ("records", "is_closed", "read", "is_idle", "is_drained"),
    [
        pytest.param(0, False, 0, True, True, id="open and empty"),
        pytest.param(3, False, 2, False, False, id="open and not read to its end"),
        pytest.param(3, False, 3, True, True, id="open and read"),
        pytest.param(0, True, 0, False, True, id="closed and empty"),
        pytest.param(3, True, 0, False, False, id="closed and unread"),
        pytest.param(3, True, 2, False, False, id="closed and not read to its end"),
        pytest.param(3, True, 3, False, True, id="closed and read"),
    ],
)
def test_a_shard_is_proven_idle_or_drained(
    make: MakeStream, records: int, is_closed: bool, read: int, is_idle: bool, is_drained: bool
) -> None:
    # given
    stream = make()
    numbers = [-1, *(number for _, number in stream.put(*KEYS[:records]))]
    if is_closed:
        stream.split()
    # when, then
    code = Stream(stream.name)
    assert code.is_idle(FIRST, numbers[read]) == is_idle
    assert code.is_drained(FIRST, numbers[read]) == is_drained
    if is_closed:
        assert code.is_idle(SECOND, -1)


def test_what_is_forgotten_keeps_no_shard_from_being_idle(
    aws: Faults,  # noqa: ARG001 - its account
) -> None:
    """On moto alone, as the other one's time is the machine's."""
    # given
    clock = Clock(NOON)
    with laptop.repairs.simulated_time(clock):
        kinesis = support.real("kinesis")
        kinesis.create_stream(StreamName="events", ShardCount=1)
        stream, code = OneStream(kinesis, "events"), Stream("events")
        numbers = [number for _, number in stream.put(*KEYS)]
        stream.split()
        # when
        clock.advance_to(NOON + 86_400)
        ((child, number),) = stream.put(KEYS[0])
        # then
        assert not code.is_drained(FIRST, numbers[0])
        # when
        clock.advance_to(NOON + 86_400 + 1)
        # then: it is no longer listed, and what came later is still there
        assert Lineage.of(stream.shards().values()).parents(child) == [Parent(FIRST, Span(), is_listed=False)]
        assert (code.is_idle(child, -1), code.is_idle(child, number)) == (False, True)
        # when
        clock.advance_to(NOON + 3 * 86_400)
        # then
        assert code.is_idle(child, number)
        assert code.is_idle(child, -1)


@dataclass
class Consumer:
    """Hands a stream's records to detect as Lambda does, parents before their children."""

    world: World
    stream: OneStream
    sent: dict[tuple[str, int], Sent]  # by shard and number: what was put, and when it is to have arrived

    def put(self, at: float, temperature: float, *keys: str) -> None:
        for key in keys:
            record = reading(key, temperature, at)
            ((shard_id, number),) = self.stream.put(key, data=record.data)
            self.sent[shard_id, number] = Sent(record.at, record.data, number)

    def consume(self) -> list[str]:
        """Hand over what has come, and return the shards that it came from."""
        detect, shards = self.world.container("lambdas.detect"), list[str]()
        for shard_id in sorted(self.stream.shards()):
            places = [(shard_id, number) for number in self.stream.numbers(shard_id)]
            if batch := [self.sent.pop(one) for one in places if one in self.sent]:
                event = detect_event(batch)
                for record, one in zip(event["Records"], batch, strict=True):
                    record["eventID"] = f"{shard_id}:{one.sequence}"
                assert detect.handler(event, None) == {"batchItemFailures": []}
                shards.append(shard_id)
        return shards

    def tick(self, at: float) -> None:
        self.world.container("lambdas.tick").handler(tick_event(at), None)


@pytest.mark.semantics(line=6, clause="each")
def test_incidents_live_on_through_a_split_and_a_merge(
    make: MakeStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: each sensor is hot in the only shard
    stream = make(name="temperature-stream")
    consumer = Consumer(deploy(monkeypatch, "temperature"), stream, {})
    consumer.put(NOON, 31, *KEYS)
    assert consumer.consume() == [FIRST]
    # when: it is split, half of the sensors cool down in its children, and these are merged; a tick may come
    # at any time
    stream.split()
    by_place = sorted(KEYS, key=place)
    consumer.put(NOON + 10, 20, *by_place[::2])
    consumer.tick(NOON + 11)
    assert consumer.consume() == [SECOND, THIRD]
    stream.merge(SECOND, THIRD)
    consumer.tick(NOON + 12)
    consumer.put(NOON + 20, 20, *by_place[1::2])
    assert consumer.consume() == [FOURTH]
    consumer.tick(NOON + 3_600)
    consumer.tick(NOON + 7_200)
    # then: each incident is opened once and, by what came to another shard, over once
    lives: dict[str, list[tuple[str, int, str]]] = {}
    for change in consumer.world.messages():
        life = change["state"], change["version"], change["incident_id"]
        lives.setdefault(change["key"], []).append(life)
    assert sorted(lives) == KEYS
    for opened, *later in lives.values():
        assert opened[:2] == ("opened", 1)
        assert later == [("resolved", 2, opened[2])]


@pytest.mark.semantics(line=2, clause="idle")
@pytest.mark.semantics(line=6, clause="unclaimed")
def test_children_wait_for_a_parent_that_nobody_has_read(
    make: MakeStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: the last hot readings are still unread in a shard that is closed
    stream = make(name="temperature-stream")
    consumer = Consumer(deploy(monkeypatch, "temperature"), stream, {})
    consumer.put(NOON, 31, *KEYS)
    consumer.consume()
    consumer.put(NOON + 40, 31, *KEYS)
    stream.split()
    # when
    consumer.tick(NOON + 3_600)
    # then: a stalled consumer does not look like silence
    assert [change["state"] for change in consumer.world.messages()] == ["opened"] * len(KEYS)
    # when
    assert consumer.consume() == [FIRST]
    consumer.tick(NOON + 7_200)
    # then: the children take over what has been read, and time goes on in them
    states = {(change["key"], change["state"]) for change in consumer.world.messages()}
    assert states == {(key, "resolved") for key in KEYS}
