"""The incidents' table ends the same whatever order changes come in, and however often."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambdas.effects.incidents import Incidents
from lambdas.incidents import ESCALATED, OPENED, RESOLVED, IncidentChange
from lambdas.model import CRITICAL, HIGH, Contribution
from tests.effects.support import Faults, make_table, real, refusal, silence

TABLE = "incidents"
OPEN = IncidentChange(
    incident_id="0123456789abcdef0123",
    version=1,
    state=OPENED,
    pipeline="temperature",
    detector="too_hot",
    key="sensor-1",
    direction="high",
    severity=HIGH,
    since=1769853672.0,
    detected_at=1769853672.0,
    changed_at=1769853672.0,
    worst_score=35.2,
    observed=0.1 + 0.2,
    unit="°C",
    expected="below 30 °C",
    sentence="temperature is 35.2 °C; expected below 30 °C.",
    contributions=(Contribution("temperature", "high", 1.0, 35.2, "°C"),),
    shown={"room": "12"},
)
WORSE = replace(OPEN, version=2, state=ESCALATED, severity=CRITICAL, worst_score=46.1, findings=4)
OVER = replace(WORSE, version=3, state=RESOLVED, reason="clear", ended_at=1769854000.5, findings=7)


@pytest.fixture
def incidents(aws: Faults) -> Incidents:
    assert aws is not None
    return with_table()


def with_table() -> Incidents:
    return Incidents(make_table(TABLE, "incident_id"))


def item(incident_id: str = OPEN.incident_id) -> dict[str, Any]:
    stored = real("dynamodb").get_item(TableName=TABLE, Key={"incident_id": {"S": incident_id}})["Item"]
    return {name: TypeDeserializer().deserialize(value) for name, value in stored.items()}


def test_first_change_is_written_to_the_digit(incidents: Incidents) -> None:
    projection = incidents.project(OPEN)

    assert projection.is_newer
    assert not projection.is_done("topic")
    stored = item()
    assert stored["observed"] == Decimal("0.30000000000000004")
    assert stored["contributions"][0]["observed"] == Decimal("35.2")
    assert stored["since"] == "2026-01-31 10:01:12.000"
    assert stored["ended_at"] is None
    assert stored["shown"] == {"room": "12"}


def test_newer_version_wins_and_what_was_done_stays(incidents: Incidents) -> None:
    incidents.project(OPEN)
    incidents.mark(OPEN, "topic")

    projection = incidents.project(WORSE)

    assert projection.is_newer
    assert not projection.is_done("topic")
    assert incidents.project(OPEN).is_done("topic")
    assert item()["severity"] == "critical"


def test_older_version_that_comes_late_overwrites_nothing(incidents: Incidents) -> None:
    incidents.project(OVER)
    incidents.mark(OVER, "topic")

    projection = incidents.project(OPEN)

    assert not projection.is_newer
    assert not projection.is_done("topic")
    assert projection.is_overtaken("topic")
    assert not projection.is_overtaken("sms")
    assert item()["state"] == "resolved"


def test_repeat_that_was_not_told_is_still_to_be_told(incidents: Incidents) -> None:
    incidents.project(OPEN)

    repeat = incidents.project(OPEN)

    assert not repeat.is_newer
    assert not repeat.is_done("topic")
    assert not repeat.is_overtaken("topic")


def test_write_whose_answer_is_lost_is_a_repeat_the_next_time(incidents: Incidents, aws: Faults) -> None:
    aws.after("update_item", silence())
    with pytest.raises(Exception, match="timeout"):
        incidents.project(OPEN)

    assert not incidents.project(OPEN).is_done("topic")
    assert item()["version"] == 1


def test_other_errors_are_not_taken_for_a_repeat(incidents: Incidents, aws: Faults) -> None:
    aws.before("update_item", refusal("UpdateItem", "AccessDeniedException", 400))

    with pytest.raises(Exception, match="AccessDenied"):
        incidents.project(OPEN)


@pytest.mark.parametrize("number", [1e300, -1e300, 5e-324, float("inf"), 1.7976931348623157e308])
def test_number_beyond_the_tables_range_stops_nothing(incidents: Incidents, number: float) -> None:
    incidents.project(replace(OPEN, observed=number, worst_score=number))

    assert isinstance(item()["observed"], Decimal)


def test_texts_as_long_as_a_record_fit(incidents: Incidents) -> None:
    incidents.project(replace(OPEN, key="k" * 1_000_000, shown={"note": "n" * 1_000_000}))

    assert len(item()["key"]) < 2_000


@pytest.mark.semantics(line=10, clause="newest")
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.permutations([OPEN, WORSE, OVER, OPEN, WORSE, OVER]), st.integers(0, 6))
def test_any_order_and_any_repeat_end_the_same(
    incidents: Incidents, order: list[IncidentChange], marked: int
) -> None:
    real("dynamodb").delete_item(TableName=TABLE, Key={"incident_id": {"S": OPEN.incident_id}})

    for change in order:
        incidents.project(change)
    for change in order[:marked]:
        incidents.mark(change, "topic")

    stored = item()
    told = stored.pop("done_topic", set())
    assert told == {change.version for change in order[:marked]}
    assert stored["version"] == 3
    assert stored["state"] == "resolved"
    assert stored["findings"] == 7
