"""The generated names of what CloudWatch measures of a pipeline, for a stack that is deployed after it.

They pass by a parameter and not by an export: an export that is in use forbids its stack to exchange what it
names, and nobody should have to delete a dashboard first.
"""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_ssm as ssm
from constructs import Construct

# Each part of a pipeline with its metrics' namespace and dimension.
METERED = {
    "stream": ("AWS/Kinesis", "StreamName"),
    "detect": ("AWS/Lambda", "FunctionName"),
    "records": ("AWS/Lambda", "EventSourceMappingUUID"),
    "tick": ("AWS/Lambda", "FunctionName"),
    "alert": ("AWS/Lambda", "FunctionName"),
    "changes": ("AWS/SQS", "QueueName"),
    "undelivered": ("AWS/SQS", "QueueName"),
    "transform": ("AWS/Lambda", "FunctionName"),
    "delivery": ("AWS/Firehose", "DeliveryStreamName"),
}


def publish(scope: Construct, id: str, *, pipeline: str, names: Mapping[str, str]) -> None:
    ssm.StringListParameter(
        scope,
        id,
        parameter_name=_place(pipeline),
        description=f"Names of {', '.join(METERED)}",
        string_list_value=[names[part] for part in METERED],
    )


def published(scope: Construct, pipeline: str) -> dict[str, str]:
    """The names by part, looked up anew at each deployment."""
    listed = ssm.StringListParameter.value_for_typed_list_parameter(scope, _place(pipeline))
    return {part: cdk.Fn.select(spot, listed) for spot, part in enumerate(METERED)}


def _place(pipeline: str) -> str:
    return f"/freshet/{pipeline}/metered"
