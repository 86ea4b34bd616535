"""The table of incidents: a projection of their changes, and a memory of what has been done about each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import ClientError

from lambdas.effects import clients
from lambdas.effects.sending import shortened
from lambdas.incidents import IncidentChange

LARGEST, SMALLEST = Decimal("1e125"), Decimal("1e-130")  # of DynamoDB's numbers; a double goes further
DONE = "done_"

serialize = TypeSerializer().serialize


@dataclass(frozen=True, slots=True)
class Projection:
    """Where a change stands: whether it is the newest of its incident so far, and which steps were taken for
    which versions. A step is a channel that was handed the change, or the lake.
    """

    version: int
    is_newer: bool
    done: Mapping[str, frozenset[int]]

    def is_done(self, step: str) -> bool:
        return self.version in self.done.get(step, frozenset())

    def is_overtaken(self, step: str) -> bool:
        """Whether a newer change was told already, so that this one would only mislead its reader."""
        return any(version > self.version for version in self.done.get(step, ()))


class Incidents:
    """Whatever order changes come in, and however often, the table ends the same: the newest version wins,
    and what was done is only ever added to.
    """

    def __init__(self, table: str) -> None:
        self._table = table

    def project(self, change: IncidentChange) -> Projection:
        """Writes the change unless the table has it or a newer one, and says what has been done before."""
        row = attributes(change)
        names = {f"#{spot}": name for spot, name in enumerate(row)}
        try:
            answer = clients.client("dynamodb").update_item(
                TableName=self._table,
                Key=key(change),
                UpdateExpression="SET " + ", ".join(f"{spot} = :{spot[1:]}" for spot in names),
                ConditionExpression="attribute_not_exists(#version) OR #version < :version",
                ExpressionAttributeNames={**names, "#version": "version"},
                ExpressionAttributeValues={
                    **{f":{spot}": value for spot, value in enumerate(row.values())},
                    ":version": row["version"],
                },
                ReturnValues="ALL_NEW",
            )
            return Projection(change.version, True, done(answer["Attributes"]))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
        # Read for itself: what is asked is the state now, and this happens to repeats alone.
        answer = clients.client("dynamodb").get_item(
            TableName=self._table, Key=key(change), ConsistentRead=True
        )
        return Projection(change.version, False, done(answer.get("Item", {})))

    def mark(self, change: IncidentChange, step: str) -> None:
        """Remembers that a step was taken for this version of the incident."""
        clients.client("dynamodb").update_item(
            TableName=self._table,
            Key=key(change),
            UpdateExpression="ADD #step :version",
            ExpressionAttributeNames={"#step": f"{DONE}{step}"},
            ExpressionAttributeValues={":version": {"NS": [str(change.version)]}},
        )


def key(change: IncidentChange) -> dict[str, Any]:
    return {"incident_id": {"S": change.incident_id}}


def attributes(change: IncidentChange) -> dict[str, Any]:
    """A change as the table's attributes, without its key."""
    row = shortened({name: value for name, value in change.to_row().items() if name != "incident_id"})
    return {name: serialize(exact(value)) for name, value in row.items()}


def done(item: Mapping[str, Any]) -> dict[str, frozenset[int]]:
    return {
        name.removeprefix(DONE): frozenset(map(int, value["NS"]))
        for name, value in item.items()
        if name.startswith(DONE)
    }


def exact(value: Any) -> Any:
    """A value whose numbers DynamoDB keeps to the digit.

    >>> exact([0.1, 1e300, {"share": -1e-200}])
    [Decimal('0.1'), Decimal('1E+125'), {'share': Decimal('0')}]
    """
    if isinstance(value, float):
        if math.isnan(value):
            return None
        number = Decimal(repr(value))
        if abs(number) > LARGEST:
            return LARGEST.copy_sign(number)
        return number if abs(number) >= SMALLEST or not number else Decimal(0)
    if isinstance(value, Mapping):
        return {name: exact(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [exact(each) for each in value]
    return value
