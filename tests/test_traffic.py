"""An hour of each pipeline's traffic through its shard: what is labelled is found, and little else."""

from __future__ import annotations

import importlib
from collections import defaultdict

import pytest

from lambdas.incidents import OPENED, RESOLVED
from pipelines import discovery
from tests.support import START, play

NAMES = discovery.names()


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_hour_of_traffic_alerts_for_what_is_labelled_and_for_little_else(name: str, seed: int) -> None:
    module = importlib.import_module(f"pipelines.{name}.traffic")

    played = play(discovery.load(name), seed=seed)

    detectors = {detector.name for detector in discovery.load(name).detectors}
    assert {label.split("/")[0] for label in played.labelled} == detectors
    assert played.missed() == set()
    assert len(played.false()) <= 1
    assert played.counts["unreadable"] == len(module.BROKEN)
    assert played.counts["late"] == module.LATE
    assert played.counts["faults"] == 0
    assert {change.state for change in played.changes} >= {OPENED, RESOLVED}


def test_plays_that_are_sent_twice_are_recognised() -> None:
    module = importlib.import_module("pipelines.casino.traffic")

    played = play(discovery.load("casino"), seed=1)

    assert played.counts["duplicates"] == module.REPEATED


def test_hot_sensor_is_one_incident_that_gets_worse() -> None:
    changes = play(discovery.load("temperature"), seed=1).changes

    states = defaultdict(list)
    for change in changes:
        states[change.incident_id].append(change.state)
    assert ["opened", "escalated", "resolved"] in states.values()
    assert all(each[0] == "opened" and each[-1] == "resolved" for each in states.values())


@pytest.mark.parametrize("name", NAMES)
def test_traffic_is_the_same_for_the_same_seed_and_in_order(name: str) -> None:
    traffic = importlib.import_module(f"pipelines.{name}.traffic").traffic

    one, again, other = (list(traffic(seed=seed, start=START, seconds=600)) for seed in (1, 1, 2))

    assert one == again
    assert one != other
    assert one == sorted(one, key=lambda sent: sent.at)
