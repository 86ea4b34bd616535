"""The lake of a run: files and catalog as the laptop leaves them, asked in Athena's SQL."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sql.answer import Answer
from sql.answer import render as render_answer
from sql.errors import SqlError
from sql.lake import Lake, render

HOURLY = """-- one row per sensor and hour
select
    cast(sensor as varchar) as sensor,
    cast(date_trunc('hour', at) as timestamp) as hour,
    cast(avg(celsius) as double) as mean,
    cast(min(dt) as varchar) as dt
from readings
group by sensor, date_trunc('hour', at)"""
HOT = """-- one row per hot hour
select cast(sensor as varchar) as sensor, cast(hour as timestamp) as hour from hourly where mean > 30"""


def column(name: str, kind: str, comment: str = "") -> dict[str, str]:
    return {"name": name, "type": kind, "comment": comment}


def table(
    name: str, *columns: dict[str, str], keys: tuple[str, ...] = ("dt",), **more: Any
) -> dict[str, Any]:
    return {
        "name": name,
        "type": "table",
        "columns": list(columns),
        "partition_keys": [column(key, "string", "the hour of arrival") for key in keys],
        "location": f"events/{name}",
        "format": "parquet",
        "comment": f"all {name}",
        **more,
    }


def view(name: str, sql: str, *columns: dict[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "type": "view",
        "columns": list(columns),
        "sql": sql,
        "comment": "",
        "partition_keys": [],
    }


CATALOG = [
    table(
        "readings",
        column("sensor", "string", "who measured"),
        column("celsius", "double"),
        column("at", "timestamp"),
        column("battery", "int", "added later"),
        column("place", "struct<hall:int,row:string>"),
    ),
    table("silent", column("a", "bigint"), column("parts", "array<struct<name:string,share:double>>")),
    table(
        "quarantine",
        column("reason", "string"),
        column("record_index", "int"),
        column("arrived_at", "timestamp"),
        keys=("pipeline", "dt"),
        location="quarantine",
        format="json",
    ),
    view("hot", HOT, column("sensor", "string"), column("hour", "timestamp")),
    view(
        "hourly",
        HOURLY,
        column("sensor", "string"),
        column("hour", "timestamp"),
        column("mean", "double"),
        column("dt", "string"),
    ),
]


def put_parquet(path: Path, select: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    duckdb.connect().execute(f"copy ({select}) to '{path}' (format parquet)")


def put_lines(path: Path, *rows: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "catalog.json").write_text(json.dumps(CATALOG))
    readings = tmp_path / "lake" / "events" / "readings"
    # An older file, written before there was a battery, in microseconds.
    put_parquet(
        readings / "dt=2026-11-22-05" / "old.parquet",
        "select 'a' as sensor, 31.5::double as celsius, timestamp '2026-11-22 05:10:00.123456' as \"at\","
        " {'hall': 1, 'row': 'x'} as place",
    )
    put_parquet(
        readings / "dt=2026-11-22-06" / "new.parquet",
        "select 'a' as sensor, 20.0::double as celsius, timestamptz '2026-11-22 06:10:00+00' as \"at\","
        " 7::smallint as battery, null::struct(hall int, row varchar) as place",
    )
    (readings / "dt=2026-11-22-06" / "_SUCCESS").write_text("not data")
    put_lines(
        tmp_path / "lake" / "quarantine" / "pipeline=temperature" / "dt=2026-11-22-05" / "abc.json.gz",
        {"reason": "no number", "record_index": 3, "arrived_at": "2026-11-22 05:00:01.250", "unknown": 1},
        {"reason": "no JSON"},
    )
    return tmp_path


def test_rows_have_the_columns_of_the_catalog_whatever_their_file_holds(run: Path) -> None:
    answer = Lake(run).query("select * from readings order by dt")

    assert answer.columns == ("sensor", "celsius", "at", "battery", "place", "dt")
    assert answer.types == (
        "varchar",
        "double",
        "timestamp(3)",
        "integer",
        'row("hall" integer, "row" varchar)',
        "varchar",
    )
    assert answer.rows == [
        (
            "a",
            31.5,
            datetime.fromisoformat("2026-11-22 05:10:00.123"),
            None,
            {"hall": 1, "row": "x"},
            "2026-11-22-05",
        ),
        ("a", 20.0, datetime.fromisoformat("2026-11-22 06:10:00"), 7, None, "2026-11-22-06"),
    ]


def test_table_without_a_file_has_no_rows_and_all_columns(run: Path) -> None:
    answer = Lake(run).query("select * from silent")

    assert answer.columns == ("a", "parts", "dt")
    assert answer.types == ("bigint", 'array(row("name" varchar, "share" double))', "varchar")
    assert answer.rows == []


def test_json_lines_are_read_by_the_declared_columns(run: Path) -> None:
    answer = Lake(run).query("select * from quarantine order by reason desc")

    assert answer.rows == [
        ("no number", 3, datetime.fromisoformat("2026-11-22 05:00:01.250"), "temperature", "2026-11-22-05"),
        ("no JSON", None, None, "temperature", "2026-11-22-05"),
    ]


def test_count_of_a_single_file_is_taken_from_its_footer(tmp_path: Path) -> None:
    (tmp_path / "catalog.json").write_text(json.dumps([table("one", column("a", "bigint"))]))
    folder = tmp_path / "lake" / "events" / "one" / "dt=2026-11-22-05"
    folder.mkdir(parents=True)
    duckdb.execute("copy (select 7::bigint as a) to ? (format parquet)", [str(folder / "only.parquet")])

    answer = Lake(tmp_path).query("select count(a) from one")

    assert (answer.rows, answer.bytes_scanned) == ([(1,)], 0)


def test_partition_that_is_not_asked_is_not_read(run: Path) -> None:
    lake = Lake(run)
    (run / "lake" / "events" / "readings" / "dt=2026-11-22-06" / "new.parquet").touch()

    every = lake.query("select sum(celsius) from readings").bytes_scanned
    one = lake.query("select sum(celsius) from readings where dt = '2026-11-22-05'").bytes_scanned
    again = lake.query("select sum(celsius) from readings").bytes_scanned
    none = lake.query("select sum(celsius) from readings where dt = '2030-01-01-00'").bytes_scanned

    assert none < one < every
    assert again == every


def test_views_over_views_are_answered(run: Path) -> None:
    lake = Lake(run)

    assert lake.query("select sensor, hour from hot").rows == [
        ("a", datetime.fromisoformat("2026-11-22 05:00:00"))
    ]
    assert lake.query("select mean from hourly where dt = '2026-11-22-06'").rows == [(20.0,)]
    assert lake.stale_views() == []


def test_nan_in_a_view_is_compared_as_athena_does(run: Path) -> None:
    sql = "select cast(0e0 / 0e0 as double) as odd"
    (run / "catalog.json").write_text(json.dumps([view("nan", sql, column("odd", "double"))]))

    assert Lake(run).query("select count(*) from nan where odd > 1").rows == [(0,)]


def test_files_that_come_later_are_seen(run: Path) -> None:
    lake = Lake(run)
    assert lake.query("select count(*) from silent").rows == [(0,)]

    put_parquet(
        run / "lake" / "events" / "silent" / "dt=2026-11-22-07" / "x.parquet", "select 5::bigint as a"
    )

    assert lake.query("select a, parts, dt from silent").rows == [(5, None, "2026-11-22-07")]


def test_queries_begin_at_the_moment_of_the_run_s_clock(run: Path) -> None:
    lake = Lake(run, now=datetime(2026, 11, 22, 6, 30, tzinfo=UTC))

    recent = lake.query("select count(*) from readings where at > now() - interval '1' hour")

    assert recent.rows == [(1,)]


def rewrite(run: Path, name: str, **changes: Any) -> Lake:
    entries = [entry | changes if entry["name"] == name else entry for entry in CATALOG]
    (run / "catalog.json").write_text(json.dumps(entries))
    return Lake(run)


def test_view_that_declares_another_type_than_its_sql_yields_is_stale(run: Path) -> None:
    columns = [
        column("sensor", "string"),
        column("hour", "timestamp"),
        column("mean", "decimal(10,2)"),
        column("dt", "string"),
    ]
    lake = rewrite(run, "hourly", columns=columns)

    sentences = lake.stale_views()

    assert any(
        "'hourly' is stale" in one and "mean decimal(10,2) where the SQL gives mean double" in one
        for one in sentences
    )
    with pytest.raises(SqlError, match="VIEW_IS_STALE"):
        lake.query("select mean from hourly")


def test_view_that_reads_itself_is_refused(run: Path) -> None:
    lake = rewrite(run, "hourly", sql="select cast(sensor as varchar) as sensor from hot")

    with pytest.raises(SqlError, match="read each other"):
        lake.query("select sensor from hot")


def test_file_of_another_type_than_the_catalog_is_told(run: Path) -> None:
    put_parquet(run / "lake" / "events" / "silent" / "dt=x" / "x.parquet", "select 'five' as a")

    with pytest.raises(
        SqlError, match=r"hold 'a' as VARCHAR where the catalog has bigint \(Athena: HIVE_BAD_DATA\)"
    ):
        Lake(run).query("select a from silent")


def test_tables_and_columns_can_be_listed(run: Path) -> None:
    lake = Lake(run)

    assert [row[:2] for row in lake.query("SHOW TABLES;").rows] == [
        ("hot", "view"),
        ("hourly", "view"),
        ("quarantine", "table"),
        ("readings", "table"),
        ("silent", "table"),
    ]
    described = lake.query("describe freshet.readings")
    assert described.rows[0] == ("sensor", "string", "who measured", "")
    assert described.rows[-1] == ("dt", "string", "the hour of arrival", "partition key")
    assert lake.query("show columns from readings").rows == described.rows
    assert lake.query("show create view hot").rows == [(HOT,)]
    with pytest.raises(SqlError, match="nearest: readings"):
        lake.query("describe reading")
    with pytest.raises(SqlError, match="There is no view 'readings'"):
        lake.query("show create view readings")


def test_folder_that_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(SqlError, match="make demo"):
        Lake(tmp_path)


def test_answer_is_printed_for_a_person_and_for_a_program(run: Path) -> None:
    answer = Lake(run).query("select sensor, celsius, at, battery, place from readings order by dt")

    # pytest's standard output is no terminal.
    assert render(answer).splitlines() == [
        "sensor\tcelsius\tat\tbattery\tplace",
        "a\t31.5\t2026-11-22 05:10:00.123\tnull\t{hall=1, row=x}",
        "a\t20.0\t2026-11-22 06:10:00.000\t7\tnull",
    ]
    assert render(answer, csv=True).splitlines() == [
        '"sensor","celsius","at","battery","place"',
        '"a","31.5","2026-11-22 05:10:00.123",,"{hall=1, row=x}"',
        '"a","20.0","2026-11-22 06:10:00.000","7",',
    ]
    shown = render_answer(answer, is_terminal=True, width=100)
    assert "sensor" in shown
    assert "2 rows" in shown
    assert "scanned" in shown
    assert "{hall=1, row=x}" in shown


def test_values_are_printed_as_athena_prints_them() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    answer = Answer(
        ("a",), ("varchar",), [(True,), ([1, None],), ({"k": "v"},), (moment,), (b"\x01\xff",), ('say "x"',)]
    )

    assert render(answer).splitlines()[1:] == [
        "true",
        "[1, null]",
        "{k=v}",
        "2026-01-02 03:04:05.000 UTC",
        "01 ff",
        'say "x"',
    ]
    assert '"say ""x"""' in render(answer, csv=True)


