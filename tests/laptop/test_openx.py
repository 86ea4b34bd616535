"""JSON values become column values as leniently as by the OpenX SerDe, and no more so."""

from io import BytesIO
from typing import Any

import pytest
from pyarrow import parquet

from laptop.openx import Converter, Unfit
from laptop.services import NotHonoured

# 2026-01-01T10:00:00Z
TEN = 1_767_261_600_000


@pytest.mark.fidelity(
    service="Firehose's OpenX",
    behaviour=(
        "names match in any case; a lone value becomes an array of one, an array fills a struct by "
        "position; what is missing is null"
    ),
    source="https://github.com/rcongiu/Hive-JSON-Serde",
    falls_short="columns of decimal, date, float, small integers and binary are refused",
)
@pytest.mark.fidelity(
    service="Firehose's OpenX",
    behaviour=(
        "times are ISO with Z, `yyyy-M-d H:m:s[.f]`, epoch seconds, milliseconds or seconds with a fraction"
    ),
    source="https://docs.aws.amazon.com/firehose/latest/dev/record-format-conversion.html",
    falls_short="nanoseconds are cut to milliseconds, which is all that Athena reads",
)
@pytest.mark.fidelity(
    service="Firehose's OpenX",
    behaviour="an epoch is milliseconds from 1e12 on, number or text; after a T each number stands in full",
    source="https://github.com/sam-fakhreddine/floci/blob/587a224a67f9dc5e90391ec3f07ba55cb2c419af/src/test/java/io/github/hectorvent/floci/services/firehose/FirehoseParquetConverterTest.java",
    falls_short="a year past 2262 is kept, where AWS's writer wraps it round",
)
@pytest.mark.parametrize(
    ("hive", "text", "value"),
    [
        ("string", '"a"', "a"),
        ("string", "1", "1"),
        ("string", "true", "true"),
        ("string", '{"b": [1]}', '{"b":[1]}'),
        ("int", "-2147483648", -(2**31)),
        ("int", '"12"', 12),
        ("bigint", "9007199254740993", 9_007_199_254_740_993),
        ("bigint", '"-9223372036854775808"', -(2**63)),
        ("double", "1", 1.0),
        ("double", '"1.5e3"', 1500.0),
        ("boolean", "true", True),
        ("boolean", '"false"', False),
        ("timestamp", '"2026-01-01 10:00:00"', TEN),
        ("timestamp", '"2026-1-1 10:00:00.5"', TEN + 500),
        ("timestamp", '"2026-01-01 10:0:0"', TEN),
        ("timestamp", '"2026-01-01T10:00:00Z"', TEN),
        ("timestamp", '"2026-01-01T10:00:00.123456789Z"', TEN + 123),
        ("timestamp", "1767261600", TEN),
        ("timestamp", "1767261600123", TEN + 123),
        ("timestamp", "1767261600.25", TEN + 250),
        ("timestamp", '"1767261600"', TEN),
        ("timestamp", "-1000000000", -1_000_000_000_000),
        ("timestamp", '"1767261600123.0"', TEN + 123),
        ("array<int>", "[1, null]", [1, None]),
        ("array<int>", '"7"', [7]),
        ("map<string,double>", '{"K": "1.5"}', [("K", 1.5)]),
        ("struct<a:int,b:array<string>>", '{"A": "1", "B": 2, "c": 3}', {"a": 1, "b": ["2"]}),
        ("struct<a:int,b:string>", "[1]", {"a": 1, "b": None}),
        ("array<struct<a:map<string,array<int>>,b:int>>", '{"b": 1}', [{"a": None, "b": 1}]),
        ("int", "null", None),
    ],
)
def test_value_is_read_by_its_columns_type(hive: str, text: str, value: Any) -> None:
    converter = Converter([("Column", hive)])
    (row,) = converter.rows(f'{{"COLUMN": {text}}}'.encode())
    assert row == {"column": value}
    # What was read can be written.
    assert parquet.ParquetFile(BytesIO(converter.parquet([row]))).metadata.num_rows == 1


