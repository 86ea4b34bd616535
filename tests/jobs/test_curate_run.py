"""`freshet curate`: the last run's lake, as the deployed jobs leave it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest

from laptop.clock import Clock
from laptop.cloud import Cloud
from laptop.curate import curate
from laptop.run import catalog_entry
from laptop.run_folder import NoRun, RunFolder
from sql.lake import Lake
from tests.jobs.test_curate import row
from tests.jobs.yard import START, Yard

pytestmark = pytest.mark.xdist_group("spark")
EACH = "select sensor_id, temperature, measured_at, dt from temperature_distinct order by 1, 2"


@pytest.fixture(params=["2026-03-01", "2013-12-02"])
def run(cdk_out: Path, tmp_path: Path, request: pytest.FixtureRequest) -> RunFolder:
    """A run that has ended with four files, one row in two of them; its records may be from long ago."""
    folder = RunFolder(tmp_path / "run")
    with Cloud(Clock(START)) as cloud:
        cloud.deploy(cdk_out)
        yard = Yard(cloud, tmp_path)
        since = datetime.fromisoformat(request.param)
        times = [since + timedelta(minutes=40 * number) for number in range(5)]
        rows = [row("temperature", happened=time, arrived=time) for time in times]
        yard.put("temperature", [*rows, rows[0] | {"dt": rows[4]["dt"]}])
        for key in yard.objects():
            path = folder.lake / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(yard.body(key))
        catalog = [catalog_entry(table) for table in cloud.catalog()]
        # as a run keeps it
        earlier = {"first_hour": "2013-01-01-00"}
        folder.write_json("catalog.json", [e | (earlier if "first_hour" in e else {}) for e in catalog])
        ended = since.replace(tzinfo=UTC).timestamp() + 6 * 3_600
    folder.write_json("summary.json", {"pipelines": [{"pipeline": "temperature"}], "ended": ended})
    return folder


def test_a_runs_lake_is_curated_and_answers_as_before(run: RunFolder, cdk_out: Path) -> None:
    before = Lake(run.path).query(EACH).rows
    assert len(before) == 5
    with mock.patch("laptop.curate.assembly", return_value=cdk_out):
        # when it is curated twice
        curate(folder=run)
        files = sorted(path for path in run.lake.rglob("*") if path.is_file())
        curate(["temperature"], folder=run)

    # then the second time changes nothing, and no raw row is read any more
    assert sorted(path for path in run.lake.rglob("*") if path.is_file()) == files
    lake = Lake(run.path)
    assert lake.query(EACH).rows == before
    assert lake.query("select count(*) from temperature_curated").rows == [(5,)]
    assert lake.query("select count(*) from temperature_uncurated").rows == [(0,)]
    # and what is not the job's is as it was
    names = [entry["name"] for entry in json.loads((run.path / "catalog.json").read_text())]
    assert len(names) == len(set(names))
    assert {"findings", "casino_events", "temperature_distinct"} <= set(names)


def test_a_pipeline_that_the_run_does_not_have_is_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_json("summary.json", {"pipelines": [{"pipeline": "temperature"}]})

    with pytest.raises(NoRun, match=r"has no pipeline casino; it has temperature\."):
        curate(["casino"], folder=run)
