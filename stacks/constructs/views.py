"""Views in the catalog, each of them a file of SQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import aws_cdk as cdk
from constructs import Construct

from lambdas.alerting.saved_query import DATABASE
from pipelines.discovery import nearest
from sql.errors import SqlError
from sql.view import View, glue_properties, in_order


class Views(Construct):
    """The views of a folder and those `generated`, each made after what it reads.

    `tables` are the other tables and views that they may read. With a `prefix` every name begins with it, so
    that two pipelines' views are not called the same.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        folder: Path,
        database: str,
        tables: Collection[str],
        prefix: str = "",
        generated: Sequence[View] = (),
    ) -> None:
        super().__init__(scope, id)
        views = {path: View.read(path) for path in sorted(folder.glob("*.sql"))}
        tables = [*tables, *(view.name for view in generated)]
        self.names = [view.name for view in views.values()]
        for path, view in views.items():
            if not view.name.startswith(prefix) or view.name in tables:
                raise SqlError(
                    f"{path}: a view here is named {prefix}<question> and like no table; rename the file."
                )
            for name in sorted(view.reads - set(self.names) - set(tables)):
                raise SqlError(
                    f"{path}: it finds no table or view {name!r}; {nearest(name, [*tables, *self.names])}."
                )
        made = {
            view.name: cdk.CfnResource(
                self,
                "".join(word.capitalize() for word in view.name.split("_")),
                type="AWS::Glue::Table",
                properties={
                    "CatalogId": cdk.Aws.ACCOUNT_ID,
                    "DatabaseName": database,
                    "TableInput": glue_properties(view, database=DATABASE),
                },
            )
            for view in in_order([*generated, *views.values()])
        }
        for view in [*generated, *views.values()]:
            for name in sorted(view.reads & made.keys()):
                made[view.name].add_resource_dependency(made[name])
