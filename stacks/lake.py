"""What every pipeline shares: the key, the buckets, the catalog and the tables of results."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from lambdas.alerting.saved_query import DATABASE, WORKGROUP
from lambdas.tables import QUARANTINE, RESULT_TABLES
from pipelines import discovery
from stacks.constructs.bucket import PrivateBucket
from stacks.constructs.glue_role import GLUE_LOGS
from stacks.constructs.glue_table import GlueTable
from stacks.constructs.parquet_delivery import ParquetDelivery
from stacks.constructs.views import Views
from stacks.constructs.workgroup import Workgroup
from stacks.settings import Settings

# What somebody looks up right after an alert is there within a minute; the rest may share larger files.
SOON, LATER = cdk.Duration.seconds(60), cdk.Duration.seconds(300)
PATIENCE = {"incident_change": SOON, "alert": SOON, "finding": SOON}


class LakeStack(cdk.Stack):
    def __init__(self, scope: Construct, id: str, *, settings: Settings) -> None:
        super().__init__(
            scope,
            id,
            description="Freshet: the lake, its catalog and the state of the shards",
            tags={"freshet": "lake"},
        )
        # One key: each costs $1 a month, and who may read which part of Freshet's data is for IAM to say.
        self.key = kms.Key(
            self,
            "Key",
            description="Freshet: streams, lake, state, references and topics",
            enable_key_rotation=True,
            removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )
        self._let_alarms_use_key()
        self._let_logs_use_key()
        access_logs = s3.Bucket(
            self,
            "AccessLogs",
            # S3 delivers access logs into a bucket that is encrypted by S3's own key only.
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            lifecycle_rules=[s3.LifecycleRule(id="forget", expiration=cdk.Duration.days(90))],
            removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )
        # Versioned: Freshet itself overwrites nothing here, so only what somebody else deleted costs a copy.
        self.lake = PrivateBucket(
            self,
            "Lake",
            key=self.key,
            access_logs=access_logs,
            versioned=True,
            lifecycle=[
                s3.LifecycleRule(id="deleted", noncurrent_version_expiration=cdk.Duration.days(30)),
                s3.LifecycleRule(id="errors", prefix="errors/", expiration=cdk.Duration.days(90)),
            ],
        )
        # Neither versioned nor expired: an entry of a shard's log is written once under its number, and a
        # quiet shard's newest base is as old as its last event, so age does not tell what is superfluous.
        # But which records were taken in is asked for only while a batch that was given up is kept: 90 days
        # after it was, up to 7 after it may have been taken in all the same.
        self.state = PrivateBucket(
            self,
            "State",
            key=self.key,
            access_logs=access_logs,
            lifecycle=[s3.LifecycleRule(id="taken", prefix="taken/", expiration=cdk.Duration.days(100))],
        )
        # A bucket of its own: Lambda asks to list the bucket in which it leaves a batch that failed.
        self.failed = PrivateBucket(
            self,
            "Failed",
            key=self.key,
            access_logs=access_logs,
            lifecycle=[s3.LifecycleRule(id="forget", expiration=cdk.Duration.days(90))],
        )
        self.results = PrivateBucket(
            self,
            "Results",
            key=self.key,
            access_logs=access_logs,
            lifecycle=[s3.LifecycleRule(id="forget", expiration=cdk.Duration.days(30))],
        )
        self.database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=self.account,
            database_input=glue.CfnDatabase.DatabaseInputProperty(
                name=DATABASE,
                description="Freshet: events by pipeline; findings, incidents and alerts of all",
                # Where Lake Formation rules by default, a new table would be closed to every role of ours.
                create_table_default_permissions=[
                    glue.CfnDatabase.PrincipalPrivilegesProperty(
                        principal=glue.CfnDatabase.DataLakePrincipalProperty(
                            data_lake_principal_identifier="IAM_ALLOWED_PRINCIPALS"
                        ),
                        permissions=["ALL"],
                    )
                ],
            ),
        )
        self.workgroup = Workgroup(self, "Workgroup", name=WORKGROUP, results=self.results)
        self.delivery_logs = logs.LogGroup(
            self,
            "DeliveryLogs",
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        self.deliveries = {kind: self._result_delivery(kind) for kind in RESULT_TABLES}
        GlueTable(
            self,
            "Quarantine",
            database=self.database.ref,
            name=QUARANTINE.name,
            about=QUARANTINE.grain,
            columns=QUARANTINE.columns,
            bucket_name=self.lake.name,
            prefix="quarantine/",
            form="json",
            # Deployed or not: what a pipeline has quarantined can be asked for after it is gone.
            partitions={"pipeline": (discovery.names(), "the pipeline's name")},
        )
        tables = [*(shape.name for shape in RESULT_TABLES.values()), QUARANTINE.name]
        views = Views(
            self,
            "Views",
            folder=Path(__file__).parent / "views",
            database=self.database.ref,
            tables=tables,
        )
        self.tables = [*tables, *views.names]
        # What `freshet redrive` asks for, and a person who looks at the stack.
        for id, bucket, about in (
            ("LakeBucket", self.lake, "Events, results and what is in quarantine"),
            ("FailedBucket", self.failed, "Batches that were given up, by mapping and shard"),
        ):
            cdk.CfnOutput(self, id, value=bucket.name, description=about)

    def _result_delivery(self, kind: str) -> ParquetDelivery:
        shape = RESULT_TABLES[kind]
        id = "".join(word.title() for word in shape.name.split("_"))
        prefix = f"results/{shape.name}/"
        table = GlueTable(
            self,
            id,
            database=self.database.ref,
            name=shape.name,
            about=shape.grain,
            columns=shape.columns,
            bucket_name=self.lake.name,
            prefix=prefix,
        )
        return ParquetDelivery(
            self,
            f"{id}Delivery",
            table=table,
            database=self.database.ref,
            bucket=self.lake,
            prefix=prefix,
            errors=f"errors/_{shape.name}/",  # no pipeline is named so
            patience=PATIENCE.get(kind, LATER),
            log_group=self.delivery_logs,
        )

    def _let_alarms_use_key(self) -> None:
        """CloudWatch publishes an alarm to an encrypted topic under its own name."""
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=["*"],  # a key's policy speaks of that key
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )

    def _let_logs_use_key(self) -> None:
        """CloudWatch Logs encrypts what jobs and crawlers log."""
        group = self.format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"{GLUE_LOGS}*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(f"logs.{self.region}.amazonaws.com")],
                actions=["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"],
                resources=["*"],  # a key's policy speaks of that key
                conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": group}},
            )
        )
