import json
import math
from typing import Any

import pytest

from lambdas.effects import metrics
from lambdas.effects.outbox import Outbox
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


def test_a_long_label_is_cut_and_keeps_its_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    labels = ["share(" + "x" * 300 + end for end in ("a)", "b)")]
    Outbox("", {}).send([measured(**dict(zip(labels, (1.0, 2.0), strict=True)))])
    (line,) = written(capsys)
    names = [each["Name"] for each in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    assert [len(name) for name in names] == [255, 255]
    assert [line[name] for name in names] == [[1.0], [2.0]]
    assert all(name.startswith("share(xxx") for name in names)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, 10**400, "many", [1]])
def test_a_value_that_is_no_finite_number_is_left_out(value: Any, capsys: pytest.CaptureFixture[str]) -> None:
    metrics.measure([measured(worst=value, views=3)])
    (line,) = written(capsys)
    assert (line["views"], "worst" in line) == ([3.0], False)


def test_what_the_library_refuses_is_counted_and_keeps_nothing_else_from_being_sent(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    unnamed = {"  ": 1.0}
    Outbox("", {}).send([measured(**unnamed), measured(**unnamed), measured(views=2)])
    (line,) = written(capsys)
    assert line["views"] == [2.0]
    (log,) = caplog.records
    assert (log.levelname, vars(log)["errors"]) == ("ERROR", {"MetricNameError": 2})
    assert "ios|DE" not in str(vars(log))


def test_a_count_never_raises(caplog: pytest.LogCaptureFixture) -> None:
    metrics.count("temperature", {" ": 1})
    assert [vars(log)["errors"] for log in caplog.records] == [{"MetricNameError": 1}]
