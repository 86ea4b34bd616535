"""Freshet's stacks, as cdk.json sets them up: one lake, one for the operators, one for each
pipeline, and one for the dashboard of them all."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import aws_cdk as cdk

from lambdas.columns import DeclarationError
from sql.errors import SqlError
from stacks.dashboard import DashboardStack
from stacks.gates import add_gates
from stacks.lake import LakeStack
from stacks.operators import OperatorsStack
from stacks.pipeline import PipelineStack
from stacks.settings import Settings

# The CLI reads cdk.json by itself and says which stacks' packages it wants fetched; what it says wins.
context = json.loads((Path(__file__).parent / "cdk.json").read_text())["context"]
app = cdk.App(
    context={"aws:cdk:bundling-stacks": [], **context},
    analytics_reporting=False,
    builtin_cloud_formation_validation=False,
)
try:
    settings = Settings.read(
        app.node.try_get_context("freshet"),
        pipelines=app.node.try_get_context("pipelines"),
        numbers=app.node.try_get_context("set"),
    )
    lake = LakeStack(app, "freshet-lake", settings=settings)
    operators = OperatorsStack(app, "freshet-operators", settings=settings, lake=lake)
    pipelines = {
        pipeline.name: PipelineStack(
            app,
            f"freshet-{pipeline.name.replace('_', '-')}",
            pipeline=pipeline,
            settings=settings,
            lake=lake,
            operators=operators,
        )
        for pipeline in settings.pipelines
    }
    DashboardStack(app, "freshet-dashboard", operators=operators, pipelines=pipelines)
    add_gates(app)
    app.synth()
except (DeclarationError, SqlError) as error:
    sys.exit(str(error))
