"""The laptop's Glue runs what was deployed, under its role, and stops at what it does not imitate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from laptop.glue import CONFIGURATION, Glue, JobFailed
from laptop.resources import DeployError
from laptop.services import NotHonoured
from tests.laptop.small_cloud import SmallCloud, small_cloud

pytestmark = pytest.mark.xdist_group("spark")
SCRIPT = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
rows = spark.read.parquet(given["--from"]) if "--from" in given else spark.range(int(given["--rows"]))
rows.write.parquet(given["--to"])
if "--end" in given:
    sys.exit(given["--end"])
"""


@pytest.fixture
def cloud() -> Iterator[SmallCloud]:
    with small_cloud() as cloud:
        cloud.bucket("lake")
        cloud.client("s3").put_object(Bucket="lake", Key="job.py", Body=SCRIPT.encode())
        yield cloud


def job(cloud: SmallCloud, *, denied: str = "nothing:AtAll", **properties: Any) -> Glue:
    given = {
        "Command": {"Name": "glueetl", "PythonVersion": "3", "ScriptLocation": "s3://lake/job.py"},
        "DefaultArguments": {"--rows": "3", "--to": "s3://lake/three/"},
        "GlueVersion": "5.1",
        "Role": cloud.role(denied.replace(":", "-"), denied=denied, trusts=["glue.amazonaws.com"]),
        **properties,
    }
    cloud.add("AWS::Glue::Job", "job", given)
    return Glue(cloud)


def written(cloud: SmallCloud, prefix: str) -> list[str]:
    return [key for key in cloud.objects("lake", prefix) if key.endswith(".parquet")]


def test_a_job_reads_and_writes_s3_with_its_arguments(cloud: SmallCloud) -> None:
    glue = job(cloud)

    glue.run_job("job")
    glue.run_job("job", {"--from": "s3://lake/three/", "--to": "s3://lake/again/"})

    assert written(cloud, "three/")
    assert written(cloud, "again/")


@pytest.mark.parametrize(
    ("denied", "arguments"),
    [
        ("s3:PutObject", {}),
        ("s3:ListBucket", {"--from": "s3://lake/here/"}),
        ("s3:GetObject", {"--from": "s3://lake/here/"}),
    ],
)
def test_a_job_may_do_with_s3_what_its_role_may(
    cloud: SmallCloud, denied: str, arguments: dict[str, str]
) -> None:
    job(cloud).run_job("job", {"--to": "s3://lake/here/"})
    glue = job(cloud, denied=denied)

    with pytest.raises(JobFailed, match=f"(is not authorized to perform|may not) {denied} on"):
        glue.run_job("job", {**arguments, "--to": "s3://lake/there/"})

    assert not written(cloud, "there/")


def test_a_script_that_ends_with_a_sentence_has_failed(cloud: SmallCloud) -> None:
    with pytest.raises(JobFailed, match=r"^too early$"):
        job(cloud).run_job("job", {"--end": "too early"})


@pytest.mark.parametrize(
    ("properties", "sentence"),
    [
        ({"GlueVersion": "4.0"}, "GlueVersion '4.0'"),
        ({"Connections": {"Connections": ["vpc"]}}, "sets Connections"),
        ({"Command": {"Name": "pythonshell", "ScriptLocation": "s3://lake/job.py"}}, "Name 'pythonshell'"),
    ],
)
def test_a_job_that_asks_for_more_is_refused(
    cloud: SmallCloud, properties: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(NotHonoured, match=sentence):
        job(cloud, **properties).run_job("job")


@pytest.mark.parametrize(
    ("properties", "sentence"),
    [
        ({"SchemaChangePolicy": {"UpdateBehavior": "UPDATE_IN_DATABASE"}}, "SchemaChangePolicy"),
        ({"Targets": {"S3Targets": [{"Path": "s3://lake/"}]}}, "sets S3Targets"),
        ({"Configuration": "{}"}, "another Configuration"),
        ({"Schedule": {"ScheduleExpression": "cron(0 1 * * ? *)"}}, "sets Schedule"),
    ],
)
def test_a_crawler_that_would_change_something_is_refused(
    cloud: SmallCloud, properties: dict[str, Any], sentence: str
) -> None:
    given = {
        "Configuration": json.dumps(CONFIGURATION),
        "DatabaseName": "freshet",
        "RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVERYTHING"},
        "Role": cloud.role("crawler-role", trusts=["glue.amazonaws.com"]),
        "SchemaChangePolicy": {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"},
        "Targets": {"CatalogTargets": [{"DatabaseName": "freshet", "Tables": ["curated"]}]},
    }
    cloud.add("AWS::Glue::Crawler", "crawler", given | properties)

    with pytest.raises(NotHonoured, match=sentence):
        Glue(cloud).run_crawler("crawler")


def test_what_was_not_deployed_does_not_run(cloud: SmallCloud) -> None:
    with pytest.raises(DeployError, match=r"No AWS::Glue::Job other was deployed\."):
        Glue(cloud).run_job("other")
