"""Lambda's reading of a queue."""

from __future__ import annotations

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.constructs.handler import Handler

BATCH = 10  # the most that a FIFO queue hands over at once
# The fewest that can be said. It keeps no pace: two functions may well publish more than the ten e-mails a
# second that SNS takes for one address.
AT_ONCE = 2


class QueueReader(Construct):
    """The event source mapping from a FIFO queue to a function that says which messages it could not do."""

    def __init__(self, scope: Construct, id: str, *, queue: sqs.IQueue, handler: Handler) -> None:
        super().__init__(scope, id)
        # What Lambda asks for; `grant_consume_messages` adds more.
        queue.grant(handler.role, "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")
        mapping = lambda_.CfnEventSourceMapping(
            self,
            "Mapping",
            function_name=handler.function.function_arn,
            event_source_arn=queue.queue_arn,
            batch_size=BATCH,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config=lambda_.CfnEventSourceMapping.ScalingConfigProperty(maximum_concurrency=AT_ONCE),
        )
        # Lambda refuses a mapping whose role may not read the queue yet.
        mapping.node.add_dependency(handler.role)
