"""A new pipeline is whole at once, passes every gate, and its first case fails until its limit is written."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines import cases, discovery, recording
from pipelines.new import DO_FIRST, FLOWS, NotMade, new
from pipelines.sample import Unreadable, look

ROOT = Path(discovery.__file__).parents[1]
BOILERS = """\
Boiler ID,Water Temp [°C],is_on,Recorded At,name,end,x`y
B1,71.5,true,2026-03-01T10:00:00Z,"North, hall",5,
B2,69.5,true,2026-03-01T10:00:00+02:00,South,6,x
B1,72.5,false,2026-03-01 10:01:00,North,7,
B2,70,true,2026-03-01T10:01:00Z,South,7,
B1,98.25,true,2026-03-01T10:02:00Z,North,8,y
"""
ONE_SERIES = (
    "timestamp,value\n2014-07-01 00:00:00,10844\n2014-07-01 00:30:00,8127\n2014-07-01 01:00:00,99999\n"
)
METERS = "".join(
    json.dumps(
        {
            "meter": 1 + row % 3,
            "load": 3.25e-9 * row,
            "ts": 1_769_853_600_000 + row,
            "place": ["Ulm", "Donau"],
            # As long as a name may be, so that a declaration's line has to be broken.
            "the reading's quality as it was judged by whoever was there and looked at it": "good",
        }
    )
    + "\n"
    for row in range(40)
)
# Nested as producers send it; two sizes, so that one name is not enough for them.
NESTED = "".join(
    json.dumps(
        {
            "device": {"id": f"d{row % 3}"},
            "data": {"airTemp": 20.5 + row, "size": row % 7, "at": f"2026-01-31T10:00:{row:02}Z"},
            "lid": {"size": 5},
        }
    )
    + "\n"
    for row in range(40)
)
# As a spreadsheet writes times where days stand before months.
DOTTED = "Wann;Halle;Druck\n" + "".join(
    f"31.12.2026 10:{row:02}:00;Halle {row % 2};{row}.5\n" for row in range(40)
)
# Alike in the six digits that a number is cut to.
PULSES = "host,pulse\nA,1000000.125\nA,1000000.25\nB,1000000.375\nB,1000000.875\n"
UNTIMED = "sensor;pressure\nA;-5.5\nA;-7.25\nB;-6.0\nB;-1.5\n"


def file(folder: Path, text: str, name: str = "") -> Path:
    path = folder / (name or ("given.jsonl" if text.startswith("{") else "given.csv"))
    path.write_text(text)
    return path


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of what a new pipeline has to do with."""
    no_part = shutil.ignore_patterns(".*", "__pycache__", "tests", "docs", "benchmarks", "cdk.out")
    copy = shutil.copytree(ROOT, tmp_path / "house", ignore=no_part)
    for name in discovery.names():
        shutil.rmtree(copy / "pipelines" / name)
    return copy


def run(house: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=house, capture_output=True, text=True, check=False)


def write_limit(root: Path, name: str, limit: float) -> None:
    path = root / name / "pipeline.py"
    text, times = re.subn(r"(when=Reading\.\w+ >) [0-9_]+,", rf"\1 {limit},", path.read_text())
    assert times == 1
    path.write_text(text)


SYNTHESIZE = """
import sys
from pathlib import Path
from stacks.check import sql_findings, synthesize
done = synthesize(Path("cdk.out"), {"pipelines": sys.argv[1]})
sys.exit(done.stderr if done.returncode else "\\n".join(sql_findings(Path("cdk.out"))) or 0)
"""
SOURCES = {
    "made_up": (None, 60.0),
    "boilers": (BOILERS, 80.0),
    "taxis": (ONE_SERIES, 50_000.0),
    "meters": (METERS, 1.24e-7),
    "pressures": (UNTIMED, -3.0),
    "pulses": (PULSES, 1_000_000.5),
    "nested": (NESTED, 59.0),
    "spreadsheets": (DOTTED, 39.0),
}


@pytest.mark.parametrize("name", SOURCES)
def test_first_case_fails_and_says_what_to_write_until_the_limit_is_written(
    tmp_path: Path, name: str
) -> None:
    text, limit = SOURCES[name]
    root = tmp_path / "pipelines"
    root.mkdir()

    new(name, source=file(tmp_path, text) if text else None, root=root)

    first, second = cases.read(name, root)
    told = cases.verdict(first, discovery.load(name, root))
    assert told.startswith(f"pipelines/{name}/cases.yaml, case 'a reading of ")
    assert f"Write in pipelines/{name}/pipeline.py the condition of too_high (when=…)" in told
    assert cases.verdict(second, discovery.load(name, root)) == ""

    write_limit(root, name, limit)

    pipeline = discovery.load(name, root)
    assert [cases.verdict(case, pipeline) for case in (first, second)] == ["", ""]
    assert list(cases.missing(pipeline, [first, second])) == []


def test_new_folders_pass_the_gates_and_their_traffic_is_found(house: Path) -> None:
    root, names = house / "pipelines", list(SOURCES)
    for name, (text, limit) in SOURCES.items():
        new(name, source=file(house, text) if text else None, root=root)
        write_limit(root, name, limit)
    folders = [f"pipelines/{name}" for name in names]
    for test in ("conftest.py", "support.py", "test_traffic.py", "test_pipeline_readmes.py"):
        (house / "tests").mkdir(exist_ok=True)
        shutil.copy(ROOT / "tests" / test, house / "tests" / test)

    for gate in (
        ("-m", "ruff", "check", *folders),
        ("-m", "ruff", "format", "--check", *folders),
        ("-m", "mypy", *folders),
        ("-m", "pytest", "-q", "-n", "0", "tests", "-k", " or ".join(names)),
        ("-c", SYNTHESIZE, ",".join(names)),
    ):
        done = run(house, *gate)

        assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_told_names_each_column_and_the_next_commands(tmp_path: Path) -> None:
    path = file(tmp_path, BOILERS)

    said = new("boilers", source=path, root=tmp_path)

    assert "  boiler_id                 Text      the key, from 'Boiler ID'" in said
    assert "  water_temp_c              Double    watched, from 'Water Temp [°C]'" in said
    assert "  recorded_at               Timestamp the time, from 'Recorded At'" in said
    assert "  name_of_reading           Text      from 'name'" in said
    assert any("Left out: 'x`y'" in line for line in said)
    assert said[-1] == f"  ./freshet replay boilers {path}"


