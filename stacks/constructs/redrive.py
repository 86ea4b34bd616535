"""What was given up or quarantined, taken up again: what detect reads for it, and what a person may do."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.constructs.bucket import PrivateBucket
from stacks.constructs.event_stream import EventStream
from stacks.constructs.handler import Handler
from stacks.constructs.shard_reader import ShardReader


class Redrive(Construct):
    """Detect may read what its own mappings gave up. `policy`, which nobody has until it is attached, lets a
    person run `freshet redrive`, and nothing else.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        pipeline: str,
        stacks: Sequence[str],
        stream: EventStream,
        detect: Handler,
        readers: Sequence[ShardReader],
        failed: PrivateBucket,
        lake: PrivateBucket,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        stack = cdk.Stack.of(self)
        given_up = [f"aws/lambda/{reader.mapping.ref}/*" for reader in readers]
        quarantined, redriven = f"quarantine/pipeline={pipeline}/", f"redriven/pipeline={pipeline}/"
        batches = [failed.bucket.arn_for_objects(each) for each in given_up]
        bad, done = (lake.bucket.arn_for_objects(f"{prefix}*") for prefix in (quarantined, redriven))
        # Not in the role's own policy: the mappings wait for that one, and this one for the mappings.
        reading = iam.Policy(
            self,
            "GivenUp",
            roles=[detect.role],
            statements=[iam.PolicyStatement(actions=["s3:GetObject"], resources=batches)],
        )
        allowed = {
            ("cloudformation:DescribeStacks",): [
                stack.format_arn(service="cloudformation", resource="stack", resource_name=f"{name}/*")
                for name in stacks
            ],
            ("lambda:InvokeFunction",): [detect.function.function_arn],
            ("s3:GetObject", "s3:DeleteObject"): batches,
            ("s3:GetObject",): [bad, done],
            ("s3:PutObject",): [done],
            ("kinesis:PutRecords",): [stream.stream.stream_arn],
            ("kms:Decrypt", "kms:GenerateDataKey"): sorted(
                {each.key_arn for each in (key, stream.stream.encryption_key) if each is not None}
            ),
        }
        listed = {failed.arn: given_up, lake.arn: [f"{quarantined}*", f"{redriven}*"]}
        self.policy = iam.ManagedPolicy(
            self,
            "Policy",
            description="Freshet: may redrive what a pipeline gave up or quarantined",
            statements=[
                *(
                    iam.PolicyStatement(actions=list(actions), resources=resources)
                    for actions, resources in allowed.items()
                ),
                *(
                    iam.PolicyStatement(
                        actions=["s3:ListBucket"],
                        resources=[bucket],
                        conditions={"StringLike": {"s3:prefix": prefixes}},
                    )
                    for bucket, prefixes in listed.items()
                ),
            ],
        )
        below = [
            f"{failed.seen_from(self)}/aws/lambda/<{stack.get_logical_id(reader.mapping)}>/*"
            for reader in readers
        ]
        any_stack = "arn:<AWS::Partition>:cloudformation:<AWS::Region>:<AWS::AccountId>:stack"
        for policy, names in (
            (reading, below),
            (
                self.policy,
                [
                    *(f"{any_stack}/{name}/*" for name in stacks),
                    *below,
                    *(f"{lake.seen_from(self)}/{prefix}*" for prefix in (quarantined, redriven)),
                ],
            ),
        ):
            for name in names:
                cdk.Validations.of(policy).acknowledge(
                    cdk.Acknowledgment(
                        id=f"AwsSolutions-IAM5[Resource::{name}]",
                        reason="Stacks and objects get names of their own below those given.",
                    )
                )
