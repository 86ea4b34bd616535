"""The clock's signal more often than a schedule can give it."""

from __future__ import annotations

from datetime import timedelta

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct

from stacks.constructs.handler import Handler

LONGEST = cdk.Duration.minutes(2)  # a minute of pauses, and what the ticks between them take


class TickLoop(Construct):
    """A state machine that invokes a function with the time, and again a tick later, while it answers that it
    is wanted `again`. A tick that fails ends the loop: whoever starts one each minute starts the next.
    """

    def __init__(self, scope: Construct, id: str, *, handler: Handler, tick: timedelta) -> None:
        super().__init__(scope, id)
        stack = cdk.Stack.of(self)
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "states.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": stack.account}}
            ),
            description="The loop invokes tick",
        )
        # By hand: `LambdaInvoke` adds every version of the function.
        iam.Grant.add_to_principal(
            grantee=role, actions=["lambda:InvokeFunction"], resource_arns=[handler.function.function_arn]
        )
        pause = round(tick.total_seconds())
        states = {
            "Tick": {
                "Type": "Task",
                "Resource": handler.function.function_arn,
                # The clock's own times: however late a state is entered, its tick is never ahead of it.
                "Parameters": {
                    "scheduled_time.$": "$$.State.EnteredTime",
                    "loop_began.$": "$$.Execution.StartTime",
                    "pause": pause,
                },
                "Next": "IsWantedAgain",
            },
            "IsWantedAgain": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.again", "BooleanEquals": True, "Next": "Pause"}],
                "Default": "Over",
            },
            "Pause": {"Type": "Wait", "Seconds": pause, "Next": "Tick"},
            "Over": {"Type": "Succeed"},
        }
        definition = {"StartAt": "Tick", "TimeoutSeconds": LONGEST.to_seconds(), "States": states}
        self.machine = stepfunctions.StateMachine(
            self,
            "Machine",
            state_machine_type=stepfunctions.StateMachineType.EXPRESS,
            definition_body=stepfunctions.DefinitionBody.from_string(stack.to_json_string(definition)),
            role=role,
        )
        for id, why in (
            ("SF1", "a log of it would ask for rights on every log group of the account"),
            ("SF2", "a trace would tell no more"),
        ):
            cdk.Validations.of(self.machine).acknowledge(
                cdk.Acknowledgment(
                    id=f"AwsSolutions-{id}",
                    reason=f"What can fail in it is the tick, whose own log and alarm tell of it; {why}.",
                )
            )
