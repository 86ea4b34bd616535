import json
from collections.abc import Iterator
from typing import Any

import pytest

from lambdas.effects import session
from lambdas.formats.decode import Decoder, Unreadable
from lambdas.model import Row
from pipelines.temperature.pipeline import pipeline
from tests.effects.support import Faults, keys, make_table, real
from tests.formats.aggregates import aggregate
from tests.handlers.support import (
    NOON,
    Sent,
    World,
    deploy,
    detect_event,
    expected,
    numbered,
    reading,
)

RECORDS = numbered(
    [reading("sensor-1", heat, NOON + second) for second, heat in enumerate([20, 31, 32, 46, 25])]
)
NAMED = pipeline.named("temperature")


@pytest.fixture
def world(aws: Faults, monkeypatch: pytest.MonkeyPatch) -> World:  # noqa: ARG001 - the account it is in
    return deploy(monkeypatch, "temperature")


def test_a_hot_sensor_is_told_to_the_queue_and_to_the_lake(world: World) -> None:
    answer = world.container("lambdas.detect").handler(detect_event(RECORDS), None)
    assert answer == {"batchItemFailures": []}
    assert [(row["state"], row["key"]) for row in world.messages()] == [
        ("opened", "sensor-1"),
        ("escalated", "sensor-1"),
    ]
    assert len(world.rows("finding")) == 3
    assert world.seen() == expected(NAMED, RECORDS)


def test_what_was_sent_is_marked_and_state_is_kept_under_the_shard(world: World) -> None:
    detect = world.container("lambdas.detect")
    detect.handler(detect_event(RECORDS[:1]), None)
    assert world.objects() == ["1.entry"]  # it owes nothing
    detect.handler(detect_event(RECORDS[1:]), None)
    assert world.objects() == ["2.entry", "2.sent", "1.entry"]


@pytest.mark.semantics(line=1, clause="cut")
@pytest.mark.semantics(line=3, clause="cold")
@pytest.mark.parametrize("is_warm", [True, False])
def test_how_the_stream_is_cut_into_batches_changes_nothing(world: World, is_warm: bool) -> None:
    detect = world.container("lambdas.detect")
    for record in RECORDS:
        detect.handler(detect_event([record]), None)
        if not is_warm:
            detect = world.container("lambdas.detect")
    assert world.seen() == expected(NAMED, RECORDS)


def test_a_warm_container_reads_nothing(world: World, aws: Faults) -> None:
    detect = world.container("lambdas.detect")
    detect.handler(detect_event(RECORDS[:2]), None)
    aws.requests.clear()
    detect.handler(detect_event(RECORDS[2:]), None)
    assert not aws.requested("list_objects_v2")
    assert not aws.requested("get_object")


@pytest.mark.semantics(line=3, clause="replay")
@pytest.mark.parametrize("is_warm", [True, False])
def test_a_replayed_batch_changes_nothing(world: World, is_warm: bool) -> None:
    detect = world.container("lambdas.detect")
    detect.handler(detect_event(RECORDS), None)
    before = keys()
    detect = detect if is_warm else world.container("lambdas.detect")
    assert detect.handler(detect_event(RECORDS), None) == {"batchItemFailures": []}
    detect.handler(detect_event(RECORDS[1:3]), None)
    assert keys() == before


@pytest.mark.semantics(line=3, clause="replay")
def test_a_batch_that_overlaps_the_last_one_counts_its_new_records_only(world: World) -> None:
    detect = world.container("lambdas.detect")
    detect.handler(detect_event(RECORDS[:3]), None)
    detect.handler(detect_event(RECORDS[1:]), None)
    assert world.seen() == expected(NAMED, RECORDS)


def test_a_base_is_written_now_and_then(world: World, monkeypatch: pytest.MonkeyPatch, aws: Faults) -> None:
    monkeypatch.setattr(session, "ENTRIES_A_BASE", 3)
    detect = world.container("lambdas.detect")
    for record in RECORDS:
        detect.handler(detect_event([record]), None)
    assert [name for name in world.objects() if name.endswith(".base")] == ["3.base"]
    aws.requests.clear()
    detect = world.container("lambdas.detect")
    detect.handler(detect_event(numbered([*RECORDS, reading("sensor-1", 50, NOON + 9)])[-1:]), None)
    assert len(aws.requested("get_object")) == 3  # the base and two entries
    assert world.entries()[0]["outbox"][0][0] == "finding"


def test_only_a_few_shards_stay_warm(world: World) -> None:
    detect = world.container("lambdas.detect")
    for shard in range(7):
        event = detect_event(RECORDS[:1])
        event["Records"][0]["eventID"] = f"shardId-{shard:012d}:{RECORDS[0].sequence}"
        detect.handler(event, None)
    assert len(detect.session._warm) == session.WARM_SHARDS


