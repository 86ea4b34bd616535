from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from lambdas.effects.state_log import Conflict, CorruptLog, Forbidden, Loaded, StateLog
from lambdas.streaming.lane import Item
from lambdas.streaming.shard import Outcome
from tests.effects.support import BUCKET, Faults, body, keys, real, refusal, silence

SHARD = "shardId-000000000000"
PREFIX = f"state/temperature/{SHARD}/"
CLOCK = {"sequence": "7", "newest": 0.0, "arrived": 0.0, "watermark": 0.0}


@pytest.fixture
def log(aws: Faults) -> StateLog:  # noqa: ARG001 - the account that the log is in
    return StateLog(BUCKET, "temperature")


def outcome(change: str, *items: str) -> Outcome:
    plain = {
        "change": change,
        "sequence": "49590338271490256608559692538361571095921575989136588898",
        "before": {"sequence": "6"},
    }
    return Outcome(plain, [Item("finding", item, {"finding_id": item}) for item in items], {})


def changes(loaded: Loaded) -> list[Any]:
    return [each["change"] for each in loaded.changes]


def entry_key(number: int, kind: str = "entry") -> str:
    return f"{PREFIX}{10**12 - number:012d}.{kind}"


def test_a_shard_without_a_log_has_nothing(log: StateLog) -> None:
    loaded = log.load(SHARD)
    assert (loaded.number, loaded.base, list(loaded.changes), loaded.unsent) == (0, None, [], [])
    assert log.peek(SHARD).number == 0


def test_changes_come_back_in_their_order(log: StateLog) -> None:
    for number, change in enumerate("abc", start=1):
        log.commit(SHARD, number, outcome(change))
    loaded = log.load(SHARD)
    assert (loaded.number, loaded.base, changes(loaded)) == (3, None, ["a", "b", "c"])


def test_the_newest_comes_first_in_a_listing(log: StateLog) -> None:
    for number in range(1, 12):
        log.commit(SHARD, number, outcome("x"))
    assert keys(prefix=PREFIX)[0] == entry_key(11)


def test_a_base_saves_reading_the_entries_up_to_it(log: StateLog, aws: Faults) -> None:
    for number in range(1, 6):
        log.commit(SHARD, number, outcome(str(number)))
    log.write_base(SHARD, 3, {"whole": "state"})
    aws.requests.clear()
    loaded = log.load(SHARD)
    assert (loaded.number, loaded.base) == (5, {"whole": "state"})
    assert [base.number for base in loaded.bases] == [3]
    assert changes(loaded) == ["4", "5"]
    read = [request["Key"] for request in aws.requested("get_object")]
    assert sorted(read) == sorted([entry_key(3, "base"), entry_key(4), entry_key(5)])
    assert len(aws.requested("list_objects_v2")) == 1


def test_a_log_longer_than_a_page_is_read_to_its_beginning(log: StateLog) -> None:
    for number in range(1, 131):
        log.commit(SHARD, number, outcome(str(number), "item"))
        log.mark_sent(SHARD, number, CLOCK)
    loaded = log.load(SHARD)
    assert changes(loaded) == [str(number) for number in range(1, 131)]
    assert loaded.unsent == []


def test_entries_are_read_one_by_one_as_they_are_asked_for(log: StateLog, aws: Faults) -> None:
    for number in range(1, 6):
        log.commit(SHARD, number, outcome(str(number)))
    aws.requests.clear()
    following = log.load(SHARD).changes
    next(following)
    assert [request["Key"] for request in aws.requested("get_object")] == [entry_key(5), entry_key(1)]


def test_the_newest_entry_owes_its_outbox_until_it_is_marked(log: StateLog) -> None:
    log.commit(SHARD, 1, outcome("a", "one"))
    log.mark_sent(SHARD, 1, CLOCK)
    log.commit(SHARD, 2, outcome("b", "two", "three"))
    assert [(item.kind, item.id, item.body) for item in log.load(SHARD).unsent] == [
        ("finding", "two", {"finding_id": "two"}),
        ("finding", "three", {"finding_id": "three"}),
    ]
    log.mark_sent(SHARD, 2, CLOCK)
    assert log.load(SHARD).unsent == []


def test_an_entry_that_a_base_covers_still_owes_its_outbox(log: StateLog) -> None:
    log.commit(SHARD, 1, outcome("a", "one"))
    log.write_base(SHARD, 1, {"whole": "state"})
    loaded = log.load(SHARD)
    assert (loaded.base, list(loaded.changes)) == ({"whole": "state"}, [])
    assert [item.id for item in loaded.unsent] == ["one"]


