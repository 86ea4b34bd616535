"""An incident's life in the shard, a quiet shard's tick, bounded states, and a redeploy with another
shape.
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from lambdas.columns import count, mean
from lambdas.detectors.detector import Detector
from lambdas.detectors.sequence import Sequence, Step
from lambdas.detectors.threshold import Threshold
from lambdas.detectors.window import Window
from lambdas.incidents import IncidentChange
from lambdas.model import CRITICAL, HIGH, Pipeline, Row, hours, minutes, seconds
from lambdas.streaming.reorder import Ids
from lambdas.streaming.shard import Outcome, Record, Shard
from tests.detectors.support import Beat, Play, Reading
from tests.streaming.support import SHARD, Log, bodies, pipeline, records, run

HOT = Threshold(
    name="too_hot",
    when=Reading.temperature >= 30,
    severity={30: HIGH, 45: CRITICAL},
    do_first="Look.",
    settle=seconds(60),
)
FAST = Window(
    name="fast", every=seconds(60), when=mean(Beat.heart_rate) > 120, severity=HIGH, do_first="Call."
)


def readings(*pairs: tuple[float, float | None], sensor: str = "s1") -> list[Row]:
    return [Row(float(at), {"sensor_id": sensor, "temperature": value}) for at, value in pairs]


def life(items: Any) -> list[tuple[str, str, str]]:
    return [
        (change["state"], change["severity"], change["reason"]) for change in bodies(items, "incident_change")
    ]


@pytest.mark.semantics(line=9, clause="severity")
@pytest.mark.semantics(line=10, clause="life")
@pytest.mark.semantics(line=10, clause="once")
def test_one_incident_while_it_stays_hot_worse_at_45_and_over_when_it_is_below_again() -> None:
    given = readings((0, 25), (10, 31), (11, 33), (12, 46), (13, 44), (14, 29), (200, 28))

    sent = run(pipeline(Reading, HOT), records(given))

    assert life(sent) == [
        ("opened", "high", ""),
        ("escalated", "critical", ""),
        ("resolved", "critical", "clear"),
    ]
    over = IncidentChange.from_row(bodies(sent, "incident_change")[-1])
    assert (over.since, over.ended_at, over.findings, over.observed) == (10, 14, 4, 46)


@pytest.mark.semantics(line=10, clause="once")
def test_flapping_within_the_settling_time_is_one_incident() -> None:
    given = readings((0, 31), (20, 29), (40, 31), (60, 29), (80, 31), (100, 29), (300, 20))

    assert [state for state, *_ in life(run(pipeline(Reading, HOT), records(given)))] == [
        "opened",
        "resolved",
    ]


def test_late_calm_reading_does_not_end_a_newer_finding() -> None:
    given = readings((100, 31), (95, 20), (96, 20), (101, 31))
    log = Log(pipeline(Reading, HOT))
    shard = log.load()
    log.save(shard, shard.process(records(given)))
    log.save(shard, shard.advance(101 + 80))

    assert [state for state, *_ in life(log.sent)] == ["opened"]


@pytest.mark.semantics(line=2, clause="passes")
@pytest.mark.semantics(line=10, clause="life")
def test_key_that_falls_silent_while_hot_is_resolved_as_quiet_by_a_tick() -> None:
    log = Log(pipeline(Reading, replace(HOT, quiet=minutes(5))))
    shard = log.load()
    log.save(shard, shard.process(records(readings((0, 31)))))
    due = shard.due()

    assert due == 310  # five minutes of quiet and ten seconds of lateness after the last arrival
    assert shard.advance(309).is_empty
    log.save(shard, shard.advance(310))
    assert life(log.sent) == [("opened", "high", ""), ("resolved", "high", "quiet")]
    assert shard.due() is None


@pytest.mark.semantics(line=2, clause="passes")
@pytest.mark.semantics(line=2, clause="nothing")
def test_tick_closes_the_window_of_a_quiet_shard_and_then_writes_nothing_more() -> None:
    beats = [Row(float(at), {"strap": "7", "heart_rate": 130.0}) for at in range(0, 60, 5)]
    log = Log(pipeline(Beat, FAST))
    shard = log.load()
    log.save(shard, shard.process(records(beats)))
    assert life(log.sent) == []

    due = shard.due()
    assert due is not None
    log.save(shard, shard.advance(due))

    assert life(log.sent) == [("opened", "high", "")]
    changes = len(log.changes)
    log.save(shard, shard.advance(due + 30))
    assert len(log.changes) == changes


@pytest.mark.semantics(line=1, clause="order")
def test_tick_hands_over_what_waits_for_its_turn() -> None:
    streak = Sequence(
        name="streak",
        steps=[Step(when=Play.won > 0, times=2)],
        within=minutes(1),
        severity=HIGH,
        do_first="Look.",
    )
    plays = [Row(float(at), {"play_id": str(at), "guest": "g", "won": 5.0}) for at in (1, 2)]
    log = Log(pipeline(Play, streak))
    log.save(shard := log.load(), shard.process(records(plays)))
    cold = log.load()
    due = cold.due()
    assert due is not None

    log.save(cold, cold.advance(due + 1))

    assert [body["detector"] for body in bodies(log.sent, "finding")] == ["streak"]


@pytest.mark.semantics(line=8, clause="keys")
def test_more_keys_than_the_cap_lose_the_least_recently_seen_and_end_its_incident() -> None:
    given = [row for at in range(3) for row in readings((at, 31), sensor=f"s{at}")]

    sent = run(pipeline(Reading, replace(HOT, max_keys=2)), records(given))

    lost = [change for change in bodies(sent, "incident_change") if change["state"] == "resolved"]
    assert [(change["key"], change["reason"]) for change in lost] == [("s0", "lost sight")]


@pytest.mark.semantics(line=8, clause="touched")
def test_keys_that_are_as_they_should_be_take_no_state() -> None:
    shard = Shard(pipeline(Reading, HOT), SHARD)

    outcome = shard.process(records([row for at in range(50) for row in readings((at, 21), sensor=f"s{at}")]))

    assert outcome.change["keys"] == {"too_hot": {}}


@pytest.mark.semantics(line=8, clause="touched")
def test_batch_that_touches_one_key_of_many_writes_that_key_alone() -> None:
    beats = [Row(1.0, {"strap": str(strap), "heart_rate": 80.0}) for strap in range(1000)]
    shard = Shard(pipeline(Beat, FAST), SHARD)
    given = records([*beats, Row(2.0, {"strap": "7", "heart_rate": 81.0})])
    shard.process(given[:1000])

    assert list(shard.process(given[1000:]).change["keys"]["fast"]) == ["7"]


def test_redeploy_with_another_shape_begins_that_detector_anew_and_keeps_its_open_incidents() -> None:
    log = Log(
        pipeline(
            Beat, FAST, Threshold(name="high", when=Beat.heart_rate > 200, severity=HIGH, do_first="Call.")
        )
    )
    shard = log.load()
    beats = [Row(float(at), {"strap": "7", "heart_rate": 210.0}) for at in range(0, 100, 5)]
    log.save(shard, shard.process(records(beats)))
    assert len(life(log.sent)) == 2

    slower = replace(FAST, every=seconds(30))
    log.pipeline = pipeline(
        Beat, slower, Threshold(name="high", when=Beat.heart_rate > 200, severity=HIGH, do_first="Call.")
    )
    redeployed = log.load()
    assert redeployed.began_anew == ["fast"]

    log.save(redeployed, redeployed.advance(10_000))
    assert sorted(change["detector"] for change in bodies(log.sent, "incident_change")) == [
        "fast",
        "fast",
        "high",
        "high",
    ]


def test_incident_of_a_detector_that_has_gone_is_ended_once() -> None:
    log = Log(pipeline(Reading, HOT))
    log.save(shard := log.load(), shard.process(records(readings((0, 31)))))
    log.pipeline = pipeline(Reading, replace(HOT, name="other"))

    shard = log.load()
    log.save(shard, shard.advance(5))
    log.save(shard := log.load(), shard.advance(6))

    assert [(c["detector"], c["state"], c["reason"]) for c in bodies(log.sent, "incident_change")] == [
        ("too_hot", "opened", ""),
        ("too_hot", "resolved", "lost sight"),
    ]


class Broken(Threshold):
    """A user's own detector that cannot stand one value."""

    def observe(self, state: Any, row: Row) -> Any:
        if row.values["temperature"] == 13:
            raise ValueError(f"secret {row.values['sensor_id']}")
        return super().observe(state, row)


