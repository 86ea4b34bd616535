"""The rules that every detector keeps, over every detector found."""

import copy
import importlib
import json
import math
import pkgutil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lambdas.detectors
from lambdas.columns import Value, count, distinct, high, low, mean, quantile, spread, total
from lambdas.detectors.aggregates import MOST_BUCKETS, Sketch
from lambdas.detectors.detector import Detector
from lambdas.detectors.sequence import Sequence, Step
from lambdas.detectors.threshold import Threshold
from lambdas.detectors.window import Window
from lambdas.model import HIGH, Finding, Row, Said, minutes, seconds
from tests.detectors.support import Play, Reading, hear

WARM = Reading.temperature >= 30
COMMON: dict[str, Any] = {"severity": HIGH, "do_first": "Look."}
T = Reading.temperature

EXAMPLES: list[Detector[Any]] = [
    Threshold(name="threshold", when=WARM, **COMMON),
    Threshold(name="hysteresis", when=WARM, clear=T < 25, **COMMON),
    Threshold(name="run", when=WARM | (T < 0), times=3, **COMMON),
    Threshold(name="lasting", when=WARM, lasting=seconds(5), **COMMON),
    Window(name="tumbling", every=seconds(7), when=(mean(T) > 30) | (total(T) < -10), show=[T], **COMMON),
    Window(
        name="sliding",
        every=seconds(2),
        span=seconds(6),
        when=spread(T) > 3,
        also=[low(T), high(T)],
        **COMMON,
    ),
    Window(name="session", gap=seconds(4), when=count() > 3, also=[mean(T)], where=T > 0, **COMMON),
    Window(name="quantile", every=seconds(9), when=quantile(T, 0.5) > 30, **COMMON),
    Window(name="distinct", every=seconds(9), when=distinct(Reading.sensor_id) > 1, distinct_cap=5, **COMMON),
    Sequence(name="streak", steps=[Step(when=WARM, times=3, unbroken=True)], within=minutes(1), **COMMON),
    Sequence(
        name="steps", steps=[Step(when=WARM), Step(when=T < 20)], within=seconds(9), attempts=4, **COMMON
    ),
]

TEMPERATURE = st.one_of(
    st.none(),
    st.floats(-50, 60),
    st.sampled_from([1e308, -1e308, 5e-324, 0.0, 30.0]),
    st.integers(-(2**63), 2**63 - 1),
)


@st.composite
def streams(draw: st.DrawFn) -> list[Row]:
    """One key's events in order of time, several of them at one time now and then."""
    steps = draw(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 1.0, 5.0]), TEMPERATURE), max_size=40))
    time, made = 1000.0, []
    for number, (step, temperature) in enumerate(steps):
        time += step
        values: dict[str, Value] = {"sensor_id": f"s{number % 7}", "temperature": temperature, "at": time}
        if temperature is None and number % 2:
            del values["temperature"]
        made.append(Row(time, values, time, number))
    return made


def by_name(detector: Detector[Any]) -> str:
    return detector.name


