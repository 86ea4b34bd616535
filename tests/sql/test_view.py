"""A view's file, what is refused in it, and what Glue is told."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from pathlib import Path

import pytest

from sql.errors import SqlError
from sql.types import common, from_hive, from_trino
from sql.view import View, ViewColumn, glue_properties

ROOT = Path(__file__).parents[2]

HOURLY = """-- one row per sensor and hour (UTC)
with readings as (
    select
        sensor,
        celsius,
        date_trunc('hour', measured_at) as hour
    from temperature_events
)

select
    cast(sensor as varchar) as sensor,
    cast(hour as timestamp) as hour,
    cast(avg(celsius) as double) as mean,
    cast(array_agg(celsius) as array(double)) as every,
    cast(sum(1) as decimal(10,2)) as total
from readings
join lake_of_sensors on true
group by sensor, hour
"""

# (text of the file, words of the sentence)
REFUSED = [
    ("select cast(a as varchar) as a from t", "no comment: state its grain"),
    ("--\nselect cast(a as varchar) as a from t", "no comment: state its grain"),
    ("-- one row\nselect a from t", "has no name"),
    ("-- one row\nselect a as b from t", "'b' has no cast (line 2, column 8)"),
    ("-- one row\nselect cast(a as varchar) from t", "has no name"),
    ("-- one row\nselect * from t", "select * is in it (line 2"),
    ("-- one row\nwith q as (select * from t) select cast(a as varchar) as a from q", "select * is in it"),
    ("-- one row\nSELECT cast(a as varchar) as a from t", "'SELECT' has capitals (line 2, column 1)"),
    ("-- one row\nselect cast(a as VARCHAR) as a from t", "'VARCHAR' has capitals"),
    ("-- one row\nselect cast(a as varchar) as a from t where", "not Athena SQL"),
    ("-- one row\nselect cast(a as string) as a from t", "no type 'string'"),
    ("-- one row\nselect cast(a as timestamp with time zone) as a from t", "cast it to timestamp"),
    ("-- one row\nselect cast(a as json) as a from t", "cast it to varchar"),
    (
        "-- one row\nselect cast(a as varchar) as a, cast(b as varchar) as a from t",
        "Two output columns are called 'a'",
    ),
    ('-- one row\nselect cast(a as varchar) as "a b" from t', "needs a name"),
    ("-- one row\nselect cast(a as varchar) as end from t", "reserved word"),
    (
        "-- one row\nselect cast(a as varchar) as a from t union all select cast(b as bigint) as a from t",
        "The branches of a union differ: a varchar stands beside a bigint",
    ),
    (
        "-- one row\nselect cast(a as varchar) as a from t union all "
        "select cast(a as varchar) as a, cast(b as varchar) as b from t",
        "1 and 2 columns",
    ),
    ("-- one row\ninsert into t select 1", "Only a select"),
]

# Hive type → Trino type, of every kind that Glue has
TYPES = {
    "boolean": "boolean",
    "tinyint": "tinyint",
    "smallint": "smallint",
    "int": "integer",
    "bigint": "bigint",
    "float": "real",
    "double": "double",
    "string": "varchar",
    "binary": "varbinary",
    "date": "date",
    "timestamp": "timestamp(3)",
    "decimal(10,2)": "decimal(10,2)",
    "array<int>": "array(integer)",
    "map<string,float>": "map(varchar, real)",
    "struct<name:string,share:double>": 'row("name" varchar, "share" double)',
    "array<struct<a:map<string,array<decimal(38,9)>>,b:timestamp>>": (
        'array(row("a" map(varchar, array(decimal(38,9))), "b" timestamp(3)))'
    ),
}


def write(folder: Path, text: str, name: str = "sensor_by_hour.sql") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_view_is_what_its_file_says(tmp_path: Path) -> None:
    view = View.read(write(tmp_path, HOURLY))

    assert view.name == "sensor_by_hour"
    assert view.comment == "one row per sensor and hour (UTC)"
    assert view.reads == {"temperature_events", "lake_of_sensors"}
    assert view.columns == (
        ViewColumn("sensor", "varchar", "string"),
        ViewColumn("hour", "timestamp(3)", "timestamp"),
        ViewColumn("mean", "double", "double"),
        ViewColumn("every", "array(double)", "array<double>"),
        ViewColumn("total", "decimal(10,2)", "decimal(10,2)"),
    )


def test_glue_gets_the_view_as_athena_writes_it_itself(tmp_path: Path) -> None:
    view = View.read(write(tmp_path, HOURLY))

    told = glue_properties(view, database="freshet")

    assert told["Name"] == "sensor_by_hour"
    assert told["TableType"] == "VIRTUAL_VIEW"
    assert told["Parameters"] == {"presto_view": "true", "comment": "Presto View"}
    assert told["ViewExpandedText"] == "/* Presto View */"
    assert told["StorageDescriptor"]["Columns"][1] == {"Name": "hour", "Type": "timestamp"}
    encoded = re.fullmatch(r"/\* Presto View: (\S+) \*/", told["ViewOriginalText"])
    assert encoded is not None
    text = json.loads(b64decode(encoded.group(1)))
    assert text == {
        "originalSql": HOURLY.strip(),
        "catalog": "awsdatacatalog",
        "schema": "freshet",
        "columns": [{"name": column.name, "type": column.trino_type} for column in view.columns],
        "runAsInvoker": False,
        "properties": {},
    }


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_view_that_breaks_a_rule_is_refused_with_its_file(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path, text)

    with pytest.raises(SqlError, match=re.escape(words)) as refused:
        View.read(path)

    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


def test_view_s_file_has_the_view_s_name(tmp_path: Path) -> None:
    with pytest.raises(SqlError, match="rename it"):
        View.read(write(tmp_path, HOURLY, "Sensor-By-Hour.sql"))


def test_union_of_like_branches_is_a_view(tmp_path: Path) -> None:
    branch = "select cast(a as varchar) as a from {}"

    view = View.read(write(tmp_path, f"-- one row\n{branch.format('t')}\nunion all\n{branch.format('u')};\n"))

    assert view.reads == {"t", "u"}
    assert view.sql.endswith("from u")


def test_reads_leave_out_what_the_query_itself_defines(tmp_path: Path) -> None:
    text = """-- one row
with events as (select a from events), later as (select a from events)
select cast(a as varchar) as a from later where a in (select a from freshet.later)"""

    assert View.read(write(tmp_path, text)).reads == {"events", "later"}


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/**/views/*.sql")), ids=lambda path: str(path.stem))
def test_every_view_of_the_house_can_be_read(path: Path) -> None:
    assert View.read(path).columns


@pytest.mark.parametrize(("hive", "trino"), TYPES.items(), ids=list(TYPES))
def test_types_are_the_same_in_both_languages_and_back(hive: str, trino: str) -> None:
    assert from_hive(hive).trino == trino
    assert from_trino(trino).hive == hive
    assert from_trino(from_hive(hive).trino) == from_hive(hive)
    assert common(from_hive(hive), from_trino(trino)) == from_hive(hive)


@pytest.mark.parametrize(
    "text", ["varchar(10)", "struct<a>", "array<int", "map<int>", "decimal(x)", "json", "long", "int int"]
)
def test_type_that_glue_does_not_have_is_refused(text: str) -> None:
    with pytest.raises(SqlError, match=re.escape(repr(text))):
        from_hive(text)
