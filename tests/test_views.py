"""Every view and saved query over an hour's lake with each fifth row twice: the rows that Python counts.

Half of the rows are curated already, and some of those are still among the raw ones.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import duckdb
import pytest

from lambdas.columns import lake_time
from lambdas.formats.decode import lake_row
from lambdas.incidents import IncidentChange
from lambdas.model import Pipeline, Row
from lambdas.tables import PROVENANCE, RESULT_TABLES
from pipelines import discovery
from sql.answer import ask
from sql.distinct import curated_table, distinct_view, uncurated_table
from sql.duck import prepare
from sql.transpile import analyse
from sql.types import from_hive, from_trino
from sql.view import View
from tests.support import HOUR, SHARD, START, Played, play

ROOT = Path(discovery.__file__).parent
NAMES = ("casino", "heart_rate", "temperature")
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - Athena's timestamps have no zone
Rows = list[tuple[Any, ...]]


@cache
def played(name: str) -> Played:
    run = play(discovery.load(name), seed=1)
    run.rows = [row for row in run.rows if not is_cut(row)]
    return run


def is_cut(row: Row) -> bool:
    """A sensor's half minute and a strap's three minutes are left out, so that there are gaps to find."""
    since = row.time - START
    return (row.values.get("sensor_id") == "sensor-2" and 1_000 <= since < 1_030) or (
        row.values.get("device_id") == 6 and 1_200 <= since < 1_380
    )


def hour_of(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d-%H")


def moment(seconds: float, grain: float = 0.001) -> datetime:
    milliseconds = round(seconds * 1000)
    return EPOCH + timedelta(milliseconds=milliseconds - milliseconds % round(grain * 1000))


class Lake:
    """The tables of the three pipelines in DuckDB, and Athena's SQL asked of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._connection = duckdb.connect()
        self._schema: dict[str, dict[str, str]] = {}
        prepare(self._connection)
        results: dict[str, list[dict[str, Any]]] = defaultdict(list)
        provenance = {column.name: column.type for column in PROVENANCE}
        for name in NAMES:
            pipeline = discovery.load(name)
            columns = {each: column.hive for each, column in pipeline.event.columns.items()} | provenance
            rows = [raw(name, row) for row in played(name).rows]
            half = len(rows) // 2
            self._fill(uncurated_table(name), columns, rows[half - half // 2 :])
            curated = {same_in_a_repeat(pipeline, row): row for row in reversed(rows[:half])}
            days = [row | {"day": day_of(pipeline, row)} for row in curated.values()]
            self._fill(curated_table(name), columns | {"day": "string"}, days, repeated=1)
            self._define(distinct_view(pipeline))
            for item in played(name).items:
                results[item.kind].append(item.body | {"dt": "2026-01-31-10"})
        for kind, table in RESULT_TABLES.items():
            columns = {column.name: column.type for column in table.columns}
            self._fill(table.name, columns, results[kind])
        for name in NAMES:
            for path in sorted((ROOT / name / "views").glob("*.sql")):
                self._define(View.read(path))

    def _fill(
        self, table: str, columns: dict[str, str], rows: Iterable[dict[str, Any]], *, repeated: int = 2
    ) -> None:
        columns = columns | {"dt": "string"}
        path = self._folder / f"{table}.json"
        with path.open("w") as file:
            for place, row in enumerate(rows):
                file.write(f"{json.dumps(row)}\n" * (repeated if place % 5 == 0 else 1))
        kinds = ", ".join(f"'{name}': '{from_hive(kind).duckdb}'" for name, kind in columns.items())
        listed = ", ".join(f'"{name}" {from_hive(kind).duckdb}' for name, kind in columns.items())
        self._connection.execute(f"create table {table} ({listed})")
        self._connection.execute(
            f"insert into {table} select * from read_json('{path}', columns = {{{kinds}}})"  # noqa: S608 - our own names
        )
        self._schema[table] = columns

    def _define(self, view: View) -> None:
        written = analyse(view.sql, self._schema)
        assert [(one.name, one.type) for one in written.columns] == [
            (column.name, from_trino(column.trino_type)) for column in view.columns
        ]
        self._connection.execute(f"create view {view.name} as {written.sql}")
        self._schema[view.name] = {column.name: column.hive_type for column in view.columns}

    def ask(self, sql: str) -> Rows:
        return ask(self._connection, analyse(sql, self._schema)).rows


def raw(name: str, row: Row) -> dict[str, Any]:
    return lake_row(discovery.load(name).event.columns, row.values) | {
        "shard_id": SHARD,
        "sequence_number": str(row.sequence),
        "record_index": row.index,
        "arrived_at": lake_time(row.arrival),
        "dt": hour_of(row.arrival),
    }


def same_in_a_repeat(pipeline: Pipeline, row: Mapping[str, Any]) -> Any:
    if pipeline.event.id is not None:
        return row[pipeline.event.id.name]
    return row["shard_id"], row["sequence_number"], row["record_index"]


def day_of(pipeline: Pipeline, row: Mapping[str, Any]) -> str:
    assert pipeline.event.time is not None  # as each of the three declares
    return str(row[pipeline.event.time.name])[:10]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(tmp_path_factory.mktemp("lake"))


def grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def amount(row: Row, name: str) -> float:
    value = row.values[name]
    assert isinstance(value, int | float)
    return value


def day(row: Row) -> str:
    return hour_of(row.time)[:10]


def bets() -> list[Row]:
    """The bets, each once, however often it was sent."""
    first = {row.values["play_id"]: row for row in reversed(played("casino").rows)}
    return [row for row in first.values() if row.values["action"] == "bet"]


def temperature_readings_by_hour() -> Iterator[tuple[Any, ...]]:
    by_hour = grouped(
        played("temperature").rows, lambda row: (row.values["sensor_id"], moment(row.time, HOUR))
    )
    for (sensor, hour), rows in by_hour.items():
        values = [amount(row, "temperature") for row in rows]
        spread = stdev(values) if len(values) > 1 else None
        yield sensor, hour, len(rows), fmean(values), min(values), max(values), spread, day(rows[0])


def temperature_hot_spells() -> Iterator[tuple[Any, ...]]:
    for one in played("temperature").incidents().values():
        assert one.ended_at is not None
        lasted = int(round(one.ended_at - one.since, 3))
        yield (
            *(
                one.incident_id,
                one.key,
                False,
                one.severity.name.lower(),
                moment(one.since),
                moment(one.ended_at),
            ),
            *(lasted, one.worst_score, one.findings, "2026-01-31-10"),
        )


def heart_rate_by_device_minute() -> Iterator[tuple[Any, ...]]:
    by_minute = grouped(
        played("heart_rate").rows, lambda row: (row.values["device_id"], moment(row.time, 60))
    )
    for (device, minute), rows in by_minute.items():
        values = [amount(row, "heart_rate") for row in rows]
        yield device, minute, len(rows), fmean(values), min(values), max(values), day(rows[0])


def heart_rate_minutes_out_of_range() -> Iterator[tuple[Any, ...]]:
    """Counted from the events that were in time, without the detector."""
    minutes = {(device, minute): mean for device, minute, _, mean, *_ in heart_rate_by_device_minute()}
    incidents = played("heart_rate").incidents().values()
    for (device, minute), mean in minutes.items():
        if not 40 <= mean <= 120:
            ids = [one.incident_id for one in incidents if covers(one, device, minute)]
            yield device, minute, "high" if mean > 120 else "low", mean, *ids, "2026-01-31-10"


def covers(incident: IncidentChange, key: object, time: datetime) -> bool:
    assert incident.ended_at is not None
    return incident.key == str(key) and moment(incident.since) <= time < moment(incident.ended_at)


def casino_turnover_by_guest() -> Iterator[tuple[Any, ...]]:
    by_day = grouped(bets(), lambda row: (row.values["customer_id"], day(row)))
    for (guest, _), rows in by_day.items():
        stakes, won = [amount(row, "bet") for row in rows], [amount(row, "won") for row in rows]
        times = [row.time for row in rows]
        yield (
            *(
                guest,
                len(rows),
                math.fsum(stakes),
                max(stakes),
                math.fsum(won),
                sum(each > 0 for each in won),
            ),
            *(len({row.values["table_id"] for row in rows}), moment(min(times)), moment(max(times))),
            day(rows[0]),
        )


def casino_payout_by_table() -> Iterator[tuple[Any, ...]]:
    by_hour = grouped(
        bets(), lambda row: (row.values["table_id"], row.values["game"], moment(row.time, HOUR))
    )
    for (table, game, hour), rows in by_hour.items():
        won = [amount(row, "won") for row in rows]
        yield (
            *(table, game, hour, len(rows), len({row.values["customer_id"] for row in rows})),
            *(math.fsum(amount(row, "bet") for row in rows), math.fsum(max(each, 0) for each in won)),
            *(-math.fsum(won), day(rows[0])),
        )


VIEWS = {
    view.__name__: view
    for view in (
        temperature_readings_by_hour,
        temperature_hot_spells,
        heart_rate_by_device_minute,
        heart_rate_minutes_out_of_range,
        casino_turnover_by_guest,
        casino_payout_by_table,
    )
}


def hottest_hours() -> Rows:
    hours = sorted(temperature_readings_by_hour(), key=lambda row: (-row[5], row[0], row[1]))
    return [(row[0], row[1], row[5], row[5] - row[3], row[2]) for row in hours[:10]]


def time_hot_by_sensor() -> Rows:
    spells: dict[str, Rows] = defaultdict(list)
    for spell in temperature_hot_spells():
        spells[spell[1]].append(spell)
    rows = [
        (
            sensor,
            len(each),
            sum(spell[6] for spell in each),
            max(spell[7] for spell in each),
            sum(spell[3] == "critical" for spell in each),
        )
        for sensor, each in spells.items()
    ]
    return sorted(rows, key=lambda row: (-row[2], row[0]))


def longest_out_of_range() -> Rows:
    minutes: dict[int, Rows] = defaultdict(list)
    for minute in heart_rate_minutes_out_of_range():
        minutes[minute[0]].append(minute)
    rows = [
        (device, len(each), min(m[3] for m in each), max(m[3] for m in each), max(m[1] for m in each))
        for device, each in minutes.items()
    ]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def who_turned_over_most() -> Rows:
    rows = [(row[0], row[1], row[2], row[4], row[8]) for row in casino_turnover_by_guest()]
    return sorted(rows, key=lambda row: (-row[2], row[0]))[:10]


def tables_that_lose() -> Rows:
    rows = [
        (row[0], row[1], row[2], row[4], row[5], row[7]) for row in casino_payout_by_table() if row[7] < 0
    ]
    return sorted(rows, key=lambda row: (row[5], row[0], row[2]))


def plays_before_a_suspicion() -> Rows:
    plays = {row.values["play_id"]: row for row in played("casino").rows}.values()
    suspicions = {
        (item.body["found_at"], item.body["key"])
        for item in played("casino").items
        if item.kind == "finding" and item.body["detector"] == "possible_cheat"
    }
    shown = ("table_id", "game", "action", "bet", "won")
    return [
        (guest, at, moment(row.time), *(row.values[name] for name in shown))
        for at, guest in sorted((datetime.fromisoformat(found), guest) for found, guest in suspicions)
        for row in sorted(plays, key=lambda row: row.time)
        if row.values["customer_id"] == guest and -600 <= (moment(row.time) - at).total_seconds() <= 0
    ]


def pauses() -> Rows:
    found: Rows = []
    for sensor, rows in grouped(played("temperature").rows, lambda row: row.values["sensor_id"]).items():
        times = sorted(row.time for row in rows)
        for one, other in pairwise(times):
            if other - one >= 11:
                found.append((sensor, moment(one), moment(other), math.floor(other - one)))
    assert found
    return found


def minutes_without_beats() -> Rows:
    found: Rows = []
    for device in {row.values["device_id"] for row in played("heart_rate").rows}:
        minutes = sorted(minute[1] for minute in heart_rate_by_device_minute() if minute[0] == device)
        for one, other in pairwise(minutes):
            if (between := (other - one) // timedelta(minutes=1) - 1) > 0:
                found.append((device, one, other, between))
    assert found
    return found


def usual_rate_by_device() -> Rows:
    means: dict[int, list[float]] = defaultdict(list)
    for minute in heart_rate_by_device_minute():
        means[minute[0]].append(minute[3])
    return [
        (device, len(each), *(duckdb_quantile(each, part) for part in (0.05, 0.5, 0.95)))
        for device, each in sorted(means.items())
    ]


def duckdb_quantile(values: list[float], part: float) -> float:
    """The value of the least rank that covers the part, as the laptop answers an approximate percentile."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


QUERIES = {
    query.__name__: query
    for query in (
        hottest_hours,
        time_hot_by_sensor,
        pauses,
        longest_out_of_range,
        usual_rate_by_device,
        minutes_without_beats,
        who_turned_over_most,
        tables_that_lose,
        plays_before_a_suspicion,
    )
}


def assert_same(found: Rows, expected: Rows) -> None:
    """Equal row by row; doubles to nine digits, as sums may be taken in any order."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for value, wanted in zip(one, other, strict=True):
            if isinstance(wanted, float) and value is not None:
                assert value == pytest.approx(wanted, rel=1e-9, abs=1e-9)
            else:
                assert value == wanted


@pytest.mark.parametrize("name", VIEWS)
def test_view_answers_what_python_counts(lake: Lake, name: str) -> None:
    expected = sorted(VIEWS[name](), key=str)

    found = sorted(lake.ask(f"select * from {name}"), key=str)  # noqa: S608 - our own name

    assert expected
    assert_same(found, expected)


@pytest.mark.parametrize("name", QUERIES)
def test_saved_query_answers_what_python_counts(lake: Lake, name: str) -> None:
    path = next(ROOT.glob(f"*/queries/{name}.sql"))

    assert_same(lake.ask(path.read_text()), QUERIES[name]())


def test_every_view_and_saved_query_of_the_three_is_tested() -> None:
    files = {
        folder: {path.stem for name in NAMES for path in (ROOT / name / folder).glob("*.sql")}
        for folder in ("views", "queries")
    }

    assert files == {"views": VIEWS.keys(), "queries": QUERIES.keys()}
