"""The dashboard: whatever pipeline is chosen, it shows that one's metrics, and each of them exists."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines import discovery
from stacks.constructs.dashboard import CHOSEN
from tests.stacks.template import only, resources

ROOT = Path(__file__).parents[2]
PIPELINES = discovery.names()
NAMED = re.compile(r"<SsmParameterValuefreshet(\w+?)metered\w+>\[(\d)\]")
# By namespace and dimension the type of resource whose name is the dimension's value, and the metrics that
# AWS documents for it.
MEASURED = {
    ("AWS/Kinesis", "StreamName"): (
        "AWS::Kinesis::Stream",
        {"IncomingRecords", "IncomingBytes", "WriteProvisionedThroughputExceeded"},
    ),
    ("AWS/Lambda", "FunctionName"): (
        "AWS::Lambda::Function",
        {"Invocations", "Errors", "Duration", "IteratorAge", "DestinationDeliveryFailures"},
    ),
    ("AWS/Lambda", "EventSourceMappingUUID"): (
        "AWS::Lambda::EventSourceMapping",
        {"OnFailureDestinationDeliveredEventCount", "DroppedEventCount"},
    ),
    ("AWS/SQS", "QueueName"): (
        "AWS::SQS::Queue",
        {"NumberOfMessagesDeleted", "ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"},
    ),
    ("AWS/Firehose", "DeliveryStreamName"): (
        "AWS::KinesisFirehose::DeliveryStream",
        {
            "DeliveryToS3.DataFreshness",
            "DeliveryToS3.Records",
            "ExecuteProcessing.Success",
            "FailedConversion.Records",
            "SucceedProcessing.Records",
        },
    ),
}


def stack_of(pipeline: str) -> str:
    return f"freshet-{pipeline.replace('_', '-')}"


def counted() -> set[str]:
    """What handlers count, as their code says it."""
    text = "\n".join(path.read_text() for path in (ROOT / "lambdas").rglob("*.py"))
    return set(re.findall(r'counts\["(\w+)"\]', text)) | set(re.findall(r'count\([^{\n]+\{"(\w+)": ', text))


@pytest.fixture(scope="module")
def body(cdk_out: Path) -> Any:
    dashboard = only(cdk_out, "AWS::CloudWatch::Dashboard", stack="freshet-dashboard")
    # An account has one set of names for all its Regions.
    assert dashboard.properties["DashboardName"] == "Freshet-<AWS::Region>"
    return json.loads(dashboard.properties["DashboardBody"])


def chosen(body: Any, pipeline: str) -> Any:
    """The dashboard as CloudWatch shows it with a pipeline chosen."""
    (variable,) = body["variables"]
    rest = {name: part for name, part in body.items() if name != "variables"}
    return json.loads(json.dumps(rest).replace(variable["pattern"], pipeline))


def graphs(body: Any) -> list[Any]:
    return [each["properties"] for each in body["widgets"] if each["type"] == "metric"]


def resolved(cdk_out: Path, value: str) -> tuple[str, str]:
    """The pipeline's stack and the resource that a name in the dashboard stands for."""
    named = NAMED.fullmatch(value)
    assert named, f"{value} is the name of nothing that a pipeline publishes"
    pipeline = next(name for name in PIPELINES if name.replace("_", "") == named[1])
    (parameter,) = resources(cdk_out, "AWS::SSM::Parameter", stack=stack_of(pipeline))
    reference = parameter.properties["Value"].split(",")[int(named[2])].strip("<>")
    logical_id = reference.partition(".")[0]
    (resource,) = [
        each for each in resources(cdk_out, stack=stack_of(pipeline)) if each.logical_id == logical_id
    ]
    return pipeline, resource.type


