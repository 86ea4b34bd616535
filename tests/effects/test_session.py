"""What the log forgets, and who may not notice: every test ends with the state that all batches make."""

import logging
import secrets
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest

from lambdas.effects import session
from lambdas.effects.outbox import Outbox
from lambdas.effects.session import KEPT_FOR, TRUSTED_FOR, Session
from lambdas.effects.state_log import MOST_DELETED, CorruptLog, StateLog, packed
from lambdas.effects.taken_records import TakenRecords
from lambdas.streaming.shard import Outcome
from lambdas.streaming.taken import Taken
from tests.effects.support import BUCKET, Faults, body, keys, real, refusal, silence

SHARD = "shardId-000000000000"
PREFIX = f"state/temperature/{SHARD}/"
ENTRIES_A_BASE = 8  # fewer than in earnest: each costs a test time


class Tally:
    """A shard whose state is how often it was worked on."""

    def __init__(self, _shard_id: str) -> None:
        self.began_anew: list[str] = []
        self.taken = Taken()
        self.total = 0

    def restore(self, base: Any | None, changes: Iterable[Any]) -> None:
        self.total = (base or 0) + sum(change["add"] for change in changes)

    def snapshot(self) -> Any:
        return self.total

    def due(self) -> float | None:
        return None

    def add(self, ballast: str = "") -> Outcome:
        self.total += 1
        return Outcome({"add": 1, "sequence": "7", "ballast": ballast}, [], {})


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(aws: Faults, monkeypatch: pytest.MonkeyPatch) -> Clock:  # noqa: ARG001 - the account of each test
    clock = Clock()
    monkeypatch.setattr(session, "time", SimpleNamespace(time=clock.time))
    monkeypatch.setattr(session, "ENTRIES_A_BASE", ENTRIES_A_BASE)
    return clock


def container() -> Session[Tally]:
    log, taken = StateLog(BUCKET, "temperature"), TakenRecords(BUCKET, "temperature")
    return Session("temperature", log, taken, Outbox("", {}), Tally)


def batch(of: Session[Tally]) -> int:
    """One more batch; what the state is then."""
    totals: list[int] = []

    def work(shard: Tally) -> Outcome:
        outcome = shard.add()
        totals.append(shard.total)
        return outcome

    of.run(SHARD, work)
    return totals[-1]


def batches(
    of: Session[Tally], count: int, clock: Clock, seconds: float = 2 * KEPT_FOR / ENTRIES_A_BASE
) -> int:
    total = 0
    for _ in range(count):
        clock.now += seconds
        total = batch(of)
    return total


def saved() -> int:
    """The state that a new container would begin from."""
    loaded = StateLog(BUCKET, "temperature").load(SHARD)
    tally = Tally(SHARD)
    tally.restore(loaded.base, loaded.changes)
    return tally.total


def bases() -> list[str]:
    return [key for key in keys(prefix=PREFIX) if key.endswith(".base")]


def base_key(number: int) -> str:
    return f"{PREFIX}{10**12 - number:012d}.base"


def numbers_of(found: Iterable[str]) -> list[int]:
    return [10**12 - int(key.removeprefix(PREFIX).partition(".")[0]) for key in found]


@pytest.mark.semantics(line=3, clause="bounded")
def test_a_log_stays_small_over_a_thousand_batches(clock: Clock) -> None:
    sizes = []
    running = container()
    for number in range(1, 1_001):
        if number % 150 == 0:
            running = container()
        assert batches(running, 1, clock) == number
        if number % 21 == 0:
            sizes.append(len(keys(prefix=PREFIX)))
    assert max(sizes) <= 2 * ENTRIES_A_BASE + 2
    assert len(bases()) == 2
    assert saved() == 1_000


