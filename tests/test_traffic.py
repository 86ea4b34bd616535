"""An hour of each pipeline's traffic through its shard: what is labelled is found, and little else."""

from __future__ import annotations

import importlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest

from lambdas.formats.decode import Decoder
from lambdas.incidents import OPENED, RESOLVED, IncidentChange
from lambdas.model import Pipeline, Row
from lambdas.streaming.shard import Record, Shard
from pipelines import discovery
from tests.support import enriched, reference_values

START = 1_769_853_600.0  # 2026-01-31 10:00 UTC
HOUR = 3_600.0


@dataclass
class Played:
    """What a run brought: incident changes, counts, and the event times under each label."""

    changes: list[IncidentChange] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    labelled: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    records: int = 0

    def take(self, outcome: Any) -> None:
        for name, count in outcome.counts.items():
            self.counts[name] += count
        for item in outcome.outbox:
            if item.kind == "incident_change":
                self.changes.append(IncidentChange.from_row(item.body))

    def incidents(self) -> dict[str, tuple[str, float, float]]:
        """Detector and key, beginning and end of each incident."""
        spans: dict[str, tuple[str, float, float]] = {}
        for change in self.changes:
            ended = change.ended_at if change.state == RESOLVED and change.ended_at else float("inf")
            spans[change.incident_id] = (f"{change.detector}/{change.key}", change.since, ended)
        return spans

    def missed(self) -> set[str]:
        return {
            label
            for label, times in self.labelled.items()
            if not any(
                label.rpartition("/")[0] == who and since <= time <= until
                for who, since, until in self.incidents().values()
                for time in times
            )
        }

    def false(self) -> list[tuple[str, float, float]]:
        return [
            (who, since, until)
            for who, since, until in self.incidents().values()
            if not any(
                label.rpartition("/")[0] == who and any(since <= time <= until for time in times)
                for label, times in self.labelled.items()
            )
        ]


def play(pipeline: Pipeline, *, seed: int, seconds: float = HOUR) -> Played:
    module = importlib.import_module(f"pipelines.{pipeline.name}.traffic")
    references = module.references(seed) if hasattr(module, "references") else {}
    known = reference_values(pipeline, references)
    decoder, shard, played = Decoder(pipeline), Shard(pipeline, "shardId-000000000000"), Played()
    for number, sent in enumerate(module.traffic(seed=seed, start=START, seconds=seconds)):
        parts = list(decoder.decode(sent.data, round(sent.at * 1000), sequence=number))
        rows = [enriched(part, pipeline, known) for part in parts if isinstance(part, Row)]
        if sent.label:
            played.labelled[sent.label] += [row.time for row in rows]
        played.records += 1
        played.take(shard.process([Record(number, sent.at, rows, len(parts) - len(rows))]))
    played.take(shard.advance(START + seconds + 2 * HOUR))
    return played


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", ["casino", "heart_rate", "temperature"])
def test_hour_of_traffic_alerts_for_what_is_labelled_and_for_little_else(name: str, seed: int) -> None:
    module = importlib.import_module(f"pipelines.{name}.traffic")

    played = play(discovery.load(name), seed=seed)

    assert {label.split("/")[0] for label in played.labelled} == {
        detector.name for detector in discovery.load(name).detectors
    }
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


@pytest.mark.parametrize("name", ["casino", "heart_rate", "temperature"])
def test_traffic_is_the_same_for_the_same_seed_and_in_order(name: str) -> None:
    traffic = importlib.import_module(f"pipelines.{name}.traffic").traffic

    one, again, other = (list(traffic(seed=seed, start=START, seconds=600)) for seed in (1, 1, 2))

    assert one == again
    assert one != other
    assert one == sorted(one, key=lambda sent: sent.at)