@pytest.mark.semantics(line=5, clause="detector")
@pytest.mark.semantics(line=11, clause="log")
def test_detector_that_raises_is_reported_without_the_events_values_and_the_others_go_on() -> None:
    broken = Broken(name="broken", when=Reading.temperature >= 30, severity=HIGH, do_first="Look.")
    shard = Shard(pipeline(Reading, broken, HOT), SHARD)

    outcome: Outcome = shard.process(records(readings((0, 13), (1, 31))))

    assert outcome.faults == ["broken raised ValueError"]
    assert {body["detector"] for body in bodies(outcome.outbox, "finding")} == {"broken", "too_hot"}


def test_event_without_the_key_of_a_detector_is_counted_and_passed_over() -> None:
    guests = replace(HOT, name="by_nobody")
    outcome = Shard(pipeline(Reading, guests), SHARD).process(
        records([Row(0.0, {"sensor_id": None, "temperature": 31.0})])
    )

    assert outcome.counts["keyless"] == 1
    assert outcome.outbox == []


@pytest.mark.semantics(line=3, clause="cold")
@pytest.mark.parametrize("detector", [HOT, replace(HOT, times=2), replace(HOT, lasting=seconds(5))])
def test_saved_and_restored_detector_is_the_one_that_never_stopped(detector: Detector[Any]) -> None:
    given = records(readings((0, 31), (5, 31), (10, 20), (30, 32), (90, 50), (95, 50)))
    whole: Pipeline = pipeline(Reading, detector)

    assert run(whole, given, cuts=range(7), cold=True, tick=9e3) == run(whole, given, tick=9e3)


