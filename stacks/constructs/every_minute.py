"""The clock's signal to quiet shards."""

from __future__ import annotations

import json
from datetime import timedelta

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from stacks.constructs.handler import Handler
from stacks.constructs.tick_loop import TickLoop

PERIOD = cdk.Duration.minutes(1)  # the shortest of EventBridge Scheduler


class EveryMinute(Construct):
    """Invokes a function each minute with its time, or by a loop where a tick is shorter. One that fails is
    lost, the next does more.
    """

    def __init__(self, scope: Construct, id: str, *, handler: Handler, tick: timedelta) -> None:
        super().__init__(scope, id)
        stack = cdk.Stack.of(self)
        group = stack.format_arn(service="scheduler", resource="schedule-group", resource_name="default")
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": stack.account, "aws:SourceArn": group}},
            ),
            description="The schedule invokes tick",
        )
        if tick < timedelta(minutes=1):
            machine = TickLoop(self, "Loop", handler=handler, tick=tick).machine
            machine.grant_start_execution(role)
            arn, given = machine.state_machine_arn, {}
        else:
            # By hand: `grant_invoke` adds every version of the function.
            iam.Grant.add_to_principal(
                grantee=role, actions=["lambda:InvokeFunction"], resource_arns=[handler.function.function_arn]
            )
            arn, given = handler.function.function_arn, {"scheduled_time": "<aws.scheduler.scheduled-time>"}
            # The schedule hands the tick to Lambda's own queue, which would try it again for six hours.
            lambda_.EventInvokeConfig(
                self, "NoRetry", function=handler.function, retry_attempts=0, max_event_age=PERIOD
            )
        target = scheduler.CfnSchedule
        schedule = scheduler.CfnSchedule(
            self,
            "Schedule",
            description="a tick for each shard that is quiet",
            schedule_expression="rate(1 minute)",
            flexible_time_window=target.FlexibleTimeWindowProperty(mode="OFF"),
            target=target.TargetProperty(
                arn=arn,
                role_arn=role.role_arn,
                input=json.dumps(given),
                retry_policy=target.RetryPolicyProperty(
                    maximum_retry_attempts=0, maximum_event_age_in_seconds=PERIOD.to_seconds()
                ),
            ),
        )
        schedule.node.add_dependency(role)
