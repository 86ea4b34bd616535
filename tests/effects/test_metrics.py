import json
from typing import Any

import pytest

from lambdas.effects import metrics
from lambdas.effects.sending import Owed

WINDOW_END = 1_769_853_660.0


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "temperature")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Freshet")


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def measured(**aggregates: float | None) -> Owed:
    facts = {"pipeline": "shop", "detector": "revenue", "key": "ios|DE", "window_end": WINDOW_END}
    return Owed("metric", "r1", facts | {"aggregates": aggregates})


def test_counts_are_one_line_by_pipeline(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.count("temperature", {"events": 100, "late": 2, "evicted": 0})
    (line,) = written(capsys)
    (directive,) = line.pop("_aws")["CloudWatchMetrics"]
    assert directive == {
        "Namespace": "Freshet",
        "Dimensions": [["pipeline"]],
        "Metrics": [{"Name": "events", "Unit": "Count"}, {"Name": "late", "Unit": "Count"}],
    }
    assert line == {"pipeline": "temperature", "events": [100.0], "late": [2.0]}


def test_nothing_happened_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.count("temperature", {"events": 0})
    assert written(capsys) == []


def test_a_window_is_a_metric_at_its_end_by_detector_and_key(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.measure([measured(**{"total(revenue)": 12.5, "mean(price)": None})])
    (line,) = written(capsys)
    stamp = line.pop("_aws")
    assert stamp["Timestamp"] == 1_769_853_660_000
    assert stamp["CloudWatchMetrics"] == [
        {
            "Namespace": "Freshet",
            "Dimensions": [["pipeline", "detector", "key"]],
            "Metrics": [{"Name": "total(revenue)", "Unit": "None"}],
        }
    ]
    assert line == {"pipeline": "shop", "detector": "revenue", "key": "ios|DE", "total(revenue)": [12.5]}


def test_windows_do_not_run_into_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.measure([measured(views=1), measured(clicks=2)])
    first, second = written(capsys)
    assert ("clicks" in first, "views" in second) == (False, False)


def test_a_window_without_a_number_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.measure([measured(views=None)])
    assert written(capsys) == []


@pytest.mark.parametrize(
    ("key", "value"), [("Küche", "K\\xfcche"), ("a\nb", "a\\nb"), ("", "-"), ("k" * 2_000, "k" * 1_024)]
)
def test_a_dimension_is_what_cloudwatch_takes(key: str, value: str) -> None:
    assert metrics.dimension(key) == value
