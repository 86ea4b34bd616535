"""Every pipeline's cases.yaml, in several batchings: it alerts when it should and is silent when it should.

A case gives events with the fields that matter, in the order of their arrival; `defaults` and the runner
fill the others. `at` is an event's time and `arrives` its arrival (by default the same, or when the one
before arrived), both counted from the case's first moment; `times` and `every` repeat an event; `record` is
a record's text as it is sent. `expect` lists every incident change in order, each with the fields that
matter, or says `silence`; `unreadable` counts the parts that cannot be read; `until` is when the case ends
(by default two quiet minutes after its last event).
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lambdas.columns import Column, Timestamp
from lambdas.formats.decode import Decoder
from lambdas.incidents import STATES, IncidentChange
from lambdas.model import Pipeline, Row
from lambdas.streaming.shard import Record, Shard
from pipelines import discovery
from pipelines.traffic import iso
from tests.support import Known, enriched, reference_values

ROOT = Path(discovery.__file__).parent
START = 1_769_853_600.0  # 2026-01-31 10:00 UTC
AFTER = 120.0  # s of quiet after the last event
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0}
BATCH_SIZES = (1_000, 1, 3)  # records
RUNNER_FIELDS = {"at", "arrives", "times", "every", "record"}
# How a case names the fields of an incident change.
CHANGE_FIELDS = {
    "key": "key",
    "at": "changed_at",
    "since": "since",
    "ended": "ended_at",
    "severity": "severity",
    "direction": "direction",
    "observed": "observed",
    "reason": "reason",
    "sentence": "sentence",
    "shown": "shown",
}
MOMENTS = {"at", "since", "ended"}


@dataclass(frozen=True)
class Case:
    pipeline: str
    detector: str
    name: str
    body: Mapping[str, Any]
    file: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.pipeline}-{self.detector}-{self.name}"


def cases() -> Iterator[Case]:
    for name in discovery.names():
        file = yaml.safe_load((ROOT / name / "cases.yaml").read_text())
        for detector, bodies in file["cases"].items():
            for body in bodies:
                yield Case(name, detector, body["case"], body, file)


CASES = list(cases())


def seconds(text: str) -> float:
    """A moment or span such as +90s, 5m or +1h."""
    match = re.fullmatch(r"\+?([0-9.]+)(ms|s|m|h)", text)
    assert match, f"{text!r} is no time; write one such as +10s, 5m or +1h"
    return float(match[1]) * UNITS[match[2]]


def incoming(column: Column, value: Any) -> dict[str, Any]:
    """The value where the column's source says, as deep as it says."""
    outer, *inner = column.source.split(".")
    whole: Any = value
    for part in reversed(inner):
        whole = {part: whole}
    return {outer: whole}


def sent_data(pipeline: Pipeline, event: Mapping[str, Any], time: float, number: int) -> bytes:
    """An event's bytes: what the case gives, its time, and an id where it has none."""
    if "record" in event:
        return str(event["record"]).encode()
    columns = pipeline.event.columns
    values = {name: value for name, value in event.items() if name not in RUNNER_FIELDS}
    strange = values.keys() - columns.keys()
    assert not strange, f"{sorted(strange)} are no columns of {pipeline.event.__name__}: {', '.join(columns)}"
    if pipeline.event.id is not None:
        values.setdefault(pipeline.event.id.name, f"event-{number}")
    if isinstance(pipeline.event.time, Timestamp):
        forms = {"iso": iso(time), "seconds": time, "milliseconds": round(time * 1_000)}
        values.setdefault(pipeline.event.time.name, forms[pipeline.event.time.form])
    whole: dict[str, Any] = {}
    for name, value in values.items():
        if value is not None:
            merge(whole, incoming(columns[name], value))
    return json.dumps(whole).encode()


def merge(whole: dict[str, Any], part: Mapping[str, Any]) -> None:
    for name, value in part.items():
        if isinstance(value, dict) and isinstance(whole.get(name), dict):
            merge(whole[name], value)
        else:
            whole[name] = value


def records(case: Case, pipeline: Pipeline, known: Known) -> list[Record]:
    decoder, made, arrival = Decoder(pipeline), list[Record](), START
    for given in case.body["events"]:
        event = {**case.file.get("defaults", {}), **given}
        for turn in range(event.get("times", 1)):
            time = START + seconds(event["at"]) + turn * seconds(event.get("every", "0s"))
            arrival = max(arrival, START + seconds(event["arrives"]) if "arrives" in event else time)
            number = len(made)
            data = sent_data(pipeline, event, time, number)
            parts = list(decoder.decode(data, round(arrival * 1_000), sequence=number))
            rows = [enriched(part, pipeline, known) for part in parts if isinstance(part, Row)]
            made.append(Record(number, arrival, rows, len(parts) - len(rows)))
    return made


def run(case: Case, pipeline: Pipeline, batch_size: int) -> tuple[list[IncidentChange], int]:
    """All incident changes of a case and its unreadable parts; each batch meets a shard that was restored."""
    known = reference_values(pipeline, case.file.get("references", {}))
    whole, shard, items, unreadable = records(case, pipeline, known), Shard(pipeline, "shard"), [], 0
    for at in range(0, len(whole), batch_size):
        outcome = shard.process(whole[at : at + batch_size])
        items += outcome.outbox
        unreadable += outcome.counts.get("unreadable", 0)
        assert not outcome.faults
        saved, shard = json.dumps(shard.snapshot()), Shard(pipeline, "shard")
        shard.restore(json.loads(saved), [])
    until = case.body.get("until")
    items += shard.advance(START + seconds(until) if until else whole[-1].arrival + AFTER).outbox
    changes = [IncidentChange.from_row(item.body) for item in items if item.kind == "incident_change"]
    return changes, unreadable


def told(change: IncidentChange, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A change as a case writes it, with the fields that the case gives."""
    row: dict[str, Any] = {change.state: change.detector}
    for name in fields.keys() - set(STATES):
        assert name in CHANGE_FIELDS, f"{name!r} is no field of a change: {', '.join(CHANGE_FIELDS)}"
        value = getattr(change, CHANGE_FIELDS[name])
        if name in MOMENTS:
            value = None if value is None else round(value - START, 3)
        row[name] = value.name.lower() if name == "severity" else value
    return row


def wanted(fields: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: seconds(value) if name in MOMENTS else value for name, value in fields.items()}
    return plain | ({"key": str(plain["key"])} if "key" in plain else {})


@functools.cache
def load(name: str) -> Pipeline:
    return discovery.load(name)


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, batch_size: int) -> None:
    expected = [] if case.body["expect"] == "silence" else case.body["expect"]

    changes, unreadable = run(case, load(case.pipeline), batch_size)

    padded = [*expected, *({} for _ in changes[len(expected) :])]
    assert [told(change, fields) for change, fields in zip(changes, padded, strict=False)] == [
        wanted(fields) for fields in expected
    ]
    assert unreadable == case.body.get("unreadable", 0)


@pytest.mark.parametrize("name", discovery.names())
def test_every_detector_has_a_case_that_alerts_and_one_that_is_silent(name: str) -> None:
    pipeline = load(name)

    alerting = {
        case.detector
        for case in CASES
        if case.pipeline == name and case.body["expect"] != "silence" and case.body["expect"]
    }
    silent = {case.detector for case in CASES if case.pipeline == name and case.body["expect"] == "silence"}

    assert alerting == silent == {detector.name for detector in pipeline.detectors}


def test_names_of_cases_are_unique() -> None:
    assert len({str(case) for case in CASES}) == len(CASES)
