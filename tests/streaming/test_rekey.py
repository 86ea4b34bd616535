"""Detectors of another key than the stream's say on many shards what they say on one."""

import itertools
import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.columns import count, total
from lambdas.detectors.sequence import Sequence, Step
from lambdas.detectors.window import Window
from lambdas.lineage import PLACES, Span, place
from lambdas.model import HIGH, Kinesis, Pipeline, Row, seconds
from lambdas.streaming import rekey
from lambdas.streaming.lane import Item
from lambdas.streaming.shard import Outcome, Record, Shard
from pipelines.casino.pipeline import Play
from pipelines.casino.pipeline import pipeline as casino
from tests.streaming.rekeying import Seen, Stages, alone, content, name

LATENESS = casino.lateness.total_seconds()


def rekeyed(detector: Any) -> Any:
    return replace(detector, rekey=True, max_keys=1_000) if detector.key is Play.table_id else detector


REKEYED = replace(
    casino.named("casino"),
    sources=[Kinesis(provisioned=4)],
    detectors=[
        *map(rekeyed, casino.detectors),
        Sequence(
            name="table_wins",
            key=Play.table_id,
            steps=[Step(when=Play.won > 0, times=3, unbroken=True)],
            within=seconds(60),
            show=[Play.customer_id],
            rekey=True,
            severity=HIGH,
            do_first="Look.",
        ),
        Window(
            name="game_minute",
            key=(Play.game, Play.action),
            every=seconds(60),
            also=[total(Play.won), count()],
            rekey=True,
            max_keys=100,
            severity=HIGH,
            do_first="Look.",
        ),
    ],
)

PLAY = st.fixed_dictionaries(
    {
        "at": st.integers(0, 240),
        "behind": st.integers(0, int(LATENESS)),
        "customer_id": st.sampled_from([f"guest-{number}" for number in range(12)]),
        "table_id": st.one_of(st.none(), st.sampled_from(["table-1", "table-2", "table-3"])),
        "game": st.sampled_from(["poker", "roulette"]),
        "action": st.sampled_from(["sit", "bet"]),
        "won": st.one_of(st.none(), st.integers(-500, 1_500)),
    }
)


def rows(plays: list[dict[str, Any]]) -> list[Row]:
    """The plays as they arrive: out of order, none so late that one shard would leave it out."""
    made = []
    for number, play in enumerate(sorted(plays, key=lambda play: play["at"] + play["behind"])):
        values = {name: value for name, value in play.items() if name not in ("at", "behind")}
        values |= {"play_id": f"play-{number}", "bet": None, "guests.spent": 100.0, "guests.tier": "gold"}
        made.append(Row(float(play["at"]), values, float(play["at"] + play["behind"])))
    return made


@pytest.mark.semantics(line=7, clause="rekeyed")
@settings(max_examples=100, deadline=None)
@given(
    plays=st.lists(PLAY, min_size=1, max_size=60),
    steps=st.lists(st.tuples(st.integers(0, 13), st.integers(1, 20)), max_size=80),
    seed=st.integers(0, 2**32),
)
def test_many_shards_give_what_one_gives(
    plays: list[dict[str, Any]], steps: list[tuple[int, int]], seed: int
) -> None:
    given_rows = rows(plays)
    stages = Stages(REKEYED, Random(seed))
    waiting = list(given_rows)
    now = 0.0
    for which, most in steps:
        if which == 13:
            stages.tick(now)
        elif which >= len(stages.shards):
            for row in waiting[:most]:
                stages.put(str(row.values["customer_id"]), row)
                now = row.arrival
            del waiting[:most]
        else:
            stages.read(stages.shards[which], most)
    for row in waiting:
        stages.put(str(row.values["customer_id"]), row)
    stages.drain()
    end = 100_000.0
    stages.tick(end)
    stages.drain()
    assert content(stages.sent) == content(alone(REKEYED, given_rows, [end]))


def played(*plays: tuple[float, str, float], table: str = "table-1") -> list[Row]:
    """Rows of moment, guest and win, each arriving when it happened."""
    return rows(
        [
            {"at": at, "behind": 0, "customer_id": guest, "table_id": table, "won": won}
            | {"game": "poker", "action": "bet"}
            for at, guest, won in plays
        ]
    )


def put(stages: Stages, given_rows: list[Row]) -> None:
    for row in given_rows:
        stages.put(str(row.values["customer_id"]), row)


