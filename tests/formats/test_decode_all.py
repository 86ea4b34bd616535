"""Records read together are read as each by itself."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lambdas.columns import Double, Integer, Text, Timestamp, Unfit, Value, to_millisecond
from lambdas.formats.aggregate import AGGREGATE
from lambdas.formats.csv_line import Csv
from lambdas.formats.decode import Decoder
from lambdas.model import Row
from tests.formats.test_decode import ANYTHING, ARRIVAL, PIPELINE, Pull, Reading, nested

DECODER = Decoder(PIPELINE)


class Even(Integer):
    """A column that refuses what the one that it is made from takes."""

    def read(self, value: Any) -> Value:
        if value % 2:
            raise Unfit("is odd")
        return super().read(value)


USUAL = {
    "reading_id": st.sampled_from(["r1", "r2", "ö"]),
    "celsius": st.floats(-90, 90) | st.integers(-90, 90),
    "number": st.integers(-(2**63) - 1, 2**63),
    "is_open": st.booleans(),
    "at": st.sampled_from(["2026-01-31T10:00:00Z", "2026-01-31T09:59:59.250+00:00", "2026-01-31 10:02:00"]),
    "sent_at": st.integers(ARRIVAL - 5, ARRIVAL + 5) | st.integers(),
    "taken_at": st.floats(0, 2e9),
}
ODD = ANYTHING | st.sampled_from(["1", "true", "2026-01-31", "nan"])


@st.composite
def objects(draw: st.DrawFn) -> bytes:
    """A reading, most of whose columns are as they should be."""
    values: dict[str, Any] = {"reading_id": "r", "sensor": {"id": draw(st.sampled_from(["s1", "s2"]))}}
    for name in draw(st.sets(st.sampled_from(sorted(USUAL)))):
        values[name] = draw(USUAL[name])
    for name in draw(st.sets(st.sampled_from([*Reading.columns, "sensor", "more"]), max_size=1)):
        values[name] = draw(ODD)
    return json.dumps(values).encode()


RECORDS = st.lists(
    st.one_of(
        objects(),
        objects(),
        objects(),
        st.binary(max_size=9),
        st.lists(objects(), max_size=3).map(b"".join),
        st.sampled_from([b"r1,s1,20.5", b"{}", b"[{}]", b" {}\n", AGGREGATE + b"{}", nested(201).encode()]),
    ),
    max_size=8,
)


@pytest.mark.semantics(line=5, clause="part")
@settings(max_examples=200, deadline=None)
@given(records=RECORDS, arrivals=st.lists(st.integers(ARRIVAL - 90_000, ARRIVAL), min_size=8, max_size=8))
def test_records_read_together_are_read_as_each_by_itself(records: list[bytes], arrivals: list[int]) -> None:
    check(DECODER, records, arrivals[: len(records)])


def check(decoder: Decoder, records: list[bytes], arrivals: list[int]) -> list[Row]:
    """Reads the records both ways, which must come to the same; returns their rows."""
    numbers = list(range(len(records)))
    expected = []
    for data, arrival, number in zip(records, arrivals, numbers, strict=True):
        parts = list(decoder.decode(data, arrival, sequence=number))
        rows = [part for part in parts if isinstance(part, Row)]
        expected.append((rows, len(parts) - len(rows)))
    found = decoder.decode_all(records, arrivals, numbers)
    assert found == expected
    assert repr(found) == repr(expected)  # 1 is equal to 1.0 and to true, and is not the same
    return [row for rows, _ in found for row in rows]


def test_a_columns_own_reading_is_asked_for_every_value() -> None:
    class Counted(Pull, key="reading_id"):
        reading_id = Text("one for each reading")
        number = Even("a count")
        place = Integer("where")

    decoder = Decoder(replace(PIPELINE, event=Counted, formats=PIPELINE.formats[:1]))
    records = [json.dumps({"reading_id": "r", "number": number, "place": 1}).encode() for number in range(4)]

    assert [row.values["number"] for row in check(decoder, records, [ARRIVAL] * 4)] == [0, 2]


def test_a_format_that_reads_one_by_one_is_read_all_the_same() -> None:
    csv = Csv([Reading.reading_id, Reading.sensor_id, Reading.celsius])
    decoder = Decoder(replace(PIPELINE, formats=[csv]))

    assert len(check(decoder, [b"r1,s1,20.5", b"r2", b"r3,s3,1\nr4,s4,2"], [ARRIVAL] * 3)) == 3


REST = r"(\.\d{0,7})?([+-][\d:]{2,8}|Z)?"
TIMES = st.one_of(
    st.datetimes(timezones=st.none() | st.timezones()).map(lambda moment: moment.isoformat()),
    st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z"),
    st.datetimes().map(lambda moment: moment.isoformat(sep=" ", timespec="seconds")),
    st.from_regex(rf"20\d\d-0[1-9]-[0-3]\d[T ]\d\d:\d\d:\d\d{REST}", fullmatch=True),
    st.from_regex(rf"20\d{{6}}T\d{{6}}{REST}", fullmatch=True),
    st.from_regex(rf"2026-W[0-5]\d-[1-7]T\d\d:\d\d:?{REST}", fullmatch=True),
    st.text(max_size=30),
)


@pytest.mark.semantics(line=1, clause="forms")
@settings(max_examples=400, deadline=None)
@given(text=TIMES)
@example(text="2026-01-31T24:00:00.5")
@example(text="20260131T100000.125+01:00")
@example(text="2026-01-31T10:00:00.٣Z")
@example(text="0001-01-01T00:00:00+23:59")
@example(text="2026-01-31T10:00:00.1234567+00:00:00.5")
@example(text="2026-01-31T10:00:00.0005Z")
@example(text="2026-01-31T10:00:00.0015Z")
@example(text="2026-01-31T10:00:00.0025Z")
def test_times_read_together_are_read_as_each_by_itself(text: str) -> None:
    column = Timestamp("when")
    for others in ([], ["2026-01-31T10:00:00.250Z"]):
        together = column.read_all([text, *others])
        if together is not None:
            assert together == [column.read(each) for each in (text, *others)]


def test_usual_times_are_read_together() -> None:
    texts = ["2026-01-31T10:00:00Z", "2026-01-31 11:00:00.25+01:00", "2026-01-31T10:00:00.123"]

    assert Timestamp("when").read_all(texts) == [1_769_853_600.0, 1_769_853_600.25, 1_769_853_600.123]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (Double("a number"), [1.5, 2]),
        (Integer("a count"), [1, -(2**63) + 1]),
        (Text("a text"), ["a", ""]),
        (Timestamp("when", form="milliseconds"), [ARRIVAL, ARRIVAL + 1]),
    ],
)
def test_usual_values_are_read_together(column: Any, values: list[Any]) -> None:
    assert column.read_all(values) == [column.read(value) for value in values]
    assert column.read_all([*values, None]) is None


@settings(max_examples=400, deadline=None)
@given(seconds=st.floats(0, 7e9) | st.integers(0, 7 * 10**12).map(lambda at: at / 1000))
def test_rounding_to_the_millisecond_is_what_round_gives(seconds: float) -> None:
    assert to_millisecond(seconds) == round(seconds, 3)
