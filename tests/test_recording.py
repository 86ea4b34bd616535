"""A user's own file as records: how columns are found, and what becomes of lines that are broken."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import discovery
from pipelines.entries import RecordingError
from pipelines.recording import RECORD_LIMIT, Line, lines_of, rows_of

TEN = datetime(2026, 1, 31, 10, tzinfo=UTC).timestamp()


def recorded(path: Path, name: str = "temperature", **options: dict[str, str]) -> list[Line]:
    columns, constants = options.get("columns", {}), options.get("constants", {})
    return lines_of(path, discovery.load(name), columns=columns, constants=constants)[0]


def values(line: Line) -> Any:
    return json.loads(line.data)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_csv_by_the_columns_own_names(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "sensor_id,temperature,timestamp\ns1,21.5,2026-01-31T10:00:00Z\n")

    [line] = recorded(path)

    assert values(line) == {"sensor_id": "s1", "temperature": "21.5", "timestamp": "2026-01-31T10:00:00Z"}
    assert (line.number, line.partition_key, line.time) == (2, "s1", TEN)


def test_names_are_alike_whatever_their_case_and_signs(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "Sensor-ID;Temperature;Measured At\ns1;21.5;2026-01-31 10:00:00\n")

    [line] = recorded(path)

    assert (line.partition_key, line.time) == ("s1", TEN)


def test_the_only_number_the_only_time_and_the_files_name_are_evident(tmp_path: Path) -> None:
    path = write(tmp_path, "boiler.csv", "timestamp,value\n2026-01-31 10:00:00,73.9\n")

    lines, told = lines_of(path, discovery.load("temperature"), columns={}, constants={})

    assert values(lines[0]) == {
        "sensor_id": "boiler",
        "timestamp": "2026-01-31 10:00:00",
        "temperature": "73.9",
    }
    assert told == [
        "measured_at ← timestamp",
        "temperature ← value",
        "sensor_id = 'boiler' in every row",
    ]


def test_of_two_numbers_none_is_evident(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "time,inside,outside\n2026-01-31 10:00:00,21,3\n")

    with pytest.raises(RecordingError, match=r"it has time, inside, outside\. Say --map temperature=NAME"):
        recorded(path)

    [line] = recorded(path, columns={"temperature": "outside"})
    assert values(line)["temperature"] == "3"


def test_constant_fills_what_the_file_has_not(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "time,value\n2026-01-31 10:00:00,21\n")

    assert recorded(path, constants={"sensor_id": "roof"})[0].partition_key == "roof"


@pytest.mark.parametrize(
    "written",
    [
        "31.01.2026 10:00:00",
        "31.1.2026 10:00",
        "1769853600",
        "1769853600000",
        "2026-01-31T11:00:00+01:00",
        "1769853600.0",
    ],
)
def test_time_is_read_as_the_file_writes_it(tmp_path: Path, written: str) -> None:
    path = write(tmp_path, "a.csv", f"time,value\n{written},21\n")

    assert recorded(path)[0].time == TEN


def test_a_time_that_cannot_be_read_is_no_name_of_a_sensor(tmp_path: Path) -> None:
    rows = "".join(f"5/{day}/2026 8:00,{day},{day * 3}\n" for day in range(1, 5))
    path = write(tmp_path, "water.csv", f"Zeit;Durchfluss;Zaehler\n{rows.replace(',', ';')}")

    with pytest.raises(RecordingError, match='Zeit is taken for the time and "5/1/2026 8:00" is none'):
        recorded(path, columns={"temperature": "Durchfluss"})


def test_texts_that_never_come_again_are_no_names_of_sensors(tmp_path: Path) -> None:
    rows = "".join(f"2026-01-31 10:00:{second:02},{second},remark {second}\n" for second in range(20))
    path = write(tmp_path, "hall.csv", f"time,value,remark\n{rows}")

    assert {line.partition_key for line in recorded(path)} == {"hall"}


def test_nested_values_have_dotted_names(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"ts": 1769853600, "data": {"temp": 3.5, "device": "d"}}\n' * 2)

    line, _ = recorded(path, columns={"temperature": "data.temp"})

    assert (line.partition_key, line.time, values(line)["temperature"]) == ("d", TEN, 3.5)


def test_name_that_is_nearly_right_is_proposed(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "time,temperatur,other\n2026-01-31 10:00:00,3,4\n")

    with pytest.raises(RecordingError, match=r"Did you mean temperatur\?"):
        recorded(path)


def test_empty_value_is_a_missing_one(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "time,value,note\n2026-01-31 10:00:00,,x\n2026-01-31 10:00:01,3,\n")

    first, second = recorded(path, columns={"temperature": "value"})

    assert "temperature" not in values(first)
    assert values(second)["temperature"] == "3"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("2026-01-31 10:00:00", "The line has 1 value and the file's heading names 2; mend the line."),
        ("1,2,3", "The line has 3 values and the file's heading names 2; mend the line."),
        ('2026-01-31 10:00:00,"21', "The line has 2 values and the file's heading names 2; mend the line."),
    ],
)
def test_broken_line_of_csv_keeps_its_bytes_and_spoils_no_other(
    tmp_path: Path, line: str, fault: str
) -> None:
    path = write(tmp_path, "a.csv", f"time,value\n{line}\n2026-01-31 10:00:01,21\n")

    broken, whole = recorded(path)

    assert (broken.number, broken.data, broken.fault) == (2, line.encode(), fault)
    assert (whole.number, whole.fault) == (3, "")


def test_quoted_text_may_hold_line_breaks_and_delimiters(tmp_path: Path) -> None:
    path = write(
        tmp_path, "a.csv", 'sensor_id,temperature,timestamp\n"a\nb, c",1,2026-01-31T10:00:00Z\nd,2,\n'
    )

    assert [(line.number, line.partition_key) for line in recorded(path)] == [(2, "a\nb, c"), (4, "d")]


def test_line_that_is_no_utf_8_is_sent_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", b"time,value\n2026-01-31 10:00:00,21\xb0\n")

    assert recorded(write(tmp_path, "b.csv", path.read_bytes() + b"2026-01-31 10:00:00,3\n"))[0].data == (
        b"2026-01-31 10:00:00,21\xb0"
    )


def test_utf_16_and_a_mark_at_the_beginning_are_understood(tmp_path: Path) -> None:
    text = "time,value\r\n2026-01-31 10:00:00,21\r\n"

    for number, encoding in enumerate(("utf-16", "utf-8-sig")):
        assert recorded(write(tmp_path, f"{number}.csv", text.encode(encoding)))[0].time == TEN


def test_record_over_the_limit_is_told_and_kept(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", json.dumps({"sensor_id": "s", "temperature": 1, "x": "y" * 2**20}))

    [line] = recorded(path)

    assert len(line.data) > RECORD_LIMIT
    assert line.fault.startswith("The record has 1,048,6")


def test_json_lines_that_fit_are_sent_byte_for_byte(tmp_path: Path) -> None:
    text = '{"sensor_id": "s1",  "temperature": 3, "timestamp": "2026-01-31T10:00:00Z"}'
    path = write(tmp_path, "a.jsonl", f"{text}\nno json\n")

    lines, told = lines_of(path, discovery.load("temperature"), columns={}, constants={})

    assert [line.data for line in lines] == [text.encode(), b"no json"]
    assert told == ["each line is a record as it is"]


def test_json_lines_with_other_names_are_mapped(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"device": "d", "degrees": 3.5, "at": 1769853600000}\n[]\n')

    first, second = recorded(path)

    assert (first.partition_key, first.time, values(first)["temperature"]) == ("d", TEN, 3.5)
    assert second.data == b"[]"


def test_parquet_and_gzip(tmp_path: Path) -> None:
    table = pa.table({"t": [datetime(2026, 1, 31, 10)], "v": [2.5], "sensor_id": ["s"]})  # noqa: DTZ001 - as Parquet has it
    pq.write_table(table, tmp_path / "a.parquet")
    packed = write(tmp_path, "a.csv.gz", gzip.compress(b"t,v\n2026-01-31 10:00:00,2.5\n"))

    assert recorded(tmp_path / "a.parquet", columns={"temperature": "v"})[0].time == TEN
    assert recorded(packed)[0].time == TEN


def test_lines_of_another_format_are_sent_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path, "beats.txt", "7,61\n8,62\n")

    assert [(line.data, line.partition_key) for line in recorded(path, "heart_rate")] == [
        (b"7,61", "7"),
        (b"8,62", "8"),
    ]


def test_reference_from_a_file_has_the_values_that_its_columns_read(tmp_path: Path) -> None:
    reference = discovery.load("casino").references["guests"]
    path = write(tmp_path, "guests.csv", "customer_id,tier,spent\nc1,gold,1200\n")

    assert rows_of(path, reference) == [{"customer_id": "c1", "tier": "gold", "spent": 1200.0}]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("none.csv", None, "it cannot be read: No such file or directory"),
        ("empty.csv", "", "the file has no row"),
        ("heading.csv", "time,value\n", "the file has no row"),
        ("numbers.csv", "1,2\n3,4\n", "its first line does not name each column once"),
        ("twice.csv", "a,a\n1,2\n", "its first line does not name each column once"),
        ("times.csv", "time,value\nyesterday,3\n", 'time is taken for the time and "yesterday" is none'),
        ("a.parquet", "no parquet", "it cannot be read as Parquet"),
        ("a.csv.gz", "no gzip", "it cannot be read"),
        ("a.jsonl", "word\n", "none of its first rows can be read"),
        ("notes.txt", "# Notes\n", "temperature reads none of its first lines: The record is not JSON"),
        ("latin.csv", b"temp\xb0,time\n1,2\n", "its heading is not UTF-8 text (byte 4)"),
    ],
)
def test_file_that_cannot_be_replayed_is_refused(
    tmp_path: Path, name: str, content: str | bytes | None, sentence: str
) -> None:
    if content is not None:
        write(tmp_path, name, content)

    with pytest.raises(RecordingError) as refused:
        recorded(tmp_path / name)

    assert sentence in str(refused.value)
    assert str(tmp_path / name) in str(refused.value)


def test_misspelt_names_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "time,value\n2026-01-31 10:00:00,21\n")

    with pytest.raises(
        RecordingError, match="there is no column 'temprature' to be filled; did you mean temperature"
    ):
        recorded(path, columns={"temprature": "value"})
    with pytest.raises(RecordingError, match="has no 'valeu'; did you mean value"):
        recorded(path, columns={"temperature": "valeu"})
