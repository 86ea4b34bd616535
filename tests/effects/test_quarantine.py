import gzip
import json
from base64 import b64decode

import pytest

from lambdas.effects.quarantine import Quarantine, Rejected
from lambdas.formats.decode import Unreadable
from lambdas.tables import QUARANTINE
from tests.effects.support import BUCKET, Faults, body, keys

TEN_O_CLOCK = 1_769_853_600_000  # 2026-01-31 10:00:00 UTC, ms


def rejected(data: bytes, *parts: Unreadable, arrival_ms: int = TEN_O_CLOCK) -> Rejected:
    return Rejected(
        data=data,
        partition_key="sensor-1",
        shard_id="shardId-000000000000",
        sequence_number="49590338271490256608559692538361571095921575989136588898",
        arrival_ms=arrival_ms,
        parts=parts or (Unreadable(0, "The record is empty."),),
    )


def rows(key: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in gzip.decompress(body(key)).splitlines()]


@pytest.mark.semantics(line=5, clause="kept")
@pytest.mark.usefixtures("aws")
def test_a_record_stands_there_with_its_reason_and_its_bytes() -> None:
    part = Unreadable(3, "Temperature is text that is not a number.", "temperature", "warm")
    Quarantine(BUCKET, "temperature").put([rejected(b"\xff warm", part)])
    (key,) = keys()
    (row,) = rows(key)
    assert b64decode(str(row.pop("data"))) == b"\xff warm"
    assert row == {
        "reason": "Temperature is text that is not a number.",
        "field": "temperature",
        "value": "warm",
        "partition_key": "sensor-1",
        "record_parts": 1,
        "shard_id": "shardId-000000000000",
        "sequence_number": "49590338271490256608559692538361571095921575989136588898",
        "record_index": 3,
        "arrived_at": "2026-01-31 10:00:00.000",
    }


@pytest.mark.usefixtures("aws")
def test_a_row_has_the_tables_columns_in_their_order() -> None:
    Quarantine(BUCKET, "temperature").put([rejected(b"x")])
    assert list(rows(keys()[0])[0]) == [column.name for column in QUARANTINE.columns]


@pytest.mark.usefixtures("aws")
def test_the_hour_is_that_of_the_first_records_arrival() -> None:
    later = TEN_O_CLOCK + 3_600_000
    Quarantine(BUCKET, "temperature").put([rejected(b"x"), rejected(b"y", arrival_ms=later)])
    (key,) = keys()
    assert key.startswith("quarantine/pipeline=temperature/dt=2026-01-31-10/")
    assert key.endswith(".json.gz")


@pytest.mark.usefixtures("aws")
def test_the_same_records_again_are_the_same_object() -> None:
    for _ in range(2):
        Quarantine(BUCKET, "temperature").put([rejected(b"x"), rejected(b"y")])
    assert len(keys()) == 1
    Quarantine(BUCKET, "temperature").put([rejected(b"x"), rejected(b"z")])
    assert len(keys()) == 2


@pytest.mark.usefixtures("aws")
def test_a_records_bytes_are_written_once_however_many_parts_are_bad() -> None:
    parts = [Unreadable(number, "Temperature is missing.", "temperature") for number in range(20_000)]
    Quarantine(BUCKET, "temperature").put([rejected(b"x" * 1_000_000, *parts)])
    written = rows(keys()[0])
    assert len(written) == 20_000
    assert [row["data"] is not None for row in written] == [True] + [False] * 19_999


def test_nothing_rejected_writes_nothing(aws: Faults) -> None:
    Quarantine(BUCKET, "temperature").put([])
    assert aws.requests == []
