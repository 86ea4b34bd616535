"""What tests of whole pipelines share: references joined as the handler does, traffic through a shard."""

from __future__ import annotations

import importlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from lambdas.formats.decode import Decoder
from lambdas.incidents import RESOLVED, IncidentChange
from lambdas.model import Pipeline, Row
from lambdas.streaming.lane import Item
from lambdas.streaming.shard import Outcome, Record, Shard
from pipelines.cases import enriched, reference_values

START = 1_769_853_600.0  # 2026-01-31 10:00 UTC
HOUR = 3_600.0
SHARD = "shardId-000000000000"


def often(usual: int, soak: int) -> int:
    """How often something drawn is tried: `make soak` takes its time."""
    return soak if "FRESHET_SOAK" in os.environ else usual


@dataclass
class Played:
    """What a run brought: the events as read, what the shard sent, and the times under each label."""

    rows: list[Row] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    labelled: dict[str, list[float]] = field(default_factory=dict)

    def take(self, outcome: Outcome) -> None:
        self.counts.update(outcome.counts)
        self.items += outcome.outbox

    @property
    def changes(self) -> list[IncidentChange]:
        return [IncidentChange.from_row(item.body) for item in self.items if item.kind == "incident_change"]

    def incidents(self) -> dict[str, IncidentChange]:
        """Each incident as its last change told of it."""
        return {change.incident_id: change for change in self.changes}

    def missed(self) -> set[str]:
        """The labels of which no incident tells."""
        incidents = self.incidents().values()
        return {
            label
            for label, times in self.labelled.items()
            if not any(tells(incident, label, times) for incident in incidents)
        }

    def false(self) -> list[IncidentChange]:
        """The incidents that tell of no label."""
        labelled = self.labelled.items()
        return [
            incident
            for incident in self.incidents().values()
            if not any(tells(incident, label, times) for label, times in labelled)
        ]


def tells(incident: IncidentChange, label: str, times: Sequence[float]) -> bool:
    """Whether an incident is of a label's detector and key, and covers one of its times."""
    until = incident.ended_at if incident.state == RESOLVED and incident.ended_at else float("inf")
    is_same = label.rpartition("/")[0] == f"{incident.detector}/{incident.key}"
    return is_same and any(incident.since <= time <= until for time in times)


def play(pipeline: Pipeline, *, seed: int, seconds: float = HOUR) -> Played:
    """A pipeline's traffic straight through one shard, a record a batch, and two quiet hours after it."""
    module = importlib.import_module(f"pipelines.{pipeline.name}.traffic")
    references = module.references(seed) if hasattr(module, "references") else {}
    known = reference_values(pipeline, references)
    decoder, shard, played = Decoder(pipeline), Shard(pipeline, SHARD), Played()
    for number, sent in enumerate(module.traffic(seed=seed, start=START, seconds=seconds)):
        parts = list(decoder.decode(sent.data, round(sent.at * 1000), sequence=number))
        rows = [enriched(part, pipeline, known) for part in parts if isinstance(part, Row)]
        if sent.label:
            played.labelled.setdefault(sent.label, []).extend(row.time for row in rows)
        played.rows += rows
        played.take(shard.process([Record(number, sent.at, rows, len(parts) - len(rows))]))
    played.take(shard.advance(START + seconds + 2 * HOUR))
    return played