def test_one_number_that_is_not_whole_makes_a_column_of_numbers(tmp_path: Path) -> None:
    path = file(tmp_path, "\n".join(["sensor,heat", *(f"A,{number}" for number in range(20, 79)), "A,55.5"]))

    [_, heat] = look(path).columns

    assert (heat.kind.__name__, heat.unfit) == ("Double", 0)


def test_a_word_among_whole_numbers_leaves_them_whole(tmp_path: Path) -> None:
    path = file(tmp_path, "\n".join(["sensor,heat", *(f"A,{number}" for number in range(59)), "A,warm"]))

    said = new("tanks", source=path, root=tmp_path)

    assert (
        "  heat                      Integer   watched, 1 value does not fit and will be quarantined" in said
    )


def test_nested_values_are_columns_of_their_last_part_where_that_is_enough(tmp_path: Path) -> None:
    sample = look(file(tmp_path, NESTED))

    assert sample.key
    assert sample.time
    assert {column.name: column.source for column in sample.columns} == {
        "device_id": "device.id",
        "air_temp": "data.airTemp",
        "data_size": "data.size",
        "at": "data.at",
        "lid_size": "lid.size",
    }
    parts = (sample.key.source, sample.measure.source, sample.time.source)
    assert parts == ("device.id", "data.airTemp", "data.at")


def test_parts_can_be_named_as_they_stand_in_nested_records(tmp_path: Path) -> None:
    sample = look(file(tmp_path, NESTED), watch="data.size", key="device.id", time="data.at")

    assert sample.measure.name == "data_size"


def test_traffic_of_a_nested_file_is_nested_as_the_file_is(tmp_path: Path) -> None:
    new("nested", source=file(tmp_path, NESTED), root=tmp_path)
    made = runpy.run_path(str(tmp_path / "nested" / "traffic.py"))

    sent = next(made["traffic"](seed=1, start=cases.START, seconds=60))

    record = json.loads(sent.data)
    assert record.keys() == {"device", "data"}
    assert record["device"].keys() == {"id"}
    assert record["data"].keys() == {"airTemp", "at"}
    assert '{"device": {"id": "device-1"}, "data": {' in (tmp_path / "nested" / "README.md").read_text()


def test_a_name_that_stands_over_another_keeps_its_values(tmp_path: Path) -> None:
    path = file(tmp_path, '{"a": "x", "b": {"c": 1}}\n{"a": "x", "b": 7}\n{"a": "x", "b": 8}\n')

    sample = look(path)

    assert (sample.measure.source, sample.left_out) == ("b", ["b.c"])


