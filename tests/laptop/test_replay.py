"""`freshet replay`: a user's own file through the whole run, and the clock that the file gives it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from laptop.replay import DAY, on_the_clock
from pipelines.recording import Line

HOUSE = Path(__file__).parents[2]
MACHINE = HOUSE.parent / "shared/data/nab/data/realKnownCause/machine_temperature_system_failure.csv"


def freshet(runs: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(HOUSE / "freshet.py"), *map(str, words)],
        env=os.environ | {"FRESHET_RUNS": str(runs), "PYTHONPATH": str(HOUSE), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def ask(runs: Path, sql: str) -> list[list[str]]:
    answer = freshet(runs, "query", "--csv", sql)
    assert answer.returncode == 0, answer.stderr
    return list(csv.reader(answer.stdout.splitlines()))[1:]


def summary(runs: Path) -> Any:
    folder = runs / (runs / "latest").read_text()
    return json.loads((folder / "summary.json").read_text())


def times(*given: float | None) -> list[Line]:
    return [Line(number, b"", "", time) for number, time in enumerate(given)]


def clock(*given: float | None, lateness: float = 10) -> list[tuple[float, int]]:
    return [(at, line.number) for at, line in on_the_clock(times(*given), lateness)]


def test_clock_is_the_files_own() -> None:
    assert clock(100, 101, 105) == [(100, 0), (101, 1), (105, 2)]


def test_line_without_a_time_is_sent_after_the_one_before_it() -> None:
    assert clock(None, 100, None, 105) == [(100, 0), (100, 1), (100, 2), (105, 3)]


def test_late_line_is_sent_where_it_stands() -> None:
    given = [float(second) for second in range(100, 200)]
    given[50] = 101.0

    assert clock(*given)[50] == (149.0, 50)


@pytest.mark.parametrize("place", [0, 5, 19])
def test_clock_does_not_follow_one_wrong_time(place: int) -> None:
    given = [100.0 + second for second in range(20)]
    given[place] += 365 * DAY

    sent = clock(*given)

    assert len(sent) == 20
    if place:
        assert max(at for at, _ in sent) < 200


def test_clock_follows_a_gap_of_months() -> None:
    assert clock(100, 200 * DAY, 200 * DAY + 1, 200 * DAY + 2)[-1] == (200 * DAY + 2, 3)


def test_file_of_one_sensor_after_the_other_is_played_as_it_happened() -> None:
    assert clock(100, 200, 300, 100, 200, 300) == [(100, 0), (100, 3), (200, 1), (200, 4), (300, 2), (300, 5)]


def test_lines_without_any_time_are_sent_one_a_second() -> None:
    assert [at for at, _ in clock(None, None)] == [20_454 * DAY, 20_454 * DAY + 1]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A quarter of an hour of readings with one of everything that can be wrong with a line."""
    folder = tmp_path_factory.mktemp("broken")
    lines = [f"2020-05-01 10:{n // 60:02}:{n % 60:02},{20 + n % 5}".encode() for n in range(900)]
    lines[100] = lines[100].split(b",")[0] + b",41.5"
    lines[200] = lines[200][:9]
    lines[210] = lines[210].split(b",")[0] + b",warm"
    lines[220] = b"2020-13-45 99:00:00,21"
    lines[230] = b"2199-01-01 00:00:00,21"
    lines[240] = lines[240] + b"\xb0"
    lines[250] = lines[250].split(b",")[0] + b"," + b"7" * (1024 * 1024)
    lines[260] = lines[260] + b',"open'
    lines[270] = b""
    path = folder / "cellar.csv"
    path.write_bytes(b"\n".join([b"timestamp,value", *lines, b""]))
    return folder, freshet(folder, "replay", "temperature", path)


