"""The whole way, as its users go it: an hour of every pipeline, a folder added, a run that was killed."""

import csv
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HOUSE = Path(__file__).parents[2]
PIPELINES = ("casino", "heart_rate", "temperature")


def freshet(house: Path, runs: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(house / "freshet.py"), *words],
        env=os.environ | {"FRESHET_RUNS": str(runs), "PYTHONPATH": str(house)},
        capture_output=True,
        text=True,
        check=False,
    )


class Demo:
    """A finished run: what it printed and what it left."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self.done = freshet(HOUSE, runs, "demo")
        assert self.done.returncode == 0, self.done.stdout[-2000:] + self.done.stderr[-4000:]
        self.folder = runs / (runs / "latest").read_text()
        self.figures: dict[str, Any] = {
            figures["pipeline"]: figures for figures in self.read("summary.json")["pipelines"]
        }

    def read(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text())

    def ask(self, sql: str) -> list[list[str]]:
        answer = freshet(HOUSE, self.runs, "query", "--csv", sql)
        assert answer.returncode == 0, answer.stderr
        return list(csv.reader(answer.stdout.splitlines()))[1:]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("runs"))


def test_every_pipeline_of_the_house_ran(demo: Demo) -> None:
    assert tuple(demo.figures) == PIPELINES


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_every_labelled_anomaly_alerts_and_at_most_one_incident_is_false(demo: Demo, pipeline: str) -> None:
    figures = demo.figures[pipeline]

    assert figures["anomalies"] > 0
    assert figures["missed"] == []
    assert len(figures["false_incidents"]) <= 1


@pytest.mark.semantics(line=1, clause="late")
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_nothing_is_lost(demo: Demo, pipeline: str) -> None:
    figures = demo.figures[pipeline]

    assert figures["events"] + figures["quarantined"] == figures["records"]
    assert figures["parquet_files"] > 0


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_every_incident_was_told_to_somebody(demo: Demo, pipeline: str) -> None:
    made = dict(demo.ask("select pipeline, count(*) from incident_changes group by pipeline"))
    told = dict(
        demo.ask(
            "select pipeline, count(distinct change_id) from alerts where channel = 'topic' group by pipeline"
        )
    )

    assert made[pipeline] == told[pipeline]
    assert demo.figures[pipeline]["alerts"]["email"] == int(made[pipeline])


def test_nothing_went_wrong_on_the_way(demo: Demo) -> None:
    assert {name: figures["troubles"] for name, figures in demo.figures.items()} == {
        name: {} for name in PIPELINES
    }


def test_no_incident_is_left_open_after_everything_fell_silent(demo: Demo) -> None:
    assert demo.ask("select * from incidents_open") == []


def test_views_answer_with_rows(demo: Demo) -> None:
    wanted = {"temperature_readings_by_hour", "heart_rate_by_device_minute", "casino_turnover_by_guest"}
    rows = {view: count for figures in demo.figures.values() for view, count in figures["views"].items()}

    assert wanted <= rows.keys()
    assert all(count > 0 for count in rows.values())
    assert len(demo.ask("select * from quarantine_reasons")) > 0


@pytest.mark.semantics(line=11, clause="alert")
@pytest.mark.semantics(line=11, clause="log")
def test_what_is_private_is_in_no_message_and_no_log(demo: Demo) -> None:
    from pipelines.heart_rate.traffic import references

    private = {
        str(row[name])
        for row in references(1)["registrations"]
        for name in ("first_name", "last_name", "email")
        if row.get(name)
    }
    told = "\n".join(f"{message['subject']}\n{message['body']}" for message in demo.read("messages.json"))
    logged = (demo.folder / "functions.log").read_text()

    assert private
    assert [value for value in private if value in told or value in logged] == []


def test_text_to_a_registered_mobile_has_no_name_and_no_health_value(demo: Demo) -> None:
    texts = [message for message in demo.read("messages.json") if message["attributes"].get("direct")]

    assert texts
    assert all("bpm" not in text["body"] and len(text["body"]) <= 160 for text in texts)


def test_page_of_the_run_is_written_and_named(demo: Demo) -> None:
    page = demo.folder / "page.html"

    assert str(page) in demo.done.stdout.replace("\n", "")
    assert all(f'id="{pipeline}"' in page.read_text() for pipeline in PIPELINES)


def test_closing_table_is_printed(demo: Demo) -> None:
    for words in ("records sent", "late events", "quarantined", "Parquet files", "alerts by SMS", "rows of"):
        assert words in demo.done.stdout


def readme_questions() -> list[list[str]]:
    """The words of each `freshet query` command that the README shows."""
    lines = (HOUSE / "README.md").read_text().splitlines()
    return [shlex.split(line)[1:] for line in lines if line.strip().startswith("./freshet query")]


@pytest.mark.parametrize("words", readme_questions(), ids=" ".join)
def test_question_of_the_readme_is_answered(demo: Demo, words: list[str]) -> None:
    answer = freshet(HOUSE, demo.runs, *words)

    assert answer.returncode == 0, answer.stderr
    assert answer.stdout


def test_readme_says_what_make_can_do() -> None:
    text = (HOUSE / "README.md").read_text()
    targets = {line.split(":")[0] for line in (HOUSE / "Makefile").read_text().splitlines() if ": " in line}

    assert {"demo", "test", "check", "help"} <= targets
    assert all(f"make {target}" in text for target in ("demo", "test", "check", "help"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["demo", "temprature"], "did you mean temperature"),
        (["demo", "--minutes", "0"], "There is no traffic of 0 minutes; say --minutes 60."),
        (["query", "select sensor from temperature_events"], "sensor_id"),
        (["query", "select * from temperature_event"], "temperature_events"),
    ],
)
def test_wrong_word_gets_a_sentence_and_no_traceback(demo: Demo, words: list[str], sentence: str) -> None:
    answer = freshet(HOUSE, demo.runs, *words)

    assert answer.returncode == 2
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr


def test_query_without_a_run_says_how_to_make_one(tmp_path: Path) -> None:
    answer = freshet(HOUSE, tmp_path, "query", "select 1")

    assert answer.returncode == 2
    assert "make demo" in answer.stderr


DOORS = '''
"""Doors that report when they open."""

from lambdas.columns import Double, Text, Timestamp
from lambdas.detectors.threshold import Threshold
from lambdas.formats.json_objects import Json
from lambdas.model import HIGH, Event, Kinesis, Pipeline, seconds


class Opening(Event, key="door_id", time="opened_at"):
    door_id = Text("which door")
    seconds_open = Double("how long it was open", unit="s")
    opened_at = Timestamp("when it was opened", form="seconds")


pipeline = Pipeline(
    about="doors that stand open",
    event=Opening,
    sources=[Kinesis(fan_out=True)],
    formats=[Json()],
    tick=seconds(20),
    detectors=[
        Threshold(name="stood_open", when=Opening.seconds_open > 60, severity=HIGH, do_first="Close it.")
    ],
)
'''

DOOR_TRAFFIC = """
import json
from collections.abc import Iterator