def test_unreadable_records_are_counted_and_stop_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [
        Sent(NOON, data) for data in (b"", b"\xff", b'{"sensor_id": "\\ud800", "temperature": 40}', b"[1]")
    ]
    records = numbered([*bad, reading("sensor-1", 31, NOON)])
    assert world.container("lambdas.detect").handler(detect_event(records), None) == {"batchItemFailures": []}
    assert len(world.rows("finding")) == 1
    (counts,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert (counts["unreadable"], counts["events"], counts["pipeline"]) == ([4.0], [1.0], "temperature")


def test_an_aggregate_is_opened_and_a_damaged_one_stops_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = aggregate(*(reading("sensor-1", heat, NOON).data for heat in (20, 31, 46)))
    records = numbered([Sent(NOON, packed), Sent(NOON, packed[:-1])])
    assert world.container("lambdas.detect").handler(detect_event(records), None) == {"batchItemFailures": []}
    assert len(world.rows("finding")) == 2
    (counts,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert (counts["events"], counts["unreadable"]) == ([3.0], [1.0])


def test_an_event_in_an_aggregate_is_listed_as_late_by_the_place_that_its_row_has(world: World) -> None:
    late = reading("sensor-2", 20, NOON - 60).data
    packed = Sent(NOON, aggregate(reading("sensor-1", 20, NOON).data, late + late))
    world.container("lambdas.detect").handler(detect_event(numbered([packed])), None)
    assert [row["record_index"] for row in world.rows("late_event")] == [100_000_000, 100_000_001]


def test_a_clients_service_is_only_asked_for_when_there_is_something_to_send(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[str] = set()

    def client(service: str) -> Any:
        asked.add(service)
        return real(service)

    monkeypatch.setattr("lambdas.effects.clients.client", client)
    world.container("lambdas.detect").handler(detect_event(RECORDS[:1]), None)
    assert asked == {"s3", "kinesis"}  # whom a shard without a log follows
    asked.clear()
    world.container("lambdas.detect").handler(detect_event(numbered([RECORDS[0], RECORDS[0]])[1:]), None)
    assert asked == {"s3"}


class Brittle(Decoder):
    """A decoder with a mistake of its own in it; a format's or a column's it makes unreadable parts of."""

    def decode(self, data: bytes, arrival_ms: int, *, sequence: int = 0) -> Iterator[Row | Unreadable]:
        if b"secret" in data:
            raise KeyError(data.decode())
        return super().decode(data, arrival_ms, sequence=sequence)


def brittle(detect: Any) -> None:
    detect.reader.decoder = Brittle(NAMED)


@pytest.mark.semantics(line=3, clause="prefix")
@pytest.mark.semantics(line=11, clause="log")
def test_what_comes_before_a_record_that_cannot_be_finished_is_saved(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    detect = world.container("lambdas.detect")
    brittle(detect)
    records = numbered(
        [reading("sensor-1", 31, NOON), Sent(NOON, b"secret"), reading("sensor-1", 46, NOON + 1)]
    )
    answer = detect.handler(detect_event(records), None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": str(records[1].sequence)}]}
    assert [row["state"] for row in world.messages()] == ["opened"]
    assert "secret" not in capsys.readouterr().out


@pytest.mark.semantics(line=3, clause="prefix")
def test_a_batch_whose_first_record_cannot_be_finished_raises(world: World) -> None:
    detect = world.container("lambdas.detect")
    brittle(detect)
    records = numbered([Sent(NOON, b"secret"), reading("sensor-1", 46, NOON + 1)])
    with pytest.raises(RuntimeError) as refused:
        detect.handler(detect_event(records), None)
    assert str(refused.value) == (
        f"the decoder raised KeyError on record {records[0].sequence}; mend the format that reads it"
    )
    assert refused.value.__suppress_context__
    assert world.objects() == []


def test_a_redeploy_with_another_limit_goes_on_with_open_incidents(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.container("lambdas.detect").handler(detect_event(RECORDS[:2]), None)
    monkeypatch.setenv("FRESHET_OVERRIDES", '{"too_hot.above": 40}')
    world.container("lambdas.detect").handler(detect_event(RECORDS[2:]), None)
    assert "A detector begins anew: its saved state is of another shape." in caplog.messages
    assert [(row["state"], row["version"]) for row in world.messages()] == [("opened", 1)]


def heart_rates(monkeypatch: pytest.MonkeyPatch) -> World:
    registrations = make_table("registrations-table", "device_id", "N")
    registration = {
        "device_id": {"N": "7"},
        "customer_id": {"S": "customer-42"},
        "first_name": {"S": "Adelheid"},
        "last_name": {"S": "Geheimnis"},
        "email": {"S": "adelheid@geheim.example"},
        "mobile": {"S": "+491701234567"},
    }
    real("dynamodb").put_item(TableName=registrations, Item=registration)
    tables = json.dumps({"registrations": registrations})
    return deploy(monkeypatch, "heart_rate", FRESHET_REFERENCE_TABLES=tables)


@pytest.mark.semantics(line=11, clause="shard")
@pytest.mark.semantics(line=11, clause="log")
@pytest.mark.usefixtures("aws")
def test_a_reference_is_shown_and_its_private_columns_are_nowhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    world = heart_rates(monkeypatch)
    beats = numbered([Sent(NOON + second, f"7,{150}".encode()) for second in range(0, 120, 10)])
    world.container("lambdas.detect").handler(detect_event(beats), None)
    (message,) = world.messages()
    assert message["shown"] == {"customer id": "customer-42"}
    everything = json.dumps([world.entries(), message, *world.seen().values()])
    everything += capsys.readouterr().out + caplog.text
    for private in ("Adelheid", "Geheimnis", "geheim.example", "+4917"):
        assert private not in everything


@pytest.mark.usefixtures("aws")
def test_without_its_reference_a_strap_still_alerts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = heart_rates(monkeypatch)
    beats = numbered([Sent(NOON + second, f"8,{150}".encode()) for second in range(0, 120, 10)])
    world.container("lambdas.detect").handler(detect_event(beats), None)
    assert [row["key"] for row in world.messages()] == ["8"]
    assert '"reference_missing":[12.0]' in capsys.readouterr().out.replace(" ", "")
