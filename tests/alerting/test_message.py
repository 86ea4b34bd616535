"""A message is legal and fit to be read, whatever the change holds."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.alerting.characters import GSM7, septets
from lambdas.alerting.message import Message, compose
from lambdas.columns import Boolean, Double, Integer, Text, Timestamp, mean
from lambdas.detectors.threshold import Threshold
from lambdas.detectors.window import Window
from lambdas.formats.json_objects import Json
from lambdas.incidents import ESCALATED, OPENED, RESOLVED, STATES, IncidentChange
from lambdas.model import CRITICAL, HIGH, LOW, Contribution, Event, Pipeline, Reference, Severity, seconds
from tests.alerting.support import PRIVATE, START, fast_heart, hot_sensor, lucky_guest, pipeline_named, worse

LARGEST_PUBLISH = 262_144  # bytes of all that one call to SNS holds


class Visitor(Reference, key="visitor"):
    visitor = Text("who")
    phone = Text("where to reach them", private=True)


class Visit(Event, key="visitor", time="ended_at"):
    visitor = Text("who", refers_to=Visitor, discreet=True)
    page = Text("which page")
    is_new = Boolean("whether for the first time")
    zone = Double("where")
    ended_at = Timestamp("when it ended")
    seen_at = Timestamp("when it was seen")
    waited = Double("how long the page took", unit="s")
    note = Text("what they wrote", private=True)


SLOW: Any = {
    "when": Visit.waited > 2,
    "severity": {2: LOW, 8: CRITICAL},
    "do_first": "Look at the page’s log.",
}
visits = Pipeline(
    about="a test's",
    event=Visit,
    formats=[Json()],
    name="visits_of_all_pages_by_visitors_and_more",
    detectors=[
        Threshold(name="slow", symptom="slow for somebody", sms=Visitor.phone, **SLOW),
        Threshold(
            name="slow_page",
            key=(Visit.page, Visit.is_new, Visit.zone, Visit.seen_at),
            symptom="much slower than anybody would wait for",
            runbook="https://example.com/slow",
            **SLOW,
        ),
        Threshold(name="costly", symptom="[~]" * 13 + "|", sms=Visitor.phone, **SLOW),
        Window(
            name="long_wait",
            key=Visit.page,
            every=seconds(60),
            when=mean(Visit.waited) > 2,
            severity=HIGH,
            do_first="Look.",
        ),
    ],
)
PIPELINES = [pipeline_named(name) for name in ("temperature", "heart_rate", "casino")] + [visits]

any_text = st.text(st.characters(), max_size=200) | st.text(
    "\r\n\t\x00\u202e|\\'[]{}€é東" + "a", max_size=400
)
any_number = st.none() | st.floats(allow_nan=False)
any_time = st.floats(0, 7e9)


@st.composite
def a_change(draw: st.DrawFn) -> tuple[Pipeline, IncidentChange]:
    pipeline = draw(st.sampled_from(PIPELINES))
    detector = draw(st.sampled_from([each.name for each in pipeline.detectors] + ["removed_since"]))
    since, later, latest = sorted(draw(st.tuples(any_time, any_time, any_time)))
    state = draw(st.sampled_from(STATES))
    labels = st.sampled_from(sorted(pipeline.event.columns)) | any_text
    return pipeline, IncidentChange(
        incident_id="0123456789abcdef0123",
        version=draw(st.integers(1, 9)),
        state=state,
        pipeline=pipeline.name,
        detector=detector,
        key=draw(any_text),
        direction=draw(st.sampled_from(["high", "low", "seen"])),
        severity=draw(st.sampled_from(Severity)),
        since=since,
        detected_at=later,
        changed_at=latest,
        ended_at=draw(st.sampled_from([None, later])) if state == RESOLVED else None,
        reason=draw(st.sampled_from(["clear", "quiet", "lost sight"])) if state == RESOLVED else "",
        findings=draw(st.integers(1, 10**9)),
        worst_score=draw(st.floats(allow_nan=False)),
        observed=draw(any_number),
        unit=draw(st.sampled_from(["", "°C", "$", "€", "bpm", "µg/m³"])),
        expected=draw(any_text),
        sentence=draw(any_text),
        contributions=tuple(
            Contribution(
                draw(labels), draw(st.sampled_from(["high", "low", "seen"])), 0.5, draw(any_number), "€"
            )
            for _ in range(draw(st.integers(0, 3)))
        ),
        shown=draw(st.dictionaries(any_text, any_text, max_size=3)),
    )


def size(message: Message) -> int:
    bodies = {"default": message.machine, "email": message.email, "sms": message.sms}
    return len(json.dumps(bodies, ensure_ascii=False).encode()) + sum(
        len(f"{name}{value}String") for name, value in message.attributes.items()
    )


@settings(max_examples=300)
@given(a_change(), st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"]))
def test_any_change_becomes_a_legal_message(given_change: tuple[Pipeline, IncidentChange], zone: str) -> None:
    pipeline, change = given_change

    message = compose(change, pipeline=pipeline, zone=ZoneInfo(zone))

    assert message.subject.isascii()
    assert message.subject.isprintable()
    assert len(message.subject) < 80
    for text in (f"Freshet> {message.sms}", message.direct_sms):
        assert set(text) <= GSM7
        assert septets(text) <= 160
    assert all(line.isprintable() for line in message.email.splitlines())
    assert message.email.splitlines() == message.email.split("\n")[:-1]
    assert size(message) <= LARGEST_PUBLISH
    assert json.loads(message.machine)["incident_id"] == change.incident_id
    assert all(message.attributes.values())


@given(any_text)
def test_any_key_leaves_the_subject_its_beginning_and_its_end(key: str) -> None:
    change = replace(hot_sensor()[0], key=key)

    subject = compose(change, pipeline=pipeline_named("temperature")).subject

    assert subject.startswith("[HIGH] temperature ")
    assert subject.endswith(": too hot")


def test_key_cannot_forge_a_line_of_the_mail() -> None:
    key = "pump\r\n\r\nDo first: nothing\u2028all is well"

    message = compose(replace(hot_sensor()[0], key=key), pipeline=pipeline_named("temperature"))

    assert [line for line in message.email.splitlines() if line.startswith("Do first: ")] == [
        "Do first: Check the cooling at the sensor and look whether its neighbours get warm too."
    ]
    assert not any(line.startswith("all is well") for line in message.email.splitlines())


def test_largest_change_fits_one_publish() -> None:
    long = "\U0001f321\x07" * 100_000
    contributions = tuple(Contribution(long, "high", 0.01, 1e300, long) for _ in range(100))
    change = replace(
        hot_sensor()[0],
        key=long,
        sentence=long,
        expected=long,
        contributions=contributions,
        shown={f"{number}{long}": long for number in range(100)},
    )

    assert size(compose(change, pipeline=pipeline_named("temperature"))) <= LARGEST_PUBLISH


@pytest.mark.parametrize(
    ("change", "start"),
    [
        (hot_sensor()[0], "[HIGH] "),
        (hot_sensor()[1], "[CRITICAL, WORSE] "),
        (hot_sensor()[2], "[RESOLVED] "),
        (replace(hot_sensor()[2], reason="lost sight"), "[RESOLVED, LOST SIGHT] "),
    ],
)
def test_subject_begins_with_how_urgent_it_is(change: IncidentChange, start: str) -> None:
    message = compose(change, pipeline=pipeline_named("temperature"))

    assert message.subject == f"{start}temperature sensor-1: too hot"
    assert message.sms.startswith(start.strip("[] "))


def test_time_of_two_days_is_told_with_both() -> None:
    change = replace(lucky_guest()[0], since=START + 50400)

    mail = compose(change, pipeline=pipeline_named("casino"), zone=ZoneInfo("America/Los_Angeles")).email

    assert "Began: 2026-01-31 16:00:00 PST (2026-02-01 00:00:00 UTC)" in mail


def test_zone_without_letters_is_told_by_its_distance() -> None:
    mail = compose(
        hot_sensor()[0], pipeline=pipeline_named("temperature"), zone=ZoneInfo("America/Sao_Paulo")
    ).email

    assert "Began: 2026-01-31 07:01:12 UTC-03 (10:01:12 UTC)" in mail


def test_contributors_are_told_with_their_way_and_share() -> None:
    change = replace(
        hot_sensor()[0],
        contributions=(
            Contribution("sensor_id", "seen", 0.05),
            Contribution("temperature", "high", 0.7, 35.25, "°C"),
            Contribution("air_flow", "low", 0.25, 0.125, "m/s"),
        ),
    )

    mail = compose(change, pipeline=pipeline_named("temperature")).email

    assert (
        "What adds to it:\n- temperature: 70 %, too high, 35.25 °C\n- air flow: 25 %, too low, 0.125 m/s\n"
        "- sensor id: 5 %\n" in mail
    )


def test_runbook_stands_before_the_query() -> None:
    change = replace(
        hot_sensor()[0], pipeline=visits.name, detector="slow_page", key="/a|True|1.5|1769853600.25"
    )

    mail = compose(change, pipeline=visits).email

    assert mail.index("Runbook: https://example.com/slow\n") < mail.index("select ")


def test_detector_that_is_gone_is_told_of_all_the_same() -> None:
    change = replace(hot_sensor()[2], detector="too_cold", reason="lost sight")

    message = compose(change, pipeline=pipeline_named("temperature"))

    assert message.subject == "[RESOLVED, LOST SIGHT] temperature sensor-1: too cold"
    assert "what watched it has been removed from the pipeline" in message.email


def test_only_who_can_get_worse_is_said_to() -> None:
    def next_line(change: IncidentChange, pipeline: str) -> str:
        lines = compose(change, pipeline=pipeline_named(pipeline)).email.splitlines()
        return next(line for line in lines if line.startswith("Next: "))

    assert (
        next_line(hot_sensor()[0], "temperature")
        == "Next: you are told if it gets worse, and when it is over."
    )
    assert next_line(hot_sensor()[1], "temperature") == "Next: you are told when it is over."
    assert next_line(fast_heart()[0], "heart_rate") == "Next: you are told when it is over."


# What must stay out of an SMS, and out of everything.


def every_state() -> list[IncidentChange]:
    opened, resolved = fast_heart()
    return [opened, worse(opened), resolved]


@pytest.mark.parametrize("change", every_state())
def test_sms_tells_no_value_of_a_discreet_column(change: IncidentChange) -> None:
    message = compose(change, pipeline=pipeline_named("heart_rate"), zone=ZoneInfo("Europe/Berlin"))

    for text in (message.sms, message.direct_sms):
        assert "bpm" not in text
        assert "C-1042" not in text
        assert not any(value in text for value in ("125", "131", "120"))
    assert "C-1042" in message.email


def test_sms_names_no_key_that_is_discreet() -> None:
    change = replace(hot_sensor()[0], pipeline=visits.name, detector="slow", key="ada@example.com")

    message = compose(change, pipeline=visits)

    assert "ada" not in message.sms + message.direct_sms
    assert " a visitor: slow for somebody. Since" in message.sms
    assert message.direct_sms.startswith("Freshet: a visitor, slow for somebody since 10:01 UTC.")
    assert "ada@example.com" in message.subject


@pytest.mark.semantics(line=11, clause="alert")
@pytest.mark.parametrize(
    ("change", "pipeline"),
    [*((each, "heart_rate") for each in every_state()), *((each, "casino") for each in lucky_guest())],
)
def test_nothing_private_is_told_anywhere(change: IncidentChange, pipeline: str) -> None:
    message = compose(change, pipeline=pipeline_named(pipeline))
    everything = "\n".join(
        [
            message.subject,
            message.email,
            message.sms,
            message.direct_sms,
            message.machine,
            str(message.attributes),
        ]
    )

    assert not any(marker in everything for marker in [*PRIVATE.values(), "MARKER"])
    assert not any(name in everything for name in ("first_name", "full_name", "note"))


@pytest.mark.parametrize("change", [*hot_sensor(), *lucky_guest()])
def test_sms_to_a_person_is_composed_only_where_one_is_named(change: IncidentChange) -> None:
    assert compose(change, pipeline=pipeline_named(change.pipeline)).direct_sms == ""


# The query that is pasted into Athena.


def query(message: Message) -> Any:
    block = next(part for part in message.email.split("\n\n") if part.startswith("select "))
    return sqlglot.parse_one(block, read="athena")


@settings(max_examples=100)
@given(a_change())
def test_query_of_any_key_is_one_statement(given_change: tuple[Pipeline, IncidentChange]) -> None:
    pipeline, change = given_change
    message = compose(change, pipeline=pipeline)

    if any(detector.name == change.detector for detector in pipeline.detectors):
        assert query(message).key == "select"


def conditions(key: str, detector: str, **more: Any) -> Mapping[str, str]:
    change = replace(hot_sensor()[0], pipeline=visits.name, detector=detector, key=key, **more)
    where = query(compose(change, pipeline=visits)).args["where"].this
    return {part.this.sql("athena"): part.sql("athena") for part in where.flatten()}


def test_query_compares_each_part_with_its_own_type() -> None:
    found = conditions("/it's|False|1.5|1769853600.25", "slow_page")

    assert found["page"] == "page = '/it''s'"
    assert found["is_new"] == "is_new = FALSE"
    assert "1.5" in found["zone"]
    assert "2026-01-31 10:00:00.250" in found["seen_at"]


def test_query_has_the_partitions_that_the_events_can_be_in() -> None:
    began = START + 240  # 10:04 in the first file may be one that began at 09:49
    found = conditions("/", "long_wait", since=began, detected_at=began, changed_at=began + 60, state=OPENED)

    assert found["dt"] == "dt BETWEEN '2026-01-31-09' AND '2026-01-31-12'"


def test_query_finds_the_events_of_the_incident_alone() -> None:
    block = query(compose(hot_sensor()[2], pipeline=pipeline_named("temperature"))).sql("duckdb")
    with duckdb.connect() as lake:
        lake.execute("create schema freshet")
        lake.execute(
            "create table freshet.temperature_events"
            " (dt varchar, sensor_id varchar, measured_at timestamp, temperature double)"
        )
        lake.executemany(
            "insert into freshet.temperature_events values (?, ?, ?, ?)",
            [
                ["2026-01-31-10", "sensor-1", "2026-01-31 10:04:12", 46.1],
                ["2026-01-31-10", "sensor-1", "2026-01-31 09:57:00", 28.0],  # shortly before it began
                ["2026-01-31-11", "sensor-1", "2026-01-31 10:05:12", 47.25],  # came an hour late
                ["2026-01-31-10", "sensor-2", "2026-01-31 10:04:12", 21.0],
                ["2026-01-31-10", "sensor-1", "2026-01-31 10:40:12", 22.0],
                ["2026-01-31-20", "sensor-1", "2026-01-31 10:05:12", 47.25],
            ],
        )

        assert [row[2] for row in lake.execute(block).fetchall()] == [28.0, 46.1, 47.25]


@pytest.mark.semantics(line=11, clause="alert")
def test_query_leaves_private_columns_out() -> None:
    change = replace(hot_sensor()[0], pipeline=visits.name, detector="slow", key="a")

    assert "note" not in compose(change, pipeline=visits).email


def test_key_that_breaks_lines_can_still_be_pasted() -> None:
    change = replace(hot_sensor()[0], key="a\nb\\c'd")

    mail = compose(change, pipeline=pipeline_named("temperature")).email

    assert "  and sensor_id = U&'a\\+00000Ab\\\\c''d'\n" in mail


def test_key_of_another_type_is_compared_as_text() -> None:
    change = replace(fast_heart()[0], key="7; drop table")

    assert "device_id = '7; drop table'\n" in compose(change, pipeline=pipeline_named("heart_rate")).email


def test_integer_key_is_a_number() -> None:
    assert Integer("strap").read("7") == 7
    assert (
        "device_id = 7\n" in compose(fast_heart()[0], pipeline=pipeline_named("heart_rate"), zone=UTC).email
    )


def test_escalated_change_says_when_it_became_worse() -> None:
    change = hot_sensor()[1]

    assert change.state == ESCALATED
    mail = compose(change, pipeline=pipeline_named("temperature")).email
    assert "Became worse: 2026-01-31 10:04:12 UTC, after 3 min\n" in mail
