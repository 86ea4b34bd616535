import hashlib
import random
from base64 import b64encode
from typing import Any

import pytest

from lambdas.effects.outbox import Outbox
from lambdas.effects.second_stream import KIND, SecondStream, decoded, encoded
from lambdas.effects.sending import Owed, Undelivered
from lambdas.effects.stream import Stream
from tests.effects.support import Faults, real, refusal

STREAM = "rekeyed-stream"
PREFIX = "arn:aws:kinesis:eu-central-1:123456789012:stream/"


def item(number: int, key: str = "table-1", *, events: int = 1, text: str = "") -> Owed:
    made = [[60.0, 60.5, str(number + place), 0, text] for place in range(events)]
    body = {
        "partition_key": key,
        "key": "table_id",
        "shard": "shardId-0",
        "columns": ["note"],
        "events": made,
    }
    return Owed(KIND, f"{number}", body)


@pytest.fixture
def second(aws: Faults) -> SecondStream:  # noqa: ARG001 - the account it is in
    real("kinesis").create_stream(StreamName=STREAM, ShardCount=2)
    return SecondStream(STREAM)


def held() -> dict[str, list[tuple[str, Any]]]:
    """Each shard's records: partition key and content."""
    found = {}
    for shard in real("kinesis").list_shards(StreamName=STREAM)["Shards"]:
        where = {"StreamName": STREAM, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = real("kinesis").get_shard_iterator(**where)["ShardIterator"]
        records = real("kinesis").get_records(ShardIterator=iterator, Limit=10_000)["Records"]
        found[shard["ShardId"]] = [(one["PartitionKey"], decoded(one["Data"])) for one in records]
    return found


def numbers() -> list[int]:
    """The sequence number of each event that is there."""
    return sorted(int(event[2]) for part in held().values() for _, body in part for event in body["events"])


@pytest.mark.semantics(line=7, clause="rekeyed")
def test_an_item_goes_where_its_partition_key_does(second: SecondStream) -> None:
    second.send(item(number, f"table-{number % 8}") for number in range(100))
    assert numbers() == list(range(100))
    keys = {key for records in held().values() for key, _ in records}
    assert keys == {f"table-{number}" for number in range(8)}
    for place, records in enumerate(held().values()):
        for key, _ in records:
            assert int(hashlib.md5(key.encode()).hexdigest(), 16) >> 127 == place  # noqa: S324 - Kinesis's own


def test_many_items_keep_to_the_limits_of_a_call(second: SecondStream, aws: Faults) -> None:
    chance = random.Random(1)
    noise = b64encode(chance.randbytes(14_000)).decode()  # as good as incompressible
    second.send(item(number, f"table-{number}", text=noise) for number in range(700))
    calls = [request["Records"] for request in aws.requested("put_records")]
    assert max(map(len, calls)) <= 500
    assert all(
        sum(len(record["Data"]) + len(record["PartitionKey"]) for record in call) <= 5 * 2**20
        for call in calls
    )
    assert numbers() == list(range(700))


def test_an_item_too_large_for_a_record_is_halved_until_it_fits(second: SecondStream) -> None:
    noise = b64encode(random.Random(2).randbytes(300_000)).decode()
    second.send([item(1, events=9, text=noise)])
    records = [body for part in held().values() for _, body in part]
    assert len(records) > 1
    assert numbers() == list(range(1, 10))
    assert all(event[4] == noise for body in records for event in body["events"])


def test_one_event_too_large_for_a_record_is_cut_and_sent(second: SecondStream) -> None:
    noise = b64encode(random.Random(3).randbytes(2_000_000)).decode()
    second.send([item(1, text=noise)])
    ((_, body),) = [one for part in held().values() for one in part]
    assert len(body["events"][0][4]) == 1_001


def test_refused_records_alone_are_sent_again(
    second: SecondStream, aws: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)

    def takes_every_other(call: Any, request: dict[str, Any]) -> Any:
        taken = request["Records"][::2]
        answers = iter(call(StreamName=STREAM, Records=taken)["Records"])
        return {
            "Records": [
                next(answers) if place % 2 == 0 else {"ErrorCode": "ProvisionedThroughputExceededException"}
                for place in range(len(request["Records"]))
            ]
        }

    aws.answering("put_records", takes_every_other)
    second.send(item(number, f"table-{number}") for number in range(16))
    assert [len(request["Records"]) for request in aws.requested("put_records")] == [16, 8, 4, 2, 1]
    assert numbers() == list(range(16))


def test_a_throttled_call_is_tried_again_and_then_given_up(
    second: SecondStream, aws: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    throttled = refusal("PutRecords", "ProvisionedThroughputExceededException", 400)
    aws.before("put_records", throttled, times=3)
    second.send([item(1)])
    assert numbers() == [1]
    aws.before("put_records", throttled, times=99)
    with pytest.raises(Undelivered, match=f"{STREAM} refused 1 of 1 records 9 times, last with Provisioned"):
        second.send([item(2)])


def test_a_mark_reaches_each_open_shard(second: SecondStream, aws: Faults) -> None:
    (low, high) = real("kinesis").list_shards(StreamName=STREAM)["Shards"]
    second.mark({"at": 60.0, "reaches": {}}, Stream(STREAM).lineage())
    assert held() == {shard["ShardId"]: [("mark", {"at": 60.0, "reaches": {}})] for shard in (low, high)}
    start = high["HashKeyRange"]["StartingHashKey"]
    middle = str(int(start) + 2**100)
    real("kinesis").split_shard(StreamName=STREAM, ShardToSplit=high["ShardId"], NewStartingHashKey=middle)
    second.mark({"at": 120.0, "reaches": {}}, Stream(STREAM).lineage())
    # Moto itself would put what is for a child into its parent.
    asked = [record["ExplicitHashKey"] for record in aws.requested("put_records")[-1]["Records"]]
    assert sorted(asked) == sorted(["0", start, middle])


def test_a_batch_is_known_by_the_stream_that_it_is_from() -> None:
    second = SecondStream(STREAM)
    assert second.is_source_of([{"eventSourceARN": f"{PREFIX}{STREAM}"}])
    assert not second.is_source_of([{"eventSourceARN": f"{PREFIX}first-{STREAM}"}])
    assert not SecondStream("").is_source_of([{"eventSourceARN": f"{PREFIX}{STREAM}"}])


def test_what_somebody_else_put_holds_nothing() -> None:
    assert decoded(b'{"at": 60}') is None
    assert decoded(encoded({"at": 60})[:-5]) is None


def test_what_was_owed_before_detectors_ceased_to_be_re_keyed_holds_nothing_up(aws: Faults) -> None:
    Outbox("queue", {}).send([item(1)])
    assert not aws.requests
