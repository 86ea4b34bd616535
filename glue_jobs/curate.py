"""Glue job: the distinct events of settled arrival hours, by event day, in the table `<pipeline>_curated`.

Raw rows lie by the hour of their arrival, some of them twice. This job adds those of the hours [from, to) to
what is curated already: one row per event day and id, else per day and place in the stream, the first that
arrived. It writes each day that changes anew, below runs/<run>/, and only when all are written does it switch
the days' partitions in the catalog to them; last of all it moves the hour from which `<pipeline>_uncurated`
shows raw rows. Whoever reads both, as the view `<pipeline>_distinct` does, reads the same rows before, during
and after a run, or after one that died.

    aws glue start-job-run --job-name freshet-curate-<pipeline>
    … --arguments '{"--from": "2026-01-31-10", "--to": "2026-02-01-10"}'     (hours again, for late files)
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as f

HOUR = "%Y-%m-%d-%H"
RUN = "%Y%m%dT%H%M%SZ"
FIRST = "projection.dt.range"
# What a query is reading stays for longer than any query may run (Athena: 30 minutes).
KEPT = timedelta(days=1)
PLACE = ("shard_id", "sequence_number", "record_index")
# What GetTable answers and UpdateTable takes.
TABLE_INPUT = ("Name", "Description", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor")
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    # Athena's timestamps are milliseconds, and INT96, Spark's default, has no statistics to skip files by.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MILLIS",
    # Firehose's times are INT96 by the calendar that is in use, not by the one that Hive once had.
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    # Files of some 128 MB, however many tasks have made the rows.
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": "128m",
    # Nothing but days lies below a run's folder.
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
}


class CannotCurate(Exception):
    """What is wrong with the arguments or the catalog, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a run was told. `since` and `until` are arrival hours; empty for all that are settled by now."""

    pipeline: str
    bucket: str
    database: str
    id: str
    time: str
    settled_after: timedelta
    since: str
    until: str

    @classmethod
    def read(cls, arguments: Sequence[str]) -> Job:
        parser = argparse.ArgumentParser(allow_abbrev=False)
        for name in ("pipeline", "bucket", "database"):
            parser.add_argument(f"--{name}", required=True)
        parser.add_argument("--settled-after-hours", type=int, required=True)
        for name in ("id", "time", "from", "to"):
            parser.add_argument(f"--{name}", default="")
        known, _ = parser.parse_known_args(arguments)  # Glue adds arguments of its own
        given = vars(known)
        for name in ("from", "to"):
            if given[name] and not is_hour(given[name]):
                raise CannotCurate(f"--{name} is {given[name]!r}; write an hour (UTC) as 2026-01-31-10.")
        return cls(
            pipeline=known.pipeline,
            bucket=known.bucket,
            database=known.database,
            id=known.id,
            time=known.time,
            settled_after=timedelta(hours=known.settled_after_hours),
            since=given["from"],
            until=given["to"],
        )

    @property
    def raw(self) -> str:
        """The prefix under which Firehose writes."""
        return f"events/{self.pipeline}/"

    @property
    def until_key(self) -> str:
        """Where the last run left the hour up to which all is curated, and into which table."""
        return f"curated/{self.pipeline}/until"

    @property
    def runs(self) -> str:
        return f"curated/{self.pipeline}/runs/"


class Catalog:
    """The pipeline's two tables, in Glue."""

    def __init__(self, job: Job) -> None:
        self._glue = boto3.client("glue")
        self._database = job.database
        self._curated, self._uncurated = f"{job.pipeline}_curated", f"{job.pipeline}_uncurated"

    def table(self) -> dict[str, Any]:
        return self._table(self._curated)

    def made(self) -> str:
        """When the curated table was made: another one has none of its days."""
        return f"{self.table()['CreateTime'].astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"

    def columns(self) -> list[tuple[str, str]]:
        """Name and Hive type of each column that lies in the files."""
        return [(each["Name"], each["Type"]) for each in self.table()["StorageDescriptor"]["Columns"]]

    def first_uncurated(self) -> str:
        """The first hour whose rows are read from the raw table."""
        return str(self._table(self._uncurated)["Parameters"][FIRST]).split(",")[0]

    def show_uncurated_from(self, hour: str) -> None:
        table = self._table(self._uncurated)
        if table["Parameters"][FIRST] == f"{hour},NOW":
            return
        wanted = {name: table[name] for name in TABLE_INPUT if name in table}
        wanted["Parameters"] = {**table["Parameters"], FIRST: f"{hour},NOW"}
        self._glue.update_table(DatabaseName=self._database, TableInput=wanted, SkipArchive=True)

    def locations(self) -> dict[str, str]:
        """Where each day that is curated lies."""
        pages = self._glue.get_paginator("get_partitions").paginate(
            DatabaseName=self._database, TableName=self._curated, ExcludeColumnSchema=True
        )
        return {
            partition["Values"][0]: partition["StorageDescriptor"]["Location"]
            for page in pages
            for partition in page["Partitions"]
        }

    def switch(self, day: str, location: str, *, is_new: bool) -> None:
        storage = {**self.table()["StorageDescriptor"], "Location": location}
        partition = {"Values": [day], "StorageDescriptor": storage}
        where = {"DatabaseName": self._database, "TableName": self._curated}
        if is_new:
            self._glue.create_partition(**where, PartitionInput=partition)
        else:
            self._glue.update_partition(**where, PartitionValueList=[day], PartitionInput=partition)

    def _table(self, name: str) -> dict[str, Any]:
        table: dict[str, Any] = self._glue.get_table(DatabaseName=self._database, Name=name)["Table"]
        return table


