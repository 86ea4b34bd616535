"""The role of a Glue job or crawler: its logs, and nothing else until it is granted."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

GLUE_LOGS = "/aws-glue/"


class GlueRole(Construct):
    """`logs` is where below /aws-glue/ Glue writes with this role, in groups that it names itself."""

    def __init__(self, scope: Construct, id: str, *, about: str, database: str, logs: str) -> None:
        super().__init__(scope, id)
        self._database = database
        self.role = iam.Role(
            self, "Role", assumed_by=iam.ServicePrincipal("glue.amazonaws.com"), description=about
        )
        group = cdk.Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"{GLUE_LOGS}{logs}*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        self.role.add_to_policy(
            iam.PolicyStatement(
                # Glue makes the group by itself and has it encrypted.
                actions=[
                    "logs:AssociateKmsKey",
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:PutLogEvents",
                ],
                resources=[group],
            )
        )
        cdk.Validations.of(self.role).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:logs:<AWS::Region>:<AWS::AccountId>:"
                f"log-group:{GLUE_LOGS}{logs}*]",
                reason="Glue makes up the rest of the group's name, and each run's stream in it.",
            )
        )

    def grant_catalog(self, *actions: str, tables: Sequence[str]) -> None:
        """Allow actions on tables, for which Glue asks about the catalog and the database, too."""
        stack, database = cdk.Stack.of(self), self._database
        resources = [
            stack.format_arn(service="glue", resource="catalog"),
            stack.format_arn(service="glue", resource="database", resource_name=database),
            *(
                stack.format_arn(service="glue", resource="table", resource_name=f"{database}/{table}")
                for table in tables
            ),
        ]
        self.role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=resources))
