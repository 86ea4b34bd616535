"""The gate says what is wrong with a view or a saved query before anything is deployed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sql.errors import SqlError
from sql.gate import check
from sql.view import View, in_order

SCHEMA = {"events": {"sensor": "string", "celsius": "double", "at": "timestamp", "dt": "string"}}
GOOD = """-- one row per sensor
select cast(sensor as varchar) as sensor, cast(max(celsius) as double) as top from events group by sensor"""
OVER = "-- one row per hot sensor\nselect cast(sensor as varchar) as sensor from sensors where top > 30"


def lay(folder: Path, files: dict[str, str]) -> list[Path]:
    paths = []
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def test_good_views_and_queries_pass_in_any_order(tmp_path: Path) -> None:
    paths = lay(
        tmp_path,
        {
            "views/hot.sql": OVER,
            "views/sensors.sql": GOOD,
            "queries/hot_ones.sql": "-- The hot ones.\nselect sensor from hot order by sensor",
        },
    )

    assert check(paths, SCHEMA) == []


# (files, words of the only sentence)
WRONG = [
    ({"views/a.sql": "select cast(1 as integer) as one"}, "state its grain"),
    (
        {"views/a.sql": "-- one row\nselect cast(nope as varchar) as a from events"},
        "There is no column 'nope' in events",
    ),
    (
        {"views/a.sql": "-- one row\nselect cast(a as varchar) as a from evens"},
        "There is no table or view 'evens'",
    ),
    (
        {"views/a.sql": "-- one row\nselect cast(url_encode(sensor) as varchar) as a from events"},
        "url_encode() is not among",
    ),
    (
        {"views/a.sql": "-- one row\nselect cast(max(celsius) as double) as a from events group by a"},
        "an alias can be used",
    ),
    (
        {"views/a.sql": "-- one row\nselect cast(celsius as double) as a from events group by sensor"},
        "GROUP BY",
    ),
    ({"queries/a.sql": "select sensor from events"}, "state what the query answers"),
    (
        {"queries/a.sql": "-- All.\nselect sensor from events where celsius = '3'"},
        "cannot compare double with varchar",
    ),
    ({"queries/a.sql": "-- All.\nselect sensor from hot"}, "There is no table or view 'hot'"),
    ({"x/views/a.sql": GOOD, "y/views/a.sql": GOOD}, "makes the view 'a' already"),
]


@pytest.mark.parametrize(("files", "words"), WRONG, ids=[words for _, words in WRONG])
def test_what_is_wrong_gets_one_sentence_with_its_file(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    paths = lay(tmp_path, files)

    sentences = check(paths, SCHEMA)

    assert len(sentences) == 1
    assert words in sentences[0]
    assert sentences[0].startswith(str(paths[-1]))


def test_a_wrong_view_is_not_blamed_on_what_reads_it(tmp_path: Path) -> None:
    paths = lay(
        tmp_path, {"views/sensors.sql": GOOD.replace("max(celsius)", "max(celsus)"), "views/hot.sql": OVER}
    )

    sentences = check(paths, SCHEMA)

    assert len(sentences) == 1
    assert "celsus" in sentences[0]


def test_views_that_read_each_other_are_refused(tmp_path: Path) -> None:
    text = "-- one row\nselect cast(a as varchar) as a from {}"
    paths = lay(tmp_path, {"views/one.sql": text.format("other"), "views/other.sql": text.format("one")})

    assert "read each other" in "".join(check(paths, SCHEMA))


def test_catalog_with_other_columns_than_the_casts_is_told(tmp_path: Path) -> None:
    paths = lay(tmp_path, {"views/sensors.sql": GOOD})

    sentences = check(paths, SCHEMA | {"sensors": {"sensor": "string", "top": "decimal(10,2)"}})

    assert len(sentences) == 1
    assert "other columns for 'sensors' than its casts" in sentences[0]


def test_views_are_put_after_those_they_read(tmp_path: Path) -> None:
    views = [View.read(path) for path in lay(tmp_path, {"hot.sql": OVER, "sensors.sql": GOOD})]

    assert [view.name for view in in_order(views)] == ["sensors", "hot"]
    with pytest.raises(SqlError, match="read each other"):
        in_order([View(name, "", "", (), frozenset(("a", "b"))) for name in ("a", "b")])