def test_one_is_chosen_of_all_pipelines_from_a_list(body: Any) -> None:
    (variable,) = body["variables"]

    assert (variable["type"], variable["inputType"], variable["pattern"]) == ("pattern", "select", CHOSEN)
    assert sorted(each["value"] for each in variable["values"]) == PIPELINES
    assert variable["defaultValue"] in PIPELINES


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_what_is_shown_is_the_chosen_pipelines(cdk_out: Path, body: Any, pipeline: str) -> None:
    for graph in graphs(chosen(body, pipeline)):
        metrics = {each[-1]["id"]: each[:4] for each in graph["metrics"] if "expression" not in each[0]}
        shown = [each[0] for each in graph["metrics"] if "expression" in each[0]]
        assert len(metrics) + len(shown) == len(graph["metrics"])  # no id twice
        assert shown
        for line in shown:
            (used,) = re.findall(r"[a-z]\w*_[a-z]\b", line["expression"])
            namespace, _, dimension, value = metrics[used]
            if namespace == "Freshet":
                assert (dimension, value) == ("pipeline", pipeline)
            else:
                assert resolved(cdk_out, value)[0] == pipeline
        assert all(each[-1]["visible"] is False for each in graph["metrics"] if "expression" not in each[0])


def test_every_metric_of_the_dashboard_exists(cdk_out: Path, body: Any) -> None:
    for graph in graphs(body):
        for namespace, metric, dimension, value, _ in (each for each in graph["metrics"] if len(each) > 1):
            if namespace == "Freshet":
                assert metric in counted(), metric
                continue
            kind, metrics = MEASURED[namespace, dimension]
            assert metric in metrics, f"{namespace} has no {metric}"
            assert resolved(cdk_out, value)[1] == kind


def test_every_metric_of_an_alarm_exists(cdk_out: Path) -> None:
    for alarm in resources(cdk_out, "AWS::CloudWatch::Alarm"):
        for each in alarm.properties["Metrics"]:
            if "MetricStat" not in each:
                continue
            metric = each["MetricStat"]["Metric"]
            (dimension,) = metric["Dimensions"]
            known = (
                counted()
                if metric["Namespace"] == "Freshet"
                else MEASURED[metric["Namespace"], dimension["Name"]][1]
            )
            assert metric["MetricName"] in known, alarm.logical_id


def test_alarms_of_every_stack_stand_on_top(cdk_out: Path, body: Any) -> None:
    shown = [
        arn.rpartition(":alarm:")[2]
        for each in body["widgets"]
        if each["type"] == "alarm"
        for arn in each["properties"]["alarms"]
    ]
    last = max(each["y"] for each in body["widgets"] if each["type"] == "alarm")

    alarms = resources(cdk_out, "AWS::CloudWatch::Alarm")
    assert sorted(shown) == sorted(each.properties["AlarmName"] for each in alarms)
    assert all(graph["y"] > last for graph in body["widgets"] if graph["type"] == "metric")


def test_no_widget_covers_another_or_leaves_the_grid(body: Any) -> None:
    taken: set[tuple[int, int]] = set()
    for each in body["widgets"]:
        spots = {
            (each["x"] + right, each["y"] + down)
            for right in range(each["width"])
            for down in range(each["height"])
        }
        assert not spots & taken
        assert each["x"] + each["width"] <= 24
        taken |= spots


def test_the_dashboard_keeps_to_the_limits_of_cloudwatch(body: Any) -> None:
    counts = [len(graph["metrics"]) for graph in graphs(body)]

    assert max(counts) <= 500
    assert sum(counts) <= 2_500  # hidden ones too
    assert all(
        len(each["properties"]["alarms"]) <= 100 for each in body["widgets"] if each["type"] == "alarm"
    )
    assert len(body["widgets"]) <= 500


def test_the_dashboard_waits_for_every_pipeline_and_ties_none_down(cdk_out: Path) -> None:
    manifest = json.loads((cdk_out / "manifest.json").read_text())["artifacts"]
    template = (cdk_out / "freshet-dashboard.template.json").read_text()

    assert {stack_of(name) for name in PIPELINES} <= set(manifest["freshet-dashboard"]["dependencies"])
    assert "Fn::ImportValue" not in template
