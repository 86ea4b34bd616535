"""An aggregate is opened as Firehose opens it, and what is damaged has one verdict."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from lambdas.formats.aggregate import opened
from lambdas.formats.decode import DAMAGED, Decoder, Unreadable
from lambdas.model import Row
from lambdas.tables import PARTS
from pipelines.temperature.pipeline import pipeline
from tests.formats.aggregates import aggregate

# What another implementation makes: https://hexdocs.pm/ex_kpl
KNOWN = (
    bytes([243, 137, 154, 194, 10, 13, *b"partition_key", 26, 8, 8, 0, 26, 4, *b"data"])
    + bytes.fromhex("d03699da5a222fa32108ad1bd955a14e")
)  # fmt: skip
DECODER = Decoder(pipeline)
GOOD, BAD = b'{"sensor_id": "a", "temperature": 1}', b'{"sensor_id": "a"}'


def test_what_another_implementation_packed_is_opened() -> None:
    assert opened(KNOWN) == [b"data"]


@given(
    records=st.lists(st.binary(max_size=300)),
    keys=st.lists(st.text(), min_size=1, max_size=3),
    explicit=st.lists(st.text(), max_size=2),
)
def test_records_come_out_as_they_went_in(records: list[bytes], keys: list[str], explicit: list[str]) -> None:
    assert opened(aggregate(*records, keys=keys, explicit=explicit)) == records


@given(st.data())
def test_a_changed_byte_is_damage(data: st.DataObject) -> None:
    whole = bytearray(aggregate(GOOD, GOOD))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    assert opened(bytes(whole)) is None


@given(st.binary(max_size=60))
def test_what_only_begins_like_one_is_damage(rest: bytes) -> None:
    assert opened(KNOWN[:4] + rest) is None


def test_what_is_whole_and_no_message_is_damage() -> None:
    for body in (b"\x1a\x02\x08\x00", b"\x1a\x02\x1a\x00", b"\x1a\x09"):  # no data, no key, no end
        assert opened(KNOWN[:4] + body + hashlib.md5(body, usedforsecurity=False).digest()) is None


def decode_all(data: bytes) -> list[Row]:
    ((rows, unreadable),) = DECODER.decode_all([data], [1_000], [7])
    assert unreadable == UNREADABLE.get(data, 0)
    return rows


PACKED = GOOD + b"\n" + GOOD
UNREADABLE = {aggregate(BAD, GOOD): 1, aggregate(aggregate(GOOD), GOOD): 1, KNOWN[:4] + b"?": 1}


def test_parts_have_the_places_that_firehose_and_the_transform_give_them() -> None:
    rows = decode_all(aggregate(GOOD, PACKED, GOOD))
    assert [row.index for row in rows] == [0, PARTS, PARTS + 1, 2 * PARTS]
    assert [replace(row, index=0) for row in rows] == decode_all(GOOD) * 4


def test_a_bad_record_spoils_no_other_of_its_aggregate() -> None:
    assert [row.index for row in decode_all(aggregate(BAD, GOOD))] == [PARTS]


def test_an_aggregate_within_another_is_not_opened_as_firehose_opens_one_alone() -> None:
    assert [row.index for row in decode_all(aggregate(aggregate(GOOD), GOOD))] == [PARTS]


def test_one_that_cannot_be_opened_has_the_same_verdict_for_both() -> None:
    assert decode_all(KNOWN[:4] + b"?") == []
    assert list(DECODER.decode(KNOWN[:4] + b"?", 1_000)) == [Unreadable(0, DAMAGED)]


def test_protobuf_is_imported_when_an_aggregate_comes_and_not_before() -> None:
    program = (
        "import sys; import lambdas.formats.decode; from lambdas.formats.aggregate import opened;"
        "opened(b'{}'); print('google.protobuf' in sys.modules);"
        f"opened({KNOWN!r}); print('google.protobuf' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