def weigh(monkeypatch: pytest.MonkeyPatch, size: Callable[[int], int]) -> None:
    """Lets a state of this total have so many bytes in a base."""
    restore = Tally.restore

    def snapshot(shard: Tally) -> Any:
        return [shard.total, secrets.token_hex(size(shard.total))]

    def restored(shard: Tally, base: Any | None, changes: Iterable[Any]) -> None:
        restore(shard, base and base[0], changes)

    monkeypatch.setattr(Tally, "snapshot", snapshot)
    monkeypatch.setattr(Tally, "restore", restored)


def test_a_base_waits_until_the_entries_since_the_last_one_have_its_bytes(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    weigh(monkeypatch, lambda _total: 4_000)
    monkeypatch.setattr(session, "MOST_ENTRIES_A_BASE", 10 * ENTRIES_A_BASE)
    running = container()
    batches(running, 3 * ENTRIES_A_BASE, clock)
    assert numbers_of(bases()) == [ENTRIES_A_BASE]  # the first had none to be compared with
    # when containers come and go, they reckon from what is listed
    total = 3 * ENTRIES_A_BASE
    while numbers_of(bases()) == [ENTRIES_A_BASE]:
        total = batches(container(), 1, clock)
    sizes = {each["Key"]: each["Size"] for each in real("s3").list_objects_v2(Bucket=BUCKET)["Contents"]}
    base = sizes.pop(base_key(ENTRIES_A_BASE))
    since = [size for key, size in sizes.items() if base_key(total) < key < base_key(ENTRIES_A_BASE)]
    assert sum(since) >= base > sum(since) - max(since)


def test_bases_have_at_most_twice_the_bytes_of_entries_however_large_the_state_is(
    clock: Clock, aws: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    weigh(monkeypatch, lambda total: 40 * total)
    monkeypatch.setattr(session, "MOST_ENTRIES_A_BASE", 10**6)
    batches(container(), 25 * ENTRIES_A_BASE, clock)
    written: Counter[str] = Counter()
    for request in aws.requested("put_object"):
        written[request["Key"].rpartition(".")[2]] += len(request["Body"])
    assert 0 < written["base"] <= 2 * written["entry"]


def test_a_log_stays_small_though_no_container_lives_for_long(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given objects that bear the time at which they were written
    monkeypatch.setattr(
        "moto.s3.models.utcnow", lambda: datetime.fromtimestamp(clock.now, UTC).replace(tzinfo=None)
    )
    seconds = KEPT_FOR / (4 * ENTRIES_A_BASE)  # four bases while one is young
    for number in range(20):
        batches(container(), ENTRIES_A_BASE, clock, seconds=seconds)
        assert saved() == (number + 1) * ENTRIES_A_BASE
        assert len(bases()) <= 6


def test_a_large_state_gets_a_base_in_the_end(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    weigh(monkeypatch, lambda _total: 100_000)
    monkeypatch.setattr(session, "MOST_ENTRIES_A_BASE", 3 * ENTRIES_A_BASE)
    batches(container(), 7 * ENTRIES_A_BASE, clock)
    assert numbers_of(bases()) == [7 * ENTRIES_A_BASE, 4 * ENTRIES_A_BASE]


def test_what_two_bases_make_superfluous_is_deleted_by_one_call() -> None:
    """An entry and its mark each, and the older base; docs/decisions/0010 relies on it."""
    assert 2 * session.MOST_ENTRIES_A_BASE + 1 <= MOST_DELETED


@pytest.mark.semantics(line=3, clause="bounded")
def test_nothing_young_is_deleted(clock: Clock) -> None:
    batches(container(), 3 * ENTRIES_A_BASE, clock, seconds=KEPT_FOR / (4 * ENTRIES_A_BASE))
    assert len(keys(prefix=PREFIX)) == 3 * ENTRIES_A_BASE + 3


def test_a_damaged_newest_base_falls_back_after_the_log_was_shortened(clock: Clock) -> None:
    total = batches(container(), 4 * ENTRIES_A_BASE + 7, clock)
    newest, older = bases()
    real("s3").put_object(Bucket=BUCKET, Key=newest, Body=body(newest)[:-1])
    assert saved() == total
    assert batches(container(), ENTRIES_A_BASE, clock) == total + ENTRIES_A_BASE
    assert older in bases()  # the one that can be read, not the damaged one after it


@pytest.mark.parametrize(
    ("operation", "when"),
    [
        ("delete_objects", lambda _: True),
        ("list_objects_v2", lambda request: "StartAfter" in request),
    ],
    ids=["delete", "list"],
)
@pytest.mark.parametrize("error", [refusal("DeleteObjects", "AccessDenied", 403), silence()], ids=str)
def test_a_deletion_that_fails_stops_nothing_and_is_tried_again(
    clock: Clock,
    aws: Faults,
    caplog: pytest.LogCaptureFixture,
    operation: str,
    when: Callable[[dict[str, Any]], bool],
    error: Exception,
) -> None:
    aws.before(operation, error, when=when)
    running = container()
    batches(running, 2 * ENTRIES_A_BASE, clock)
    assert len(keys(prefix=PREFIX)) == 2 * ENTRIES_A_BASE + 2
    assert "could not be deleted; it is tried again at the next base" in caplog.text
    assert batches(running, ENTRIES_A_BASE, clock) == 3 * ENTRIES_A_BASE
    assert len(keys(prefix=PREFIX)) == ENTRIES_A_BASE + 2


def test_a_key_that_may_not_be_deleted_is_told(
    clock: Clock, aws: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    aws.answering(
        "delete_objects", lambda _call, _request: {"Errors": [{"Key": "k", "Code": "AccessDenied"}]}
    )
    assert batches(container(), 2 * ENTRIES_A_BASE, clock) == 2 * ENTRIES_A_BASE
    assert [vars(record)["reason"] for record in caplog.records if record.levelno == logging.WARNING] == [
        "AccessDenied"
    ]


def test_one_call_deletes_no_more_than_s3_takes(clock: Clock, aws: Faults) -> None:
    batches(container(), 2 * ENTRIES_A_BASE, clock)
    (request,) = aws.requested("delete_objects")
    assert len(request["Delete"]["Objects"]) == ENTRIES_A_BASE
    (listing,) = [each for each in aws.requested("list_objects_v2") if "StartAfter" in each]
    assert listing["MaxKeys"] == 1_000


def test_what_else_lies_beside_the_log_is_not_deleted(clock: Clock) -> None:
    real("s3").put_object(Bucket=BUCKET, Key=f"{PREFIX}note.txt", Body=b"")
    batches(container(), 3 * ENTRIES_A_BASE, clock)
    assert f"{PREFIX}note.txt" in keys(prefix=PREFIX)


@pytest.mark.parametrize("place", [".base", ".entry"])
def test_a_log_that_is_shortened_while_it_is_read_is_read_again(
    clock: Clock, aws: Faults, place: str
) -> None:
    other = container()
    total = batches(other, ENTRIES_A_BASE + 6, clock)
    raced: list[int] = []

    def the_other_goes_on(call: Any, request: dict[str, Any]) -> Any:
        if not raced and request["Key"].endswith(place):
            raced.append(0)
            raced[0] = batches(other, 3 * ENTRIES_A_BASE, clock)
        return call(**request)

    aws.answering("get_object", the_other_goes_on)
    if place == ".entry":  # the newest is read at once, so that only a later one can be gone
        aws.answering("get_object", partial(after_first_entry, the_other_goes_on, []))
    assert batch(container()) == total + 3 * ENTRIES_A_BASE + 1
    assert raced == [total + 3 * ENTRIES_A_BASE]
    assert saved() == raced[0] + 1


def after_first_entry(answer: Any, read: list[str], call: Any, request: dict[str, Any]) -> Any:
    read.append(request["Key"])
    return answer(call, request) if len(read) > 3 else call(**request)


def test_an_entry_that_is_really_missing_is_still_told(clock: Clock) -> None:
    batches(container(), 5, clock)
    real("s3").delete_object(Bucket=BUCKET, Key=f"{PREFIX}{10**12 - 3:012d}.entry")
    with pytest.raises(CorruptLog, match="is missing, and no base that can be read covers it"):
        batch(container())


def test_a_container_that_slept_does_not_commit_over_what_was_deleted(clock: Clock, aws: Faults) -> None:
    sleeper, other = container(), container()
    batches(sleeper, 10, clock)
    total = batches(other, 4 * ENTRIES_A_BASE, clock)
    assert f"{PREFIX}{10**12 - 11:012d}.entry" not in keys(prefix=PREFIX)
    aws.requests.clear()
    assert batch(sleeper) == total + 1
    (made,) = [request["Key"] for request in aws.requested("put_object") if "IfNoneMatch" in request]
    assert made == f"{PREFIX}{10**12 - total - 1:012d}.entry"
    assert saved() == total + 1


@pytest.mark.semantics(line=3, clause="bounded")
def test_whoever_still_trusts_its_state_finds_the_entry_that_refuses_it(clock: Clock) -> None:
    """The worst that may be: the other one writes as fast as it can, all the time that a state is trusted."""
    assert TRUSTED_FOR + 120 < KEPT_FOR  # an invocation may go on for two minutes
    sleeper, other = container(), container()
    batches(sleeper, 10, clock)
    total = batches(other, 3 * ENTRIES_A_BASE, clock, seconds=TRUSTED_FOR / (3 * ENTRIES_A_BASE))
    assert batch(sleeper) == total + 1
    assert saved() == total + 1


def test_a_container_that_slept_alone_reads_no_state_again(clock: Clock, aws: Faults) -> None:
    running = container()
    batches(running, 10, clock)
    aws.requests.clear()
    clock.now += TRUSTED_FOR + 1
    assert batch(running) == 11
    assert len(aws.requested("list_objects_v2")) == len(aws.requested("get_object")) == 1
    clock.now += 1
    assert batch(running) == 12
    assert len(aws.requested("list_objects_v2")) == 1


def test_a_container_whose_log_was_deleted_long_ago_begins_anew(clock: Clock) -> None:
    running = container()
    batches(running, 3, clock)
    for key in keys(prefix=PREFIX):
        real("s3").delete_object(Bucket=BUCKET, Key=key)
    clock.now += TRUSTED_FOR + 1
    assert batch(running) == 1
    assert saved() == 1


def test_a_long_log_of_large_entries_takes_no_more_memory_than_a_short_one(aws: Faults) -> None:
    memory_to_load(aws, entries=1)  # the first makes a client, which is the largest of all
    assert memory_to_load(aws, entries=64) < 1.5 * memory_to_load(aws, entries=4)


def memory_to_load(aws: Faults, *, entries: int, large: int = 500_000) -> int:
    """The most bytes at once while entries are loaded that are made as they are asked for."""
    written = datetime.now(UTC)
    numbers = range(entries, 0, -1)
    listed = [
        {"Key": f"{PREFIX}{10**12 - each:012d}.entry", "LastModified": written, "Size": large}
        for each in numbers
    ]

    def entry(_call: Any, request: dict[str, Any]) -> Any:
        number = 10**12 - int(request["Key"].removeprefix(PREFIX).removesuffix(".entry"))
        change = {"add": 1, "sequence": "7", "ballast": f"{number:010d}" * (large // 10)}
        return {"Body": BytesIO(packed({"n": number, "due": None, "change": change, "outbox": []}))}

    aws.answering("list_objects_v2", lambda _call, _request: {"Contents": listed, "IsTruncated": False})
    aws.answering("get_object", entry)
    tracemalloc.start()
    try:
        assert saved() == entries
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
