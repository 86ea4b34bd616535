"""However a stream's shards are split and merged, its detectors say what one shard says, and say it once."""

from __future__ import annotations

from collections import Counter
from functools import partial
from operator import eq
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.columns import count, mean, total
from lambdas.detectors.sequence import Sequence, Step
from lambdas.detectors.threshold import Threshold
from lambdas.detectors.window import Window
from lambdas.lineage import PLACES, Lineage, Span, belongs, place
from lambdas.model import HIGH, Row, hours, minutes, seconds
from lambdas.streaming.lane import Item
from lambdas.streaming.shard import Record, Shard
from tests.detectors.support import Play
from tests.streaming.reshard import SavedShard, Stream, alone, never
from tests.streaming.support import pipeline

LATENESS = 10
OVER = 1_000_000.0  # when everything is over
PIPELINE = pipeline(
    Play,
    Threshold(name="big", when=Play.won >= 40, severity=HIGH, quiet=minutes(2), do_first="Look."),
    Window(
        name="minute",
        every=seconds(60),
        when=mean(Play.won) > 30,
        also=[total(Play.won), count()],
        severity=HIGH,
        do_first="Look.",
    ),
    Window(name="session", gap=seconds(20), also=[total(Play.won)], severity=HIGH, do_first="Look."),
    Sequence(
        name="streak",
        steps=[Step(when=Play.won > 0, times=3, unbroken=True)],
        within=hours(10),
        severity=HIGH,
        do_first="Look.",
    ),
    lateness=LATENESS,
)
begin = partial(Shard, PIPELINE)
LOW, HIGH_HALF = Span(0, PLACES // 2 - 1), Span(PLACES // 2, PLACES - 1)
GUESTS = [f"guest-{number}" for number in range(8)]
LOW_GUEST = next(guest for guest in GUESTS if place(guest) in LOW)
HIGH_GUEST = next(guest for guest in GUESTS if place(guest) in HIGH_HALF)

STEP = st.tuples(
    st.sampled_from(["put"] * 8 + ["read"] * 4 + ["tick"] * 2 + ["split", "merge"]),
    st.integers(0, 50),  # which guest, shard or place of a batch's end
    st.floats(0, 40).map(lambda wait: round(wait, 1)),  # since the step before, s
    st.integers(0, 100),  # of the lateness that is allowed, or far more
    st.integers(-20, 60),
)


def play(id: int, guest: str, at: float, won: float = 50.0) -> Row:
    return Row(at, {"play_id": str(id), "guest": guest, "won": won, "action": "bet"})


def live(steps: list[tuple[str, int, float, int, int]], latest: float, death: int = 0) -> Stream:
    """A stream that is put into, read, split and merged, until all is read and over; events come at most
    `latest` s after they happened, and now and then one comes again. Every `death`-th chance to die is taken.
    """
    stream, now, chances = Stream(begin), 1_000.0, Counter[str]()

    def dies(moment: str) -> bool:
        chances[moment] += 1
        return bool(death) and not chances[moment] % death

    for kind, which, wait, late, won in steps:
        now = round(now + wait, 1)
        if kind == "put":
            guest = GUESTS[which % len(GUESTS)]
            row = play(len(stream.put_so_far), guest, round(now - late / 100 * latest, 1), won)
            stream.put(guest, row, now)
            if which > 35:
                earlier = stream.put_so_far[won % len(stream.put_so_far)].rows[0]
                stream.put(str(earlier.values["guest"]), earlier, now)
        elif kind == "read" and (ids := stream.readable()):
            stream.read(ids[which % len(ids)], 1 + which % 7, dies)
        elif kind == "tick":
            stream.tick(now)
        elif kind == "split" and len(stream.open) < 6:
            stream.split(stream.open[which % len(stream.open)])
        elif kind == "merge" and len(stream.open) > 1:
            low = which % (len(stream.open) - 1)
            stream.merge(*stream.open[low : low + 2])
    stream.read_to_the_end()
    stream.tick(OVER)
    return stream


def told(items: list[Item]) -> list[Any]:
    """Findings and windows as their readers know them, whichever shard found them."""
    return sorted(
        (
            item.kind,
            sorted(
                (name, repr(value))
                for name, value in item.body.items()
                if name not in ("finding_id", "result_id", "incident_id")
            ),
        )
        for item in items
        if item.kind in ("finding", "window_result")
    )


def late(stream: Stream) -> set[int]:
    return {int(row["sequence_number"]) for row in stream.bodies("late_event")}


def first_times(stream: Stream) -> set[int]:
    """The numbers of the records that are no repeats."""
    first: dict[object, int] = {}
    for record in stream.put_so_far:
        first.setdefault(record.rows[0].values["play_id"], record.sequence)
    return set(first.values())


@pytest.mark.semantics(line=6, clause="each")
@settings(max_examples=120, deadline=None)
@given(steps=st.lists(STEP, min_size=5, max_size=60), death=st.integers(0, 3))
def test_shards_that_split_and_merge_say_what_one_shard_says(
    steps: list[tuple[str, int, float, int, int]], death: int
) -> None:
    stream = live(steps, LATENESS, death)
    assert told(stream.sent) == told(alone(begin, stream.put_so_far, OVER))
    assert not late(stream) & first_times(stream)  # a repeat may be so old that its id is forgotten


@pytest.mark.semantics(line=6, clause="each")
@settings(max_examples=80, deadline=None)
@given(steps=st.lists(STEP, min_size=5, max_size=60), death=st.integers(0, 3))
def test_each_event_is_in_one_window_or_listed_as_late_and_each_incident_has_one_life(
    steps: list[tuple[str, int, float, int, int]], death: int
) -> None:
    stream = live(steps, 6 * LATENESS, death)
    minutes_told = [row for row in stream.bodies("window_result") if row["detector"] == "minute"]
    assert len({(item.kind, item.id) for item in stream.sent}) == len(stream.sent)
    windows = Counter((row["key"], row["window_start"]) for row in minutes_told)
    assert set(windows.values()) <= {1}
    in_windows = sum(row["aggregates"]["count()"] for row in minutes_told)
    assert in_windows + len(late(stream) & first_times(stream)) == len(first_times(stream))
    lives: dict[str, list[tuple[int, str]]] = {}
    for change in stream.bodies("incident_change"):
        lives.setdefault(change["incident_id"], []).append((change["version"], change["state"]))
    for life in lives.values():
        assert [version for version, _ in life] == list(range(1, len(life) + 1))
        assert [state for _, state in life if state != "escalated"] == ["opened", "resolved"]


@pytest.mark.semantics(line=6, clause="each")
def test_an_incident_that_begins_in_a_parent_ends_in_its_child_under_one_id() -> None:
    stream = Stream(begin)
    stream.put(LOW_GUEST, play(1, LOW_GUEST, 1_000.0), 1_000.0)
    stream.read_to_the_end()
    stream.split(stream.open[0])
    stream.put(LOW_GUEST, play(2, LOW_GUEST, 1_030.0), 1_030.0)
    stream.read_to_the_end()
    stream.tick(1_500.0)
    changes = [row for row in stream.bodies("incident_change") if row["detector"] == "big"]
    assert [(row["version"], row["state"], row["findings"]) for row in changes] == [
        (1, "opened", 1),
        (2, "resolved", 2),
    ]
    assert len({row["incident_id"] for row in changes}) == 1


def test_a_window_that_a_split_cuts_is_told_once_with_all_its_events() -> None:
    stream = Stream(begin)
    for second in (1_020, 1_030):
        stream.put(HIGH_GUEST, play(second, HIGH_GUEST, second), second)
    stream.read_to_the_end()
    stream.split(stream.open[0])
    stream.put(HIGH_GUEST, play(1_040, HIGH_GUEST, 1_040), 1_040)
    stream.read_to_the_end()
    stream.tick(1_200.0)
    [window] = [row for row in stream.bodies("window_result") if row["detector"] == "minute"]
    assert window["aggregates"]["count()"] == 3


@pytest.mark.semantics(line=6, clause="unclaimed")
def test_a_child_without_records_goes_on_with_its_parents_keys_at_the_next_tick() -> None:
    stream = Stream(begin)
    for guest in (LOW_GUEST, HIGH_GUEST):
        stream.put(guest, play(len(stream.put_so_far), guest, 1_000.0), 1_000.0)
    stream.read_to_the_end()
    stream.split(stream.open[0])
    stream.tick(1_500.0)
    assert {(row["key"], row["state"]) for row in stream.bodies("incident_change")} >= {
        (LOW_GUEST, "resolved"),
        (HIGH_GUEST, "resolved"),
    }


def merged(low_at: float, high_at: float) -> Stream:
    """A stream of two shards that have come to these event times, merged."""
    stream = Stream(begin, shards=2)
    stream.put(LOW_GUEST, play(1, LOW_GUEST, low_at), 2_000.0)
    stream.put(HIGH_GUEST, play(2, HIGH_GUEST, high_at), 2_000.0)
    stream.read_to_the_end()
    stream.merge(*stream.open)
    return stream


@pytest.mark.semantics(line=6, clause="closed")
@pytest.mark.parametrize(("ahead", "behind"), [(LOW_GUEST, HIGH_GUEST), (HIGH_GUEST, LOW_GUEST)])
def test_a_merged_child_keeps_what_each_of_its_parents_had_closed(ahead: str, behind: str) -> None:
    stream = merged(1_300.0, 1_200.0) if ahead == LOW_GUEST else merged(1_200.0, 1_300.0)
    for number, guest in enumerate((ahead, behind), start=3):
        stream.put(guest, play(number, guest, 1_250.0), 2_000.0)
    stream.read_to_the_end()
    [late] = stream.bodies("late_event")
    assert (late["key"], late["watermark"]) == (ahead, "1970-01-01 00:21:30.000")
    assert [row["key"] for row in stream.bodies("finding")].count(behind) == 2


def test_an_event_at_the_very_time_that_was_closed_is_on_time() -> None:
    stream = merged(1_300.0, 1_200.0)
    stream.put(LOW_GUEST, play(3, LOW_GUEST, 1_290.0), 2_000.0)
    stream.read_to_the_end()
    assert stream.bodies("late_event") == []


@pytest.mark.semantics(line=6, clause="closed")
def test_what_a_merged_child_keeps_goes_on_in_its_own_children() -> None:
    stream = merged(1_300.0, 1_200.0)
    stream.split(stream.open[0])
    stream.put(LOW_GUEST, play(3, LOW_GUEST, 1_250.0), 2_000.0)
    stream.read_to_the_end()
    assert [row["key"] for row in stream.bodies("late_event")] == [LOW_GUEST]


def test_of_two_clocks_the_slower_one_goes_on() -> None:
    stream = Stream(begin, shards=2)
    stream.put(LOW_GUEST, play(1, LOW_GUEST, 1_000.0), 1_001.0)
    stream.put(HIGH_GUEST, play(2, HIGH_GUEST, 1_000.0), 1_600.0)  # its producers are ten minutes behind
    stream.read_to_the_end()
    child = stream.merge(*stream.open)
    stream.tick(2_000.0)
    assert stream.load(child).watermark == 1_400.0 - LATENESS


def test_what_a_merged_child_keeps_ends_when_its_own_time_has_come_there() -> None:
    stream = merged(1_300.0, 1_200.0)
    stream.put(HIGH_GUEST, play(3, HIGH_GUEST, 1_250.0), 2_000.0)
    stream.read_to_the_end()
    child = stream.open[0].id
    assert [each.until for each in stream.load(child)._closed] == [1_290.0]
    stream.put(HIGH_GUEST, play(4, HIGH_GUEST, 1_310.0), 2_000.0)
    stream.read_to_the_end()
    assert stream.load(child)._closed == []


@pytest.mark.semantics(line=6, clause="claim")
def test_a_sealed_shard_waits_for_nothing_and_lists_whatever_still_comes_as_late() -> None:
    stream = Stream(begin)
    stream.put(LOW_GUEST, play(1, LOW_GUEST, 1_000.0), 1_000.0)
    stream.read_to_the_end()
    parent = stream.open[0].id
    stream.split(stream.open[0])
    stream.tick(1_001.0)
    shard = stream.load(parent)
    assert (shard.is_sealed, shard.due()) == (True, None)
    straggler = Record(2, 1_002.0, [play(2, LOW_GUEST, 1_002.0)])
    outcome = shard.process([straggler])
    assert [item.kind for item in outcome.outbox] == ["late_event"]
    assert not any(outcome.change["keys"].values())


def test_an_event_of_a_shard_that_never_saw_one_is_late_in_it_once_it_is_sealed() -> None:
    shard = begin("shardId-000000000000")
    shard.seal()
    [late] = shard.process([Record(1, 1_000.0, [play(1, LOW_GUEST, 1_000.0)])]).outbox
    assert (late.kind, late.body["watermark"]) == ("late_event", None)


def test_a_shard_is_sealed_once() -> None:
    shard = begin("shardId-000000000000")
    assert shard.seal() is not None
    assert shard.seal() is None


@pytest.mark.semantics(line=6, clause="each")
@pytest.mark.parametrize("parts", [2, 3, 7])
def test_each_key_goes_to_one_child_wherever_it_was_found(parts: int) -> None:
    edges = [LOW.last * number // parts for number in range(parts)]
    children = [Span(first, last - 1) for first, last in zip(edges, [*edges[1:], LOW.last + 1], strict=True)]
    for key in map(str, range(200)):
        assert sum(belongs(key, child, LOW) for child in children) == 1
        assert belongs(key, Span(), LOW)


def test_keys_that_producers_put_elsewhere_than_to_their_own_place_are_not_lost() -> None:
    stream = Stream(begin, shards=2)
    for number, guest in enumerate(GUESTS):
        stream.put(LOW_GUEST, play(number, guest, 1_000.0), 1_000.0)  # all to one shard, by another key
    stream.read_to_the_end()
    stream.split(stream.open[0])
    stream.tick(OVER)
    resolved = [row["key"] for row in stream.bodies("incident_change") if row["state"] == "resolved"]
    assert Counter(resolved) == dict.fromkeys(GUESTS, 2)  # of two detectors


def test_of_two_parents_that_know_one_key_every_incident_ends() -> None:
    stream = Stream(begin, shards=2)
    for number, guest in enumerate((LOW_GUEST, HIGH_GUEST)):
        stream.put(guest, play(number, "either", 1_000.0 + number), 1_000.0 + number)
    stream.read_to_the_end()
    stream.merge(*stream.open)
    stream.tick(2_000.0)
    changes = [row for row in stream.bodies("incident_change") if row["detector"] == "big"]
    assert Counter(row["state"] for row in changes) == {"opened": 2, "resolved": 2}
    assert len({row["incident_id"] for row in changes}) == 2


def test_a_merged_child_keeps_to_its_bounds_and_tells_whom_it_lost_sight_of() -> None:
    few = pipeline(
        Play, Threshold(name="big", when=Play.won >= 40, severity=HIGH, max_keys=3, do_first="Look.")
    )
    stream = Stream(partial(Shard, few), shards=2)
    for number, guest in enumerate(GUESTS[:6]):
        stream.put(guest, play(number, guest, 1_000.0), 1_000.0)
    stream.read_to_the_end()
    held = [len(stream.load(shard.id).snapshot()["keys"]["big"]) for shard in stream.open]
    assert sum(held) > 3
    child = stream.merge(*stream.open)
    stream.tick(1_001.0)
    assert len(stream.load(child).snapshot()["keys"]["big"]) == 3
    lost = [row for row in stream.bodies("incident_change") if row["reason"] == "lost sight"]
    assert len(lost) == sum(held) - 3 + (6 - sum(held))


def test_incidents_of_a_detector_that_is_gone_end_in_the_parent() -> None:
    begins = [begin]
    stream = Stream(lambda shard_id: begins[-1](shard_id))
    stream.put(LOW_GUEST, play(1, LOW_GUEST, 1_000.0), 1_000.0)
    stream.read_to_the_end()
    stream.split(stream.open[0])
    begins.append(partial(Shard, pipeline(Play, PIPELINE.detectors[1])))
    stream.tick(1_001.0)
    assert [
        (row["detector"], row["state"], row["reason"]) for row in stream.bodies("incident_change")[-1:]
    ] == [("big", "resolved", "lost sight")]
    assert len(stream.bodies("incident_change")) == 2


def test_incidents_of_a_detector_that_went_between_two_claims_end_each_in_its_own_child() -> None:
    begins = [begin]
    stream = Stream(lambda shard_id: begins[-1](shard_id))
    for guest in (LOW_GUEST, HIGH_GUEST):
        stream.put(guest, play(len(stream.put_so_far), guest, 1_000.0), 1_000.0)
    stream.read_to_the_end()
    stream.split(stream.open[0])
    stream.put(LOW_GUEST, play(3, LOW_GUEST, 1_001.0), 1_001.0)
    stream.read_to_the_end()
    begins.append(partial(Shard, pipeline(Play, PIPELINE.detectors[1])))
    stream.put(LOW_GUEST, play(4, LOW_GUEST, 1_002.0), 1_002.0)
    stream.put(HIGH_GUEST, play(5, HIGH_GUEST, 1_002.0), 1_002.0)
    stream.read_to_the_end()
    ends = [row["key"] for row in stream.bodies("incident_change") if row["reason"] == "lost sight"]
    assert sorted(ends) == sorted([LOW_GUEST, HIGH_GUEST])


def test_a_repeat_is_known_in_the_child() -> None:
    stream = Stream(begin)
    once = play(1, LOW_GUEST, 1_000.0)
    stream.put(LOW_GUEST, once, 1_000.0)
    stream.read_to_the_end()
    stream.split(stream.open[0])
    for now in (1_001.0, 1_002.0):  # the second finds what the first has saved
        stream.put(LOW_GUEST, once, now)
        stream.read_to_the_end()
    assert [row["detector"] for row in stream.bodies("finding")] == ["big"]
    assert stream.bodies("late_event") == []


def test_a_row_that_waits_for_its_turn_goes_to_the_child_of_its_key_alone() -> None:
    stream = Stream(begin)
    for number in range(3):
        stream.put(LOW_GUEST, play(number, LOW_GUEST, 1_000.0 + number), 1_002.0)
    stream.read_to_the_end()
    stream.split(stream.open[0])
    stream.tick(2_000.0)
    assert [row["key"] for row in stream.bodies("finding") if row["detector"] == "streak"] == [LOW_GUEST]


def test_what_a_parent_at_hand_leaves_is_saved_like_what_one_from_the_log_leaves() -> None:
    parent, child = begin("shardId-000000000000"), begin("shardId-000000000001")
    for number in range(5):
        parent.process([Record(number, 1_000.0, [play(number, LOW_GUEST, 1_000.0)])])
    parent.seal()
    child.inherit(parent, Span(), Span())
    log = SavedShard()
    for number in range(5, 9):
        log.save(child, child.process([Record(number, 1_000.0, [play(number, LOW_GUEST, 1_000.0)])]))
        assert log.restore(begin("shardId-000000000001")).snapshot() == child.snapshot()


@pytest.mark.semantics(line=6, clause="unclaimed")
def test_a_child_of_children_that_were_never_read_inherits_through_them() -> None:
    stream = Stream(begin)
    stream.put(LOW_GUEST, play(1, LOW_GUEST, 1_000.0), 1_000.0)
    stream.read_to_the_end()
    for _ in range(3):
        stream.split(stream.open[0])
    stream.merge(*stream.open[:2])
    stream.put(LOW_GUEST, play(2, LOW_GUEST, 1_020.0), 1_020.0)
    stream.read_to_the_end()
    assert stream.load(stream.open[0].id).snapshot()["keys"]["streak"].keys() <= {LOW_GUEST}
    stream.tick(2_000.0)
    changes = [row["state"] for row in stream.bodies("incident_change") if row["detector"] == "big"]
    assert changes == ["opened", "resolved"]


@pytest.mark.semantics(line=6, clause="claim")
def test_what_is_claimed_again_after_a_death_is_the_same() -> None:
    stream = Stream(begin)
    for number, guest in enumerate(GUESTS):
        stream.put(guest, play(number, guest, 1_000.0), 1_000.0)
    stream.read_to_the_end()
    low, _ = stream.split(stream.open[0])
    stream.put(LOW_GUEST, play(100, LOW_GUEST, 1_001.0), 1_001.0)
    for moment in ("claimed", "commit"):
        stream.read(low, dies=partial(eq, moment))
        assert stream.readable() == [low]
    first, second = stream.load(low), stream.load(low)
    assert first.snapshot() == second.snapshot()
    assert first.process([]).change == second.process([]).change
    stream.read(low, dies=never)
    assert stream.readable() == []


def test_the_parents_that_a_stream_no_longer_lists_are_known_by_name() -> None:
    def listed(id: str, span: Span, **parents: str) -> dict[str, Any]:
        hashes = {"StartingHashKey": str(span.first), "EndingHashKey": str(span.last)}
        return {"ShardId": id, "HashKeyRange": hashes, **parents}

    lineage = Lineage.of(
        [
            listed("split", LOW, ParentShardId="gone"),
            listed("merged", HIGH_HALF, ParentShardId="gone-1", AdjacentParentShardId="gone-2"),
        ]
    )
    assert [(each.id, each.span, each.is_listed) for each in lineage.parents("split")] == [
        ("gone", Span(), False)
    ]
    assert [(each.id, each.span) for each in lineage.parents("merged")] == [
        ("gone-1", HIGH_HALF),
        ("gone-2", HIGH_HALF),
    ]
    assert (lineage.parents("gone"), lineage.span("gone")) == ([], Span())