class Objects:
    """The lake's objects, as far as the job touches them without Spark."""

    def __init__(self, bucket: str) -> None:
        self._s3 = boto3.client("s3")
        self._bucket = bucket

    def folders(self, prefix: str) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, Delimiter="/"
        )
        return [each["Prefix"] for page in pages for each in page.get("CommonPrefixes", ())]

    def read(self, key: str) -> str:
        """An object's text, empty where there is none."""
        if not self._s3.list_objects_v2(Bucket=self._bucket, Prefix=key)["KeyCount"]:
            return ""
        return str(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read().decode())

    def write(self, key: str, text: str) -> None:
        if self.read(key) != text:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=text.encode())

    def delete(self, folder: str) -> None:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=folder):
            for each in page.get("Contents", ()):
                self._s3.delete_object(Bucket=self._bucket, Key=each["Key"])


def curate(job: Job, spark: SparkSession, now: datetime) -> list[str]:
    """Curates the hours that the job names and returns the days that were written anew."""
    for name, value in SETTINGS.items():
        spark.conf.set(name, value)
    catalog, objects = Catalog(job), Objects(job.bucket)
    # A deploy that changes the table brings its range back to the beginning. One that makes the tables anew
    # leaves no day, so that it has to begin there.
    noted, _, into = objects.read(job.until_key).partition(" ")
    made = catalog.made()
    first = max(catalog.first_uncurated(), noted if into == made else "")
    since, until = bounds(job, first, now)
    before = catalog.locations()
    remove_superseded(job, objects, before, now)
    hours = [
        folder for folder in objects.folders(job.raw) if since <= folder.rpartition("dt=")[2][:-1] < until
    ]
    days = rewrite(job, spark, catalog, hours, before, f"{now:{RUN}}-{uuid.uuid4().hex[:8]}") if hours else {}
    now_there = catalog.locations()
    if any(now_there.get(day) != before.get(day) for day in days):
        raise CannotCurate(
            f"{job.pipeline}_curated was changed while this run was reading it, so this run changed nothing: "
            "start it again when nothing else writes there."
        )
    for day, location in days.items():
        catalog.switch(day, location, is_new=day not in before)
    catalog.show_uncurated_from(max(first, until))
    objects.write(job.until_key, f"{max(first, until)} {made}")
    print(
        f"{job.pipeline}: {len(hours)} hours from {since} to {until}; "
        f"written anew: {' '.join(days) or 'no day'}"
    )
    return list(days)


def bounds(job: Job, first: str, now: datetime) -> tuple[str, str]:
    """The arrival hours to curate. What may still get files is left, and no gap comes into being."""
    settled = f"{now - job.settled_after:{HOUR}}"
    since, until = job.since or first, job.until or max(first, settled)
    if until > settled and until > first:
        raise CannotCurate(
            f"--to is {until}, and files may still come for the hours from {settled} on: take {settled} "
            "or an hour before it. The view of distinct events has the later ones, too."
        )
    if job.since and job.until and since >= until:
        raise CannotCurate(f"--from {since} is not before --to {until}: take an earlier or a later hour.")
    if since > first:
        raise CannotCurate(
            f"--from is {since}, and the hours from {first} on are not curated yet: take {first} or an "
            "hour before it."
        )
    return since, until


