"""The curating job on Spark, as deployed: whatever happens, an analyst sees each event once."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from moto.glue.models import GlueBackend

from laptop import glue as laptop_glue
from laptop.glue import JobFailed
from pipelines import discovery
from tests.jobs.yard import ARROW, Row, Yard, once

NAMES = ("casino", "heart_rate", "temperature")
pytestmark = pytest.mark.xdist_group("spark")
number = count(1)


def row(pipeline: str, *, happened: datetime, arrived: datetime, hour: str = "", **more: Any) -> Row:
    """A raw row with something in each column; it lies in the hour of its arrival unless another is told."""
    event, place = discovery.load(pipeline).event, next(number)
    made: dict[str, Any] = {"string": f"text {place}", "bigint": place, "double": place / 3, "boolean": True}
    values = {name: made.get(column.hive) for name, column in event.columns.items()}
    assert event.time is not None
    return {
        **values,
        event.time.name: happened,
        "shard_id": f"shardId-{place % 2}",
        "sequence_number": str(place),
        "record_index": 0,
        "arrived_at": arrived,
        "dt": hour or f"{arrived:%Y-%m-%d-%H}",
        **more,
    }


def traffic(pipeline: str, seed: int, since: datetime, until: datetime, *, events: int = 40) -> Iterator[Row]:
    """Events around midnights, some late; some records twice, and where there is an id, some events twice."""
    chance, event = random.Random(seed), discovery.load(pipeline).event
    for _ in range(events):
        arrived = since + timedelta(
            milliseconds=chance.randrange((until - since) // timedelta(milliseconds=1))
        )
        late = timedelta(milliseconds=chance.choice([0, 500, 3_600_000, 30 * 3_600_000]))
        one = row(pipeline, happened=arrived - late, arrived=arrived)
        yield one
        if chance.random() < 0.3:
            yield one  # delivered twice by Firehose
        if event.id is not None and chance.random() < 0.3:
            again = min(
                until - timedelta(milliseconds=1), arrived + timedelta(seconds=chance.randrange(9_000))
            )
            yield row(
                pipeline,
                happened=arrived - late,
                arrived=again,
                **{event.id.name: one[event.id.name]},
            )


@pytest.mark.semantics(line=4, clause="distinct")
@pytest.mark.fidelity(
    service="Glue",
    behaviour="a job is its script on Spark, with its own arguments after those that it was deployed with",
    source="https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-jobs-job.html",
    falls_short="Spark 3.5 in one process, of Glue's own libraries none; only Parquet is read and written",
)
@pytest.mark.parametrize("pipeline", NAMES)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_view_shows_each_event_once_before_between_and_after_runs(
    yard: Yard, pipeline: str, seed: int
) -> None:
    declared, midnight = discovery.load(pipeline), yard.midnight
    rows = list(traffic(pipeline, seed, midnight - timedelta(days=2), midnight))
    yard.put(pipeline, rows)
    # before any run
    assert yard.distinct(pipeline) == once(declared, rows)

    # a first run leaves the last hours raw, as files may still come for them
    yard.curate(pipeline)
    assert yard.uncurated_from(pipeline) == yard.hour(midnight - timedelta(hours=25))
    assert yard.count(f"{pipeline}_curated")
    assert yard.distinct(pipeline) == once(declared, rows)

    # between runs a late file for an hour that is raw and new hours arrive
    late = midnight - timedelta(hours=20)
    more = list(traffic(pipeline, seed + 10, midnight, midnight + timedelta(hours=30)))
    more += [one | {"dt": yard.hour(late)} for one in rows[:5]]
    yard.put(pipeline, more)
    assert yard.distinct(pipeline) == once(declared, rows + more)

    # and after the next
    yard.wait(days=3)
    yard.curate(pipeline)
    assert not yard.count(f"{pipeline}_uncurated")
    assert yard.distinct(pipeline) == once(declared, rows + more)


def two_days(yard: Yard) -> list[Row]:
    """Rows on both sides of a midnight, one twice, all settled."""
    midnight = yard.midnight - timedelta(days=3)
    before, after = midnight - timedelta(milliseconds=1), midnight + timedelta(milliseconds=1)
    rows = [
        row("temperature", happened=before, arrived=before),
        row("temperature", happened=before, arrived=after),
        row("temperature", happened=after, arrived=after),
    ]
    yard.put("temperature", [*rows, rows[1]])
    return rows


def days_of(yard: Yard) -> tuple[str, str]:
    midnight = yard.midnight - timedelta(days=3)
    return f"{midnight - timedelta(days=1):%Y-%m-%d}", f"{midnight:%Y-%m-%d}"


def test_an_event_is_kept_on_the_day_on_which_it_happened(yard: Yard) -> None:
    two_days(yard)

    yard.curate("temperature")

    found = yard.ask(
        "select day, count(*), min(dt), max(dt) from temperature_curated group by day order by day"
    )
    first, second = days_of(yard)
    assert found == [(first, 2, f"{first}-23", f"{second}-00"), (second, 1, f"{second}-00", f"{second}-00")]


def test_what_comes_again_with_another_day_is_another_event(yard: Yard) -> None:
    declared, midnight = discovery.load("casino"), yard.midnight - timedelta(days=3)
    first = row("casino", happened=midnight, arrived=midnight)
    # given one more of the next day among the raw rows that the job takes, and one among those that it leaves
    again = [
        row("casino", happened=time, arrived=time, play_id=first["play_id"])
        for time in (midnight + timedelta(days=1), midnight + timedelta(days=3))
    ]
    yard.put("casino", [first, *again])
    assert yard.distinct("casino") == once(declared, [first, *again])

    yard.curate("casino")

    assert (yard.count("casino_curated"), yard.count("casino_uncurated")) == (2, 1)
    assert yard.distinct("casino") == once(declared, [first, *again])


def test_a_second_run_changes_nothing(yard: Yard) -> None:
    two_days(yard)
    yard.curate("temperature")
    objects, days = yard.objects(), yard.days("temperature")

    yard.curate("temperature")
    yard.curate("temperature", from_="2026-01-01-00")

    assert (yard.objects(), yard.days("temperature")) == (objects, days)


def test_hours_in_parts_in_any_order_that_leaves_no_gap_give_the_same(yard: Yard) -> None:
    rows, declared = two_days(yard), discovery.load("temperature")
    _, second = days_of(yard)

    yard.curate("temperature", to=f"{second}-00")
    assert yard.count("temperature_curated") == 1
    assert yard.distinct("temperature") == once(declared, rows)
    yard.curate("temperature", to=f"{second}-01")
    yard.curate("temperature", from_="2026-01-01-00", to=f"{second}-00")

    assert yard.uncurated_from("temperature") == f"{second}-01"
    assert yard.count("temperature_curated") == 3
    assert yard.distinct("temperature") == once(declared, rows)


def test_hours_without_rows_are_curated_too(yard: Yard) -> None:
    yard.curate("temperature")

    assert yard.days("temperature") == {}
    assert yard.uncurated_from("temperature") == yard.hour(yard.midnight - timedelta(hours=25))


@pytest.mark.parametrize(
    ("operation", "call", "switched"),
    [("create_partition", 1, 0), ("create_partition", 2, 1), ("update_table", 1, 2)],
)
def test_a_run_that_dies_hides_and_doubles_nothing(
    yard: Yard, operation: str, call: int, switched: int
) -> None:
    rows, declared = two_days(yard), discovery.load("temperature")
    calls, real = count(1), getattr(GlueBackend, operation)

    def dies(*arguments: Any, **named: Any) -> Any:
        if next(calls) == call:
            raise RuntimeError("the cluster is gone")
        return real(*arguments, **named)

    # when a run dies at this call
    with mock.patch.object(GlueBackend, operation, dies), pytest.raises(JobFailed):
        yard.curate("temperature")
    # then an analyst does not notice
    assert len(yard.days("temperature")) == switched
    assert yard.distinct("temperature") == once(declared, rows)
    # and the next run ends its work
    yard.wait(hours=1)
    yard.curate("temperature")
    assert len(yard.days("temperature")) == 2
    assert yard.uncurated_from("temperature") > days_of(yard)[1]
    assert yard.distinct("temperature") == once(declared, rows)


def test_what_a_run_that_died_has_written_is_removed_a_day_later(yard: Yard) -> None:
    two_days(yard)
    with (
        mock.patch.object(GlueBackend, "create_partition", side_effect=RuntimeError),
        pytest.raises(JobFailed),
    ):
        yard.curate("temperature")
    dead = set(yard.objects("curated/"))
    assert dead

    yard.wait(hours=23)
    yard.curate("temperature")
    assert dead <= yard.objects().keys()
    yard.wait(hours=25)
    yard.curate("temperature")

    assert not dead & yard.objects().keys()
    assert yard.count("temperature_curated") == 3


def test_a_superseded_day_stays_for_who_is_reading_it_and_is_removed_a_day_later(yard: Yard) -> None:
    # given a day that a later run has written anew
    rows = two_days(yard)
    yard.curate("temperature")
    old = dict(yard.days("temperature"))
    yard.wait(days=2)
    yard.put("temperature", [rows[2] | {"sequence_number": "late"}])
    _, second = days_of(yard)
    yard.curate("temperature", from_=f"{second}-00", to=f"{second}-01")
    new = yard.days("temperature")
    assert (new[second] != old[second], new[days_of(yard)[0]]) == (True, old[days_of(yard)[0]])

    # when another run follows within the day, then one after it
    yard.wait(hours=20)
    yard.curate("temperature")
    assert yard.objects(old[second])
    yard.wait(hours=5)
    yard.curate("temperature")

    # then only what is superseded is gone
    assert not yard.objects(old[second])
    assert all(yard.objects(place) for place in new.values())
    assert yard.count("temperature_curated") == 4


def test_a_late_file_for_a_curated_hour_is_taken_when_its_hours_are_named(yard: Yard) -> None:
    declared, midnight = discovery.load("casino"), yard.midnight - timedelta(days=3)
    first = row("casino", happened=midnight, arrived=midnight)
    again = row("casino", happened=midnight, arrived=midnight + timedelta(hours=2), play_id=first["play_id"])
    yard.put("casino", [again])
    yard.curate("casino")

    # the one that arrived first comes last
    yard.put("casino", [first])
    yard.curate("casino", from_=first["dt"], to=again["dt"])

    assert yard.distinct("casino") == once(declared, [first, again])
    assert yard.ask("select sequence_number from casino_curated") == [(first["sequence_number"],)]


def test_a_deploy_that_brings_the_range_back_does_not_bring_curated_hours_back(yard: Yard) -> None:
    rows = two_days(yard)
    yard.curate("temperature")
    until, days = yard.uncurated_from("temperature"), yard.days("temperature")

    table = yard.table("temperature_uncurated")
    yard.update_table(table, Parameters=table["Parameters"] | {"projection.dt.range": "2026-01-01-00,NOW"})
    assert yard.distinct("temperature") == once(discovery.load("temperature"), rows)
    # whoever read the curated hours' files again would fail
    for key in yard.objects("events/temperature/"):
        yard.cloud.client("s3").put_object(Bucket=yard.bucket, Key=key, Body=b"unreadable")
    yard.curate("temperature")

    assert (yard.uncurated_from("temperature"), yard.days("temperature")) == (until, days)


def test_tables_that_were_made_anew_hide_nothing(yard: Yard) -> None:
    # given a pipeline that was deployed, curated, destroyed but for its bucket, and deployed again
    rows, declared = two_days(yard), discovery.load("temperature")
    yard.curate("temperature")
    yard.make_anew("temperature")
    assert yard.distinct("temperature") == once(declared, rows)

    yard.wait(hours=1)
    yard.curate("temperature")

    assert yard.distinct("temperature") == once(declared, rows)
    assert (yard.count("temperature_curated"), yard.count("temperature_uncurated")) == (3, 0)


def test_a_day_that_the_catalog_has_lost_stays_until_it_is_written_anew(yard: Yard) -> None:
    # given days whose raw rows are gone, and tables that were made anew
    rows = two_days(yard)
    yard.curate("temperature")
    lost = [place for place in yard.days("temperature").values() if yard.objects(place)]
    yard.make_anew("temperature")
    for key in yard.objects("events/"):
        yard.cloud.client("s3").delete_object(Bucket=yard.bucket, Key=key)
    yard.put("temperature", rows[2:])

    # when runs follow, one of them long after the day of which there are rows was written anew
    for _ in range(2):
        yard.wait(hours=30)
        yard.curate("temperature")

    assert [bool(yard.objects(place)) for place in sorted(lost, key=lambda place: place[-12:])] == [
        True,
        False,
    ]


def test_a_column_that_was_declared_later_is_null_before(yard: Yard) -> None:
    declared, midnight = discovery.load("casino"), yard.midnight - timedelta(days=3)
    rows = [row("casino", happened=midnight, arrived=midnight + timedelta(days=1)) for _ in range(4)]
    # given rows from before the id, a column and the time were declared
    for some, name in ((rows[:2], "play_id"), (rows[2:3], "game"), (rows[3:], "played_at")):
        for one in some:
            one[name] = None
        yard.put("casino", some, leave_out=name)
    assert yard.distinct("casino") == once(declared, rows)

    yard.curate("casino")

    assert yard.count("casino_curated") == 4
    assert yard.distinct("casino") == once(declared, rows)


def test_every_type_comes_back_as_it_was(yard: Yard) -> None:
    # given columns of the types that a table of the lake may have
    types = {
        "spots": ("array<struct<name:string,share:double>>", [{"name": "a", "share": 0.5}]),
        "shown": ("map<string,string>", {"who": "me"}),
        "whole": ("int", 7),
        "is_on": ("boolean", False),
    }
    arrow = [
        ("spots", pa.list_(pa.struct([("name", pa.string()), ("share", pa.float64())]))),
        ("shown", pa.map_(pa.string(), pa.string())),
        ("whole", pa.int32()),
        ("is_on", pa.bool_()),
    ]
    table = yard.table("temperature_curated")
    added = [{"Name": name, "Type": kind} for name, (kind, _) in types.items()]
    storage = table["StorageDescriptor"]
    happened = yard.midnight - timedelta(days=3, microseconds=-123_456)
    kinds = [(name, ARROW[kind]) for name, kind in yard.kinds("temperature").items()]
    one = row("temperature", happened=happened, arrived=happened) | {n: v for n, (_, v) in types.items()}
    yard.put_file(
        f"events/temperature/dt={one['dt']}/", pa.Table.from_pylist([one], schema=pa.schema([*kinds, *arrow]))
    )
    yard.update_table(table, StorageDescriptor=storage | {"Columns": [*storage["Columns"], *added]})
    try:
        yard.curate("temperature")
        found = yard.ask(f"select measured_at, temperature, {', '.join(types)} " + "from temperature_curated")
    finally:
        yard.update_table(table)

    # then each is what it was, times cut to the milliseconds that Athena has
    milliseconds = happened.replace(microsecond=123_000)
    assert found == [(milliseconds, one["temperature"], *(value for _, value in types.values()))]
    (key,) = yard.objects("curated/temperature/runs/")
    schema = parquet.read_schema(io.BytesIO(yard.body(key)))
    assert schema.field("measured_at").type == pa.timestamp("ms", tz="UTC")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"from_": "yesterday"}, "--from is 'yesterday'; write an hour (UTC) as 2026-01-31-10."),
        ({"to": "2026-1-31-10"}, "--to is '2026-1-31-10'; write an hour (UTC) as 2026-01-31-10."),
        ({"from_": "2026-01-02-00"}, "the hours from 2026-01-01-00 on are not curated yet"),
        ({"to": "2099-01-01-00"}, "files may still come for the hours from"),
        ({"from_": "2026-01-01-00", "to": "2026-01-01-00"}, "is not before --to"),
    ],
)
def test_hours_that_cannot_be_curated_are_refused(
    yard: Yard, arguments: dict[str, str], sentence: str
) -> None:
    two_days(yard)

    with pytest.raises(JobFailed) as failed:
        yard.curate("temperature", **arguments)

    assert sentence in str(failed.value)
    assert yard.days("temperature") == {}


def test_a_run_stops_before_it_switches_a_day_that_another_has_switched(yard: Yard) -> None:
    # given a day that somebody else registers while the run is writing
    two_days(yard)
    first, _ = days_of(yard)
    real = laptop_glue._S3.put

    def meanwhile(s3: Any, uri: str) -> None:
        real(s3, uri)
        storage = yard.table("temperature_curated")["StorageDescriptor"]
        yard.cloud.client("glue").create_partition(
            DatabaseName="freshet",
            TableName="temperature_curated",
            PartitionInput={
                "Values": [first],
                "StorageDescriptor": storage | {"Location": "s3://elsewhere/"},
            },
        )

    with mock.patch.object(laptop_glue._S3, "put", meanwhile), pytest.raises(JobFailed) as failed:
        yard.curate("temperature")

    assert "was changed while this run was reading it" in str(failed.value)
    assert yard.days("temperature") == {first: "s3://elsewhere/"}


@pytest.mark.fidelity(
    service="Glue",
    behaviour="a crawler whose policy is LOG changes nothing that is in the catalog",
    source="https://docs.aws.amazon.com/glue/latest/dg/crawler-configuration.html",
)
def test_a_crawler_leaves_what_the_job_has_curated_as_it_is(yard: Yard) -> None:
    rows = two_days(yard)
    yard.curate("temperature")
    yard.wait(hours=1)
    yard.put("temperature", [rows[2] | {"sequence_number": "late"}])
    yard.curate("temperature", from_=rows[2]["dt"], to=yard.uncurated_from("temperature"))
    before = yard.cloud.catalog()

    # one run is superseded, one current; none is below the table's location
    assert yard.crawl("temperature") == []

    assert yard.cloud.catalog() == before


@pytest.mark.fidelity(
    service="Glue",
    behaviour="a crawler of a catalog's table registers a folder as its partition, with the table's columns",
    source="https://docs.aws.amazon.com/glue/latest/dg/crawler-configuration.html",
    falls_short="what is in a file is not compared with the table; one partition key; its rights are a guess",
)
def test_a_day_that_was_put_back_by_hand_is_registered_and_taken_into_the_next_run(yard: Yard) -> None:
    # given the day's file somewhere else, as from a backup
    rows = two_days(yard)
    yard.curate("temperature")
    first, second = days_of(yard)
    (key,) = yard.objects(yard.days("temperature")[first])
    saved = parquet.read_table(io.BytesIO(yard.body(key)))
    yard._empty()
    yard.put_file(f"curated/temperature/days/day={first}/", saved)

    # when it is crawled, twice
    place = f"s3://{yard.bucket}/curated/temperature/days/day={first}/"
    assert (yard.crawl("temperature"), yard.crawl("temperature")) == ([place], [])
    assert yard.ask("select day, count(*) from temperature_distinct group by day") == [(first, 2)]

    # then a run adds to it what has arrived since, and leaves the file that somebody has put there
    yard.put("temperature", [rows[0], rows[2]])
    yard.curate("temperature")
    yard.put("temperature", [rows[1] | {"sequence_number": "late"}])
    yard.curate("temperature", from_="2026-01-01-00")
    assert yard.ask("select day, count(*) from temperature_distinct group by day order by day") == [
        (first, 3),
        (second, 1),
    ]
    assert yard.objects(f"curated/temperature/days/day={first}/")
    assert yard.crawl("temperature") == []


def test_what_somebody_has_put_into_a_day_stays_in_it(yard: Yard) -> None:
    # given a day as another time zone has it, brought along with the file of the day after it
    rows = two_days(yard)
    yard.curate("temperature")
    first, _ = days_of(yard)
    files = [key for place in yard.days("temperature").values() for key in yard.objects(place)]
    tables = [parquet.read_table(io.BytesIO(yard.body(key))) for key in files]
    yard._empty()
    for table in tables:
        yard.put_file(f"curated/temperature/days/day={first}/", table)
    yard.crawl("temperature")
    counted = "select day, count(*) from temperature_curated group by day order by day"
    assert yard.ask(counted) == [(first, 3)]

    # when a run adds to it
    yard.put("temperature", [rows[0] | {"sequence_number": "late"}])
    yard.curate("temperature", from_="2026-01-01-00")

    assert yard.ask(counted) == [(first, 4)]