from pipelines.traffic import Sent


def traffic(*, seed: int, start: float, seconds: float) -> Iterator[Sent]:
    for number in range(int(seconds)):
        wide = number == 100
        data = {"door_id": "d1", "seconds_open": 90 if wide else 5, "opened_at": start + number}
        label = "stood_open/d1/1" if wide else None
        yield Sent(at=start + number, data=json.dumps(data).encode(), partition_key="d1", label=label)
"""

DOOR_VIEW = """-- one row per door
select
    cast(door_id as varchar) as door_id,
    cast(count(*) as bigint) as openings
from doors_events
group by door_id
"""


@pytest.fixture(scope="module")
def house_with_doors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the house with a fourth folder and no edit anywhere else."""
    house = tmp_path_factory.mktemp("house")
    for room in ("glue_jobs", "lambdas", "pipelines", "stacks", "sql", "laptop"):
        shutil.copytree(HOUSE / room, house / room, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("app.py", "cdk.json", "freshet.py"):
        shutil.copy(HOUSE / file, house / file)
    doors = house / "pipelines" / "doors"
    (doors / "views").mkdir(parents=True)
    (doors / "pipeline.py").write_text(DOORS.lstrip())
    (doors / "traffic.py").write_text(DOOR_TRAFFIC.lstrip())
    (doors / "views" / "doors_by_use.sql").write_text(DOOR_VIEW)
    return house


def test_fourth_folder_is_deployed_fed_alerted_on_and_queried(house_with_doors: Path, tmp_path: Path) -> None:
    done = freshet(house_with_doors, tmp_path, "demo", "doors", "--minutes", "5")
    assert done.returncode == 0, done.stderr

    assert "[HIGH] doors door d1: stood open" in done.stdout
    asked = freshet(
        house_with_doors, tmp_path, "query", "--csv", "select door_id, openings from doors_by_use"
    )
    assert asked.stdout.splitlines()[1:] == ['"d1","300"']


def test_view_that_reads_what_is_not_there_is_told_before_anything_is_played(
    house_with_doors: Path, tmp_path: Path
) -> None:
    view = house_with_doors / "pipelines" / "doors" / "views" / "doors_by_use.sql"
    view.write_text(DOOR_VIEW.replace("door_id", "gate_id"))

    answer = freshet(house_with_doors, tmp_path, "demo", "doors", "--minutes", "5")

    view.write_text(DOOR_VIEW)
    assert answer.returncode == 2
    assert "The view 'doors_by_use' cannot be answered: There is no column 'gate_id'" in answer.stderr
    assert "playing" not in answer.stdout


def test_pipeline_without_traffic_is_told_where_to_write_it(house_with_doors: Path, tmp_path: Path) -> None:
    (house_with_doors / "pipelines" / "doors" / "traffic.py").rename(tmp_path / "traffic.py")

    answer = freshet(house_with_doors, tmp_path, "demo", "doors")

    (tmp_path / "traffic.py").rename(house_with_doors / "pipelines" / "doors" / "traffic.py")
    assert answer.returncode == 2
    assert "there is no pipelines/doors/traffic.py" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_run_killed_at_any_stage_is_in_nobodys_way(tmp_path: Path) -> None:
    command = [sys.executable, str(HOUSE / "freshet.py"), "demo", "temperature", "--minutes", "2"]
    environment = os.environ | {"FRESHET_RUNS": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    for stage in ("synthesizing", "deploying", "playing", "keeping the lake"):
        killed = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert killed.stdout is not None
        for line in killed.stdout:
            if stage in line:
                killed.send_signal(signal.SIGKILL)
                break
        assert killed.wait() == -signal.SIGKILL
        assert freshet(HOUSE, tmp_path, "query", "select 1").returncode == 2

    again = freshet(HOUSE, tmp_path, *command[2:])

    assert again.returncode == 0, again.stderr
    assert freshet(HOUSE, tmp_path, "query", "select count(*) from temperature_events").returncode == 0
