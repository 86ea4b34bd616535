"""Queries that an analyst finds saved in Athena, each of them a file of SQL."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import aws_athena as athena
from constructs import Construct

from sql.errors import SqlError
from sql.view import first_comment


class SavedQueries(Construct):
    """The queries of a folder under `<prefix><file's name>`; the comment on the first line describes each."""

    def __init__(
        self, scope: Construct, id: str, *, folder: Path, database: str, workgroup: str, prefix: str
    ) -> None:
        super().__init__(scope, id)
        for path in sorted(folder.glob("*.sql")):
            text = path.read_text(encoding="utf-8").strip()
            try:
                about = first_comment(text, "what the query answers")
            except SqlError as error:
                raise SqlError(f"{path}: {error}") from error
            athena.CfnNamedQuery(
                self,
                "".join(word.capitalize() for word in path.stem.split("_")),
                name=f"{prefix}{path.stem}",
                description=about,
                database=database,
                work_group=workgroup,
                query_string=text,
            )
