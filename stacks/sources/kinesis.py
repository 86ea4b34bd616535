"""Producers that put into the pipeline's stream by themselves."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from lambdas.model import Kinesis, Pipeline
from stacks.constructs.bucket import PrivateBucket
from stacks.constructs.event_stream import EventStream


class Source(Construct):
    """The stream is there already; its name is what a producer has to be told."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        source: Kinesis,
        pipeline: Pipeline,
        stream: EventStream,
        lake: PrivateBucket,
    ) -> None:
        super().__init__(scope, id)
        cdk.CfnOutput(
            cdk.Stack.of(self),
            "StreamName",
            value=stream.stream.stream_name,
            description=f"Producers put records here, partitioned by {pipeline.event.key.source}",
        )
