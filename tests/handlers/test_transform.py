import gzip
import json
import tracemalloc
from base64 import b64decode
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from lambdas.columns import lake_time
from tests.effects.support import Faults, body, keys, refusal
from tests.handlers.support import (
    NOON,
    SHARD,
    Sent,
    World,
    deploy,
    detect_event,
    numbered,
    reading,
    transform_event,
)

LIMIT = 6 * 1024 * 1024


@pytest.fixture
def world(aws: Faults, monkeypatch: pytest.MonkeyPatch) -> World:  # noqa: ARG001 - the account it is in
    return deploy(monkeypatch, "temperature")


def lines(answer: dict[str, Any]) -> list[dict[str, Any]]:
    data = b64decode(answer["data"]).decode()
    assert data.endswith("}\n")
    return [json.loads(line) for line in data.splitlines()]


def quarantined() -> list[dict[str, Any]]:
    found = keys(prefix="quarantine/")
    return [json.loads(line) for key in found for line in gzip.decompress(body(key)).splitlines()]


@pytest.mark.semantics(line=4, clause="place")
def test_a_record_becomes_a_row_that_says_where_it_came_from(world: World) -> None:
    (record,) = numbered([reading("sensor-1", 21, NOON)])
    (answer,) = world.container("lambdas.transform").handler(transform_event([record]), None)["records"]
    assert (answer["recordId"], answer["result"]) == (f"record-{record.sequence}", "Ok")
    assert lines(answer) == [
        {
            "sensor_id": "sensor-1",
            "temperature": 21.0,
            "measured_at": "2026-01-31 12:00:00.000",
            "shard_id": SHARD,
            "sequence_number": str(record.sequence),
            "record_index": 0,
            "arrived_at": "2026-01-31 12:00:00.500",
        }
    ]


def test_a_packed_record_becomes_a_row_for_each_event(world: World) -> None:
    packed = Sent(NOON, b"\n".join(reading("sensor-1", heat, NOON).data for heat in (20, 21, 22)))
    (answer,) = world.container("lambdas.transform").handler(transform_event([packed]), None)["records"]
    assert [(row["temperature"], row["record_index"]) for row in lines(answer)] == [(20, 0), (21, 1), (22, 2)]


@pytest.mark.semantics(line=5, clause="kept")
def test_what_cannot_be_read_is_dropped_into_quarantine(world: World) -> None:
    records = numbered(
        [Sent(NOON, b"\xff\x00"), reading("sensor-1", 21, NOON), Sent(NOON, b'{"sensor_id": "a"}')]
    )
    answers = world.container("lambdas.transform").handler(transform_event(records), None)["records"]
    assert [answer["result"] for answer in answers] == ["Dropped", "Ok", "Dropped"]
    assert ["data" in answer for answer in answers] == [False, True, False]
    first, second = quarantined()
    assert b64decode(first["data"]) == b"\xff\x00"
    assert (second["reason"], second["field"]) == ("temperature is missing.", "temperature")
    assert second["sequence_number"] == str(records[2].sequence)


def test_the_good_part_of_a_record_is_kept_and_the_bad_one_quarantined(world: World) -> None:
    mixed = Sent(
        NOON, reading("sensor-1", 21, NOON).data + b' {"sensor_id": "sensor-1", "temperature": "warm"}'
    )
    (answer,) = world.container("lambdas.transform").handler(transform_event([mixed]), None)["records"]
    assert (answer["result"], len(lines(answer))) == ("Ok", 1)
    assert [(row["record_index"], row["value"], row["record_parts"]) for row in quarantined()] == [
        (1, "warm", 2)
    ]


@pytest.mark.semantics(line=4, clause="place")
def test_the_parts_of_an_aggregate_that_firehose_opened_are_told_apart(world: World) -> None:
    good, bad = reading("sensor-1", 21, NOON).data, b'{"sensor_id": "sensor-1"}'
    event = transform_event([Sent(NOON, good + b"\n" + good, 7), Sent(NOON, good + bad, 7)])
    event["records"][1]["kinesisRecordMetadata"]["subsequenceNumber"] = 1
    answers = world.container("lambdas.transform").handler(event, None)["records"]
    rows = [row for answer in answers for row in lines(answer)]
    assert [row["record_index"] for row in rows] == [0, 1, 100_000_000]
    assert [row["record_index"] for row in quarantined()] == [100_000_001]


def test_a_record_without_a_number_among_parts_is_the_first(world: World) -> None:
    event = transform_event([reading("sensor-1", 21, NOON)])
    event["records"][0]["kinesisRecordMetadata"]["subsequenceNumber"] = ""
    (answer,) = world.container("lambdas.transform").handler(event, None)["records"]
    assert [row["record_index"] for row in lines(answer)] == [0]


@pytest.mark.semantics(line=5, clause="kept")
def test_the_same_batch_again_makes_the_same_quarantine(world: World) -> None:
    transform = world.container("lambdas.transform")
    event = transform_event(numbered([Sent(NOON, b"\xff"), Sent(NOON, b"")]))
    assert transform.handler(event, None) == transform.handler(event, None)
    assert len(keys(prefix="quarantine/")) == 1


