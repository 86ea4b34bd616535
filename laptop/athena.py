"""Athena on a laptop: a query is answered from the lake as it lies in S3 at that moment.

Only with the rights of who asks, as far as they are Athena's to use: on tables, their objects and the result.
A statement that Athena would refuse only while it runs is refused when it is handed in. Not honoured: the
limit on bytes, result files, parameters.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any  # moto's backends have no types
from unittest import mock

from moto.athena.exceptions import InvalidArgumentException
from moto.athena.models import AthenaBackend, QueryResults

from laptop.cloud import Cloud
from laptop.resources import ACCOUNT
from laptop.run_folder import RunFolder
from sql.answer import shown
from sql.errors import SqlError
from sql.lake import Answer, Lake


class Athena:
    """`keep` writes lake and catalog into the folder."""

    def __init__(self, cloud: Cloud, folder: RunFolder, keep: Callable[[], None]) -> None:
        self._cloud, self._folder, self._keep = cloud, folder, keep

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Every query of the account is answered while this lasts."""
        start = AthenaBackend.start_query_execution

        def started(backend: AthenaBackend, query: str, *arguments: Any, **named: Any) -> str:
            id = start(backend, query, *arguments, **named)
            with self._cloud.policies.acting_as_nobody() as role:
                if role is not None:
                    self._demand(role, query, backend.executions[id].workgroup)
                backend.query_results[id] = self._answered(query)
            return id

        with mock.patch.object(AthenaBackend, "start_query_execution", started):
            yield

    def _answered(self, query: str) -> QueryResults:
        self._keep()
        lake = Lake(self._folder.path, now=datetime.fromtimestamp(self._cloud.clock.now, UTC))
        try:
            return results(lake.query(query))
        except SqlError as error:
            raise InvalidArgumentException(str(error)) from error

    def _demand(self, role: str, query: str, workgroup: Any) -> None:
        glue, s3 = f"arn:aws:glue:{self._cloud.region}:{ACCOUNT}", "arn:aws:s3:::"
        result = workgroup.configuration["ResultConfiguration"]["OutputLocation"].removeprefix("s3://")
        needed = {f"{s3}{result}of-athena.csv": "s3:PutObject s3:GetObject"}
        needed |= {s3 + result.partition("/")[0]: "s3:GetBucketLocation"}
        needed |= {f"{glue}:catalog": "glue:GetDatabase glue:GetTable"}
        needed |= {f"{glue}:database/default": "glue:GetDatabase"}
        for one in self._cloud.catalog():
            if re.search(rf"\b{one['Name']}\b", query):
                needed[f"{glue}:database/{one['DatabaseName']}"] = "glue:GetDatabase glue:GetTable"
                needed[f"{glue}:table/{one['DatabaseName']}/{one['Name']}"] = "glue:GetTable"
                # A view has no place of its own.
                if place := one["StorageDescriptor"].get("Location", "").removeprefix("s3://"):
                    needed[s3 + place.partition("/")[0]] = "s3:ListBucket"
                    needed[f"{s3}{place}of-athena"] = "s3:GetObject"
        for resource, actions in needed.items():
            for action in actions.split():
                self._cloud.policies.require(role, action, resource)


def results(answer: Answer) -> QueryResults:
    """An answer as Athena hands it over: names first, every value a text, none for null."""
    head = [{"VarCharValue": name} for name in answer.columns]
    body = [[{} if one is None else {"VarCharValue": shown(one)} for one in row] for row in answer.rows]
    columns = [{"Name": name, "Type": kind} for name, kind in zip(answer.columns, answer.types, strict=True)]
    return QueryResults([{"Data": row} for row in [head, *body]], columns)
