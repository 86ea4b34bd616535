"""The mobile number of the person whom an incident concerns, read when it is needed and kept nowhere."""

from __future__ import annotations

from collections.abc import Mapping

from lambdas.columns import Value
from lambdas.effects import clients
from lambdas.effects.settings import SettingsError

MOST_KEY_BYTES = 2_048


class Phones:
    """Numbers in the reference tables; `tables` names one for each reference."""

    def __init__(self, tables: Mapping[str, str]) -> None:
        self._tables = tables

    def number(self, reference: str, *, key: tuple[str, Value], column: str) -> str | None:
        """The text in `column` of the item with `key` (its column and value); none where there is none."""
        if reference not in self._tables:
            raise SettingsError(
                f"The variable FRESHET_REFERENCE_TABLES names no table for {reference!r}; deploy the stack "
                "again, which sets it."
            )
        name, value = key
        if not 0 < len(str(value).encode()) <= MOST_KEY_BYTES:
            return None  # DynamoDB refuses to look for such a key
        answer = clients.client("dynamodb").get_item(
            TableName=self._tables[reference],
            Key={name: {"S": value} if isinstance(value, str) else {"N": str(value)}},
            ProjectionExpression="#column",
            ExpressionAttributeNames={"#column": column},
            ConsistentRead=True,
        )
        number: str = answer.get("Item", {}).get(column, {}).get("S", "")
        return number.strip() or None