@pytest.mark.semantics(line=1, clause="ahead")
def test_the_streams_arrival_decides_what_is_too_far_ahead(world: World) -> None:
    record = Sent(NOON, reading("sensor-1", 21, NOON + 300.9).data)  # Firehose's own clock is 900 ms further
    (answer,) = world.container("lambdas.transform").handler(transform_event([record]), None)["records"]
    assert answer["result"] == "Dropped"
    assert quarantined()[0]["field"] == "measured_at"


def test_a_good_batch_asks_s3_for_nothing(world: World, aws: Faults) -> None:
    world.container("lambdas.transform").handler(transform_event([reading("sensor-1", 21, NOON)]), None)
    assert aws.requests == []


def test_a_quarantine_that_fails_fails_the_batch_so_that_firehose_comes_again(
    world: World, aws: Faults
) -> None:
    aws.before("put_object", refusal("PutObject", "InternalError", 500))
    transform = world.container("lambdas.transform")
    event = transform_event([Sent(NOON, b"\xff")])
    with pytest.raises(ClientError, match="InternalError"):
        transform.handler(event, None)
    assert transform.handler(event, None)["records"][0]["result"] == "Dropped"
    assert len(quarantined()) == 1


def test_what_does_not_fit_into_an_answer_goes_to_the_error_output(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    event = {"sensor_id": "s" * 700_000, "temperature": 21, "timestamp": lake_time(NOON)}
    large = [Sent(NOON, json.dumps(event).encode()) for _ in range(7)]
    small = reading("sensor-1", 21, NOON)
    answer = world.container("lambdas.transform").handler(transform_event(numbered([*large, small])), None)
    results = [each["result"] for each in answer["records"]]
    assert results == ["Ok"] * 5 + ["ProcessingFailed"] * 2 + ["Ok"]
    assert len(json.dumps(answer)) < LIMIT
    assert json.loads(capsys.readouterr().out)["too_large"] == [2.0]


@pytest.mark.parametrize("name", ["sensor_id", "nothing"])
def test_a_record_of_too_many_events_fits_the_answer_and_its_rest_is_kept(world: World, name: str) -> None:
    event = {name: "s", "temperature": 2, "x": 1}
    packed = ("[" + ",".join([json.dumps(event)] * 18_000) + "]").encode()
    (answer,) = world.container("lambdas.transform").handler(transform_event([Sent(NOON, packed)]), None)[
        "records"
    ]
    written = quarantined()
    assert len(lines(answer) if "data" in answer else []) + len(written) == 5_001
    assert b64decode(written[0]["data"]) == packed
    assert (written[-1]["record_index"], "send smaller records" in written[-1]["reason"]) == (5_000, True)


def test_a_batch_of_nothing_but_bad_parts_needs_little_memory(world: World) -> None:
    bad = b"[" + b",".join([b"{}"] * 340_000) + b"]"  # 1 MB
    transform = world.container("lambdas.transform")
    event = transform_event(numbered([Sent(NOON, bad)] * 3))
    tracemalloc.start()
    try:
        transform.handler(event, None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000_000  # of the 512 MB that the function has


def test_what_was_done_is_counted(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    records = numbered([Sent(NOON, b"[{}, {}]"), reading("sensor-1", 21, NOON)])
    world.container("lambdas.transform").handler(transform_event(records), None)
    (counts,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (counts["pipeline"], counts["quarantined"], counts["quarantined_records"]) == (
        "temperature",
        [2.0],
        [1.0],
    )


GOOD = reading("sensor-1", 21, NOON).data
MUTATED = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.builds(
        lambda place, byte: GOOD[:place] + bytes([byte]) + GOOD[place + 1 :],
        st.integers(0, len(GOOD) - 1),
        st.integers(0, 255),
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["sensor_id", "temperature", "timestamp", "x"]), inner, max_size=4
            )
        ),
    ).map(lambda value: json.dumps(value).encode()),
)


@pytest.mark.semantics(line=5, clause="part")
@given(st.lists(MUTATED, min_size=1, max_size=5))
def test_detect_and_transform_say_the_same_of_any_bytes(both: tuple[Any, Any], contents: list[bytes]) -> None:
    detect, transform = both
    for data in contents:
        (record,) = numbered([Sent(NOON, data)])
        (seen,) = detect.reader.records(detect_event([record])["Records"])
        written, rejected = transform.read_record(transform_event([record])["records"][0])
        assert len(seen.rows) == len(written.splitlines())
        assert seen.unreadable == len(rejected.parts)
        assert all(part.reason.endswith(".") for part in rejected.parts)


@pytest.fixture(scope="module")
def both() -> Any:
    """The two consumers of a stream, as containers have them."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("STATE_BUCKET", "QUARANTINE_BUCKET", "CHANGES_QUEUE_URL", "STREAM_NAME"):
            monkeypatch.setenv(f"FRESHET_{name}", "none")
        monkeypatch.setenv("FRESHET_PIPELINE", "temperature")
        monkeypatch.setenv("FRESHET_RESULT_STREAMS", "{}")
        world = World("temperature", "")
        return world.container("lambdas.detect"), world.container("lambdas.transform")
