"""A person's number is read when it is needed; who has none is not told by SMS."""

from typing import Any

import pytest

from lambdas.columns import Value
from lambdas.effects.phones import Phones
from lambdas.effects.settings import SettingsError
from tests.effects.support import Faults, make_table, real


def phones(key_type: str, *items: dict[str, Any]) -> Phones:
    make_table("people", "device_id", key_type)
    for item in items:
        real("dynamodb").put_item(TableName="people", Item=item)
    return Phones({"registrations": "people"})


def number(found: Phones, key: Value) -> str | None:
    return found.number("registrations", key=("device_id", key), column="mobile")


def test_number_is_found_by_a_key_of_either_type(aws: Faults) -> None:
    found = phones("N", {"device_id": {"N": "7"}, "mobile": {"S": " +4915123456789 "}})

    assert number(found, 7) == "+4915123456789"
    (request,) = aws.requested("get_item")
    assert request["ExpressionAttributeNames"] == {"#column": "mobile"}


@pytest.mark.parametrize("key", ["strap-7", "strap-8", "strap-9", "strap-10", "", "s" * 3_000])
@pytest.mark.usefixtures("aws")
def test_who_has_no_number_has_none(key: str) -> None:
    found = phones(
        "S",
        {"device_id": {"S": "strap-7"}, "first_name": {"S": "Ada"}},
        {"device_id": {"S": "strap-8"}, "mobile": {"S": "  "}},
        {"device_id": {"S": "strap-9"}, "mobile": {"NULL": True}},
    )

    assert number(found, key) is None


@pytest.mark.usefixtures("aws")
def test_missing_table_is_said_so() -> None:
    with pytest.raises(SettingsError, match="names no table for 'registrations'"):
        number(Phones({}), 7)
