"""Runs that nobody played: Parquet written straight into a run's folder, of any size."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb

from lambdas.alerting.message import compose
from lambdas.columns import lake_time
from lambdas.incidents import IncidentChange
from lambdas.model import HIGH, Pipeline
from lambdas.tables import PROVENANCE, QUARANTINE, RESULT_TABLES, TableColumn
from laptop.figures import Figures, as_summary
from laptop.messages import Message
from laptop.run_folder import RunFolder
from sql.types import from_hive

START = 1_769_853_600.0  # 2026-01-31 10:00 UTC
DT = "2026-01-31-10"


@dataclass
class GeneratedRun:
    """A run of one pipeline, filled table by table and then finished."""

    path: Path
    pipeline: Pipeline
    seconds: float = 3_600.0
    messages: list[Message] = field(default_factory=list)

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.path)

    @property
    def events(self) -> Sequence[TableColumn]:
        columns = self.pipeline.event.columns.values()
        return (*(TableColumn(one.name, one.hive, one.about) for one in columns), *PROVENANCE)

    def put_events(self, select: str) -> None:
        """Rows of the event table, as a select of DuckDB gives its columns."""
        target = self.path / "lake" / "events" / self.pipeline.name / f"dt={DT}"
        target.mkdir(parents=True)
        duckdb.execute(f"copy ({select}) to '{target}/events.parquet' (format parquet)")

    def put_results(self, kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
        table = RESULT_TABLES[kind]
        types = {one.name: from_hive(one.type).duckdb for one in table.columns}
        target = self.path / "lake" / "results" / table.name / f"dt={DT}"
        target.mkdir(parents=True)
        lines = self.path / "rows.json"
        lines.write_text("\n".join(map(json.dumps, rows)))
        read = f"select * from read_json('{lines}', format = 'newline_delimited', columns = {types})"  # noqa: S608 - our own
        duckdb.execute(f"copy ({read}) to '{target}/rows.parquet' (format parquet)")
        lines.unlink()

    def put_changes(self, changes: Sequence[IncidentChange], numbers: Sequence[str] = ()) -> None:
        """Incident changes, a finding of each, and the messages that tell of them."""
        self.put_results("incident_change", [change.to_row() for change in changes])
        shared = {column.name for column in RESULT_TABLES["finding"].columns}
        self.put_results(
            "finding",
            [
                {name: value for name, value in change.to_row().items() if name in shared}
                | {
                    "finding_id": change.change_id,
                    "found_at": lake_time(change.detected_at),
                    "score": change.worst_score,
                }
                for change in changes
            ],
        )
        for change in changes:
            message = compose(change, pipeline=self.pipeline)
            to, subject = "operators@example.com", message.subject
            self.messages.append(Message("email", to, subject, message.email, dict(message.attributes)))
            for number in numbers:
                self.messages.append(Message("sms", number, "", message.direct_sms, {"direct": "yes"}))

    def put_quarantine(self, rows: Iterable[Mapping[str, Any]]) -> None:
        target = self.path / "lake" / "quarantine" / f"pipeline={self.pipeline.name}" / f"dt={DT}"
        target.mkdir(parents=True)
        target.joinpath("rows.json").write_text("\n".join(map(json.dumps, rows)))

    def finish(self, **figures: Any) -> dict[str, Any]:
        """Writes the catalog, the messages and the summary, and gives the summary."""

        def entry(name: str, columns: Iterable[TableColumn], location: str, *keys: str) -> dict[str, Any]:
            return {
                "name": name,
                "type": "table",
                "columns": [asdict(column) for column in columns],
                "partition_keys": [{"name": key, "type": "string", "comment": ""} for key in keys],
                "location": location,
                "format": "json" if location == "quarantine" else "parquet",
            }

        name = self.pipeline.name
        catalog = [
            entry(self.pipeline.table, self.events, f"events/{name}", "dt"),
            entry("quarantine", QUARANTINE.columns, "quarantine", "pipeline", "dt"),
            *(
                entry(one.name, one.columns, f"results/{one.name}", "dt")
                for one in RESULT_TABLES.values()
            ),
        ]  # fmt: skip
        gathered = [Figures(pipeline=name, **{"alerts": {"email": len(self.messages)}, **figures})]
        summary = as_summary(gathered, start=START, seconds=self.seconds, ended=START + self.seconds)
        self.folder.write_json("catalog.json", catalog)
        self.folder.write_json("messages.json", [asdict(message) for message in self.messages])
        self.folder.write_json("summary.json", summary)
        return summary


def readings(count: int, *, keys: Sequence[str], seconds: float = 3_600.0, peak: float = 61.25) -> str:
    """A select of temperatures that wave between 20 and 29 °C, but for one peak of the first key."""
    named = ", ".join("'" + key.replace("'", "''") + "'" for key in keys)
    middle = count // 2 // len(keys) * len(keys)
    return f"""
        select
            ([{named}])[i % {len(keys)} + 1] as sensor_id,
            case when i = {middle} then {peak} else 24.5 + 4.5 * sin(i / 400) end as temperature,
            make_timestamp(cast({START * 1e6} + i * {seconds * 1e6 / count} as bigint)) as measured_at,
            'shard' as shard_id,
            cast(i as varchar) as sequence_number,
            0 as record_index,
            measured_at as arrived_at
        from range({count}) as numbers (i)
    """  # noqa: S608 - of numbers and of the test's own texts


def change(
    version: int, state: str, *, key: str, at: float = 600, number: int = 0, **more: Any
) -> IncidentChange:
    """A change of an incident of `too_hot` that began `at` seconds after the run."""
    usual = IncidentChange(
        incident_id=f"{number:020x}",
        version=version,
        state=state,
        pipeline="temperature",
        detector="too_hot",
        key=key,
        direction="high",
        severity=HIGH,
        since=START + at,
        detected_at=START + at,
        changed_at=START + at + version,
        worst_score=44.5,
        observed=44.5,
        unit="°C",
        expected="below 30 °C",
        sentence="temperature is 44.5 °C; expected below 30 °C.",
    )
    return replace(usual, **more)


def spells(count: int, keys: Sequence[str]) -> list[IncidentChange]:
    """Incidents of a second each, one begun every second."""
    return [
        each
        for number in range(count)
        for each in (
            change(1, "opened", key=keys[number % len(keys)], number=number, at=number),
            change(
                2,
                "resolved",
                key=keys[number % len(keys)],
                number=number,
                at=number,
                ended_at=START + number + 1,
                reason="clear",
            ),
        )
    ]
