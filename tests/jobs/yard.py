"""A lake as Firehose leaves it, a deployed job that curates it, and the questions of an analyst."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from lambdas.model import Pipeline
from lambdas.tables import PROVENANCE
from laptop.cloud import Cloud
from laptop.glue import Glue
from laptop.run import catalog_entry
from pipelines import discovery
from sql.lake import Lake

START = 1_770_000_000.0  # 2026-02-02 02:40 UTC
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - as the lake's timestamps, in UTC without saying so
ARROW = {
    "string": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("ns"),
}
FIRST_HOUR = "2026-01-01-00"
Row = dict[str, Any]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


class Yard:
    """The account's lake, emptied. Time goes on from test to test, so hours are told from `now`."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self.cloud = cloud
        self.glue = Glue(cloud)
        self._folder = folder
        self._exports = 0
        self.bucket = next(
            one.physical_id
            for one in cloud.of_type("AWS::S3::Bucket")
            if one.logical_id.startswith("LakeBucket")
        )
        self._s3, self._catalog = cloud.client("s3"), cloud.client("glue")
        # Each test has days of its own: the clock never goes back.
        cloud.clock.advance_to(cloud.clock.now + 30 * 86_400)
        self.midnight = EPOCH + timedelta(days=int(cloud.clock.now // 86_400) + 1)
        cloud.clock.advance_to((self.midnight - EPOCH).total_seconds())
        cloud.policies.denied.clear()
        self._empty()

    # --- what Firehose does

    def put(self, pipeline: str, rows: Iterable[Mapping[str, Any]], *, leave_out: str = "") -> None:
        """One file for each hour (`dt`) of the rows, with all the declared columns but one."""
        kinds = self.kinds(pipeline)
        kinds.pop(leave_out, None)
        hours: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            hours.setdefault(row["dt"], []).append(row)
        for hour, group in hours.items():
            schema = pa.schema([(name, ARROW[kind]) for name, kind in kinds.items()])
            listed = [{name: row.get(name) for name in kinds} for row in group]
            self.put_file(f"events/{pipeline}/dt={hour}/", pa.Table.from_pylist(listed, schema=schema))

    def put_file(self, folder: str, table: pa.Table) -> None:
        data = io.BytesIO()
        # As Hive's and Firehose's writer does.
        parquet.write_table(table, data, use_deprecated_int96_timestamps=True)
        self._exports += 1
        self._s3.put_object(Bucket=self.bucket, Key=f"{folder}{self._exports}.parquet", Body=data.getvalue())

    @staticmethod
    def kinds(pipeline: str) -> dict[str, str]:
        event = discovery.load(pipeline).event
        kinds = {name: column.hive for name, column in event.columns.items()}
        return kinds | {column.name: column.type for column in PROVENANCE}

    # --- what an operator does

    def wait(self, **span: float) -> None:
        self.cloud.clock.advance_to(self.cloud.clock.now + timedelta(**span).total_seconds())

    def make_anew(self, pipeline: str) -> None:
        """Destroy and deploy: the tables come without partitions and changes, the bucket has stayed."""
        for name in (f"{pipeline}_curated", f"{pipeline}_uncurated"):
            table = self.table(name)
            self._catalog.delete_table(DatabaseName="freshet", Name=name)
            self._catalog.create_table(DatabaseName="freshet", TableInput=table_input(table))
        self._begin_uncurated()

    def curate(self, pipeline: str, **arguments: str) -> None:
        given = {f"--{name.rstrip('_')}": value for name, value in arguments.items()}
        self.glue.run_job(f"freshet-curate-{pipeline.replace('_', '-')}", given)
        assert self.cloud.policies.denied == []

    def crawl(self, pipeline: str) -> list[str]:
        return self.glue.run_crawler(f"freshet-crawl-{pipeline.replace('_', '-')}")

    # --- what there is

    def hour(self, moment: datetime) -> str:
        return f"{moment:%Y-%m-%d-%H}"

    def objects(self, prefix: str = "") -> dict[str, str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return {each["Key"]: each["ETag"] for page in pages for each in page.get("Contents", ())}

    def body(self, key: str) -> bytes:
        content: bytes = self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def days(self, pipeline: str) -> dict[str, str]:
        """Where the catalog says that each curated day lies, below the bucket."""
        found = self._catalog.get_partitions(DatabaseName="freshet", TableName=f"{pipeline}_curated")
        return {
            one["Values"][0]: one["StorageDescriptor"]["Location"].removeprefix(f"s3://{self.bucket}/")
            for one in found["Partitions"]
        }

    def table(self, name: str) -> dict[str, Any]:
        table: dict[str, Any] = self._catalog.get_table(DatabaseName="freshet", Name=name)["Table"]
        return table

    def update_table(self, table: Mapping[str, Any], **changed: Any) -> None:
        self._catalog.update_table(DatabaseName="freshet", TableInput=table_input(table) | changed)

    def uncurated_from(self, pipeline: str) -> str:
        return str(self.table(f"{pipeline}_uncurated")["Parameters"]["projection.dt.range"]).split(",")[0]

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """As an analyst asks Athena, of the lake and the catalog as they are now."""
        self._exports += 1
        folder = self._folder / f"export-{self._exports}"
        folder.mkdir()
        (folder / "catalog.json").write_text(json.dumps([catalog_entry(t) for t in self.cloud.catalog()]))
        for key in self.objects():
            path = folder / "lake" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.body(key))
        return Lake(folder).query(sql).rows

    def count(self, table: str) -> int:
        ((rows,),) = self.ask("select count(*) " + f"from {table}")
        return int(rows)

    def distinct(self, pipeline: str) -> list[tuple[Any, ...]]:
        """Every row of the view, in order, all columns."""
        names = ", ".join([*self.kinds(pipeline), "dt", "day"])
        return sorted(self.ask(f"select {names} " + f"from {pipeline}_distinct"), key=str)

    def _empty(self) -> None:
        for key in self.objects():
            self._s3.delete_object(Bucket=self.bucket, Key=key)
        for table in self.cloud.catalog():
            for partition in table["Partitions"]:
                self._catalog.delete_partition(
                    DatabaseName="freshet", TableName=table["Name"], PartitionValues=partition["Values"]
                )
        self._begin_uncurated()

    def _begin_uncurated(self) -> None:
        """As a deploy leaves the range."""
        first = {"projection.dt.range": f"{FIRST_HOUR},NOW"}
        for table in self.cloud.catalog():
            if table["Name"].endswith("_uncurated"):
                self.update_table(table, Parameters=table["Parameters"] | first)


def table_input(table: Mapping[str, Any]) -> dict[str, Any]:
    """What GetTable answers as CreateTable and UpdateTable take it."""
    kept = ("Name", "Description", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor")
    return {key: table[key] for key in kept if key in table}


def once(pipeline: Pipeline, rows: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """The distinct events among raw rows, counted without SQL: as the view must list them."""
    event, kept = pipeline.event, dict[Any, Mapping[str, Any]]()
    place = ("shard_id", "sequence_number", "record_index")

    def first(row: Mapping[str, Any]) -> Any:
        return row["dt"], row["arrived_at"], *(row[name] for name in place)

    for row in rows:
        happened = (row[event.time.name] if event.time else None) or row["arrived_at"]
        which = (row[event.id.name] if event.id else None) or tuple(row[name] for name in place)
        key = f"{happened:%Y-%m-%d}", which
        if key not in kept or first(row) < first(kept[key]):
            kept[key] = row
    names = [*Yard.kinds(pipeline.name), "dt"]
    return sorted(((*(row.get(name) for name in names), day) for (day, _), row in kept.items()), key=str)