def test_peeking_tells_when_the_shard_is_due_and_what_it_owes(log: StateLog) -> None:
    log.commit(SHARD, 1, outcome("a", "one"), due=1_769_853_600.25)
    newest = log.peek(SHARD)
    assert (newest.number, newest.due, newest.is_settled) == (1, 1_769_853_600.25, False)
    assert newest.sequence == 49590338271490256608559692538361571095921575989136588898
    log.mark_sent(SHARD, 1, CLOCK)
    assert log.peek(SHARD).is_settled
    log.commit(SHARD, 2, outcome("b"))
    newest = log.peek(SHARD)
    assert (newest.number, newest.due, newest.is_settled) == (2, None, True)


@pytest.mark.semantics(line=3, clause="commit")
def test_a_second_writer_of_an_entry_is_told(log: StateLog) -> None:
    log.commit(SHARD, 1, outcome("mine", "one"))
    with pytest.raises(Conflict) as refused:
        StateLog(BUCKET, "temperature").commit(SHARD, 1, outcome("theirs", "two"))
    assert str(refused.value) == (
        f"s3://{BUCKET}/{entry_key(1)} was made by another writer; load the shard again."
    )
    assert changes(log.load(SHARD)) == ["mine"]


@pytest.mark.semantics(line=3, clause="lost")
@pytest.mark.parametrize(
    "error", [silence(), refusal("PutObject", "InternalError", 500)], ids=["silence", "500"]
)
def test_a_put_whose_answer_was_lost_is_recognised(log: StateLog, aws: Faults, error: Exception) -> None:
    aws.after("put_object", error)
    if isinstance(error, ClientError):
        # boto3 itself puts again after a 5xx; the second put then meets the first.
        aws.coming[0].error = refusal("PutObject", "PreconditionFailed", 412)
    log.commit(SHARD, 1, outcome("mine"))
    assert changes(log.load(SHARD)) == ["mine"]


def test_a_put_that_never_gets_an_answer_raises(log: StateLog, aws: Faults) -> None:
    aws.before("put_object", silence(), times=99)
    with pytest.raises(ReadTimeoutError):
        log.commit(SHARD, 1, outcome("mine"))
    assert keys() == []


def test_a_write_under_way_is_waited_for(log: StateLog, aws: Faults) -> None:
    aws.before("put_object", refusal("PutObject", "ConditionalRequestConflict", 409), times=2)
    log.commit(SHARD, 1, outcome("mine"))
    assert changes(log.load(SHARD)) == ["mine"]


def test_a_write_under_way_that_wins_is_a_conflict(log: StateLog, aws: Faults) -> None:
    StateLog(BUCKET, "temperature").commit(SHARD, 1, outcome("theirs"))
    aws.before("put_object", refusal("PutObject", "ConditionalRequestConflict", 409))
    with pytest.raises(Conflict):
        log.commit(SHARD, 1, outcome("mine"))


def test_a_write_that_stays_under_way_is_a_conflict(log: StateLog, aws: Faults) -> None:
    aws.before("put_object", refusal("PutObject", "ConditionalRequestConflict", 409), times=99)
    with pytest.raises(Conflict):
        log.commit(SHARD, 1, outcome("mine"))


def test_any_other_refusal_of_a_put_is_raised(log: StateLog, aws: Faults) -> None:
    aws.before("put_object", refusal("PutObject", "AccessDenied", 403))
    with pytest.raises(ClientError, match="AccessDenied"):
        log.commit(SHARD, 1, outcome("mine"))


@pytest.mark.semantics(line=3, clause="lost")
def test_a_listing_that_is_forbidden_is_not_taken_for_an_empty_log(log: StateLog, aws: Faults) -> None:
    aws.before("list_objects_v2", refusal("ListObjectsV2", "AccessDenied", 403))
    with pytest.raises(Forbidden) as refused:
        log.load(SHARD)
    assert str(refused.value) == (
        f"S3 does not say what is at s3://{BUCKET}/{PREFIX} (403); grant the function s3:ListBucket on "
        "state/temperature/ of the bucket."
    )


@pytest.mark.semantics(line=3, clause="lost")
def test_a_missing_key_without_the_right_to_list_is_not_taken_for_nothing(log: StateLog, aws: Faults) -> None:
    log.commit(SHARD, 1, outcome("a"))
    log.write_base(SHARD, 1, {"whole": "state"})
    aws.before("get_object", refusal("GetObject", "AccessDenied", 403))
    with pytest.raises(Forbidden, match="s3:GetObject and s3:ListBucket"):
        log.load(SHARD)


def damage(key: str) -> None:
    content = bytearray(body(key))
    content[-3] ^= 1
    real("s3").put_object(Bucket=BUCKET, Key=key, Body=bytes(content))


