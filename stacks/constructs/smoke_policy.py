"""What somebody may do who sends a marked event through a pipeline: `freshet smoke`, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.constructs.bucket import PrivateBucket
from stacks.constructs.change_queue import ChangeQueue
from stacks.constructs.event_stream import EventStream
from stacks.constructs.handler import Handler
from stacks.constructs.shard_reader import ShardReader

PUT_RESULT = ("s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject")


class SmokePolicy(Construct):
    """A policy that nobody has until it is attached to a person's or a pipeline's role.

    `tables` are those that are asked for the event and its alert, each with its prefix in the lake.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stacks: Sequence[str],
        stream: EventStream,
        detect: Handler,
        records: ShardReader,
        changes: ChangeQueue,
        incidents: str,
        topic: str,
        workgroup: str,
        database: str,
        tables: Mapping[str, str],
        lake: PrivateBucket,
        results: PrivateBucket,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        stack = cdk.Stack.of(self)
        catalog = stack.format_arn(service="glue", resource="catalog")
        # Athena asks for the database called default, whatever a query reads.
        default, own = (
            stack.format_arn(service="glue", resource="database", resource_name=name)
            for name in ("default", database)
        )
        read = [
            stack.format_arn(service="glue", resource="table", resource_name=f"{database}/{name}")
            for name in tables
        ]
        allowed = {
            ("cloudformation:DescribeStacks",): [
                stack.format_arn(service="cloudformation", resource="stack", resource_name=f"{name}/*")
                for name in stacks
            ],
            ("lambda:GetFunctionConfiguration",): [detect.function.function_arn],
            ("lambda:GetEventSourceMapping",): [
                stack.format_arn(
                    service="lambda",
                    resource="event-source-mapping",
                    resource_name=records.mapping.ref,
                    arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
                )
            ],
            ("sns:ListSubscriptionsByTopic",): [topic],
            ("kinesis:PutRecords",): [stream.stream.stream_arn],
            ("dynamodb:GetItem",): [incidents],
            ("sqs:GetQueueAttributes",): [changes.queue.queue_arn],
            ("athena:StartQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults"): [
                stack.format_arn(service="athena", resource="workgroup", resource_name=workgroup)
            ],
            ("glue:GetDatabase",): [catalog, default, own],
            ("glue:GetTable",): [catalog, own, *read],
            ("s3:ListBucket",): [lake.arn],
            ("s3:GetBucketLocation",): [results.arn],
            ("s3:GetObject",): [lake.bucket.arn_for_objects(f"{prefix}*") for prefix in tables.values()],
            PUT_RESULT: [results.bucket.arn_for_objects("athena/*")],
            ("kms:Decrypt", "kms:GenerateDataKey"): sorted(
                {each.key_arn for each in (key, stream.stream.encryption_key) if each is not None}
            ),
            ("sns:GetSubscriptionAttributes",): ["*"],  # it knows no resource
        }
        self.policy = iam.ManagedPolicy(
            self,
            "Policy",
            description="Freshet: may send a marked event through a pipeline and follow it",
            statements=[
                iam.PolicyStatement(actions=list(actions), resources=resources)
                for actions, resources in allowed.items()
            ],
        )
        names = [
            *(
                f"arn:<AWS::Partition>:cloudformation:<AWS::Region>:<AWS::AccountId>:stack/{name}/*"
                for name in stacks
            ),
            *(f"{lake.seen_from(self)}/{prefix}*" for prefix in tables.values()),
            f"{results.seen_from(self)}/athena/*",
            "*",
        ]
        for name in names:
            cdk.Validations.of(self.policy).acknowledge(
                cdk.Acknowledgment(
                    id=f"AwsSolutions-IAM5[Resource::{name}]",
                    reason="Stacks and objects get names of their own below those given; one action that "
                    "only reads knows no resource.",
                )
            )
