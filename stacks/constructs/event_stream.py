"""The Kinesis stream of a pipeline."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from constructs import Construct

from lambdas.columns import DeclarationError
from lambdas.model import Kinesis, Pipeline
from stacks.settings import OLDEST, ExistingStream

# What both consumers of a stream, Lambda and Firehose, ask for.
READ_STREAM = (
    "kinesis:DescribeStream",
    "kinesis:GetRecords",
    "kinesis:GetShardIterator",
    "kinesis:ListShards",
)


class EventStream(Construct):
    """The pipeline's own stream as its Kinesis source sizes it, or one that exists already.

    Every source of the pipeline writes into this one stream. `copies` is how often each event comes in it: a
    second stream has each once for every key that detectors are re-keyed by.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        pipeline: Pipeline,
        key: kms.IKey,
        existing: ExistingStream | None = None,
        copies: int = 1,
    ) -> None:
        super().__init__(scope, id)
        shapes = [source for source in pipeline.sources if isinstance(source, Kinesis)] or [Kinesis()]
        if len(shapes) > 1:
            raise DeclarationError(
                f"{pipeline.name}: it has {len(shapes)} Kinesis sources, but a pipeline has one stream; "
                "leave one."
            )
        shape = shapes[0]
        self.fan_out = shape.fan_out
        # All that our own stream holds is for us. Another's is full of what happened before anybody asked to
        # be told; how long it keeps that is for its owner to say, and to change.
        self.start = "TRIM_HORIZON" if existing is None or existing.start == OLDEST else "LATEST"
        self.retention: cdk.Duration | None = None
        if existing is not None:
            self.stream: kinesis.IStream = kinesis.Stream.from_stream_attributes(
                self,
                "Stream",
                stream_arn=existing.arn,
                encryption_key=kms.Key.from_key_arn(self, "Key", existing.key_arn)
                if existing.key_arn
                else None,
            )
            return
        self.retention = cdk.Duration.hours(shape.retention.total_seconds() // 3600)
        on_demand = shape.provisioned is None
        self.stream = kinesis.Stream(
            self,
            "Stream",
            stream_mode=kinesis.StreamMode.ON_DEMAND if on_demand else kinesis.StreamMode.PROVISIONED,
            shard_count=None if shape.provisioned is None else shape.provisioned * copies,
            retention_period=self.retention,
            encryption=kinesis.StreamEncryption.KMS,
            encryption_key=key,
            removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )
        cdk.Validations.of(self.stream).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-KDS3",
                reason="The lake's own key can be refused to a principal and shared with another account; "
                "Kinesis asks for it every five minutes, so it costs cents.",
            )
        )

    def grant_read(self, role: iam.Role, *actions: str) -> None:
        """Allow actions on the stream, and to read what it has encrypted."""
        self.stream.grant(role, *actions)
        if self.stream.encryption_key is not None:
            self.stream.encryption_key.grant_decrypt(role)

    def grant_put(self, role: iam.Role, *actions: str) -> None:
        """Allow actions on the stream, and to encrypt for it."""
        self.stream.grant(role, *actions)
        if self.stream.encryption_key is not None:
            self.stream.encryption_key.grant(role, "kms:GenerateDataKey")
