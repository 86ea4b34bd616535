from datetime import timedelta
from typing import Any

import pytest

from lambdas.columns import Boolean, Double, Integer, Json, Text, Timestamp, count
from lambdas.detectors.threshold import Threshold
from lambdas.detectors.window import Window
from lambdas.effects import references as module
from lambdas.effects.references import References, Unread
from lambdas.effects.settings import SettingsError
from lambdas.formats.json_objects import Json as JsonFormat
from lambdas.model import HIGH, Event, Pipeline, Reference, Row, seconds
from tests.effects.support import Faults, make_table, real


class Guests(Reference, key="customer_id"):
    customer_id = Text("loyalty card")
    full_name = Text("the guest's name", private=True)
    spent = Double("spent in all earlier visits")
    is_active = Boolean("whether the guest still has an account")
    since = Timestamp("first visit")
    notes = Json("whatever else is known")
    tier = Text("bronze, silver or gold")


class Devices(Reference, key="device_id"):
    device_id = Integer("which device")
    room = Text("where it hangs")


class Play(Event, key="customer_id"):
    customer_id = Text("who", refers_to=Guests)
    device_id = Integer("at which device", refers_to=Devices)
    won = Double("the guest's win")


def pipeline(*detectors: Any) -> Pipeline:
    return Pipeline(about="a test's", event=Play, formats=[JsonFormat()], detectors=detectors, name="casino")


RICH = Threshold(
    name="rich",
    when=(Guests.spent > 100) & Guests.is_active.is_(True) & (Play.won > 0),
    show=[Guests.since, Guests.notes],
    severity=HIGH,
    do_first="Look.",
)
ROOM = Threshold(name="room", when=Devices.room.is_("vault"), severity=HIGH, do_first="Look.")
PLAIN = Window(name="plain", when=count() > 9, every=seconds(10), severity=HIGH, do_first="Look.")
TABLES = {"guests": "guests-table", "devices": "devices-table"}


@pytest.fixture
def tables(aws: Faults) -> Faults:
    for name, key, kind in (("guests", "customer_id", "S"), ("devices", "device_id", "N")):
        make_table(TABLES[name], key, kind)
    return aws


def guest(customer_id: str, **attributes: Any) -> None:
    item = {"customer_id": {"S": customer_id}, "full_name": {"S": "Ada Secret"}} | attributes
    real("dynamodb").put_item(TableName=TABLES["guests"], Item=item)


def play(customer_id: str | None = "c1", *, device_id: int | None = None, arrival: float = 1_000.0) -> Row:
    return Row(arrival, {"customer_id": customer_id, "device_id": device_id, "won": 1.0}, arrival)


def spent(row: Row) -> Any:
    return row.values["guests.spent"]


@pytest.mark.usefixtures("tables")
def test_values_come_as_their_columns_read_them() -> None:
    guest(
        "c1",
        spent={"N": "120.50"},
        is_active={"BOOL": True},
        since={"S": "2026-01-31T10:00:00Z"},
        notes={"M": {"visits": {"N": "3"}, "likes": {"L": [{"S": "tea"}]}}},
    )
    row = play()
    assert not +References(pipeline(RICH), TABLES).enrich([row])
    assert row.values == {
        "customer_id": "c1",
        "device_id": None,
        "won": 1.0,
        "guests.spent": 120.5,
        "guests.is_active": True,
        "guests.since": 1769853600.0,
        "guests.notes": '{"visits":3,"likes":["tea"]}',
    }


@pytest.mark.semantics(line=11, clause="shard")
def test_private_columns_do_not_even_leave_the_table(tables: Faults) -> None:
    guest("c1", spent={"N": "1"})
    row = play()
    References(pipeline(RICH), TABLES).enrich([row])
    assert not any("Secret" in str(value) for value in row.values.values())
    (request,) = tables.requested("batch_get_item")
    assert "full_name" not in request["RequestItems"]["guests-table"]["ExpressionAttributeNames"].values()


def test_a_reference_that_no_detector_reads_is_not_looked_up(tables: Faults) -> None:
    row = play(device_id=7)
    References(pipeline(PLAIN), {}).enrich([row])
    assert tables.requests == []
    assert set(row.values) == {"customer_id", "device_id", "won"}