def test_every_detector_has_an_example_here() -> None:
    found = set()
    for module in pkgutil.iter_modules(lambdas.detectors.__path__):
        for value in vars(importlib.import_module(f"lambdas.detectors.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, Detector) and value is not Detector:
                found.add(value)
    assert found == {type(example) for example in EXAMPLES}


@pytest.mark.parametrize("detector", EXAMPLES, ids=by_name)
@settings(max_examples=60, deadline=None)
@given(stream=streams())
def test_same_events_same_words_and_events_unchanged(detector: Detector[Any], stream: list[Row]) -> None:
    before = copy.deepcopy(stream)

    assert hear(detector, stream, 1e4) == hear(detector, stream, 1e4)
    assert stream == before


@pytest.mark.semantics(line=3, clause="cold")
@pytest.mark.parametrize("detector", EXAMPLES, ids=by_name)
@settings(max_examples=60, deadline=None)
@given(stream=streams(), cut=st.integers(0, 40))
def test_saved_and_restored_anywhere_is_never_stopped_to_the_bit(
    detector: Detector[Any], stream: list[Row], cut: int
) -> None:
    state, said = detector.begin(), list[Said]()
    for number, row in enumerate(stream):
        if number == cut:
            state = detector.restore(json.loads(json.dumps(detector.save(state), allow_nan=False)))
        while (due := detector.due(state)) is not None and due <= row.time:
            said += detector.advance(state, due)
        said += detector.observe(state, row) or ()
    whole = detector.begin()
    expected = list[Said]()
    for row in stream:
        while (due := detector.due(whole)) is not None and due <= row.time:
            expected += detector.advance(whole, due)
        expected += detector.observe(whole, row) or ()

    assert said == expected
    assert detector.save(state) == detector.save(whole)


@pytest.mark.semantics(line=8, clause="bytes")
@pytest.mark.parametrize("detector", EXAMPLES, ids=by_name)
@settings(max_examples=60, deadline=None)
@given(stream=streams())
def test_state_stays_within_its_declared_bytes(detector: Detector[Any], stream: list[Row]) -> None:
    state = detector.begin()
    for row in stream:
        while (due := detector.due(state)) is not None and due <= row.time:
            list(detector.advance(state, due))
        list(detector.observe(state, row) or ())
        assert len(json.dumps(detector.save(state), separators=(",", ":"))) <= detector.bytes_per_key


@pytest.mark.parametrize("detector", EXAMPLES, ids=by_name)
@settings(max_examples=60, deadline=None)
@given(stream=streams())
def test_whatever_comes_in_no_finding_holds_a_number_that_is_none(
    detector: Detector[Any], stream: list[Row]
) -> None:
    for said in hear(detector, stream, 1e4):
        if isinstance(said, Finding):
            assert math.isfinite(said.score)
            assert said.observed is None or math.isfinite(said.observed)
            assert said.sentence.endswith(".")
            assert said.since <= said.time


@pytest.mark.parametrize("detector", EXAMPLES, ids=by_name)
@settings(max_examples=60, deadline=None)
@given(stream=streams())
def test_none_means_that_the_shard_need_not_look(detector: Detector[Any], stream: list[Row]) -> None:
    state = detector.begin()
    for row in stream:
        while (due := detector.due(state)) is not None and due <= row.time:
            list(detector.advance(state, due))
        was_blank, was_due = detector.is_blank(state), detector.due(state)
        said = detector.observe(state, row)
        if said is not None:
            list(said)
            continue
        due = detector.due(state)
        assert detector.is_blank(state) == was_blank
        assert due is None or (was_due is not None and due >= was_due)
        # All keys without a state share one blank one.
        assert not was_blank or detector.save(state) == detector.save(detector.begin())


@pytest.mark.parametrize("detector", EXAMPLES, ids=by_name)
def test_of_most_events_nothing_is_said(detector: Detector[Any]) -> None:
    state = detector.begin()
    cool = [Row(at / 10, {"sensor_id": "s", "temperature": 22.0}) for at in range(20)]

    assert [detector.observe(state, row) for row in cool].count(None) >= 19


@pytest.mark.parametrize("detector", EXAMPLES, ids=by_name)
def test_blank_state_is_what_begin_gives(detector: Detector[Any]) -> None:
    assert detector.is_blank(detector.begin())
    assert detector.due(detector.begin()) is None


@pytest.mark.semantics(line=9, clause="direction")
def test_higher_score_is_stranger_on_both_sides() -> None:
    outside = Threshold(name="outside", when=(T > 30) | (T < 10), **COMMON)

    def score(temperature: float) -> float:
        (finding,) = hear(outside, [Row(0.0, {"temperature": temperature})])
        assert isinstance(finding, Finding)
        return finding.score

    assert score(40) > score(31)
    assert score(-5) > score(9)


def test_unbroken_step_is_broken_by_another_event_and_a_loose_one_is_not() -> None:
    def matches(unbroken: bool, wins: list[float]) -> int:
        streak = Sequence(
            name="s", steps=[Step(when=Play.won > 0, times=3, unbroken=unbroken)], within=minutes(9), **COMMON
        )
        return len(hear(streak, [Row(float(at), {"won": won}) for at, won in enumerate(wins)]))

    assert matches(True, [1, 1, -1, 1]) == 0
    assert matches(False, [1, 1, -1, 1]) == 1


def test_steps_further_apart_than_within_do_not_match() -> None:
    sits = Sequence(
        name="sits",
        steps=[Step(when=Play.action.is_("enter")), Step(when=Play.action.is_("sit"))],
        within=seconds(10),
        **COMMON,
    )

    def matches(apart: float) -> int:
        return len(hear(sits, [Row(0.0, {"action": "enter"}), Row(apart, {"action": "sit"})]))

    assert (matches(10), matches(10.5)) == (1, 0)


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.floats(-1e4, 1e4).filter(lambda value: abs(value) > 1), min_size=1, max_size=80),
       fraction=st.floats(0.01, 0.99))  # fmt: skip
def test_quantile_is_within_a_hundredth_of_the_value_at_its_rank(
    values: list[float], fraction: float
) -> None:
    sketch = Sketch(fraction)
    for value in values:
        sketch.take(value)

    exact = sorted(values)[max(1, math.ceil(fraction * len(values))) - 1]
    assert sketch.result() == pytest.approx(exact, rel=0.0101)


def test_quantile_keeps_its_bytes_however_wide_the_values_spread() -> None:
    sketch = Sketch(0.99)
    for power in range(-1000, 1400):
        sketch.take(10.0 ** (power / 10))

    assert len(sketch.buckets) == MOST_BUCKETS
    assert len(json.dumps(sketch.save(), separators=(",", ":"))) < 16 * MOST_BUCKETS
    assert sketch.result() == pytest.approx(10.0 ** ((1399 - 24) / 10), rel=0.0101)


@pytest.mark.parametrize("times", [5, 21, 22, 60])
@pytest.mark.parametrize("unbroken", [False, True])
def test_step_is_met_however_often_it_must_be(times: int, unbroken: bool) -> None:
    streak = Sequence(
        name="s", steps=[Step(when=Play.won > 0, times=times, unbroken=unbroken)], within=minutes(9), **COMMON
    )

    said = hear(streak, [Row(float(at), {"won": 1.0}) for at in range(120)])

    assert len(said) == 120 // times
