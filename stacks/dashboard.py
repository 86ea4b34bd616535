"""One dashboard of every pipeline, after them all, since it shows what they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from constructs import Construct

from stacks.constructs.dashboard import PipelinesDashboard
from stacks.constructs.metered import published
from stacks.operators import OperatorsStack
from stacks.pipeline import PipelineStack


class DashboardStack(cdk.Stack):
    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        operators: OperatorsStack,
        pipelines: Mapping[str, PipelineStack],
    ) -> None:
        super().__init__(scope, id, description="Freshet: the dashboard", tags={"freshet": "dashboard"})
        # The names of dashboards are an account's, of all its Regions.
        name = f"Freshet-{self.region}"
        for stack in pipelines.values():
            self.add_stack_dependency(stack)
        titles: dict[str, Sequence[str]] = {name: each.alarm_names for name, each in pipelines.items()}
        titles["what all pipelines share"] = operators.alarm_names
        PipelinesDashboard(
            self,
            "Pipelines",
            name=name,
            names={name: published(self, name) for name in pipelines},
            alarms={whose: [self._alarm(name) for name in names] for whose, names in titles.items()},
        )
        cdk.CfnOutput(
            self,
            "Dashboard",
            value=f"https://{self.region}.console.aws.amazon.com/cloudwatch/home"
            f"?region={self.region}#dashboards/dashboard/{name}",
            description="Every pipeline's way from its stream to people and into the lake",
        )

    def _alarm(self, name: str) -> str:
        """By its name, which is ours: a reference would tie the stacks together."""
        return self.format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=name,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