def test_dots_in_a_heading_are_part_of_its_words(tmp_path: Path) -> None:
    path = file(tmp_path, "Sensor No.,Temp. [C]\nA,1.5\nA,2.5\n")

    new("tanks", source=path, root=tmp_path)

    event = discovery.load("tanks", tmp_path).event
    assert {column.name: column.source for column in event.columns.values()} == {
        "sensor_no": "Sensor No.",
        "temp_c": "Temp. [C]",
    }
    made = runpy.run_path(str(tmp_path / "tanks" / "traffic.py"))
    sent = next(made["traffic"](seed=1, start=cases.START, seconds=60))
    assert json.loads(sent.data).keys() == {"Sensor No.", "Temp. [C]"}


def test_times_that_a_replay_can_rewrite_are_the_time(tmp_path: Path) -> None:
    path = file(tmp_path, DOTTED)

    said = new("spreadsheets", source=path, time="Wann", root=tmp_path)

    lines, _ = recording.lines_of(path, discovery.load("spreadsheets", tmp_path), columns={}, constants={})
    assert [line.time for line in lines[:2]] == [1_798_711_200.0, 1_798_711_260.0]
    assert (
        "  wann                      Timestamp the time, from 'Wann', '31.12.2026 10:00:00' becomes "
        "ISO 8601 in a replay: producers are to send that"
    ) in said


def test_a_time_that_cannot_be_read_is_told_with_a_value_and_what_to_do(tmp_path: Path) -> None:
    path = file(tmp_path, "time,sensor,heat\nkurz nach zehn,A,1.5\nhalb elf,A,2.5\n")

    said = new("tanks", source=path, root=tmp_path)

    assert (
        "  No column is a time that can be read ('time' holds 'kurz nach zehn'): a reading's arrival is its "
        "time."
    ) in said
    assert (
        "  To have its own, write times as 2026-01-31T10:00:00Z or in seconds since 1970, remove "
        "pipelines/tanks and make it again."
    ) in said


def test_what_counts_time_from_nowhere_is_not_watched_while_something_else_can_be(tmp_path: Path) -> None:
    path = file(tmp_path, "time,sensor,heat\n0,A,1.5\n1,A,2.5\n2,A,3.5\n")

    sample = look(path)

    assert (sample.measure.name, sample.time) == ("heat", None)


def test_values_that_do_not_fit_their_column_are_counted(tmp_path: Path) -> None:
    rows = [f"A,{number}.5" for number in range(99)]
    path = file(tmp_path, "\n".join(["sensor,heat", *rows, "A,warm", "cut"]))

    [_, heat] = look(path).columns

    assert (heat.kind.__name__, heat.unfit) == ("Double", 1)


def test_columns_can_be_named_where_evident_names_do_not_say_them(tmp_path: Path) -> None:
    rows = "S,H,1,5,2026-01-01,2026-01-02\nS,H,2,6,2026-01-03,2026-01-04\n"

    path = file(tmp_path, f"site,hall,first,second,seen_at,made_at\n{rows}")
    sample = look(path, watch="second", key="hall", time="made_at")

    assert sample.key
    assert sample.time
    assert (sample.measure.name, sample.key.name, sample.time.name) == ("second", "hall", "made_at")


NAMES = [
    (
        "TankLevels",
        "a pipeline's name is lower snake case of at most 40 characters; say one such as tank_levels.",
    ),
    (
        "t" * 41,
        "a pipeline's name is lower snake case of at most 40 characters; say one such as tank_levels.",
    ),
    ("../up", "a pipeline's name is lower snake case of at most 40 characters; say one such as tank_levels."),
    ("class", "Python has a keyword of that name; say another."),
    ("lake", "Freshet has a stack or a table of that name; say another."),
    ("late", "Freshet has a stack or a table of that name; say another."),
    ("traffic", "there is a module pipelines/traffic.py; say another name."),
    ("casino", "pipelines/casino is there already; say another name, or remove that folder."),
]


@pytest.mark.parametrize(("name", "sentence"), NAMES)
def test_a_name_that_cannot_be_is_refused(name: str, sentence: str) -> None:
    with pytest.raises(NotMade) as refused:
        new(name)

    assert str(refused.value) == f"{name}: {sentence}"


def test_a_folder_that_cannot_be_written_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    root = file(tmp_path, "no folder", "pipelines")

    with pytest.raises(NotMade, match="tanks cannot be written: Not a directory; mend that, then again"):
        new("tanks", root=root)


