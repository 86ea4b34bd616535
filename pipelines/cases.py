"""A pipeline's cases: events and the incident changes that they must make, or silence.

A case gives events with the fields that matter, in the order of their arrival; `defaults` and the runner
fill the others. `at` is an event's time and `arrives` its arrival (by default the same, or when the one
before arrived), both counted from the case's first moment; `times` and `every` repeat an event; `record` is
a record's text as it is sent. `expect` lists every incident change in order, each with the fields that
matter, or says `silence`; `unreadable` counts the parts that cannot be read; `until` is when the case ends
(by default two quiet minutes after its last event).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # what YAML holds is as mixed as JSON

import yaml

from lambdas.columns import Predicate, Timestamp, Unfit, Value
from lambdas.formats.decode import Decoder
from lambdas.incidents import STATES, IncidentChange
from lambdas.model import Pipeline, Row
from lambdas.streaming.shard import Record, Shard
from pipelines import discovery
from pipelines.new import DO_FIRST, FLOWS
from pipelines.traffic import iso, nested

START = 1_769_853_600.0  # 2026-01-31 10:00 UTC
AFTER = 120.0  # s of quiet after the last event
WHOLE = 1_000  # records; all of a case in one batch
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0}
CASE_FIELDS = ("case", "events", "expect", "until", "unreadable")
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

Known = Mapping[str, Mapping[Value, Mapping[str, Value]]]


class CaseError(ValueError):
    """A case that cannot be read or played; the message says where, what, and how to mend it."""


@dataclass(frozen=True)
class Case:
    pipeline: str
    detector: str
    name: str
    body: Mapping[str, Any]
    file: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.pipeline}-{self.detector}-{self.name}"

    @property
    def where(self) -> str:
        return f"{place(self.pipeline)}, case {self.name!r}"

    @property
    def expected(self) -> list[Mapping[str, Any]]:
        return [] if self.body["expect"] == "silence" else self.body["expect"]


def place(name: str) -> str:
    return f"pipelines/{name}/cases.yaml"


def read(name: str, root: Path | None = None) -> list[Case]:
    """The cases of a pipeline in the order of its file; raises `CaseError`."""
    path = (root or discovery.ROOT) / name / "cases.yaml"
    try:
        file = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise CaseError(f"{place(name)} is missing; write what must alert and what must not.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CaseError(f"{place(name)} is no YAML: {' '.join(str(error).split())}; mend it there.") from None
    if not isinstance(file, dict) or not isinstance(file.get("cases"), dict):
        raise CaseError(f"{place(name)} has no cases; say cases: and under it the name of a detector.")
    found = []
    for detector, bodies in file["cases"].items():
        if not isinstance(bodies, list):
            raise CaseError(f"{place(name)}: under {detector} is no list; begin each case with '- case: …'.")
        for number, body in enumerate(bodies, start=1):
            for problem in case_problems(body):
                raise CaseError(f"{place(name)}, case {number} of {detector}: {problem}")
            found.append(Case(name, str(detector), str(body["case"]), body, file))
    return found


def case_problems(body: object) -> Iterator[str]:
    """What keeps a case from being played, a sentence each."""
    if not isinstance(body, dict):
        yield "it is no mapping; say case:, events: and expect:."
        return
    for field in body:
        if field not in CASE_FIELDS:
            yield f"a case has no {field!r}; {discovery.nearest(str(field), CASE_FIELDS)}."
    if not body.get("case"):
        yield "it has no name; say case: and in some words what it shows."
    if not is_list_of_mappings(body.get("events")) or not body["events"]:
        yield "it has no events; say events: and a line such as - {at: +0s} for each."
    for event in body.get("events") or ():
        if isinstance(event, dict) and "at" not in event:
            yield f"the event {event} has no time; say at: +0s."
    expect = body.get("expect")
    if expect != "silence" and not (is_list_of_mappings(expect) and expect):
        yield "it expects nothing; say expect: silence, or a line such as - {opened: …} for each change."
    elif expect != "silence":
        for fields in expect:
            if len(fields.keys() & set(STATES)) != 1:
                yield f"{fields} is no change; say one of {', '.join(STATES)} with the detector's name."
            for field in fields.keys() - CHANGE_FIELDS.keys() - set(STATES):
                yield f"a change has no field {field!r}; {discovery.nearest(str(field), CHANGE_FIELDS)}."


def is_list_of_mappings(part: object) -> bool:
    return isinstance(part, list) and all(isinstance(each, dict) for each in part)


def seconds(text: object) -> float:
    """A moment or span such as +90s, 5m or +1h."""
    match = re.fullmatch(r"\+?([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)", str(text))
    if match is None:
        raise CaseError(f"{text!r} is no time; write one such as +10s, 5m or +1h.")
    return float(match[1]) * UNITS[match[2]]


def sent_data(pipeline: Pipeline, event: Mapping[str, Any], time: float, number: int) -> bytes:
    """An event's bytes: what the case gives, its time, and an id where it has none."""
    if "record" in event:
        return str(event["record"]).encode()
    columns = pipeline.event.columns
    values = {name: value for name, value in event.items() if name not in RUNNER_FIELDS}
    for name in values.keys() - columns.keys():
        raise CaseError(
            f"{name!r} is no column of {pipeline.event.__name__}; {discovery.nearest(str(name), columns)}."
        )
    if pipeline.event.id is not None:
        values.setdefault(pipeline.event.id.name, f"event-{number}")
    if isinstance(pipeline.event.time, Timestamp):
        forms = {"iso": iso(time), "seconds": time, "milliseconds": round(time * 1_000)}
        values.setdefault(pipeline.event.time.name, forms[pipeline.event.time.form])
    whole = nested({columns[name].source: value for name, value in values.items() if value is not None})
    # A day or time that YAML has read as one is written as its text.
    return json.dumps(whole, default=str).encode()


