"""Where a consumer begins in a stream, in which order it reads shards, and what a stream forgets."""

import math
from collections.abc import Iterator
from typing import Any

import pytest

from laptop.kinesis import Kinesis, ShardReader
from tests.laptop.mapped import Seen, failing_on, mapped
from tests.laptop.small_cloud import TEN, SmallCloud, small_cloud

FIRST, SECOND, THIRD, FOURTH, FIFTH = (f"shardId-{number:012}" for number in range(5))
HALF, QUARTER = 2**127, 2**126
HOUR = 3600.0
# Keys that hash to the first and to the second half.
LOW, HIGH = "a", "b"


@pytest.fixture
def cloud() -> Iterator[SmallCloud]:
    with small_cloud() as cloud:
        yield cloud


def put(cloud: SmallCloud, *data: str, key: str = LOW) -> None:
    cloud.kinesis.put("events", [(key, one.encode()) for one in data])


def split(cloud: SmallCloud, shard_id: str = FIRST, at: int = HALF) -> None:
    kinesis = cloud.client("kinesis")
    kinesis.split_shard(StreamName="events", ShardToSplit=shard_id, NewStartingHashKey=str(at))


def merge(cloud: SmallCloud, shard_id: str, adjacent: str) -> None:
    kinesis = cloud.client("kinesis")
    kinesis.merge_shards(StreamName="events", ShardToMerge=shard_id, AdjacentShardToMerge=adjacent)


def listed(cloud: SmallCloud) -> list[str]:
    return [shard["ShardId"] for shard in cloud.client("kinesis").list_shards(StreamName="events")["Shards"]]