def test_columns_are_named_of_a_file_only() -> None:
    with pytest.raises(NotMade, match="--watch, --key and --time name columns of a file; say --from"):
        new("tanks", watch="level")


NO_ROW = "no row can be read; give CSV with a heading, JSON Lines or Parquet."
NO_NUMBER = "no column holds numbers that differ, and the new pipeline is to watch one; "
FILES: list[tuple[str, str, str]] = [
    ("a.csv", "a,b\n", NO_ROW),
    ("a.jsonl", "", NO_ROW),
    ("a.json", "[1]", NO_ROW),
    ("a.csv", "1,2\n3,4\n", "its first line does not name each column once: '1,2'; write a heading .*"),
    ("a.parquet", "a,b\n", "it cannot be read as Parquet: .*"),
    ("a.csv", "a;b\nx;1,5\nx;2,5\n", f"{NO_NUMBER}write numbers with a point, not a comma."),
    ("a.csv", "a,b\nx,1\nx,1\n", f"{NO_NUMBER}leave --from out and write the columns."),
]


@pytest.mark.parametrize(("name", "text", "sentence"), FILES)
def test_a_file_of_which_no_pipeline_can_be_made_is_refused(
    tmp_path: Path, name: str, text: str, sentence: str
) -> None:
    path = file(tmp_path, text, name)

    with pytest.raises(NotMade, match=f"^{re.escape(str(path))}: {sentence}$"):
        new("tanks", source=path, root=tmp_path)

    assert not (tmp_path / "tanks").exists()


COLUMNS: list[tuple[dict[str, str], str]] = [
    ({"watch": "heet"}, "there is no column 'heet' for the number to watch; did you mean heat."),
    (
        {"watch": "at"},
        "there is no column 'at' for the number to watch; there are sensor, heat.",
    ),
    (
        {"watch": "sensor"},
        "the column 'sensor' is Text such as 'A' and cannot be the number to watch; those that can: heat.",
    ),
    (
        {"time": "heat"},
        "the column 'heat' is Double such as '1.5' and cannot be the time; those that can: at.",
    ),
    (
        {"key": "heat"},
        "the column 'heat' is Double such as '1.5' and cannot be the key; those that can: sensor.",
    ),
]


@pytest.mark.parametrize(("named", "sentence"), COLUMNS, ids=[sentence for _, sentence in COLUMNS])
def test_a_column_that_is_not_there_or_does_not_fit_is_refused(
    tmp_path: Path, named: dict[str, str], sentence: str
) -> None:
    path = file(tmp_path, "at,sensor,heat\n2026-01-01,A,1.5\n2026-01-02,A,2.5\n")

    with pytest.raises(Unreadable) as refused:
        look(path, **named)

    assert str(refused.value) == f"{path}: {sentence}"


def test_a_column_that_is_no_time_is_refused_with_how_to_write_times(tmp_path: Path) -> None:
    path = file(tmp_path, "seen,sensor,heat\nlately,A,1.5\nnow,A,2.5\n")

    with pytest.raises(Unreadable) as refused:
        look(path, time="seen")

    assert str(refused.value) == (
        f"{path}: the column 'seen' is Text such as 'lately' and cannot be the time; those that can: none; "
        "write times as 2026-01-31T10:00:00Z or in seconds since 1970."
    )


def test_what_the_template_still_says_is_noted_until_it_is_written(house: Path) -> None:
    new("tanks", root=house / "pipelines")
    write_limit(house / "pipelines", "tanks", 60)
    declared = house / "pipelines" / "tanks" / "pipeline.py"

    unwritten = run(house, "freshet.py", "cases", "tanks")
    for sentence in (DO_FIRST, FLOWS):
        declared.write_text(declared.read_text().replace(sentence, "Look."))
    written = run(house, "freshet.py", "cases", "tanks")

    place = "note    pipelines/tanks/pipeline.py"
    assert [line for line in unwritten.stdout.splitlines() if line.startswith("note")] == [
        f"{place}: about= is still the template's; write in a line what flows here.",
        f"{place}: do_first= of too_high is still the template's, and every alert says it; write what "
        "whoever is told should do first.",
    ]
    assert "note" not in written.stdout
    assert (unwritten.returncode, written.returncode) == (0, 0)


@pytest.mark.parametrize(
    "gone", [lambda folder: folder / "no.csv", lambda folder: folder], ids=["missing", "a folder"]
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, gone: Callable[[Path], Path]) -> None:
    with pytest.raises(NotMade, match=r"cannot be read: .*; name a file that can"):
        new("tanks", source=gone(tmp_path), root=tmp_path)
