"""Lambda's reading of a stream, one batch of a shard at a time, in order."""

from __future__ import annotations

import math
from datetime import timedelta

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stacks.constructs.bucket import PrivateBucket
from stacks.constructs.event_stream import READ_STREAM, EventStream
from stacks.constructs.handler import Handler

# A shard takes 1,000 records a second, and a batch costs one put however large it is; a larger one would be
# halved more often for the sake of one record.
BATCH = 1000
# Handlers skip what they cannot read, so what fails is nearly always a service that is away: wait for it. A
# record that fails by itself is alone after ten halvings, which do not count as tries.
TRIES = 30
LONGEST_AGE = cdk.Duration.days(7)  # the most that a mapping takes


class ShardReader(Construct):
    """The event source mapping from a stream to a function; what it gives up lands whole in `failed`. Where
    `consumer` names one it reads by that, enhanced fan-out, else in turn with whoever else does.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stream: EventStream,
        handler: Handler,
        failed: PrivateBucket,
        latency: timedelta,
        consumer: str = "",
    ) -> None:
        super().__init__(scope, id)
        # What Lambda asks for, by whichever way it reads.
        stream.grant_read(handler.role, *READ_STREAM, "kinesis:DescribeStreamSummary")
        source = stream.stream.stream_arn
        if consumer:
            own = kinesis.StreamConsumer(
                self, "Consumer", stream=stream.stream, stream_consumer_name=consumer
            )
            # By hand: its own `grant_read` adds what only programs ask for that register consumers.
            own.grant(handler.role, "kinesis:SubscribeToShard")
            source = own.stream_consumer_arn
        # Lambda chooses the key below this prefix, and asks to list the bucket.
        failed.grant(handler.role, "s3:PutObject", under="aws/lambda/")
        iam.Grant.add_to_principal(
            grantee=handler.role, actions=["s3:ListBucket"], resource_arns=[failed.arn]
        )
        # A record given up an hour before the stream forgets it can still be read again from there.
        age = LONGEST_AGE.to_seconds()
        if stream.retention is not None:
            age = min(stream.retention.to_seconds() - 3600, age)
        mapping = lambda_.CfnEventSourceMapping
        self.mapping = lambda_.CfnEventSourceMapping(
            self,
            "Mapping",
            function_name=handler.function.function_arn,
            event_source_arn=source,
            starting_position=stream.start,
            batch_size=BATCH,
            maximum_batching_window_in_seconds=math.floor(latency.total_seconds()),
            parallelization_factor=1,
            bisect_batch_on_function_error=True,
            maximum_retry_attempts=TRIES,
            maximum_record_age_in_seconds=age,
            function_response_types=["ReportBatchItemFailures"],
            destination_config=mapping.DestinationConfigProperty(
                on_failure=mapping.OnFailureProperty(destination=failed.arn)
            ),
            # Without it nothing tells that a batch has been given up.
            metrics_config=mapping.MetricsConfigProperty(metrics=["EventCount"]),
        )
        # Lambda refuses a mapping whose role may not read the stream yet.
        self.mapping.node.add_dependency(handler.role)

    def metric(self, name: str) -> cloudwatch.Metric:
        """A count of the mapping's own, summed."""
        return cloudwatch.Metric(
            namespace="AWS/Lambda",
            metric_name=name,
            dimensions_map={"EventSourceMappingUUID": self.mapping.ref},
            statistic="Sum",
        )