@pytest.mark.semantics(line=8, clause="keys")
def test_key_that_was_seen_again_is_not_the_least_recently_seen() -> None:
    order = ("s0", "s1", "s0", "s2")
    given = [row for at, sensor in enumerate(order) for row in readings((at, 31), sensor=sensor)]

    sent = run(pipeline(Reading, replace(HOT, max_keys=2)), records(given))

    assert [c["key"] for c in bodies(sent, "incident_change") if c["reason"] == "lost sight"] == ["s1"]


@pytest.mark.semantics(line=2, clause="nothing")
@pytest.mark.parametrize("cold", [False, True])
def test_deadline_that_later_events_put_off_writes_nothing(cold: bool) -> None:
    log = Log(pipeline(Reading, replace(HOT, quiet=minutes(5))))
    shard = log.load()
    log.save(shard, shard.process(records(readings((0, 31), (100, 31)))))
    shard = log.load() if cold else shard

    assert shard.advance(350).is_empty
    log.save(shard, shard.advance(410))
    assert life(log.sent)[-1][::2] == ("resolved", "quiet")


@pytest.mark.semantics(line=10, clause="life")
def test_finding_that_is_older_than_the_end_does_not_revive_an_incident() -> None:
    given = readings((10, 31), (20, 25), (15, 32), (200, 25))

    over = bodies(run(pipeline(Reading, HOT), records(given)), "incident_change")[-1]

    assert (over["state"], over["reason"], over["ended_at"]) == (
        "resolved",
        "clear",
        "1970-01-01 00:00:20.000",
    )


def test_incident_that_is_over_at_the_moment_of_a_new_finding_is_over() -> None:
    twice = replace(HOT, times=2, settle=seconds(10))
    given = readings((0, 31), (1, 31), (10, 25), (19, 31), (20, 31), (90, 25), (120, 25))

    changes = bodies(run(pipeline(Reading, twice), records(given)), "incident_change")

    assert [change["state"] for change in changes] == ["opened", "resolved", "opened", "resolved"]
    assert len({change["incident_id"] for change in changes}) == 2


@pytest.mark.semantics(line=1, clause="watermark")
@pytest.mark.parametrize("ahead", [11, 60, 290])
def test_one_fast_clock_makes_no_other_sensor_late(ahead: int) -> None:
    given = []
    for at in range(0, 600, 5):
        for sensor, temperature, clock in (("fast", 20.0, ahead), ("s1", 48.0, 0), ("s2", 25.0, 0)):
            given.append(Row(at + clock, {"sensor_id": sensor, "temperature": temperature}, at))
    arriving = [
        Record(number, row.arrival, [Row(row.time, row.values, row.arrival, number)])
        for number, row in enumerate(given, start=1)
    ]

    outcome = Shard(pipeline(Reading, HOT), SHARD).process(arriving)

    assert outcome.counts.get("late", 0) == 0
    assert [change["key"] for change in bodies(outcome.outbox, "incident_change")] == ["s1"]


@pytest.mark.semantics(line=4, clause="id")
@pytest.mark.parametrize("cold", [False, True])
def test_id_that_comes_again_after_it_was_forgotten_is_remembered_anew(cold: bool) -> None:
    times = (0, 2_000, 2_003, 4_000)
    given = records([Row(float(at), {"play_id": "p", "guest": "g", "won": 1.0}) for at in times])
    counted = Window(name="counted", every=seconds(10), also=[count()], severity=HIGH, do_first="Look.")

    sent = run(pipeline(Play, counted), given, cuts=range(5), cold=cold, tick=9e3)

    assert [row["aggregates"]["count()"] for row in bodies(sent, "window_result")] == [1, 1, 1]


def test_detector_put_back_after_it_was_taken_out_begins_a_new_life() -> None:
    log = Log(pipeline(Reading, HOT), base_every=100)
    with_it, without_it = log.pipeline, pipeline(Reading, replace(HOT, name="other"))
    given = records(readings((0, 31), (1, 32), (2, 46)))
    for number, deployed in enumerate((with_it, without_it, with_it)):
        log.pipeline = deployed
        log.save(shard := log.load(), shard.process(given[number : number + 1]))

    changes = [c for c in bodies(log.sent, "incident_change") if c["detector"] == "too_hot"]

    assert [change["state"] for change in changes] == ["opened", "resolved", "opened"]
    assert len({change["change_id"] for change in changes}) == 3