@pytest.mark.usefixtures("tables")
def test_a_key_may_be_a_number() -> None:
    real("dynamodb").put_item(
        TableName="devices-table", Item={"device_id": {"N": "7"}, "room": {"S": "vault"}}
    )
    row = play(device_id=7)
    References(pipeline(ROOM), TABLES).enrich([row])
    assert row.values["devices.room"] == "vault"


@pytest.mark.usefixtures("tables")
def test_a_missing_item_is_null_and_counted() -> None:
    rows = [play("nobody"), play("nobody")]
    counts = References(pipeline(RICH), TABLES).enrich(rows)
    assert spent(rows[0]) is None
    assert counts["reference_missing"] == 2


@pytest.mark.parametrize("key", [None, "", "x" * 2_049])
def test_a_key_that_no_item_can_have_fails_no_call(tables: Faults, key: str | None) -> None:
    guest("c1", spent={"N": "1"})
    rows = [play(key), play("c1")]
    counts = References(pipeline(RICH), TABLES).enrich(rows)
    assert (spent(rows[0]), spent(rows[1])) == (None, 1.0)
    assert counts["reference_missing"] == 1
    assert len(tables.requested("batch_get_item")) == 1


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(
    "attributes",
    [
        {"spent": {"S": "a lot"}},
        {"spent": {"BOOL": True}},
        {"spent": {"NS": ["1", "2"]}},
        {"notes": {"B": b"\x00"}},
        {"notes": {"M": {"inner": {"SS": ["a"]}}}},
        {"since": {"N": "12"}},
    ],
)
def test_a_value_that_does_not_fit_is_null_and_counted(attributes: dict[str, Any]) -> None:
    guest("c1", is_active={"BOOL": True}, **attributes)
    row = play()
    counts = References(pipeline(RICH), TABLES).enrich([row])
    assert row.values[f"guests.{next(iter(attributes))}"] is None
    assert row.values["guests.is_active"] is True
    assert counts["reference_unfit"] == 1


@pytest.mark.usefixtures("tables")
def test_a_null_and_an_absent_attribute_are_alike() -> None:
    guest("c1", spent={"NULL": True})
    row = play()
    assert not +References(pipeline(RICH), TABLES).enrich([row])
    assert (spent(row), row.values["guests.is_active"]) == (None, None)