def rewrite(
    job: Job, spark: SparkSession, catalog: Catalog, hours: Iterable[str], before: Mapping[str, str], run: str
) -> dict[str, str]:
    """Writes each day that the hours' rows change; where each lies now."""
    columns = catalog.columns()
    named = [name for name, _ in columns]
    schema = ", ".join(f"`{name}` {kind}" for name, kind in columns)
    raw = (
        spark.read.schema(schema)
        .parquet(*(f"s3://{job.bucket}/{hour}" for hour in hours))
        # By hand: for a basePath Spark would ask S3 for an object beside what the role may read.
        .withColumn("dt", f.regexp_extract("_metadata.file_path", "/dt=([^/]+)/", 1))
        .select(*named)
    )
    happened = f.coalesce(f.col(job.time), f.col("arrived_at")) if job.time else f.col("arrived_at")
    day = f.date_format(happened, "yyyy-MM-dd")
    raw = told_apart(job, raw.withColumn("day", day))
    touched = sorted(row["day"] for row in raw.select("day").distinct().collect())
    held = [before[day] for day in touched if day in before]
    rows, curated = raw, None
    if held:
        # A day that was put there by hand may hold repeats and lie in folders of any kind. What is in a day
        # stays in it, whatever was its day's time zone, or is by now declared to be an event's time.
        place = f.nullif(f.regexp_extract("_metadata.file_path", "/day=([^/]+)/", 1), f.lit(""))
        curated = told_apart(
            job,
            spark.read.schema(schema)
            .option("recursiveFileLookup", "true")
            .parquet(*held)
            .select(*named, f.coalesce(place, day).alias("day")),
        )
        rows = raw.unionByName(curated)
    in_order = Window.partitionBy("day", "which").orderBy("dt", "arrived_at", *PLACE)
    kept = rows.withColumn("turn", f.row_number().over(in_order)).where("turn = 1").drop("turn")
    changed = touched
    if curated is not None:
        same = ["day", "which", "dt", *PLACE]
        added = kept.select(*same).join(curated.select(*same), on=same, how="left_anti")
        changed = sorted(row["day"] for row in added.select("day").distinct().collect())
    if not changed:
        return {}
    target = f"s3://{job.bucket}/{job.runs}{run}/"
    (
        # As a hint in SQL, for which pyspark's own takes no column.
        spark.sql("select /*+ rebalance(day) */ * from {kept}", kept=kept.where(f.col("day").isin(changed)))
        .sortWithinPartitions("day", *([job.time] if job.time else []), "arrived_at", *PLACE)
        .select(*named, "day")
        .write.partitionBy("day")
        .parquet(target)
    )
    return {day: f"{target}day={day}/" for day in changed}


def told_apart(job: Job, rows: DataFrame) -> DataFrame:
    """With what is the same in a repeat of the event on its day.

    Rows from before an id was declared have none: their place counts.
    """
    place = f.concat_ws(":", *PLACE)
    return rows.withColumn("which", f.coalesce(f.col(job.id).cast("string"), place) if job.id else place)


def remove_superseded(job: Job, objects: Objects, current: Mapping[str, str], now: datetime) -> None:
    """Deletes the days of runs that died or were superseded more than a day ago.

    What no other run has superseded stays: where the catalog has lost a day, it may be all that is left of
    it.
    """
    limit = f"{now - KEPT:{RUN}}"
    for folder in objects.folders(job.runs):
        if run_of(folder) >= limit:
            continue
        for day_folder in objects.folders(folder):
            location = current.get(day_folder.rpartition("day=")[2][:-1], "")
            # A day that has become current within the last day was another one's until then.
            if location and not location.endswith(f"/{day_folder}") and run_of(location) < limit:
                objects.delete(day_folder)


def run_of(location: str) -> str:
    """The run that has written there, which begins with when; empty where it was no run."""
    found = re.search("/runs/([^/]+)/", location)
    return found[1] if found else ""


def is_hour(text: str) -> bool:
    try:
        return f"{datetime.strptime(text, HOUR).replace(tzinfo=UTC):{HOUR}}" == text
    except ValueError:
        return False


def main(arguments: Sequence[str]) -> None:
    job = Job.read(arguments)
    curate(job, SparkSession.builder.getOrCreate(), datetime.fromtimestamp(time.time(), UTC))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CannotCurate as error:
        sys.exit(str(error))