def put_readings(run: Path, folder: str, *rows: tuple[str, float]) -> None:
    place = run / "lake" / folder
    place.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    connection.execute("create table r (sensor varchar, celsius double)")
    connection.executemany("insert into r values (?, ?)", rows)
    connection.execute("copy r to ? (format parquet)", [str(place / "part.parquet")])


def curated(*partitions: tuple[str, str], **more: Any) -> dict[str, Any]:
    listed = [{"values": [day], "location": location} for day, location in partitions]
    columns = column("sensor", "string"), column("celsius", "double"), column("unit", "string")
    return table("curated", *columns, keys=("day",), partitions=listed, **more)


@pytest.mark.fidelity(
    service="Athena",
    behaviour="a table without projection has the partitions that are registered, where the catalog says",
    source="https://docs.aws.amazon.com/athena/latest/ug/partitions.html",
    falls_short="",
)
def test_registered_partitions_are_read_where_the_catalog_says_and_nowhere_else(tmp_path: Path) -> None:
    # given a day that two runs have written, one that nobody registered, and a value that is not the path's
    put_readings(tmp_path, "runs/1/day=2026-01-31", ("old", 1))
    put_readings(tmp_path, "runs/2/day=2026-01-31", ("new", 2))
    put_readings(tmp_path, "events/curated/day=2026-02-01", ("unregistered", 3))
    put_readings(tmp_path, "restored/somewhere", ("restored", 4))
    entry = curated(("2026-01-31", "runs/2/day=2026-01-31"), ("2026-02-02", "restored/somewhere"))
    (tmp_path / "catalog.json").write_text(json.dumps([entry]))

    answer = Lake(tmp_path).query("select day, sensor, celsius, unit from curated order by day")

    assert answer.rows == [("2026-01-31", "new", 2.0, None), ("2026-02-02", "restored", 4.0, None)]


def test_a_table_without_registered_partitions_is_empty(tmp_path: Path) -> None:
    put_readings(tmp_path, "events/curated/day=2026-02-01", ("unregistered", 3))
    (tmp_path / "catalog.json").write_text(json.dumps([curated()]))

    assert Lake(tmp_path).query("select count(*) from curated").rows == [(0,)]


@pytest.mark.fidelity(
    service="Athena",
    behaviour="out of a projected range there are no rows, and no error",
    source="https://docs.aws.amazon.com/athena/latest/ug/partition-projection.html",
    falls_short="the end of the range is not looked at",
)
def test_hours_before_the_projected_range_are_not_there(tmp_path: Path) -> None:
    for hour in ("2026-01-31-09", "2026-01-31-10", "2026-01-31-11"):
        put_readings(tmp_path, f"events/raw/dt={hour}", (hour, 1))
    entry = table("raw", column("sensor", "string"), first_hour="2026-01-31-10")
    (tmp_path / "catalog.json").write_text(json.dumps([entry]))

    answer = Lake(tmp_path).query("select sensor from raw order by sensor")

    assert answer.rows == [("2026-01-31-10",), ("2026-01-31-11",)]
