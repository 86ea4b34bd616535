import pytest
from botocore.exceptions import ClientError

from lambdas.effects import sending
from lambdas.effects.sending import PATIENT_TRIES, Undelivered, batches, deliver, shortened
from tests.effects.support import Faults, refusal


def test_batches_keep_the_order_and_both_limits() -> None:
    assert list(batches("aabcccd", lambda _: 1, most=3, most_bytes=99)) == [list("aab"), list("ccc"), ["d"]]
    assert list(batches(["aa", "b", "cc", "d"], len, most=9, most_bytes=3)) == [["aa", "b"], ["cc", "d"]]


def test_a_part_beyond_the_limit_goes_alone() -> None:
    assert list(batches(["a", "bbbb", "c"], len, most=9, most_bytes=3)) == [["a"], ["bbbb"], ["c"]]


@pytest.mark.usefixtures("aws")
def test_only_what_was_refused_is_sent_again() -> None:
    sent: list[list[str]] = []

    def send(parts: list[str]) -> list[tuple[str, str]]:
        sent.append(list(parts))
        return [(part, "Throttled") for part in parts[1:]]

    deliver(["a", "b", "c"], send, "the queue")
    assert sent == [["a", "b", "c"], ["b", "c"], ["c"]]


@pytest.mark.usefixtures("aws")
def test_what_is_refused_to_the_end_gets_a_sentence() -> None:
    with pytest.raises(Undelivered) as refused:
        deliver(["a", "b"], lambda parts: [(part, "Throttled") for part in parts[-1:]], "the queue")
    assert str(refused.value) == (
        f"the queue refused 1 of 2 records {PATIENT_TRIES} times, last with Throttled; look at its limits "
        "and at the function's rights. Nothing is lost: they are kept and sent again."
    )


def test_a_throttled_service_is_given_twenty_seconds_and_ever_longer_waits(
    aws: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert aws is not None
    waits: list[float] = []
    monkeypatch.setattr("lambdas.effects.sending.time.sleep", waits.append)
    monkeypatch.setattr("lambdas.effects.sending.random.uniform", lambda _least, most: most)
    with pytest.raises(Undelivered):
        deliver(["a"], lambda parts: [(part, "Throttled") for part in parts], "the stream")
    assert waits == sorted(waits)
    assert 15 < sum(waits) <= 20


@pytest.mark.usefixtures("aws")
def test_a_budget_may_be_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PATIENT_TRIES", 2)
    with pytest.raises(Undelivered, match="refused 1 of 1 records 2 times"):
        deliver(["a"], lambda parts: [(part, "Throttled") for part in parts], "the stream")


@pytest.mark.usefixtures("aws")
def test_a_call_refused_whole_by_a_busy_service_is_made_again() -> None:
    calls: list[list[str]] = []

    def send(parts: list[str]) -> list[tuple[str, str]]:
        calls.append(parts)
        if len(calls) < 7:
            raise refusal("PutRecordBatch", "ServiceUnavailableException", 503)
        return []

    deliver(["a", "b"], send, "the stream")
    assert calls == [["a", "b"]] * 7


def test_a_call_refused_for_another_reason_is_not_made_again() -> None:
    def send(_parts: list[str]) -> list[tuple[str, str]]:
        raise refusal("PutRecordBatch", "AccessDeniedException", 400)

    with pytest.raises(ClientError, match="AccessDenied"):
        deliver(["a"], send, "the stream")


def test_a_row_too_large_keeps_the_beginning_of_each_text() -> None:
    row = {
        "key": "k" * 5_000,
        "shown": {"message": "m" * 5_000},
        "parts": [{"name": "n" * 5_000}],
        "score": 1.5,
    }
    cut = shortened(row)
    assert cut["key"] == "k" * 1_000 + "…"
    assert cut["shown"]["message"] == "m" * 1_000 + "…"
    assert cut["parts"][0]["name"] == "n" * 1_000 + "…"
    assert cut["score"] == 1.5