class Faulty(Threshold):
    """A user's own detector that fails where it is told to."""

    where = ""

    def due(self, state: Any) -> float | None:
        if self.where == "due":
            raise ValueError
        return None

    def is_blank(self, state: Any) -> bool:
        if self.where == "is_blank":
            raise ValueError
        return super().is_blank(state)

    def save(self, state: Any) -> Any:
        if self.where == "save" and state.hot is not None:
            raise ValueError
        return super().save(state)

    def restore(self, saved: Any) -> Any:
        if self.where == "restore":
            raise ValueError
        return super().restore(saved)


@pytest.mark.semantics(line=5, clause="detector")
@pytest.mark.parametrize("where", ["due", "is_blank", "save", "restore"])
def test_fault_anywhere_in_a_detector_stops_nobody_else(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Faulty, "where", where)
    faulty = Faulty(name="faulty", when=Reading.temperature >= 30, severity=HIGH, do_first="Look.")
    given = records(readings((0, 31), (1, 32), (200, 20)))

    sent = run(pipeline(Reading, faulty, HOT), given, cuts=[1, 2], cold=True, tick=9e3)

    states = [c["state"] for c in bodies(sent, "incident_change") if c["detector"] == "too_hot"]
    assert states == ["opened", "resolved"]


class Stuck(Window):
    """A user's own detector whose deadline never moves on."""

    def advance(self, state: Any, now: float) -> Any:
        return ()


def test_deadline_that_does_not_move_on_is_a_fault_and_no_endless_loop() -> None:
    stuck = Stuck(name="stuck", every=seconds(10), when=count() > 0, severity=HIGH, do_first="Look.")

    outcome = Shard(pipeline(Reading, stuck), SHARD).process(records(readings((0, 31), (100, 31))))

    assert outcome.faults == ["stuck raised RuntimeError"]


def test_incident_of_hourly_windows_lasts_from_one_to_the_next() -> None:
    hourly = Window(
        name="hourly", every=hours(1), when=mean(Reading.temperature) > 30, severity=HIGH, do_first="Look."
    )
    given = records(readings(*((at, 35) for at in range(0, 6 * 3600, 300))))

    states = [c["state"] for c in bodies(run(pipeline(Reading, hourly), given, tick=5e4), "incident_change")]

    assert states == ["opened", "resolved"]


def test_cause_is_never_told_from_a_part_that_does_not_hold() -> None:
    mixed = Threshold(
        name="mixed",
        when=((Play.won > 10) & Play.action.is_("sit")) | (Play.won > 5),
        severity={5: HIGH, 10: CRITICAL},
        do_first="Look.",
    )
    given = records([Row(0.0, {"play_id": "p", "guest": "g", "won": 20.0, "action": "bet"})])

    (found,) = bodies(run(pipeline(Play, mixed), given), "finding")

    assert found["expected"] == "at most $5"


@pytest.mark.semantics(line=8, clause="bytes")
def test_keys_and_ids_of_any_length_take_little_room_and_stay_apart() -> None:
    names = ["x" * 100_000 + "1", "x" * 100_000 + "2"]
    given = [Row(at, {"play_id": name, "guest": name, "won": 50.0}) for at, name in enumerate(names)]
    hot = Threshold(name="big", when=Play.won > 10, severity=HIGH, do_first="Look.")

    outcome = Shard(pipeline(Play, hot), SHARD).process(records(given))

    assert len({change["key"] for change in bodies(outcome.outbox, "incident_change")}) == 2
    assert len(json.dumps(outcome.change)) < 5_000


@pytest.mark.semantics(line=8, clause="bytes")
def test_ids_are_bounded_though_the_watermark_stands() -> None:
    ids = Ids(600, most=10)
    for number in range(100):
        ids.is_repeat(f"id-{number:03}", float(number % 7))

    assert len(ids.snapshot()) == 10
    assert ids.lost == 90


@pytest.mark.semantics(line=8, clause="bytes")
@pytest.mark.semantics(line=11, clause="shard")
def test_rows_that_wait_keep_only_what_detectors_read() -> None:
    streak = Sequence(
        name="streak", steps=[Step(when=Play.won > 0)], within=minutes(1), severity=HIGH, do_first="Look."
    )
    row = Row(5.0, {"play_id": "p", "guest": "g", "won": 5.0, "action": "secret"})

    waiting = Shard(pipeline(Play, streak), SHARD).process(records([row])).change["buffer"]

    assert [sorted(values) for *_, values in waiting] == [["guest", "won"]]
