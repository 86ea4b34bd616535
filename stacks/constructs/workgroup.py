"""Where analysts ask: an Athena workgroup with a limit on what one query may read."""

from __future__ import annotations

from aws_cdk import aws_athena as athena
from constructs import Construct

from stacks.constructs.bucket import PrivateBucket

# At $5 a terabyte the dearest query costs 5 cents; a month of a busy shard's Parquet fits.
MOST_BYTES_A_QUERY = 10_000_000_000


class Workgroup(Construct):
    """Every query under its name writes its result, encrypted, into `results`, whatever its client says."""

    def __init__(self, scope: Construct, id: str, *, name: str, results: PrivateBucket) -> None:
        super().__init__(scope, id)
        workgroup = athena.CfnWorkGroup
        self.workgroup = athena.CfnWorkGroup(
            self,
            "Workgroup",
            name=name,
            description="Freshet: events, findings, incidents and alerts",
            # Without it nothing that has run one query can be deleted; the saved queries are files of SQL.
            recursive_delete_option=True,
            work_group_configuration=workgroup.WorkGroupConfigurationProperty(
                bytes_scanned_cutoff_per_query=MOST_BYTES_A_QUERY,
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                engine_version=workgroup.EngineVersionProperty(
                    selected_engine_version="Athena engine version 3"
                ),
                result_configuration=workgroup.ResultConfigurationProperty(
                    output_location=f"s3://{results.name}/athena/",
                    encryption_configuration=workgroup.EncryptionConfigurationProperty(
                        encryption_option="SSE_KMS", kms_key=results.key.key_arn
                    ),
                ),
            ),
        )

    @property
    def name(self) -> str:
        return self.workgroup.ref
