"""Which event is sent, how it is marked, and what is refused, without an account."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lambdas.columns import Double, Integer, Text, Timestamp
from lambdas.detectors.threshold import Threshold
from lambdas.formats.json_objects import Json
from lambdas.model import HIGH, Event, Pipeline
from operate.marked import LONGEST, NUMBERS, Marked, choose
from operate.smoke import passes
from pipelines import cases, discovery
from pipelines.cases import Case, CaseError

NOW = 1_767_261_647.3  # 2026-01-01 10:00:47 UTC


class Opening(Event, key="door_id", time="opened_at", id="number"):
    door_id = Text("which door")
    number = Integer("counts what happens")
    width = Double("how wide")
    opened_at = Timestamp("when")


DOORS = Pipeline(
    name="doors",
    about="doors",
    event=Opening,
    formats=[Json()],
    detectors=[Threshold(name="wide", when=Opening.width > 1, severity=HIGH, do_first="Close it.")],
)


def case(*events: dict[str, Any], expect: Any = ({"opened": "wide"},)) -> Case:
    body = {"case": "one", "events": list(events), "expect": expect if expect == "silence" else list(expect)}
    return Case("doors", "wide", "one", body, {})


def sent(marked: Marked) -> list[dict[str, Any]]:
    return [json.loads(each.data) for each in marked.sent]


@pytest.mark.parametrize("name", discovery.names())
def test_every_pipeline_of_the_house_has_a_case_that_can_be_sent(name: str) -> None:
    pipeline = discovery.load(name)

    marked = choose(pipeline, cases.read(name), NOW)

    assert marked.change.pipeline == name
    assert str(marked.change.key) in marked.keys
    assert all(NOW - 1 <= each.at <= NOW + LONGEST for each in marked.sent)


def test_every_key_and_id_is_marked_and_what_differs_stays_apart() -> None:
    given = case(
        {"at": "+0s", "door_id": "front", "number": 1, "width": 0.5},
        {"at": "+1s", "door_id": "back", "number": 1, "width": 2},
    )

    marked = choose(DOORS, [given], NOW)

    assert [each["door_id"] for each in sent(marked)] == [
        "freshet-smoke-20260101T100047Z",
        "freshet-smoke-20260101T100047Z-2",
    ]
    assert [each.partition_key for each in marked.sent] == [each["door_id"] for each in sent(marked)]
    first, second = (each["number"] for each in sent(marked))
    assert NUMBERS < first < second < 2**53
    assert marked.change.key == "freshet-smoke-20260101T100047Z-2"


def test_no_more_is_sent_than_opens_the_incident() -> None:
    marked = choose(DOORS, [case({"at": "+0s", "width": 2, "door_id": "a", "times": 50, "every": "1s"})], NOW)

    assert len(marked.sent) == 1


def test_the_case_that_is_over_soonest_is_sent() -> None:
    later = case({"at": "+0s", "door_id": "a", "width": 0}, {"at": "+60s", "door_id": "a", "width": 2})
    sooner = replace(case({"at": "+3s", "door_id": "a", "width": 2}), name="sooner")

    assert choose(DOORS, [later, sooner], NOW).case.name == "sooner"


@pytest.mark.parametrize(
    "given",
    [
        case({"at": "+0s", "door_id": "a", "width": 0}),
        case({"at": "+0s", "door_id": "a", "width": 2}, expect="silence"),
        case({"at": "+0s", "record": '{"door_id": "a", "width": 2}'}),
        case({"at": "+1h", "door_id": "a", "width": 2}),
        case({"at": "+0s", "width": 2}),
    ],
    ids=["opens nothing", "is silent", "is a record's text", "takes too long", "has no key"],
)
def test_without_a_case_that_can_be_sent_it_is_said_what_to_write(given: Case) -> None:
    with pytest.raises(CaseError, match=r"doors/cases\.yaml: no case opens one incident within 300 s"):
        choose(DOORS, [given], NOW)


@pytest.mark.parametrize(
    ("policy", "does"),
    [
        ({}, True),
        ({"pipeline": ["doors", "casino"]}, True),
        ({"pipeline": ["casino"]}, False),
        ({"pipeline": ["doors"], "severity": ["low"]}, False),
        ({"colour": ["red"]}, False),
    ],
)
def test_a_filter_lets_through_what_has_every_attribute_that_it_asks_for(
    policy: dict[str, list[str]], does: bool
) -> None:
    assert passes(policy, {"pipeline": "doors", "severity": "high"}) is does