def guests_of_two_shards(stages: Stages) -> tuple[str, str]:
    """A guest of the first stream's first shard, and one of its last."""
    shards = {stages.first_shard(guest): guest for guest in (f"guest-{number}" for number in range(50))}
    return shards[name(0)], shards[name(3)]


TABLE = replace(REKEYED, detectors=[one for one in REKEYED.detectors if one.name == "chips_run_low"])


class NoChance(Random):
    """Nothing is sent twice or late, and no state is restored."""

    def random(self) -> float:
        return 0.5


def stages_of(pipeline: Pipeline) -> Stages:
    return Stages(pipeline, NoChance())


def test_a_shard_that_is_not_read_holds_the_others_up_and_loses_nothing() -> None:
    # given
    stages = stages_of(TABLE)
    near, far = guests_of_two_shards(stages)
    given_rows = played((0, near, 1_500), (1, far, 1_500), (100, near, 1), (101, far, 1), (200, near, 1))
    put(stages, given_rows)
    # when
    stages.read(stages.first_shard(near))
    for now in (200.0, 260.0):
        stages.tick(now)
        stages.read_second()
    # then
    assert not stages.sent
    stages.drain()
    stages.tick(400.0)
    stages.drain()
    assert [item.body["found_at"] for item in stages.sent if item.kind == "finding"]
    assert content(stages.sent) == content(alone(TABLE, given_rows, [400.0]))


def test_one_that_stands_for_longer_than_the_skew_is_not_waited_for_and_its_events_are_listed_as_late() -> (
    None
):
    # given
    stages = stages_of(replace(TABLE, skew=seconds(30)))
    near, far = guests_of_two_shards(stages)
    put(stages, played((0, near, 1_500), (1, near, 1_500), (2, far, 1), (100, near, 1)))
    stages.read(stages.first_shard(near), 3)
    # when
    for now in (100.0, 130.0):
        stages.tick(now)
        stages.read_second()
        assert not stages.sent
    stages.tick(131.0)
    stages.read_second()
    # then
    assert {item.kind for item in stages.sent} >= {"finding"}
    stages.drain()
    (late,) = [item.body for item in stages.sent if item.kind == "late_event"]
    assert (late["shard_id"], late["sequence_number"]) == (stages.first_shard(far), "3")
    assert late["event_time"] == "1970-01-01 00:00:02.000"
    assert late["watermark"] == "1970-01-01 00:02:01.000"


def test_shards_that_catch_up_one_after_the_other_lose_nothing_however_much_they_have_missed() -> None:
    # given an outage of an hour, after which one shard is read far ahead of the other
    stages = stages_of(TABLE)
    near, far = guests_of_two_shards(stages)
    given_rows = played(
        *((float(at), guest, 700.0) for at in range(0, 3_600, 4) for guest in (near, far)),
    )
    put(stages, given_rows)
    # when
    stages.tick(3_600.0)
    for most, guest in ((1_000, near), (300, far), (300, far), (1_000, far)):
        stages.read(stages.first_shard(guest), most)
        stages.read_second()
    # then
    stages.tick(4_000.0)
    stages.drain()
    stages.tick(8_000.0)
    stages.drain()
    assert not any(item.kind == "late_event" for item in stages.sent)
    assert content(stages.sent) == content(alone(TABLE, given_rows, [8_000.0]))


def test_a_quiet_hour_makes_nobody_impatient() -> None:
    # given both shards at rest for longer than the skew
    stages = stages_of(TABLE)
    near, far = guests_of_two_shards(stages)
    given_rows = played(
        (0, near, 1), (1, far, 1), (5_000, near, 1_500), (5_001, far, 1_500), (5_040, near, 1)
    )
    put(stages, given_rows[:2])
    stages.drain()
    stages.tick(60.0)
    stages.drain()
    # when one of them is read before the other
    put(stages, given_rows[2:])
    for most in (1, 1):
        stages.read(stages.first_shard(near), most)
        stages.read_second()
    stages.drain()
    # then
    stages.tick(6_000.0)
    stages.drain()
    assert content(stages.sent) == content(alone(TABLE, given_rows, [6_000.0]))


