"""What makes distinct events of raw rows: two tables, a job, and a crawler for days put there by hand."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from lambdas.model import Pipeline
from lambdas.tables import TableColumn
from sql.distinct import curated_table, uncurated_table
from stacks.constructs.bucket import PrivateBucket
from stacks.constructs.crawler import Crawler
from stacks.constructs.glue_role import GlueRole
from stacks.constructs.glue_table import HOUR_COMMENT, GlueTable
from stacks.constructs.packages_layer import ROOT

# The least that a Spark job takes. At $0.44 an hour for each, by the second, two minutes are 3 cents.
WORKERS, WORKER = 2, "G.1X"
GLUE = "5.1"  # Spark 3.5.6, Python 3.11
AT_NIGHT = "cron(30 3 * * ? *)"
# Firehose gathers for minutes and converts for some more.
MARGIN_HOURS = 1


class Curation(Construct):
    """The job runs when somebody starts it: its nightly trigger is made switched off, since each run costs.

    `settled_after` is when no file can come any more for an hour that is over.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        pipeline: Pipeline,
        columns: Sequence[TableColumn],
        database: str,
        bucket: PrivateBucket,
        settled_after: cdk.Duration,
    ) -> None:
        super().__init__(scope, id)
        name = pipeline.name
        raw, curated = f"events/{name}/", f"curated/{name}/"
        encryption = self._encryption(f"freshet-curate-{name.replace('_', '-')}", bucket)
        table = GlueTable(
            self,
            "CuratedTable",
            database=database,
            name=curated_table(name),
            about=f"{pipeline.about}; each event once, of the hours that are curated",
            columns=[*columns, TableColumn("dt", "string", HOUR_COMMENT)],
            bucket_name=bucket.name,
            # Beside the runs of the job, so that a crawler never takes one that died for a day.
            prefix=f"{curated}days/",
            by_day=True,
        )
        GlueTable(
            self,
            "UncuratedTable",
            database=database,
            name=uncurated_table(name),
            about=f"{pipeline.about}; raw rows of the hours that are not curated yet",
            columns=columns,
            bucket_name=bucket.name,
            prefix=raw,
        )
        self.tables = [curated_table(name), uncurated_table(name)]
        script = assets.Asset(self, "Script", path=str(ROOT / "glue_jobs" / "curate.py"))
        role = GlueRole(
            self, "JobRole", about=f"curates the events of {name}", database=database, logs="jobs/"
        )
        role.role.add_to_policy(
            iam.PolicyStatement(
                actions=["s3:GetObject"], resources=[script.bucket.arn_for_objects(script.s3_object_key)]
            )
        )
        bucket.grant(role.role, "s3:GetObject", under=raw)
        bucket.grant(role.role, "s3:GetObject", "s3:PutObject", under=curated)
        # Not of the days that somebody has put there.
        bucket.grant(role.role, "s3:DeleteObject", under=f"{curated}runs/")
        bucket.grant_listing(role.role, under=raw)
        bucket.grant_listing(role.role, under=curated)
        role.grant_catalog("glue:GetTable", tables=self.tables)
        role.grant_catalog(
            "glue:CreatePartition",
            "glue:GetPartitions",
            "glue:UpdatePartition",
            tables=[curated_table(name)],
        )
        role.grant_catalog("glue:UpdateTable", tables=[uncurated_table(name)])
        event, hours = pipeline.event, int(settled_after.to_hours()) + MARGIN_HOURS
        job = glue.CfnJob(
            self,
            "Job",
            name=f"freshet-curate-{name.replace('_', '-')}",
            description=f"Freshet: the distinct events of {name}, by event day"[:2048],
            role=role.role.role_arn,
            command=glue.CfnJob.JobCommandProperty(
                name="glueetl", python_version="3", script_location=script.s3_object_url
            ),
            default_arguments={
                "--pipeline": name,
                "--bucket": bucket.name,
                "--database": database,
                "--settled-after-hours": str(hours),
                **({"--time": event.time.name} if event.time else {}),
                **({"--id": event.id.name} if event.id else {}),
                # The hours are arguments, so that a run can be repeated.
                "--job-bookmark-option": "job-bookmark-disable",
            },
            glue_version=GLUE,
            worker_type=WORKER,
            number_of_workers=WORKERS,
            # Two at once would switch each other's days.
            execution_property=glue.CfnJob.ExecutionPropertyProperty(max_concurrent_runs=1),
            max_retries=0,
            timeout=6 * 60,
            security_configuration=encryption,
        )
        job.node.add_dependency(role)
        glue.CfnTrigger(
            self,
            "Nightly",
            name=f"{job.name}-nightly",
            description="Switched off until somebody starts it: aws glue start-trigger --name …",
            type="SCHEDULED",
            schedule=AT_NIGHT,
            start_on_creation=False,
            actions=[glue.CfnTrigger.ActionProperty(job_name=job.ref)],
        )
        Crawler(
            self,
            "Crawler",
            name=f"freshet-crawl-{name.replace('_', '-')}",
            database=database,
            table=table,
            bucket=bucket,
            prefix=f"{curated}days/",
            encryption=encryption,
        )

    def _encryption(self, name: str, bucket: PrivateBucket) -> str:
        """Whatever the job or the crawler leaves behind is under the lake's key."""
        configuration, key = glue.CfnSecurityConfiguration, bucket.key.key_arn
        return configuration(
            self,
            "Encryption",
            name=name,
            encryption_configuration=configuration.EncryptionConfigurationProperty(
                cloud_watch_encryption=configuration.CloudWatchEncryptionProperty(
                    cloud_watch_encryption_mode="SSE-KMS", kms_key_arn=key
                ),
                job_bookmarks_encryption=configuration.JobBookmarksEncryptionProperty(
                    job_bookmarks_encryption_mode="CSE-KMS", kms_key_arn=key
                ),
                s3_encryptions=[
                    configuration.S3EncryptionProperty(s3_encryption_mode="SSE-KMS", kms_key_arn=key)
                ],
            ),
        ).ref
