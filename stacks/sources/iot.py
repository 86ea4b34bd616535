"""Devices that publish to a topic of AWS IoT."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_iot as iot
from constructs import Construct

from lambdas.model import Iot, Pipeline
from stacks.constructs.bucket import PrivateBucket
from stacks.constructs.event_stream import EventStream


class Source(Construct):
    """A rule that puts each message into the pipeline's stream, partitioned by the device's client id.

    Any payload has a client id. What the rule cannot put lands in the lake under `errors/<pipeline>/iot/`.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        source: Iot,
        pipeline: Pipeline,
        stream: EventStream,
        lake: PrivateBucket,
    ) -> None:
        super().__init__(scope, id)
        stack = cdk.Stack.of(self)
        errors = f"errors/{pipeline.name}/iot/"
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "iot.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": stack.account}}
            ),
            description=f"The rule of {source.topic} puts into the stream of {pipeline.name}",
        )
        stream.grant_put(role, "kinesis:PutRecord")
        lake.grant(role, "s3:PutObject", under=errors)
        rule = iot.CfnTopicRule
        topic_rule = iot.CfnTopicRule(
            self,
            "Rule",
            topic_rule_payload=rule.TopicRulePayloadProperty(
                description=pipeline.about,
                sql=f"SELECT * FROM '{source.topic}'",  # noqa: S608  # a declaration's topic, for IoT
                aws_iot_sql_version="2016-03-23",
                actions=[
                    rule.ActionProperty(
                        kinesis=rule.KinesisActionProperty(
                            stream_name=stream.stream.stream_name,
                            partition_key="${clientid()}",
                            role_arn=role.role_arn,
                        )
                    )
                ],
                error_action=rule.ActionProperty(
                    s3=rule.S3ActionProperty(
                        bucket_name=lake.name,
                        key=f'{errors}dt=${{parse_time("yyyy-MM-dd-HH", timestamp())}}/${{newuuid()}}',
                        role_arn=role.role_arn,
                    )
                ),
            ),
        )
        topic_rule.node.add_dependency(role)
