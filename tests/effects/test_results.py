import json
from typing import Any

import pytest

from lambdas.effects.results import RECORD_BYTES, Results, line, packed
from lambdas.effects.sending import Owed, Undelivered
from lambdas.effects.settings import SettingsError
from lambdas.tables import RESULT_TABLES
from tests.effects.support import Faults, delivered, delivery_stream


def window_result(number: int, **more: Any) -> Owed:
    row = {"result_id": f"r{number}", "pipeline": "temperature", "detector": "hot", "key": "sensor-1"}
    return Owed("window_result", f"r{number}", row | {"aggregates": {"mean(temperature)": 21.5}} | more)


def results() -> Results:
    return Results({kind: delivery_stream(table.name) for kind, table in RESULT_TABLES.items()})


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["result_id"] for row in rows]


def test_a_row_has_its_tables_columns_and_no_others() -> None:
    row = json.loads(line(window_result(1, secret="never")))
    assert list(row) == [column.name for column in RESULT_TABLES["window_result"].columns]
    assert row["window_start"] is None
    assert row["aggregates"] == {"mean(temperature)": 21.5}


@pytest.mark.usefixtures("aws")
def test_each_kind_goes_to_its_own_stream() -> None:
    results().send([window_result(1), Owed("finding", "f1", {"finding_id": "f1"})])
    assert ids(delivered("window_results")) == ["r1"]
    assert [row["finding_id"] for row in delivered("findings")] == ["f1"]


def test_rows_share_a_record_up_to_what_is_billed_anyway() -> None:
    lines = [line(window_result(number)) for number in range(1_000)]
    records = list(packed(lines))
    assert b"".join(records) == b"".join(lines)
    assert max(map(len, records)) <= RECORD_BYTES
    assert all(len(record) > RECORD_BYTES - 300 for record in records[:-1])
    assert all(record.endswith(b"}\n") for record in records)


def test_many_rows_keep_to_the_limits_of_a_call(aws: Faults) -> None:
    sending = results()
    large = "x" * 3_000  # two do not fit into 5 KB
    sending.send(window_result(number, key=large) for number in range(1_200))
    calls = [request["Records"] for request in aws.requested("put_record_batch")]
    assert [len(records) for records in calls] == [500, 500, 200]
    assert all(sum(len(record["Data"]) for record in records) <= 4_000_000 for records in calls)
    assert len(delivered("window_results")) == 1_200


def test_a_row_too_large_for_a_record_is_cut_and_sent() -> None:
    row = json.loads(line(window_result(1, key="k" * 1_100_000)))
    assert row["key"] == "k" * 1_000 + "…"
    assert row["result_id"] == "r1"


def refusing(places: set[int]) -> Any:
    """Firehose takes a call and refuses the records at some places of it."""

    def answer(call: Any, request: dict[str, Any]) -> Any:
        kept = [record for place, record in enumerate(request["Records"]) if place not in places]
        if kept:
            call(**request | {"Records": kept})
        responses = [
            {"ErrorCode": "ServiceUnavailableException"} if place in places else {"RecordId": "1"}
            for place in range(len(request["Records"]))
        ]
        return {"FailedPutCount": len(request["Records"]) - len(kept), "RequestResponses": responses}

    return answer


def test_refused_records_alone_are_sent_again(aws: Faults) -> None:
    sending = results()
    aws.answering("put_record_batch", refusing({1}))
    sending.send(window_result(number, key="x" * 3_000) for number in range(3))
    # The second is refused in a call of three, then alone at the first place.
    assert sorted(ids(delivered("window_results"))) == ["r0", "r1", "r2"]
    assert [len(request["Records"]) for request in aws.requested("put_record_batch")] == [3, 1]


def test_a_record_that_is_refused_to_the_end_raises(aws: Faults) -> None:
    sending = results()
    aws.answering("put_record_batch", refusing({0}))
    with pytest.raises(Undelivered, match="window_results refused 1 of 1 records"):
        sending.send([window_result(1)])


@pytest.mark.usefixtures("aws")
def test_a_kind_without_a_stream_gets_a_sentence() -> None:
    with pytest.raises(SettingsError) as refused:
        Results({}).send([Owed("finding", "f1", {})])
    assert str(refused.value) == (
        "The variable FRESHET_RESULT_STREAMS names no stream for 'finding' rows; deploy the stack again, "
        "which sets it."
    )
