"""A function of a pipeline with its own role and its own log, and nothing else until it is granted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.constructs.packages_layer import ARCHITECTURE, ROOT, RUNTIME


def handler_code(pipeline: str) -> lambda_.Code:
    """`lambdas/` and one pipeline's declaration: editing docs, SQL or traffic changes no function."""
    own = f"pipelines/{pipeline}"
    return lambda_.Code.from_asset(
        str(ROOT),
        exclude=[
            "*",
            "!lambdas",
            "!lambdas/**",
            "lambdas/requirements.*",
            "!pipelines",
            "!pipelines/__init__.py",
            f"!{own}",
            f"!{own}/*.py",
            f"{own}/traffic.py",
            "**/__pycache__",
        ],
        ignore_mode=cdk.IgnoreMode.GIT,
    )


class Handler(Construct):
    """`lambdas.<entry point>.handler` under a role that may write its own log."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        entry_point: str,
        about: str,
        code: lambda_.Code,
        layers: Sequence[lambda_.ILayerVersion],
        environment: Mapping[str, str],
        memory: int,
        timeout: cdk.Duration,
    ) -> None:
        super().__init__(scope, id)
        log_group = logs.LogGroup(
            self, "Log", retention=logs.RetentionDays.ONE_MONTH, removal_policy=cdk.RemovalPolicy.DESTROY
        )
        self.role = iam.Role(
            self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"), description=about
        )
        log_group.grant_write(self.role)
        self.function = lambda_.Function(
            self,
            "Function",
            description=about,
            runtime=RUNTIME,
            architecture=ARCHITECTURE,
            handler=f"lambdas.{entry_point}.handler",
            code=code,
            layers=layers,
            role=self.role,
            environment=environment,
            memory_size=memory,
            timeout=timeout,
            log_group=log_group,
        )
        cdk.Validations.of(self.function).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-L1",
                reason="The layer's lock is for this version of Python; both are raised together.",
            )
        )
