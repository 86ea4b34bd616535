"""The views that every pipeline shares answer with the rows they promise."""

import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lambdas.tables import QUARANTINE, RESULT_TABLES, Table
from sql.lake import Lake
from sql.view import View

VIEWS = Path(__file__).parents[1] / "stacks" / "views"
HOUR = "2026-01-31-10"


def table_entry(table: Table, location: str, form: str, keys: list[str]) -> dict[str, Any]:
    columns = [{"name": each.name, "type": each.type, "comment": each.comment} for each in table.columns]
    partitions = [{"name": key, "type": "string", "comment": ""} for key in keys]
    return {
        "name": table.name,
        "type": "table",
        "columns": columns,
        "partition_keys": partitions,
        "location": location,
        "format": form,
        "comment": table.grain,
    }


def view_entry(path: Path) -> dict[str, Any]:
    view = View.read(path)
    columns = [{"name": each.name, "type": each.hive_type, "comment": ""} for each in view.columns]
    return {
        "name": view.name,
        "type": "view",
        "columns": columns,
        "partition_keys": [],
        "sql": view.sql,
        "comment": view.comment,
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    catalog = [
        table_entry(RESULT_TABLES["incident_change"], "results/incident_changes", "parquet", ["dt"]),
        table_entry(QUARANTINE, "quarantine", "json", ["pipeline", "dt"]),
        *(view_entry(path) for path in sorted(VIEWS.glob("*.sql"))),
    ]
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    return tmp_path


def put_changes(run: Path, *changes: tuple[str, int, str, str]) -> None:
    folder = run / "lake" / "results" / "incident_changes" / f"dt={HOUR}"
    folder.mkdir(parents=True)
    connection = duckdb.connect()
    connection.execute("create table c (incident_id varchar, version int, state varchar, severity varchar)")
    connection.executemany("insert into c values (?, ?, ?, ?)", changes)
    connection.execute("copy c to ? (format parquet)", [str(folder / "changes.parquet")])


def test_open_incidents_are_those_whose_newest_change_is_no_end(run: Path) -> None:
    put_changes(
        run,
        ("new", 1, "opened", "high"),
        ("new", 1, "opened", "high"),  # sent twice
        ("worse", 2, "escalated", "critical"),
        ("worse", 1, "opened", "high"),
        ("over", 2, "resolved", "high"),
        ("over", 1, "opened", "high"),
    )

    answer = Lake(run).query("select incident_id, state, severity from incidents_open order by incident_id")

    assert answer.rows == [("new", "opened", "high"), ("worse", "escalated", "critical")]


def test_quarantine_reasons_count_parts_and_the_records_they_came_in(run: Path) -> None:
    def part(sequence: str, index: int, reason: str) -> dict[str, Any]:
        place = {"shard_id": "s", "sequence_number": sequence, "record_index": index}
        return {"reason": reason, "field": "bet", "arrived_at": "2026-01-31 10:00:00.000", **place}

    folder = run / "lake" / "quarantine" / "pipeline=casino" / f"dt={HOUR}"
    folder.mkdir(parents=True)
    parts = [
        part("1", 0, "a."),
        part("1", 1, "a."),
        part("2", 0, "a."),
        part("2", 0, "a."),
        part("3", 0, "b."),
    ]
    lines = "".join(json.dumps(each) + "\n" for each in parts)
    (folder / "one.json.gz").write_bytes(gzip.compress(lines.encode()))

    answer = Lake(run).query(
        "select pipeline, reason, parts, records from quarantine_reasons order by reason"
    )

    assert answer.rows == [("casino", "a.", 3, 2), ("casino", "b.", 1, 1)]


def test_declared_types_are_those_that_the_views_yield(run: Path) -> None:
    assert Lake(run).stale_views() == []
