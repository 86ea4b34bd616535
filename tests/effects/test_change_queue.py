from typing import Any

import pytest

from lambdas.effects.change_queue import ChangeQueue
from lambdas.effects.sending import Owed, Undelivered
from lambdas.incidents import IncidentChange
from lambdas.model import HIGH
from tests.effects.support import Faults, fifo_queue, received


def change(incident: str, version: int = 1, **more: Any) -> Owed:
    given: dict[str, Any] = {
        "incident_id": incident,
        "version": version,
        "state": "opened",
        "pipeline": "temperature",
        "detector": "too_hot",
        "key": "sensor-1",
        "direction": "high",
        "severity": HIGH,
        "since": 1.0,
        "detected_at": 1.0,
        "changed_at": 1.0,
    }
    made = IncidentChange(**given | more)
    return Owed("incident_change", made.change_id, made.to_row())


def refusing(*ids: str) -> Any:
    """SQS refuses these changes each time."""

    def answer(call: Any, request: dict[str, Any]) -> Any:
        failed = [entry for entry in request["Entries"] if entry["MessageDeduplicationId"] in ids]
        kept = [entry for entry in request["Entries"] if entry not in failed]
        done = call(**request | {"Entries": kept}) if kept else {"Successful": []}
        failures = [{"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"} for entry in failed]
        return done | {"Failed": failures}

    return answer


@pytest.mark.usefixtures("aws")
def test_a_change_arrives_as_it_was_made() -> None:
    url = fifo_queue()
    ChangeQueue(url).send([change("i1", key="Küche \uffff", sentence="temperature is 31 °C.")])
    (row,) = received(url)
    told = IncidentChange.from_row(row)
    assert (told.change_id, told.key, told.sentence) == ("i1-1", "Küche \uffff", "temperature is 31 °C.")


@pytest.mark.semantics(line=10, clause="queue")
def test_group_and_deduplication_come_from_the_incident(aws: Faults) -> None:
    ChangeQueue(fifo_queue()).send([change("i1", 3)])
    (entry,) = aws.requested("send_message_batch")[0]["Entries"]
    assert (entry["MessageGroupId"], entry["MessageDeduplicationId"]) == ("i1", "i1-3")


def test_many_changes_keep_to_the_limits_of_a_call(aws: Faults) -> None:
    url = fifo_queue()
    ChangeQueue(url).send([change(f"i{number}") for number in range(25)])
    assert [len(request["Entries"]) for request in aws.requested("send_message_batch")] == [10, 10, 5]
    assert len(received(url)) == 25


def test_large_changes_keep_to_the_bytes_of_a_call(aws: Faults) -> None:
    url = fifo_queue()
    ChangeQueue(url).send([change(f"i{number}", sentence="x" * 100_000) for number in range(5)])
    assert [len(request["Entries"]) for request in aws.requested("send_message_batch")] == [2, 2, 1]
    assert len(received(url)) == 5


@pytest.mark.usefixtures("aws")
def test_a_change_too_large_for_the_queue_is_cut_and_sent() -> None:
    url = fifo_queue()
    ChangeQueue(url).send([change("i1", key="k" * 300_000)])
    (row,) = received(url)
    assert IncidentChange.from_row(row).key == "k" * 1_000 + "…"


@pytest.mark.semantics(line=10, clause="queue")
@pytest.mark.usefixtures("aws")
def test_what_was_sent_before_is_not_doubled() -> None:
    url = fifo_queue()
    ChangeQueue(url).send([change("i1")])
    ChangeQueue(url).send([change("i1"), change("i1", 2)])
    assert [row["change_id"] for row in received(url)] == ["i1-1", "i1-2"]


@pytest.mark.semantics(line=10, clause="queue")
def test_an_incidents_changes_stay_in_order_when_the_first_is_refused_at_first(aws: Faults) -> None:
    url = fifo_queue()
    times = iter(range(99))

    def refuse_once(call: Any, request: dict[str, Any]) -> Any:
        return refusing(*(["i1-1"] if next(times) == 0 else []))(call, request)

    aws.answering("send_message_batch", refuse_once)
    ChangeQueue(url).send([change("i1", 1), change("i2", 1), change("i1", 2)])
    arrived = [row["change_id"] for row in received(url)]
    assert sorted(arrived) == ["i1-1", "i1-2", "i2-1"]
    assert arrived.index("i1-1") < arrived.index("i1-2")


def test_a_change_that_is_refused_to_the_end_raises(aws: Faults) -> None:
    url = fifo_queue()
    aws.answering("send_message_batch", refusing("i2-1"))
    with pytest.raises(Undelivered, match="refused 1 of 2 records 9 times, last with InternalError"):
        ChangeQueue(url).send([change("i1"), change("i2")])
    assert [row["change_id"] for row in received(url)] == ["i1-1"]


def test_nothing_to_send_asks_for_no_client(aws: Faults) -> None:
    ChangeQueue("https://queue").send([])
    assert aws.requests == []