@pytest.mark.semantics(line=3, clause="damage")
def test_a_damaged_base_is_left_out_for_an_older_one(log: StateLog) -> None:
    for number in range(1, 6):
        log.commit(SHARD, number, outcome(str(number)))
    log.write_base(SHARD, 2, {"older": "base"})
    log.write_base(SHARD, 4, {"newer": "base"})
    damage(entry_key(4, "base"))
    loaded = log.load(SHARD)
    assert (loaded.base, changes(loaded)) == ({"older": "base"}, ["3", "4", "5"])


def test_without_any_good_base_all_entries_are_read(log: StateLog) -> None:
    for number in range(1, 4):
        log.commit(SHARD, number, outcome(str(number)))
    log.write_base(SHARD, 2, {"a": "base"})
    damage(entry_key(2, "base"))
    loaded = log.load(SHARD)
    assert (loaded.base, changes(loaded)) == (None, ["1", "2", "3"])


def test_a_damaged_entry_gets_a_sentence(log: StateLog) -> None:
    log.commit(SHARD, 1, outcome("a"))
    log.commit(SHARD, 2, outcome("b"))
    damage(entry_key(1))
    with pytest.raises(CorruptLog) as refused:
        list(log.load(SHARD).changes)
    assert str(refused.value) == (f"s3://{BUCKET}/{entry_key(1)} is damaged.")


def test_a_missing_entry_gets_a_sentence(log: StateLog) -> None:
    for number in range(1, 4):
        log.commit(SHARD, number, outcome(str(number)))
    real("s3").delete_object(Bucket=BUCKET, Key=entry_key(2))
    with pytest.raises(CorruptLog) as refused:
        log.load(SHARD)
    assert str(refused.value) == (
        f"s3://{BUCKET}/{entry_key(2)} is missing, and no base that can be read covers it."
    )


def test_what_follows_a_gap_is_found_among_what_is_listed_however_far_the_log_has_come(
    log: StateLog, aws: Faults
) -> None:
    # given a log that has forgotten its beginning and lost the base that covered it
    for number in range(500_000, 500_003):
        log.commit(SHARD, number, outcome(str(number)))
    found = log.salvage(SHARD)
    assert not list(found.changes())
    # when
    aws.requests.clear()
    resumed = found.resumes()
    # then
    assert resumed == (500_000, {"sequence": "6"})
    assert len(aws.requested("get_object")) == 1


def test_an_object_of_another_version_is_not_read(log: StateLog) -> None:
    log.commit(SHARD, 1, outcome("a"))
    later = body(entry_key(1)).replace(b"freshet-log 1 ", b"freshet-log 2 ", 1)
    real("s3").put_object(Bucket=BUCKET, Key=entry_key(1), Body=later)
    with pytest.raises(CorruptLog, match="is damaged"):
        log.load(SHARD)


def test_what_repeats_itself_takes_little_room(log: StateLog) -> None:
    size = log.commit(SHARD, 1, outcome("sensor " * 10_000))
    assert size == len(body(entry_key(1))) < 1_000


def test_an_object_that_was_moved_to_another_number_is_damaged(log: StateLog) -> None:
    log.commit(SHARD, 1, outcome("a"))
    real("s3").put_object(Bucket=BUCKET, Key=entry_key(2), Body=body(entry_key(1)))
    with pytest.raises(CorruptLog, match="is damaged"):
        log.load(SHARD)


def test_what_is_older_than_a_base_is_forgotten_and_what_is_owed_stays(log: StateLog) -> None:
    for number in range(1, 5):
        log.commit(SHARD, number, outcome(str(number), f"item {number}"))
        if number < 4:
            log.mark_sent(SHARD, number, CLOCK)
    log.write_base(SHARD, 2, {"older": "base"})
    log.write_base(SHARD, 4, {"newer": "base"})
    log.forget_before(SHARD, 2)
    left = [(4, "base"), (4, "entry"), (3, "entry"), (3, "sent"), (2, "base")]
    assert keys(prefix=PREFIX) == [entry_key(*each) for each in left]
    assert [item.id for item in log.load(SHARD).unsent] == ["item 4"]


def test_what_else_lies_beside_the_log_is_passed_over(log: StateLog) -> None:
    log.commit(SHARD, 1, outcome("a"))
    real("s3").put_object(Bucket=BUCKET, Key=f"{PREFIX}note.txt", Body=b"")
    assert changes(log.load(SHARD)) == ["a"]


def test_shards_and_pipelines_have_logs_of_their_own(log: StateLog) -> None:
    log.commit(SHARD, 1, outcome("a"))
    assert log.load("shardId-000000000001").number == 0
    assert StateLog(BUCKET, "casino").load(SHARD).number == 0
