"""What templates must pass before they are deployed. It takes as long as the synth: a laptop goes without."""

from __future__ import annotations

import aws_cdk as cdk


def add_gates(app: cdk.App) -> None:
    """CloudFormation's own rules when the CLI is about to deploy; with `-c nag=true` cdk-nag's as well."""
    is_asked = app.node.try_get_context("nag")
    if is_asked or app.node.try_get_context("aws:cdk:bundling-stacks"):
        cdk.Validations.of(app).add_plugins(cdk.CloudFormationValidatePlugin())
    if is_asked:
        from cdk_nag import AwsSolutionsChecks  # a quarter of a second to load

        cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