def kept(cloud: SmallCloud, shard_id: str = FIRST, **start: Any) -> list[bytes]:
    kinesis, start = cloud.client("kinesis"), start or {"ShardIteratorType": "TRIM_HORIZON"}
    iterator = kinesis.get_shard_iterator(StreamName="events", ShardId=shard_id, **start)["ShardIterator"]
    return [record["Data"] for record in kinesis.get_records(ShardIterator=iterator)["Records"]]


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="LATEST and AT_TIMESTAMP begin after the newest record, or with the first from a time on",
    source="https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html",
    falls_short="at once, where AWS may miss records for minutes; a later shard is read from its beginning",
)
@pytest.mark.parametrize(
    ("position", "seen"),
    [
        ({"StartingPosition": "LATEST"}, ["late", "later"]),
        (
            {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": TEN + 5},
            ["young", "late", "later"],
        ),
    ],
)
def test_mapping_begins_where_it_is_told(
    cloud: SmallCloud, position: dict[str, Any], seen: list[str]
) -> None:
    # given
    source, handler = cloud.stream("events"), Seen()
    put(cloud, "old")
    cloud.wait(5)
    put(cloud, "young")
    mappings = mapped(cloud, source, handler, **position)
    cloud.wait(5)
    put(cloud, "late")
    split(cloud)
    put(cloud, "later")
    # when
    mappings.pump(cloud.wait(1))
    # then
    assert handler.handled == seen


@pytest.mark.fidelity(
    service="Kinesis to Lambda",
    behaviour="without MaximumRetryAttempts a failing batch blocks its shard until its records are too old",
    source="https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html",
    falls_short="it is tried once at every look; what came meanwhile joins the batch",
)
def test_endless_retries_block_a_shard_until_the_record_is_too_old(cloud: SmallCloud) -> None:
    # given
    failures = {"OnFailure": {"Destination": cloud.bucket("failed")}}
    seen = Seen(failing_on("bad"))
    mappings = mapped(
        cloud,
        cloud.stream("events"),
        seen,
        MaximumRetryAttempts=-1,
        MaximumRecordAgeInSeconds=60,
        BisectBatchOnFunctionError=True,
        DestinationConfig=failures,
    )
    put(cloud, "good", "bad")
    cloud.wait(1)
    put(cloud, "next")
    # when, then: what stands before it is done with, what comes after it waits
    assert mappings.pump(cloud.clock.now) == 1
    assert seen.batches == [["good", "bad", "next"], ["good"], ["bad", "next"], ["bad"]]
    assert (mappings.pump(cloud.wait(30)), mappings.drain()) == (0, 0)
    assert seen.batches[4:6] == [["bad", "next"], ["bad"]]
    # when, then: it is given up by its age alone
    assert mappings.pump(cloud.wait(29.5)) == 2
    assert seen.batches[-1] == ["next"]
    assert len(cloud.objects("failed")) == 1


@pytest.mark.fidelity(
    service="Kinesis",
    behaviour="a record is gone when its stream's retention is over, a day unless told otherwise",
    source="https://docs.aws.amazon.com/streams/latest/dev/kinesis-extended-retention.html",
    falls_short=(
        "who goes on after a forgotten record comes to the oldest kept at once; AWS was seen to answer "
        "nothing, a day behind, for a quarter of an hour (harlow/kinesis-consumer, issue 125)"
    ),
)
@pytest.mark.parametrize("hours", [24, 48])
def test_record_is_forgotten_after_its_retention(cloud: SmallCloud, hours: int) -> None:
    # given: the template says how long
    cloud.stream("events")
    cloud.add("AWS::Kinesis::Stream", "events", {"RetentionPeriodHours": hours} if hours != 24 else {})
    cloud.kinesis = Kinesis(cloud)
    seen = Seen()
    mappings = mapped(cloud, "arn:aws:kinesis:us-east-1:123456789012:stream/events", seen)
    put(cloud, "old")
    cloud.wait(HOUR)
    put(cloud, "young")
    # when, then
    cloud.wait((hours - 1) * HOUR)
    assert kept(cloud) == [b"old", b"young"]
    cloud.wait(1)
    assert kept(cloud) == [b"young"]
    assert kept(cloud, ShardIteratorType="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber="1") == [b"young"]
    mappings.pump(cloud.clock.now)
    assert seen.handled == ["young"]


def test_numbers_go_on_after_what_was_forgotten(cloud: SmallCloud) -> None:
    # given
    source, seen = cloud.stream("events"), Seen()
    mappings = mapped(cloud, source, seen)
    put(cloud, "old")
    mappings.pump(cloud.clock.now)
    cloud.wait(25 * HOUR)
    assert kept(cloud) == []
    # when
    put(cloud, "new")
    mappings.pump(cloud.clock.now)
    # then
    assert seen.handled == ["old", "new"]
    assert seen.events[-1]["Records"][0]["kinesis"]["sequenceNumber"] == "2"


@pytest.mark.fidelity(
    service="Kinesis",
    behaviour="a closed shard is listed until its retention is over; its children still name it then",
    source="https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html",
    falls_short="that it is no longer listed from then on is said of what can be read of it",
)
def test_closed_shard_is_listed_as_long_as_its_records_can_be_kept(cloud: SmallCloud) -> None:
    # given
    source, seen = cloud.stream("events"), Seen()
    mappings = mapped(cloud, source, seen)
    put(cloud, "unread")
    split(cloud)
    # when, then
    cloud.wait(24 * HOUR)
    assert listed(cloud) == [FIRST, SECOND, THIRD]
    cloud.wait(1)
    assert listed(cloud) == [SECOND, THIRD]
    answer = cloud.client("kinesis").list_shards(StreamName="events")
    assert [shard["ParentShardId"] for shard in answer["Shards"]] == [FIRST, FIRST]
    # when, then: nobody waits for it
    put(cloud, "child")
    mappings.pump(cloud.clock.now)
    assert seen.handled == ["child"]


def test_grandchild_waits_although_its_own_parent_is_empty(cloud: SmallCloud) -> None:
    # given: the grandparent's record still waits for its window
    source, seen = cloud.stream("events"), Seen()
    mappings = mapped(cloud, source, seen, BatchSize=2, MaximumBatchingWindowInSeconds=10)
    put(cloud, "grandparent")
    split(cloud)
    split(cloud, SECOND, QUARTER)
    put(cloud, "grandchild", "grandchild")
    # when, then
    assert mappings.pump(cloud.wait(9)) == 0
    assert mappings.pump(cloud.wait(1)) == 3
    assert seen.batches == [["grandparent"], ["grandchild", "grandchild"]]


def test_each_consumer_waits_for_its_own_reading_of_the_parents(cloud: SmallCloud) -> None:
    # given: one consumer has read the parent, the other has not
    cloud.stream("events")
    stream = cloud.kinesis.stream("events")
    fast, slow, latest = ShardReader(stream), ShardReader(stream), ShardReader(stream, since=math.inf)
    put(cloud, "parent")
    for reader in (fast, latest):
        for shard_id, records in reader.waiting():
            reader.pass_over(shard_id, records[-1])
    split(cloud)
    put(cloud, "child")
    # when, then
    assert [shard_id for shard_id, _ in fast.waiting()] == [SECOND]
    assert [shard_id for shard_id, _ in latest.waiting()] == [SECOND]
    assert [shard_id for shard_id, _ in slow.waiting()] == [FIRST]


def test_children_of_closed_parents_are_read_in_their_order(cloud: SmallCloud) -> None:
    # given: a split and a merge, and nobody has read anything
    source, seen = cloud.stream("events"), Seen()
    mappings = mapped(cloud, source, seen)
    put(cloud, "1")
    split(cloud)
    put(cloud, "2 low")
    put(cloud, "2 high", key=HIGH)
    merge(cloud, SECOND, THIRD)
    put(cloud, "3")
    split(cloud, FOURTH)
    put(cloud, "4 low")
    # when
    mappings.pump(cloud.clock.now)
    # then
    assert seen.batches == [["1"], ["2 low"], ["2 high"], ["3"], ["4 low"]]
    assert [event["Records"][0]["eventID"].split(":")[0] for event in seen.events] == [
        *(FIRST, SECOND, THIRD, FOURTH, FIFTH)
    ]


@pytest.mark.fidelity(
    service="Kinesis",
    behaviour="an on-demand stream begins with four shards",
    source="https://docs.aws.amazon.com/streams/latest/dev/how-do-i-size-a-stream.html",
    falls_short="it never grows by itself",
)
def test_stream_on_demand_has_four_shards(cloud: SmallCloud) -> None:
    on_demand = {"StreamMode": "ON_DEMAND"}
    cloud.client("kinesis").create_stream(StreamName="events", StreamModeDetails=on_demand)
    assert listed(cloud) == [FIRST, SECOND, THIRD, FOURTH]


@pytest.mark.fidelity(
    service="Kinesis",
    behaviour="MillisBehindLatest is above 0 while there are newer records than those answered",
    source="https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html",
)
def test_reader_of_one_of_two_records_of_one_moment_is_behind(cloud: SmallCloud) -> None:
    # given
    cloud.stream("events")
    put(cloud, "a", "b")
    kinesis, where = cloud.client("kinesis"), {"StreamName": "events", "ShardId": FIRST}
    iterator = kinesis.get_shard_iterator(**where, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    # when, then
    for is_behind in (True, False, False):
        answer = kinesis.get_records(ShardIterator=iterator, Limit=1)
        assert (answer["MillisBehindLatest"] > 0) == is_behind
        iterator = answer["NextShardIterator"]


def test_open_shards_are_counted_after_a_reshard(cloud: SmallCloud) -> None:
    cloud.stream("events")
    split(cloud)
    summary = cloud.client("kinesis").describe_stream_summary(StreamName="events")
    assert summary["StreamDescriptionSummary"]["OpenShardCount"] == 2
