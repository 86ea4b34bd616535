"""Changes as the shard makes them, for the three pipelines that messages are read of."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module

from lambdas.columns import Value
from lambdas.incidents import ESCALATED, IncidentChange
from lambdas.model import CRITICAL, Pipeline, Row
from lambdas.streaming.shard import Record, Shard

Given = list[tuple[float, Mapping[str, Value]]]
START = 1769853600.0  # 2026-01-31 10:00:00 UTC


def pipeline_named(name: str) -> Pipeline:
    declared = import_module(f"pipelines.{name}.pipeline").pipeline
    assert isinstance(declared, Pipeline)
    return declared.named(name)


def changes_of(pipeline: Pipeline, given: Given, *, until: float) -> list[IncidentChange]:
    """The incident changes of events (seconds after START, values), with a tick at `until`."""
    shard = Shard(pipeline, "shardId-000000000000")
    records = [
        Record(number, START + at, [Row(START + at, dict(values), START + at, number)])
        for number, (at, values) in enumerate(given, start=1)
    ]
    sent = [*shard.process(records).outbox, *shard.advance(START + until).outbox]
    return [IncidentChange.from_row(item.body) for item in sent if item.kind == "incident_change"]


def worse(opened: IncidentChange) -> IncidentChange:
    """The opened incident as it would escalate, for a detector of one severity."""
    return replace(
        opened,
        state=ESCALATED,
        version=2,
        severity=CRITICAL,
        changed_at=opened.changed_at + 240,
        findings=opened.findings + 4,
    )


@cache
def hot_sensor() -> tuple[IncidentChange, ...]:
    """Opened, escalated, resolved."""
    heat = [29.1, 35.204999, 38.2, 43.0, 46.1, 47.25, 44.4, 33.0, 28.4, 27.9]
    given: Given = [
        (12.0 + 60 * minute, {"sensor_id": "sensor-1", "temperature": each})
        for minute, each in enumerate(heat)
    ]
    return tuple(changes_of(pipeline_named("temperature"), given, until=3600))


@cache
def fast_heart() -> tuple[IncidentChange, ...]:
    """Opened, resolved. The row holds the markers of everything private, as an enriched one may."""
    rates = [82] * 6 + [118, 128, 130, 126, 127, 125] + [131, 133, 130, 129, 131, 132] + [96] * 12
    person: dict[str, Value] = {"registrations.customer_id": "C-1042"}
    person |= {f"registrations.{name}": marker for name, marker in PRIVATE.items()}
    given: Given = [
        (10.0 * at, {"device_id": 7, "heart_rate": rate, **person}) for at, rate in enumerate(rates)
    ]
    return tuple(changes_of(pipeline_named("heart_rate"), given, until=3600))


PRIVATE = {
    "first_name": "Ada-MARKER",
    "last_name": "Lovelace-MARKER",
    "email": "MARKER@example.com",
    "mobile": "+49MARKER",
}


@cache
def lucky_guest() -> tuple[IncidentChange, ...]:
    """Opened, resolved (quiet)."""
    given: Given = [
        (
            50400 + 45.0 * number,
            {
                "play_id": f"p{number}",
                "customer_id": "C-17",
                "table_id": "blackjack-4",
                "action": "bet",
                "bet": 20.0,
                "won": won,
                "guests.full_name": "Grace-MARKER",
            },
        )
        for number, won in enumerate([-20.0, 35.5, 20.0, 40.0, 20.0, 85.0])
    ]
    return tuple(changes_of(pipeline_named("casino"), given, until=90000))