def reference_values(pipeline: Pipeline, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> Known:
    """The rows of each reference by key, each value read by its column and named as detectors know it."""
    known: dict[str, dict[Value, Mapping[str, Value]]] = {}
    for name, reference in pipeline.references.items():
        known[name] = {}
        for row in rows.get(name, ()):
            values = {
                column.label: column.read(row[each])
                for each, column in reference.columns.items()
                if row.get(each) is not None
            }
            known[name][values[reference.key.label]] = values
    return known


def enriched(row: Row, pipeline: Pipeline, known: Known) -> Row:
    """The event with the values of the references that its columns lead to."""
    values = dict(row.values)
    for name, (holder, _) in pipeline.event.references().items():
        values |= known.get(name, {}).get(row.values.get(holder.name), {})
    return replace(row, values=values)


def records(case: Case, pipeline: Pipeline) -> list[Record]:
    try:
        known = reference_values(pipeline, case.file.get("references") or {})
    except (Unfit, KeyError) as error:
        raise CaseError(f"{place(case.pipeline)}, references: a value {error}; mend it there.") from None
    decoder, made, arrival = Decoder(pipeline), list[Record](), START
    for given in case.body["events"]:
        event = {**(case.file.get("defaults") or {}), **given}
        for turn in range(event.get("times", 1)):
            time = START + seconds(event["at"]) + turn * seconds(event.get("every", "0s"))
            arrival = max(arrival, START + seconds(event["arrives"]) if "arrives" in event else time)
            number = len(made)
            data = sent_data(pipeline, event, time, number)
            parts = list(decoder.decode(data, round(arrival * 1_000), sequence=number))
            rows = [enriched(part, pipeline, known) for part in parts if isinstance(part, Row)]
            made.append(Record(number, arrival, rows, len(parts) - len(rows)))
    return made


@dataclass(frozen=True)
class Outcome:
    """What a case brought: its incident changes, how many parts could not be read, and its events' rows."""

    changes: Sequence[IncidentChange]
    unreadable: int
    rows: Sequence[Row]
    faults: Sequence[str]


def run(case: Case, pipeline: Pipeline, batch_size: int = WHOLE) -> Outcome:
    """Play a case; each batch meets a shard that was restored. Raises `CaseError`."""
    try:
        return _run(case, pipeline, batch_size)
    except CaseError as error:
        raise CaseError(f"{case.where}: {str(error).removeprefix(f'{place(case.pipeline)}, ')}") from None


def _run(case: Case, pipeline: Pipeline, batch_size: int) -> Outcome:
    whole, shard, items, unreadable, faults = records(case, pipeline), Shard(pipeline, "shard"), [], 0, []
    for at in range(0, len(whole), batch_size):
        outcome = shard.process(whole[at : at + batch_size])
        items += outcome.outbox
        unreadable += outcome.counts.get("unreadable", 0)
        faults += [str(fault) for fault in outcome.faults]
        saved, shard = json.dumps(shard.snapshot()), Shard(pipeline, "shard")
        shard.restore(json.loads(saved), [])
    until = case.body.get("until")
    items += shard.advance(START + seconds(until) if until else whole[-1].arrival + AFTER).outbox
    changes = [IncidentChange.from_row(item.body) for item in items if item.kind == "incident_change"]
    return Outcome(changes, unreadable, [row for record in whole for row in record.rows], faults)


def told(change: IncidentChange, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A change as a case writes it, with the fields that the case gives."""
    row: dict[str, Any] = {change.state: change.detector}
    for name in (name for name in fields if name not in STATES):
        value = getattr(change, CHANGE_FIELDS[name])
        if name in MOMENTS:
            value = None if value is None else round(value - START, 3)
        row[name] = value.name.lower() if name == "severity" else value
    return row


def wanted(fields: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: seconds(value) if name in MOMENTS else value for name, value in fields.items()}
    return plain | ({"key": str(plain["key"])} if "key" in plain else {})


def verdict(case: Case, pipeline: Pipeline, batch_size: int = WHOLE) -> str:
    """Nothing where a case comes out as it says; else what did not, where, and what to write."""
    expected = [wanted(fields) for fields in case.expected]
    outcome = run(case, pipeline, batch_size)
    padded = [*case.expected, *({"key": "", "at": ""} for _ in outcome.changes[len(expected) :])]
    came = [told(change, fields) for change, fields in zip(outcome.changes, padded, strict=False)]
    if came != expected:
        at = next(
            (at for at, (one, other) in enumerate(zip(came, expected, strict=False)) if one != other),
            min(len(came), len(expected)),
        )
        expects = words(expected[at]) if at < len(expected) else "no further change" if at else "silence"
        comes = words(came[at]) if at < len(came) else "no further change" if at else "silence"
        return (
            f"{case.where}: expected {expects}; there was {comes}. {_what_to_write(case, pipeline, outcome)}"
        )
    unreadable = case.body.get("unreadable", 0)
    if outcome.unreadable != unreadable:
        return (
            f"{case.where}: expected {unreadable} unreadable parts; there were {outcome.unreadable}. "
            f"Mend the columns in {discovery.place(case.pipeline)}, or the case."
        )
    return f"{case.where}: {'; '.join(outcome.faults)}. Mend the detector." if outcome.faults else ""


def words(change: Mapping[str, Any]) -> str:
    """
    >>> words({"opened": "too_hot", "key": "sensor-1", "at": 61.5})
    'opened too_hot (key sensor-1, at +61.5s)'
    """
    state = next(name for name in change if name in STATES)
    shown = [
        f"{name} +{value:g}s" if name in MOMENTS and value is not None else f"{name} {value}"
        for name, value in change.items()
        if name != state
    ]
    return f"{state} {change[state]} ({', '.join(shown)})" if shown else f"{state} {change[state]}"


def _what_to_write(case: Case, pipeline: Pipeline, outcome: Outcome) -> str:
    """What to write where: the detector, its condition, or another case."""
    file = discovery.place(case.pipeline)
    detector = next((each for each in pipeline.detectors if each.name == case.detector), None)
    if detector is None:
        return f"Write in {file}, under detectors, the one that is named {case.detector!r}."
    condition = getattr(detector, "when", None)
    if not isinstance(condition, Predicate):
        return f"Mend {case.detector} in {file}, or the case."
    if case.expected and not outcome.changes:
        seen = "; ".join(f"its {label} {told}" for label, told in _observed(condition, outcome.rows))
        return (
            f"Write in {file} the condition of {case.detector} (when=…) so that this case meets it: it says "
            f"“{condition.words()}”, and the case gives {seen or 'no event that can be read'}."
        )
    return f"In {file} the condition of {case.detector} is “{condition.words()}”: mend it, or the case."


def _observed(condition: Predicate, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """The columns that a condition reads, with the values that a case gives them."""
    for column in dict.fromkeys(condition.columns()):
        values = dict.fromkeys(row.values.get(column.label) for row in rows)
        yield column.label, ", ".join("none" if value is None else str(value) for value in values)


def report(wanted: Sequence[str], *, say: Callable[[str], None]) -> bool:
    """Play the cases of pipelines (all by default) and say each one's verdict; whether all hold."""
    failed = played = 0
    for name in wanted or discovery.names():
        pipeline, given = discovery.load(name), read(name)
        for case in given:
            told = verdict(case, pipeline)
            say(f"FAILED  {told}" if told else f"ok      {name}, {case.detector}: {case.name}")
            failed, played = failed + bool(told), played + 1
        for problem in missing(pipeline, given):
            say(f"FAILED  {problem}")
            failed += 1
        for unwritten in notes(pipeline):
            say(f"note    {unwritten}")
    say(f"{played} cases, {failed} to mend." if failed else f"{played} cases, all hold.")
    return not failed


def missing(pipeline: Pipeline, cases: Sequence[Case]) -> Iterator[str]:
    """What the cases of a pipeline lack, a sentence each."""
    known = [detector.name for detector in pipeline.detectors]
    for name in dict.fromkeys(case.detector for case in cases if case.detector not in known):
        yield (
            f"{place(pipeline.name)}: there is no detector {name!r} in {discovery.place(pipeline.name)}; "
            f"{discovery.nearest(name, known)}."
        )
    for name in known:
        own = [case for case in cases if case.detector == name]
        for kind, some in (
            ("that alerts", any(case.expected for case in own)),
            ("that is silent", any(not case.expected for case in own)),
        ):
            if not some:
                yield f"{place(pipeline.name)}: {name} has no case {kind}; write one."


def notes(pipeline: Pipeline) -> Iterator[str]:
    """What a pipeline still says as its template did, a sentence each."""
    place = discovery.place(pipeline.name)
    if pipeline.about.endswith(FLOWS):
        yield f"{place}: about= is still the template's; {FLOWS}."
    for detector in pipeline.detectors:
        if detector.do_first == DO_FIRST:
            yield (
                f"{place}: do_first= of {detector.name} is still the template's, and every alert says it; "
                "write what whoever is told should do first."
            )
