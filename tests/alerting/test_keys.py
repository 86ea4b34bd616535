"""A key in its parts is what it was made of."""

from hypothesis import given
from hypothesis import strategies as st

from lambdas.alerting.keys import key_parts, key_words
from lambdas.columns import Column, Text
from lambdas.model import key_text


def columns(*names: str) -> list[Column]:
    made: list[Column] = [Text("a part") for _ in names]
    for column, name in zip(made, names, strict=True):
        column.name = name
    return made


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_parts_are_those_that_the_key_was_made_of(parts: list[str]) -> None:
    key = key_text(parts)
    assert key is not None

    found = key_parts(key, columns(*"abcd"[: len(parts)]))

    assert [text for _, text in found] == parts


def test_key_that_does_not_fit_its_columns_is_told_whole() -> None:
    assert key_words("ios|DE|shop", columns("platform", "marketplace")) == "ios|DE|shop"
    assert key_words("sensor-1", []) == "sensor-1"


def test_each_part_is_named_unless_it_names_itself() -> None:
    assert key_words("ios|DE", columns("platform", "marketplace")) == "platform ios, marketplace DE"
    assert key_words("Sensor-1", columns("sensor_id")) == "Sensor-1"
    assert key_words("", columns("table_id")) == "table (blank)"