def test_no_more_events_wait_for_a_shard_than_a_state_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rekey, "MOST_AHEAD", 100)
    shard = second_shard()
    given_rows = played(*((60.0 * minute, "guest-1", 1.0) for minute in range(150)))
    taken(shard, handed_on(given_rows, cuts=[50, 100]))
    assert shard.watermark == 50 * 60.0
    again = second_shard()
    again.restore(json.loads(json.dumps(shard.snapshot())), [])
    more = played(*((60.0 * minute, "guest-1", 1.0) for minute in range(150, 200)))
    taken(again, [body | {"shard": name(1)} for body in handed_on(more, cuts=[])])
    assert again.watermark == 100 * 60.0


@pytest.mark.parametrize(
    ("seen", "is_idle", "reach"),
    [
        (Seen(True, {"newest": 90.0, "arrived": 95.0, "watermark": 80.0}), False, 80.0),
        (Seen(True, {"newest": 90.0, "arrived": 95.0, "watermark": 80.0}), True, 105.0),
        (Seen(False, {"newest": 90.0, "arrived": 95.0, "watermark": 80.0}), True, None),
        (Seen(True, {}), False, None),
    ],
    ids=["busy", "idle", "owing", "not begun"],
)
def test_a_mark_says_what_cannot_come_any_more(seen: Seen, is_idle: bool, reach: float | None) -> None:
    assert rekey.mark(120.0, {"a": (seen, is_idle)}, 10.0) == {"at": 120.0, "reaches": {"a": reach}}


def test_a_shard_that_nothing_ever_came_from_is_waited_for_by_nobody() -> None:
    assert rekey.mark(120.0, {"a": (Seen(True, {}), True)}, 10.0)["reaches"] == {}


def handed_on(given_rows: list[Row], *, cuts: list[int]) -> list[dict[str, Any]]:
    """What a shard of the first stream owes the second for rows, cut into commits."""
    shard = rekey.begin(TABLE, name(0))
    found = []
    for first, last in itertools.pairwise([0, *cuts, len(given_rows)]):
        batch = [
            Record(number, row.arrival, [replace(row, sequence=number)])
            for number, row in enumerate(given_rows[first:last], start=first + 1)
        ]
        found += [item.body for item in shard.process(batch).outbox if item.kind == rekey.ITEM]
    return found


def second_shard() -> Shard:
    return rekey.begin(TABLE, rekey.shard_names(TABLE, name(0))[0])


def taken(shard: Shard, bodies: list[dict[str, Any]]) -> Outcome:
    first = shard.sequence + 1
    return shard.process([rekey.read_record(first + at, 0.0, body) for at, body in enumerate(bodies)])


PLAYS = played(*((float(at), "guest-1", 100.0) for at in range(9)))


def test_what_is_sent_again_in_other_commits_is_known_event_by_event() -> None:
    shard = second_shard()
    assert taken(shard, handed_on(PLAYS, cuts=[3, 6])).counts["rekeyed"] == 9
    for cuts in ([], [2], [1, 4, 8]):
        again = taken(shard, handed_on(PLAYS, cuts=cuts)).counts
        assert (again.get("rekeyed", 0), again["replayed"]) == (0, 9)


def test_what_was_redriven_is_taken_though_newer_commits_have_come() -> None:
    # given a batch that was given up, and three commits after it
    first = rekey.begin(TABLE, name(0))
    batch = [
        Record(number, row.arrival, [replace(row, sequence=number)])
        for number, row in enumerate(PLAYS, start=1)
    ]
    shard = second_shard()
    for part in (batch[2:4], batch[4:6], batch[6:]):
        taken(shard, [item.body for item in first.process(part).outbox])
    # when
    redriven = [item.body for item in first.redrive(batch[:2], []).outbox]
    # then
    assert taken(shard, redriven).counts["rekeyed"] == 2
    assert taken(shard, redriven).counts["replayed"] == 2


def test_a_given_up_batch_of_the_second_stream_can_be_redriven() -> None:
    shard = second_shard()
    bodies = handed_on(PLAYS, cuts=[1, 2, 3, 4])
    records = [rekey.read_record(number, 0.0, body) for number, body in enumerate(bodies, start=1)]
    shard.process(records[2:])
    counts = shard.redrive(records, []).counts
    assert (counts["redriven"], counts["replayed"], counts["rekeyed"]) == (2, 3, 2)


def test_what_somebody_else_put_into_the_second_stream_is_counted() -> None:
    shard = second_shard()
    strange: list[Any] = [None, [], "text", {"reaches": 7}, {"shard": "a"}, {"reaches": {}, "at": "never"}]
    assert taken(shard, strange).counts["unreadable"] == len(strange)


