"""What a run came to: figures by pipeline, asked of its lake, and whether each labelled anomaly was found."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from laptop.messages import Message
from laptop.run_folder import RunFolder
from sql.lake import Lake

GRAIN = 0.001  # s; what an event without a time of its own is rounded to when it arrives


@dataclass
class Incident:
    """An incident as its changes in the lake tell it; times in s since 1970, no end while it is open."""

    pipeline: str
    detector: str
    key: str
    since: float
    ended: float | None
    severity: str
    findings: int


@dataclass
class Figures:
    """One pipeline's part of a run."""

    pipeline: str
    records: int = 0
    events: int = 0
    late: int = 0
    quarantined: int = 0
    findings: int = 0
    incidents: int = 0
    open: int = 0
    alerts: dict[str, int] = field(default_factory=dict)
    parquet_files: int = 0
    views: dict[str, int] = field(default_factory=dict)
    anomalies: int = 0
    missed: list[str] = field(default_factory=list)
    false_incidents: list[str] = field(default_factory=list)
    troubles: dict[str, int] = field(default_factory=dict)


INCIDENTS = """
select
    pipeline,
    detector,
    key,
    incident_id,
    min(to_unixtime(since)) as since,
    max(to_unixtime(ended_at)) as ended,
    max_by(severity, version) as severity,
    max(findings) as findings
from incident_changes
group by pipeline, detector, key, incident_id
"""


def incidents_of(lake: Lake) -> list[Incident]:
    return [
        Incident(
            pipeline, detector, key, float(since), None if ended is None else float(ended), severity, findings
        )
        for pipeline, detector, key, _, since, ended, severity, findings in lake.query(INCIDENTS).rows
    ]


def gather(
    folder: RunFolder,
    *,
    records: Mapping[str, int],
    labels: Mapping[tuple[str, str], Sequence[float]],
    messages: Sequence[Message],
    troubles: Mapping[str, Mapping[str, int]],
    views: Mapping[str, Sequence[str]],
    ended: float,
) -> list[Figures]:
    """The figures of each pipeline, from the run's lake and messages."""
    lake = Lake(folder.path, now=datetime.fromtimestamp(ended, UTC))
    every = incidents_of(lake)
    channels: dict[str, Counter[str]] = {name: Counter() for name in records}
    for message in messages:
        pipeline = message.attributes.get("pipeline")
        if pipeline in channels:
            channels[pipeline][message.channel] += 1
    direct = count_by_pipeline(lake, "alerts", "channel = 'sms'")
    gathered = []
    for name, sent in records.items():
        mine = [incident for incident in every if incident.pipeline == name]
        known = {label: times for (pipeline, label), times in labels.items() if pipeline == name}
        alerts = channels[name] + Counter({"sms": direct.get(name, 0)})
        gathered.append(
            Figures(
                pipeline=name,
                records=sent,
                events=count_rows(lake, f"{name}_events"),
                late=count_by_pipeline(lake, "late_events").get(name, 0),
                quarantined=count_by_pipeline(lake, "quarantine").get(name, 0),
                findings=count_by_pipeline(lake, "findings").get(name, 0),
                incidents=len(mine),
                open=sum(incident.ended is None for incident in mine),
                alerts=dict(+alerts),
                parquet_files=len(list(folder.lake.glob(f"events/{name}/**/*.parquet"))),
                troubles={what: times for what, times in troubles[name].items() if times},
                views={view: count_rows(lake, view) for view in views.get(name, ())},
                anomalies=len(known),
                missed=sorted(
                    label for label, times in known.items() if not any(told(label, times, i) for i in mine)
                ),
                false_incidents=sorted(
                    f"{incident.detector}/{incident.key}"
                    for incident in mine
                    if not any(told(label, times, incident) for label, times in known.items())
                ),
            )
        )
    return gathered


def told(label: str, times: Sequence[float], incident: Incident) -> bool:
    """Whether an incident tells of a labelled anomaly: same detector and key, at one time."""
    detector, key, _ = label.rsplit("/", 2) if label.count("/") > 2 else label.split("/")
    if (detector, key) != (incident.detector, incident.key):
        return False
    ended = math.inf if incident.ended is None else incident.ended
    return incident.since - GRAIN <= max(times) and ended + GRAIN >= min(times)


def count_rows(lake: Lake, table: str) -> int:
    return int(lake.query(f"select count(*) from {table}").rows[0][0])  # noqa: S608 - names come from the catalog


def count_by_pipeline(lake: Lake, table: str, where: str = "true") -> dict[str, int]:
    answer = lake.query(f"select pipeline, count(*) from {table} where {where} group by pipeline")  # noqa: S608 - as above
    return {str(name): int(number) for name, number in answer.rows}


def as_summary(gathered: Sequence[Figures], **more: Any) -> dict[str, Any]:
    return {"pipelines": [asdict(figures) for figures in gathered], **more}