def test_every_row_is_in_the_lake_or_in_quarantine(
    broken: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    runs, done = broken

    assert done.returncode == 0, done.stderr
    assert "899 rows in the file = 892 in the lake + 7 in quarantine" in done.stdout
    assert ask(runs, "select count(*) from temperature_events") == [["892"]]
    assert summary(runs)["pipelines"][0]["troubles"] == {}


def test_quarantine_says_of_each_row_what_is_wrong(
    broken: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    runs, done = broken
    wanted = [
        "The line has 1 value and the file's heading names 2; mend the line.",
        "The line has 3 values and the file's heading names 2; mend the line.",
        "The record has 1,048,656 bytes and a stream takes 1,048,576; split or shorten it.",
        "The record is not UTF-8 text (byte 22).",
        "measured_at is 65,258 days ahead of the record's arrival.",
        "temperature is text that is not a number.",
        "timestamp is not an ISO 8601 time such as 2026-01-31T10:00:00Z.",
    ]

    assert [
        reason for [reason] in ask(runs, "select reason from quarantine_reasons order by reason")
    ] == wanted
    assert all(reason in done.stdout for reason in wanted)
    lost = "select count(*) from quarantine where data is null or length(data) = 0"
    assert ask(runs, lost) == [["0"]]


def test_incident_is_listed_by_the_files_clock(
    broken: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    runs, done = broken

    listed = (
        "2020-05-01",
        "10:01:40.000",
        "2020-05-01",
        "10:01:41.000",
        "too_hot",
        "cellar",
        "high",
        "1",
        "41.5",
    )
    assert listed in [tuple(line.split()) for line in done.stdout.splitlines()]
    assert "[HIGH] temperature" in done.stdout
    assert ask(runs, "select sensor_id, highest from temperature_hot_spells") == [["cellar", "41.5"]]


def test_limits_are_set_and_times_are_cut_by_options(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(
        "timestamp,value\n" + "".join(f"2026-03-0{day} 10:00:00,{30 + day}\n" for day in range(1, 6))
    )

    done = freshet(
        tmp_path, "replay", "temperature", path, "--set", "too_hot.above=33.5", "--from", "2026-03-02",
        "--until", "2026-03-05", "--fill", "sensor_id=roof", "--quiet",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "3 rows in the file = 3 in the lake + 0 in quarantine" in done.stdout
    assert ask(tmp_path, "select sensor_id, highest from temperature_hot_spells") == [["roof", "34.0"]]


def test_references_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "guests.csv").write_text("customer_id,spent,is_active\nc1,250000,true\n")
    (tmp_path / "plays.jsonl").write_text(
        '{"play_id":"p1","customer_id":"c1","action":"enter","time":"2026-03-01T10:00:00Z"}\n'
        '{"play_id":"p2","customer_id":"c1","action":"sit","time":"2026-03-01T10:00:05Z"}\n'
    )

    done = freshet(
        tmp_path, "replay", "casino", tmp_path / "plays.jsonl", "--map", "played_at=time",
        "--reference", f"guests={tmp_path / 'guests.csv'}", "--quiet",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert len(ask(tmp_path, "select * from incident_changes where detector = 'high_roller'")) > 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["replay", "temprature", "FILE"], "did you mean temperature"),
        (["replay", "temperature", "nowhere.csv"], "nowhere.csv: it cannot be read: No such file"),
        (["replay", "temperature", "FILE", "--set", "too_hot.above=hot"], "'hot' is no finite number"),
        (["replay", "FILE", "temperature"], "is a file; say the pipeline first: freshet replay PIPELINE"),
        (["replay", "temperature", "FILE", "--set", "too_cold.above=3"], "none of its detectors (too_hot)"),
        (["replay", "temperature", "FILE", "--set", "too_hot.upto=3"], "too_hot"),
        (["replay", "temperature", "FILE", "--map", "heat=value"], "there is no column 'heat'"),
        (["replay", "temperature", "FILE", "--map", "temperature"], "is no NAME=VALUE"),
        (["replay", "temperature", "FILE", "--from", "yesterday"], "'yesterday' is no date or time"),
        (["replay", "temperature", "FILE", "--from", "2031-01-01"], "rows are from 2026-03-01 10:00:00 UTC"),
        (["replay", "temperature", "FILE", "--reference", "guests=FILE"], "has no such reference"),
        (["replay", "temperature"], "The following arguments are required: file"),
        (["reply", "temperature", "FILE"], "freshet has no verb 'reply'; did you mean replay?"),
        (["fly"], "say one of demo, replay"),
    ],
)  # fmt: skip
def test_wrong_word_gets_a_sentence_and_no_traceback(tmp_path: Path, words: list[str], sentence: str) -> None:
    path = tmp_path / "r.csv"
    path.write_text("timestamp,value\n2026-03-01 10:00:00,3\n")

    answer = freshet(tmp_path, *(word.replace("FILE", str(path)) for word in words))

    assert answer.returncode == 2
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr


def test_file_of_which_nothing_can_be_read_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text("timestamp,value\n2026-03-01 10:00:00,warm\n2026-03-01 10:00:01,warmer\n")

    done = freshet(tmp_path, "replay", "temperature", path, "--map", "temperature=value", "--quiet")

    assert done.returncode == 2
    assert "2 rows in the file = 0 in the lake + 2 in quarantine" in done.stdout
    assert "nothing could be read as an event of temperature; see above why." in done.stderr


@pytest.mark.skipif(not MACHINE.exists(), reason="the data that detectors are measured with is not here")
def test_days_of_a_real_machine_is_in_the_lake_row_by_row(tmp_path: Path) -> None:
    done = freshet(
        tmp_path, "replay", "temperature", MACHINE, "--until", "2013-12-05", "--set", "too_hot.above=100",
        "--quiet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    with MACHINE.open() as file:
        rows = [row for row in csv.DictReader(file) if row["timestamp"] < "2013-12-05"]

    assert f"{len(rows):,} rows in the file = {len(rows):,} in the lake + 0 in quarantine" in done.stdout
    held = ask(tmp_path, "select measured_at, temperature from temperature_events order by measured_at")
    assert [(f"{row['timestamp']}.000", float(row["value"])) for row in rows] == [
        (time, float(value)) for time, value in held
    ]