SPAN = 60.0  # of Guests, which declares none


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"spent": {"N": "1"}}, {"spent": {"N": "2"}}),  # changed
        (None, {"spent": {"N": "2"}}),  # added: somebody registers
        ({"spent": {"N": "1"}}, None),  # removed
        ({"spent": {"N": "1"}}, {"spent": {"S": "a lot"}}),  # spoilt
        ({"spent": {"S": "a lot"}}, {"spent": {"N": "2"}}),  # mended
    ],
)
def test_what_becomes_of_an_item_is_seen_once_the_span_is_over_and_not_before(
    tables: Faults, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> None:
    def put(attributes: dict[str, Any] | None) -> float | None:
        real("dynamodb").delete_item(TableName=TABLES["guests"], Key={"customer_id": {"S": "c1"}})
        if attributes is None:
            return None
        guest("c1", **attributes)
        return float(attributes["spent"]["N"]) if "N" in attributes["spent"] else None

    known = References(pipeline(RICH), TABLES)
    was = put(before)
    known.enrich([play(arrival=1_000)])
    is_now = put(after)
    young, replayed, old = play(arrival=1_000 + SPAN - 0.1), play(arrival=1_000), play(arrival=1_000 + SPAN)
    for row in (young, replayed, old):
        known.enrich([row])
    assert (spent(young), spent(replayed), spent(old)) == (was, was, is_now)
    assert len(tables.requested("batch_get_item")) == 2


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("span", [seconds(0), seconds(5), seconds(3_600)])
def test_a_reference_declares_how_long_it_may_be_stale(span: timedelta) -> None:
    class Guests(Reference, key="customer_id", stale_after=span):
        customer_id = Text("loyalty card")
        spent = Double("spent in all earlier visits")

    class Visit(Event, key="customer_id"):
        customer_id = Text("who", refers_to=Guests)

    rich = Threshold(name="rich", when=Guests.spent > 100, severity=HIGH, do_first="Look.")
    declared = Pipeline(
        about="a test's", event=Visit, formats=[JsonFormat()], detectors=[rich], name="casino"
    )
    known = References(declared, TABLES)
    guest("c1", spent={"N": "1"})
    known.enrich([play(arrival=1_000)])
    guest("c1", spent={"N": "2"})
    young, old = (
        play(arrival=1_000 + max(0, span.total_seconds() - 1)),
        play(arrival=1_000 + span.total_seconds()),
    )
    known.enrich([young])
    known.enrich([old])
    assert (spent(young), spent(old)) == (1.0 if span else 2.0, 2.0)


@pytest.mark.usefixtures("tables")
def test_old_records_that_come_again_do_not_get_what_was_read_for_newer_ones() -> None:
    known = References(pipeline(RICH), TABLES)
    guest("c1", spent={"N": "1"})
    known.enrich([play(arrival=90_000)])
    guest("c1", spent={"N": "2"})
    row = play(arrival=1_000)
    known.enrich([row])
    assert spent(row) == 2.0


def test_a_batch_asks_for_each_key_once_and_a_hundred_at_a_time(tables: Faults) -> None:
    rows = [play(f"c{number % 250}") for number in range(1_000)]
    References(pipeline(RICH), TABLES).enrich(rows)
    asked = [
        request["RequestItems"]["guests-table"]["Keys"] for request in tables.requested("batch_get_item")
    ]
    assert [len(keys) for keys in asked] == [100, 100, 50]


def test_keys_that_were_left_over_are_asked_for_again(tables: Faults) -> None:
    for number in range(10):
        guest(f"c{number}", spent={"N": str(number)})

    def three_at_a_time(call: Any, request: dict[str, Any]) -> Any:
        ((table, asked),) = request["RequestItems"].items()
        answer = call(RequestItems={table: asked | {"Keys": asked["Keys"][:3]}})
        left = asked["Keys"][3:]
        return answer | {"UnprocessedKeys": {table: asked | {"Keys": left}} if left else {}}

    tables.answering("batch_get_item", three_at_a_time)
    rows = [play(f"c{number}") for number in range(10)]
    References(pipeline(RICH), TABLES).enrich(rows)
    assert [spent(row) for row in rows] == [float(number) for number in range(10)]


def test_keys_that_stay_left_over_get_a_sentence(tables: Faults) -> None:
    def nothing(_call: Any, request: dict[str, Any]) -> Any:
        return {"Responses": {}, "UnprocessedKeys": request["RequestItems"]}

    tables.answering("batch_get_item", nothing)
    with pytest.raises(Unread) as refused:
        References(pipeline(RICH), TABLES).enrich([play("c1"), play("c2")])
    assert str(refused.value) == (
        "The reference table guests-table left 2 of 2 keys unread 8 times; give it more read capacity."
    )


def test_only_so_many_items_are_kept_and_a_larger_batch_still_finds_all(
    tables: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 3)
    for number in range(5):
        guest(f"c{number}", spent={"N": str(number)})
    known = References(pipeline(RICH), TABLES)
    rows = [play(f"c{number}") for number in range(5)]
    known.enrich(rows)
    assert [spent(row) for row in rows] == [0.0, 1.0, 2.0, 3.0, 4.0]
    known.enrich([play(f"c{number}") for number in range(5)])
    again = tables.requested("batch_get_item")[1]["RequestItems"]["guests-table"]["Keys"]
    assert again == [{"customer_id": {"S": "c0"}}, {"customer_id": {"S": "c1"}}]


def test_a_reference_without_a_table_gets_a_sentence() -> None:
    with pytest.raises(SettingsError) as refused:
        References(pipeline(RICH), {})
    assert str(refused.value) == (
        "The variable FRESHET_REFERENCE_TABLES names no table for 'guests'; deploy the stack again, which "
        "sets it."
    )