@pytest.mark.fidelity(
    service="Firehose's OpenX",
    behaviour="a value that does not fit its column fails its record as MalformedData",
    source="https://github.com/floci-io/floci/blob/main/docs/services/firehose.md",
    falls_short=(
        "AWS may be more lenient with fractions in whole numbers, with booleans and with NaN: none of "
        "it was found written"
    ),
)
@pytest.mark.parametrize(
    ("hive", "text"),
    [
        ("int", "2147483648"),
        ("int", "1.5"),
        ("int", "true"),
        ("int", '"1_000"'),
        ("int", '""'),
        ("bigint", '"9223372036854775808"'),
        ("double", '"warm"'),
        ("double", '"1_0"'),
        ("double", "false"),
        ("double", "[1]"),
        ("boolean", "1"),
        ("boolean", '"yes"'),
        ("timestamp", '"2026-01-01T10:00:00+09:00"'),
        ("timestamp", '"2026-01-01T10:00:00"'),
        ("timestamp", '"2026-1-1T10:00:00Z"'),
        ("timestamp", '"2026-01-01 10:00:00Z"'),
        ("timestamp", '"2026-01-01"'),
        ("timestamp", '"2026-02-30 10:00:00"'),
        ("timestamp", "true"),
        ("array<int>", '["a"]'),
        ("map<string,int>", "[1]"),
        ("struct<a:int>", "1"),
    ],
)
def test_value_that_does_not_fit_is_malformed(hive: str, text: str) -> None:
    with pytest.raises(Unfit) as caught:
        Converter([("column", hive)]).rows(f'{{"column": {text}}}'.encode())
    assert caught.value.code == "DataFormatConversion.MalformedData"


@pytest.mark.fidelity(
    service="Firehose's OpenX",
    behaviour="what is no JSON fails as ParseError",
    source="https://github.com/floci-io/floci/blob/main/docs/services/firehose.md",
)
@pytest.mark.parametrize(
    "record", [b'{"a": 1', b"{'a': 1}", b'{"a": 1}}', b"\xff", b'{"a": NaN}', b'{"a": "\\ud800"}']
)
def test_record_that_is_no_json_cannot_be_parsed(record: bytes) -> None:
    with pytest.raises(Unfit) as caught:
        Converter([("a", "string")]).rows(record)
    assert caught.value.code == "DataFormatConversion.ParseError"


@pytest.mark.fidelity(
    service="Firehose's OpenX",
    behaviour="an empty record fails as MalformedData",
    source="https://github.com/CleverAIFox/thoth/blob/a9026260f7b1c7c84a798a0f5f687f54cecca7c9/tools/pairs_check.sh",
    falls_short="one delivered error object shows it; others hold it to be ParseError",
)
@pytest.mark.parametrize("record", [b"", b" \n"])
def test_empty_record_is_malformed(record: bytes) -> None:
    with pytest.raises(Unfit, match="empty") as caught:
        Converter([("a", "string")]).rows(record)
    assert caught.value.code == "DataFormatConversion.MalformedData"


@pytest.mark.fidelity(
    service="Firehose's OpenX",
    behaviour="an array of objects is not several records",
    source="https://docs.aws.amazon.com/firehose/latest/dev/record-format-conversion.html",
    falls_short="that it fails as MalformedData is taken from no page",
)
def test_array_is_not_several_records() -> None:
    with pytest.raises(Unfit, match="no object"):
        Converter([("a", "int")]).rows(b'[{"a": 1}, {"a": 2}]')


@pytest.mark.fidelity(
    service="Firehose's OpenX",
    behaviour="a record with one bad object delivers none of its objects",
    source="recorded by the project, no public source found",
)
def test_record_fails_as_a_whole() -> None:
    with pytest.raises(Unfit):
        Converter([("a", "int")]).rows(b'{"a": 1}{"a": "x"}')


@pytest.mark.parametrize(
    "hive", ["decimal(10,2)", "map<int,int>", "array<>", "array<int,int>", "int<int>", "date"]
)
def test_type_that_is_not_converted_is_named(hive: str) -> None:
    with pytest.raises(NotHonoured, match="Use these"):
        Converter([("a", hive)])
