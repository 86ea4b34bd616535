"""A private bucket, and what may be done in parts of it."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

# What S3 does with the key in the caller's name.
KEY_ACTIONS = {"s3:GetObject": "kms:Decrypt", "s3:PutObject": "kms:GenerateDataKey"}


class PrivateBucket(Construct):
    """A bucket that nobody outside the account reads, under the lake's key, kept when its stack goes."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        key: kms.IKey,
        access_logs: s3.IBucket,
        lifecycle: Sequence[s3.LifecycleRule] = (),
        versioned: bool = False,
    ) -> None:
        super().__init__(scope, id)
        self.key = key
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            encryption=s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=versioned,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="abandoned-uploads", abort_incomplete_multipart_upload_after=cdk.Duration.days(1)
                ),
                *lifecycle,
            ],
            server_access_logs_bucket=access_logs,
            server_access_logs_prefix=f"{id.lower()}/",
            removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )

    @property
    def name(self) -> str:
        return self.bucket.bucket_name

    @property
    def arn(self) -> str:
        return self.bucket.bucket_arn

    def grant(self, role: iam.Role, *actions: str, under: str) -> None:
        """Allow actions on the objects under a prefix, with what they ask of the key."""
        objects = f"{under}*"
        iam.Grant.add_to_principal(
            grantee=role, actions=list(actions), resource_arns=[self.bucket.arn_for_objects(objects)]
        )
        key_actions = sorted({KEY_ACTIONS[action] for action in actions if action in KEY_ACTIONS})
        if key_actions:
            self.key.grant(role, *key_actions)
        cdk.Validations.of(role).acknowledge(
            cdk.Acknowledgment(
                id=f"AwsSolutions-IAM5[Resource::{self.seen_from(role)}/{objects}]",
                reason=f"Objects under {under} get their names as they are written; the prefix is the bound.",
            )
        )

    def grant_listing(self, role: iam.Role, *, under: str) -> None:
        """Without it S3 answers 403, not 404, for an object that is missing."""
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["s3:ListBucket"],
                resources=[self.arn],
                conditions={"StringLike": {"s3:prefix": f"{under}*"}},
            )
        )

    def seen_from(self, role: Construct) -> str:
        """The bucket's ARN as cdk-nag writes it in a finding about a role or policy."""
        stack = cdk.Stack.of(self)
        if cdk.Stack.of(role).stack_name == stack.stack_name:
            return f"<{stack.resolve(self.arn)['Fn::GetAtt'][0]}.Arn>"
        return str(stack.resolve(stack.export_value(self.arn))["Fn::ImportValue"])
