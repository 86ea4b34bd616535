"""Athena on a laptop: a query is answered from the lake as it lies in S3 at that moment.

Only with the rights of who asks, as far as they are Athena's to use: on tables, their objects and the result.
A statement that Athena would refuse only while it runs is refused when it is handed in. Not honoured: the
limit on bytes, result files, `execution parameters`.
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
from laptop.resources import ACCOUNT, Properties
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
        arn = f"arn:aws:glue:{self._cloud.region}:{ACCOUNT}"
        tables = [one for one in self._cloud.catalog() if re.search(rf"\b{one['Name']}\b", query)]
        needed = [("glue:GetTable", f"{arn}:catalog"), ("glue:GetDatabase", f"{arn}:catalog")]
        for one in tables:
            database = f"{arn}:database/{one['DatabaseName']}"
            needed += [("glue:GetDatabase", f"{arn}:database/default"), ("glue:GetDatabase", database)]
            table = f"{arn}:table/{one['DatabaseName']}/{one['Name']}"
            needed += [("glue:GetTable", database), ("glue:GetTable", table)]
        for place in filter(None, map(bucket_and_key, tables)):
            needed += [("s3:ListBucket", place[0]), ("s3:GetObject", f"{place[0]}/{place[1]}of-athena")]
        result = workgroup.configuration["ResultConfiguration"]["OutputLocation"].removeprefix("s3://")
        bucket = result.partition("/")[0]
        needed += [("s3:GetBucketLocation", f"arn:aws:s3:::{bucket}")]
        needed += [(f"s3:{verb}Object", f"arn:aws:s3:::{result}of-athena.csv") for verb in ("Put", "Get")]
        for action, resource in needed:
            self._cloud.policies.require(role, action, resource)


def bucket_and_key(table: Properties) -> tuple[str, str] | None:
    """Where a table's objects lie; none for a view."""
    location: str = table["StorageDescriptor"].get("Location", "")
    bucket, _, key = location.removeprefix("s3://").partition("/")
    return (f"arn:aws:s3:::{bucket}", key) if location else None


def results(answer: Answer) -> QueryResults:
    """An answer as Athena hands it over: names first, every value a text, none for null."""
    head = [{"VarCharValue": name} for name in answer.columns]
    body = [[{} if one is None else {"VarCharValue": shown(one)} for one in row] for row in answer.rows]
    columns = [{"Name": name, "Type": kind} for name, kind in zip(answer.columns, answer.types, strict=True)]
    return QueryResults([{"Data": row} for row in [head, *body]], columns)
