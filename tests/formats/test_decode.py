"""One verdict on a record's bytes: what is a row, and what cannot be read and why."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lambdas.columns import Boolean, Double, Integer, Text, Timestamp, Unfit, Value
from lambdas.columns import Json as JsonText
from lambdas.formats.csv_line import Csv
from lambdas.formats.decode import MOST_PARTS, Decoder, Unreadable
from lambdas.formats.json_objects import Json
from lambdas.model import Event, Pipeline, Row, seconds

ARRIVAL = 1_769_853_600_000  # 2026-01-31 10:00:00 UTC


class Reading(Event, key="sensor_id", time="at", id="reading_id"):
    reading_id = Text("one for each reading")
    sensor_id = Text("which sensor", source="sensor.id")
    celsius = Double("of the air")
    number = Integer("a count")
    is_open = Boolean("whether the door is open")
    owner = Double("the owner's own number", private=True)
    raw = JsonText("all that the sensor said")
    at = Timestamp("when")
    sent_at = Timestamp("when it was sent", form="milliseconds")
    taken_at = Timestamp("when it was taken", form="seconds")


PIPELINE = Pipeline(
    about="a test's",
    event=Reading,
    detectors=[],
    formats=[Json(), Csv([Reading.reading_id, Reading.sensor_id, Reading.celsius])],
    ahead=seconds(60),
    name="test",
)
DECODER = Decoder(PIPELINE)


def decoded(data: bytes | str) -> list[Row | Unreadable]:
    return list(DECODER.decode(data.encode() if isinstance(data, str) else data, ARRIVAL, sequence=7))


def a_reading(**more: object) -> str:
    return json.dumps({"reading_id": "r1", "sensor": {"id": "s1"}, **more})


def value_of(name: str, given: object) -> object:
    (row,) = decoded(a_reading(**{name: given}))
    assert isinstance(row, Row), row
    return row.values[name]


def reason_of(data: bytes | str) -> str:
    (part,) = decoded(data)
    assert isinstance(part, Unreadable), part
    return part.reason


@pytest.mark.semantics(line=1, clause="forms")
@pytest.mark.parametrize(
    ("name", "given_value", "expected"),
    [
        ("celsius", 20, 20.0),
        ("celsius", "20.5", 20.5),
        ("celsius", None, None),
        ("number", 3.0, 3),
        ("number", "3", 3),
        ("number", 2**63 - 1, 2**63 - 1),
        ("is_open", True, True),
        ("is_open", "false", False),
        ("raw", {"a": [1, 2]}, '{"a":[1,2]}'),
        ("at", "2026-01-31T10:00:00Z", 1_769_853_600.0),
        ("at", "2026-01-31T19:00:00.250+09:00", 1_769_853_600.25),
        ("at", "2026-01-31 10:00:00", 1_769_853_600.0),
        ("sent_at", 1_769_853_600_250, 1_769_853_600.25),
        ("sent_at", "1769853600250", 1_769_853_600.25),
        ("taken_at", 1_769_853_600, 1_769_853_600.0),
    ],
)
def test_value_that_fits_is_read(name: str, given_value: object, expected: object) -> None:
    assert value_of(name, given_value) == expected


@pytest.mark.semantics(line=1, clause="ahead")
@pytest.mark.parametrize(
    ("name", "given_value", "reason"),
    [
        ("reading_id", 7, "reading_id is a number, text is expected."),
        ("reading_id", None, "reading_id is missing."),
        ("sensor", {}, "sensor.id is missing."),
        ("sensor", {"id": ["s"]}, "sensor.id is a list, text is expected."),
        ("celsius", "warm", "celsius is text that is not a number."),
        ("celsius", "1_0", "celsius is text that is not a number."),
        ("celsius", True, "celsius is true or false, a number is expected."),
        ("celsius", "inf", "celsius is not a finite number."),
        ("celsius", 10**400, "celsius is not a finite number."),
        ("number", 1.5, "number is a number, a whole number is expected."),
        ("number", 2**63, "number is a whole number of more than 64 bits."),
        ("is_open", 1, "is_open is a number, true or false is expected."),
        ("at", 5, "at is a number, an ISO 8601 time such as 2026-01-31T10:00:00Z is expected."),
        ("at", "yesterday", "at is not an ISO 8601 time such as 2026-01-31T10:00:00Z."),
        ("at", "1969-12-31T00:00:00Z", "at is a time outside the years 1970 to 2199."),
        ("at", "2026-01-31T10:01:01Z", "at is 61 s ahead of the record's arrival."),
        ("at", "2027-01-31T10:00:00Z", "at is 365 days ahead of the record's arrival."),
        ("at", "0001-01-01T00:00:00+23:59", "at is a time outside the years 1970 to 2199."),
        ("sent_at", "soon", "sent_at is text that is not a number."),
        ("sent_at", 10**400, "sent_at is a time outside the years 1970 to 2199."),
        ("sent_at", "nan", "sent_at is a time outside the years 1970 to 2199."),
        ("taken_at", -(10**400), "taken_at is a time outside the years 1970 to 2199."),
        ("taken_at", "9" * 400, "taken_at is a time outside the years 1970 to 2199."),
        ("taken_at", True, "taken_at is true or false, a number of seconds since 1970 is expected."),
    ],
)
def test_value_that_does_not_fit_says_why(name: str, given_value: object, reason: str) -> None:
    assert reason_of(a_reading(**{name: given_value})) == reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "The record is empty."),
        (b"  \n ", "The record is empty."),
        (b"[]", "The record is a list without an object, a JSON object is expected."),
        (b"text", "The line has 1 value, 3 are expected: reading_id, sensor_id, celsius."),
        (b'["a", "b"]', "The record is a list without an object, a JSON object is expected."),
        (b"7", "The line has 1 value, 3 are expected: reading_id, sensor_id, celsius."),
        (b"[7]", "The record is a list without an object, a JSON object is expected."),
        (b'{"reading_id": ', "The record is not JSON: Expecting value at character 16."),
        (b'{"celsius": NaN}', "The record is not JSON: NaN is no JSON number at character 1."),
        (
            b'{"a": "\\ud800"}',
            r"The record holds half of a character pair, as \ud800 alone, which is no text.",
        ),
        (b'{"a": "\xff"}', "The record is not UTF-8 text (byte 7)."),
        (b'{"a": ' + b"9" * 5_000 + b"}", "The record holds a number of more than 4,300 digits."),
        (b"a,b\xff,3", "The record is not UTF-8 text (byte 3)."),
    ],
)
def test_record_that_cannot_be_read_says_why(data: bytes, reason: str) -> None:
    assert reason_of(data) == reason


@pytest.mark.semantics(line=1, clause="forms")
def test_event_without_a_time_has_its_arrivals() -> None:
    (row,) = decoded(b"r1,s1,20.5")

    assert isinstance(row, Row)
    assert (row.time, row.values["at"], row.arrival) == (1_769_853_600.0,) * 3


@pytest.mark.semantics(line=11, clause="quarantine")
def test_private_value_that_does_not_fit_is_not_shown() -> None:
    (part,) = decoded(a_reading(owner="Jane"))

    assert isinstance(part, Unreadable)
    assert (part.field, part.value, "Jane" in part.reason) == ("owner", "", False)


@pytest.mark.parametrize(
    ("joined", "most"),
    [
        (lambda parts: "[" + ",".join(parts) + "]", a_reading()),
        (lambda parts: "[" + ",".join(parts) + "]", "{}"),
        ("\n".join, a_reading()),
        ("".join, a_reading()),
        ("\n".join, "r1,s1,20.5"),
    ],
    ids=["list", "list of bad ones", "lines", "one after the other", "CSV"],
)
def test_a_record_has_so_many_parts_and_the_rest_is_one(
    joined: Callable[[list[str]], str], most: str
) -> None:
    within = decoded(joined([most] * MOST_PARTS))
    beyond = decoded(joined([most] * (MOST_PARTS + 3)))
    far_beyond = decoded(joined([most] * (5 * MOST_PARTS)))

    assert len(within) == MOST_PARTS
    assert beyond[:-1] == far_beyond[:-1] == within
    assert beyond[-1] == Unreadable(
        MOST_PARTS,
        "The record holds more than 5,000 events; those after them, at least 3, were left out; send smaller "
        "records.",
    )
    assert isinstance(far_beyond[-1], Unreadable)
    assert "those after them, at least 5,001, were" in far_beyond[-1].reason


def nested(levels: int) -> str:
    """A reading whose lists and objects stand in each other so many levels deep."""
    return a_reading()[:-1] + ', "raw": ' + "[" * (levels - 1) + "]" * (levels - 1) + "}"


@pytest.mark.parametrize("around", ["%s", "%s\n" + a_reading(), "%s" + a_reading()])
def test_nesting_is_read_to_a_fixed_depth(around: str) -> None:
    deep = "The record holds lists and objects more than 200 levels deep."

    assert all(isinstance(part, Row) for part in decoded(around % nested(200)))
    for levels in (201, 900, 1_100, 40_000):
        part = decoded(around % nested(levels))[0]
        assert isinstance(part, Unreadable)
        assert part.reason == deep


@pytest.mark.parametrize("levels", [201, 900, 1_100, 40_000])
def test_what_follows_a_value_that_is_too_deep_is_not_read_whoever_gave_up(levels: int) -> None:
    assert len(decoded(nested(levels) + a_reading())) == 1


class Call(Event, key="agent", time="at"):
    agent = Text("the agent's name as their key, with all that is known of them", source="agent.known")
    first_name = Text("the agent's", source="agent.known.name.first", private=True)
    knowledge = Text("another's", source="agent.knowledge")
    at = Timestamp("when", private=True)


@pytest.mark.semantics(line=11, clause="quarantine")
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            {"agent": {"known": {"name": {"first": "Jane"}}}},
            Unreadable(0, "agent.known is an object, text is expected.", "agent"),
        ),
        (
            {"agent": {"known": "j", "knowledge": 7}},
            Unreadable(0, "agent.knowledge is a number, text is expected.", "knowledge", "7"),
        ),
        (
            {"agent": {"known": "j"}, "at": "2026-01-31T11:00:00Z"},
            Unreadable(0, "at is too far ahead of the record's arrival.", "at"),
        ),
    ],
    ids=["a container", "a longer name", "a time"],
)
def test_what_holds_a_private_value_is_not_shown(call: object, expected: Unreadable) -> None:
    decoder = Decoder(replace(PIPELINE, event=Call, formats=[Json()]))

    assert list(decoder.decode(json.dumps(call).encode(), ARRIVAL)) == [expected]


@pytest.mark.parametrize(
    "joined",
    [b"%s\n%s\n", b"%s%s", b"[%s,%s]", b" %s \n\n %s", b"%s\t%s"],
    ids=lambda joined: joined.decode(),
)
def test_several_objects_in_one_record_are_so_many_events(joined: bytes) -> None:
    parts = decoded(joined % (a_reading().encode(), a_reading(number=2).encode()))

    assert [(part.index, part.values["number"]) for part in parts if isinstance(part, Row)] == [
        (0, None),
        (1, 2),
    ]


def test_broken_line_spoils_no_other() -> None:
    parts = decoded("\n".join([a_reading(number=1), '{"broken', a_reading(number=3)]))

    assert [part.values["number"] if isinstance(part, Row) else part.reason[:22] for part in parts] == [
        1,
        "The record is not JSON",
        3,
    ]


def test_wrong_line_of_csv_spoils_no_other_and_a_blank_one_is_none() -> None:
    parts = decoded("r1,s1,1\nr2,s1\n\nr3,s1,3\n")

    assert [part.values["celsius"] if isinstance(part, Row) else part.index for part in parts] == [
        1.0,
        1,
        3.0,
    ]


NUMBERS = st.one_of(
    st.integers(),
    st.integers(300, 4_200).map(lambda digits: 10**digits),
    st.integers(300, 4_200).map(lambda digits: -(10**digits)),
    st.floats(),
    st.builds("{}e{}".format, st.integers(), st.integers()),
)
ANYTHING = st.recursive(NUMBERS | st.none() | st.booleans() | st.text(max_size=9), st.lists, max_leaves=3)


@pytest.mark.semantics(line=5, clause="part")
@settings(max_examples=300, deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.text(alphabet='{}[]",:1e-.\\\n \t\x00ntufals', max_size=120),
        st.dictionaries(st.sampled_from(list(Reading.columns)), ANYTHING, max_size=3).map(
            lambda values: a_reading(**values)
        ),
    )
)
@example(data=b"[" * 100_000)
@example(data=b'{"a":' * 100_000)
@example(data=b'{"reading_id":"r","sensor":{"id":"s"},"celsius":1e999}')
@example(data=b"9" * 5_000)
@example(data=b'{"number":' + b"9" * 5_000 + b"}")
@example(data=b'{"reading_id":"r","sensor":{"id":"s"},"sent_at":' + b"9" * 309 + b"}")
@example(data=b'{"reading_id":"r","sensor":{"id":"s"},"taken_at":' + b"9" * 309 + b"}")
@example(data=b'"' + b"a" * 140_000)
def test_any_bytes_are_events_or_have_a_reason(data: bytes | str) -> None:
    parts = decoded(data)

    assert parts
    assert [part.index for part in parts] == list(range(len(parts)))
    assert all(isinstance(part, Row) or part.reason.endswith(".") for part in parts)


class Brittle:
    """A format with a mistake of its own in it."""

    def recognises(self, data: bytes) -> bool:
        return True

    def read(self, data: bytes) -> Iterator[Mapping[str, Any] | Unfit]:
        yield json.loads(a_reading())
        raise KeyError(data.decode())


class Inverse(Double):
    """A column with a mistake of its own in it."""

    def read(self, value: Any) -> Value:
        return 1 / int(value)


class Pull(Event, key="reading_id"):
    reading_id = Text("one for each reading")
    ohm = Inverse("of the wire")


@pytest.mark.semantics(line=5, clause="part")
@pytest.mark.semantics(line=11, clause="quarantine")
def test_a_formats_mistake_spoils_the_rest_of_a_record_and_tells_none_of_its_values() -> None:
    row, part = Decoder(replace(PIPELINE, formats=[Brittle()])).decode(b"secret", ARRIVAL)

    assert isinstance(row, Row)
    assert part == Unreadable(1, "The record cannot be parsed: KeyError.")


@pytest.mark.semantics(line=5, clause="part")
@pytest.mark.semantics(line=11, clause="quarantine")
def test_a_columns_mistake_spoils_no_other_part_and_tells_none_of_its_values() -> None:
    given = b'[{"reading_id": "a", "ohm": "secret"}, {"reading_id": "b", "ohm": 4}]'
    part, row = Decoder(replace(PIPELINE, event=Pull, formats=[Json()])).decode(given, ARRIVAL)

    assert part == Unreadable(0, "ohm cannot be read: ValueError.", "ohm")
    assert isinstance(row, Row)
    assert row.values["ohm"] == 0.25