def test_only_what_detectors_read_is_handed_on() -> None:
    (body,) = handed_on(PLAYS, cuts=[])
    assert body["columns"] == ["table_id", "won"]
    assert [len(event) for event in body["events"]] == [4 + 2] * 9
    assert "guest" not in json.dumps(body)


def test_an_event_without_the_key_is_counted_once_a_detector_and_handed_to_nobody() -> None:
    shard = rekey.begin(TABLE, name(0))
    (row,) = played((0, "guest-1", 1))
    row.values["table_id"] = None
    outcome = shard.process([Record(1, 0.0, [row])])
    assert not outcome.outbox
    assert outcome.counts["keyless"] == 1


def test_many_events_of_a_key_share_records_and_a_long_key_fits_kinesis() -> None:
    many = played(*((float(at // 10), "guest-1", 1.0) for at in range(1_200)), table="t" * 1_000)
    bodies = handed_on(many, cuts=[])
    assert [len(body["events"]) for body in bodies] == [500, 500, 200]
    assert {len(body["partition_key"]) for body in bodies} == {217}
    (empty,) = handed_on(played((0, "guest-1", 1.0), table=""), cuts=[])
    assert empty["partition_key"] == "-"


def test_a_mark_takes_back_a_shard_that_is_gone_but_none_that_is_younger() -> None:
    shard = second_shard()
    bodies = [body | {"shard": name(1)} for body in handed_on(PLAYS, cuts=[])]
    taken(shard, [{"at": 1.0, "reaches": {name(0): 30.0}}, *bodies])
    taken(shard, [{"at": 2.0, "reaches": {name(0): 50.0}}])
    assert shard.watermark == 30.0  # that of which the mark could not know holds it up
    taken(shard, [{"at": 60.0, "reaches": {name(0): 55.0}}])
    assert shard.watermark == 55.0


def test_the_children_of_a_shard_of_the_second_stream_go_on_where_it_ended() -> None:
    # given
    tables = [f"table-{number}" for number in range(8)]
    given_rows = played(*((float(at), "guest-1", 600.0 + at) for at in range(40)))
    for at, row in enumerate(given_rows):
        row.values["table_id"] = tables[at % 8 if at % 2 else 0]
    bodies = handed_on(given_rows, cuts=[10, 20, 30])
    ended = {"at": 100.0, "reaches": {name(0): 90.0}}
    expected = taken(second_shard(), [*bodies, ended]).outbox
    # when
    parent, sent = second_shard(), list[Item]()
    half = len(bodies) // 2
    sent += taken(parent, bodies[:half]).outbox
    parent.seal()
    for span in (Span(0, PLACES // 2 - 1), Span(PLACES // 2, PLACES - 1)):
        child = second_shard()
        left = second_shard()
        left.restore(json.loads(json.dumps(parent.snapshot())), [])
        child.inherit(left, Span(), span)
        again = [body for body in bodies if place(body["partition_key"]) in span]  # all of it
        sent += taken(child, [*again, ended]).outbox
    # then
    assert any(item.kind == "finding" for item in sent)
    assert content(sent) == content(expected)


def test_what_is_redriven_into_a_shard_whose_keys_have_gone_to_its_children_moves_nothing() -> None:
    # given a shard that gave up its last batch before its children took over what was open
    bodies = handed_on(played(*((float(at), "guest-1", 600.0) for at in range(40))), cuts=[20])
    ended = {"at": 4_000.0, "reaches": {name(0): 3_000.0}}
    records = [rekey.read_record(at, 0.0, body) for at, body in enumerate([*bodies, ended], start=1)]
    parent = second_shard()
    parent.process(records[:1])
    parent.seal()
    left = parent.snapshot()
    # when
    outcome = parent.redrive(records[1:], [])
    # then
    assert {item.kind for item in outcome.outbox} == {"late_event"}
    assert outcome.counts["late"] == 20
    for what in ("keys", "buffer", "watermark", "ahead"):
        assert parent.snapshot()[what] == left[what]


def test_a_merged_shard_does_not_go_back_in_what_has_come() -> None:
    # given a shard that knows a source up to its hundredth record, and one that knows older commits of it
    ahead, behind = rekey.Source(through=100), rekey.Source(commits={1: {"1:0"}, 2: {"2:0"}, 3: {"3:0"}})
    # when one takes over what both know
    ahead.join(behind)
    # then what came before the hundredth is known still
    assert ahead.through == 100
