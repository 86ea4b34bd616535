"""What an operator looks at: each step of an event's way as graphs of the pipeline that is chosen above them.

CloudWatch exchanges a text of the dashboard for the chosen value, but no one text stands in the names of a
pipeline's function, queue and delivery, as those are generated. So each graph holds its metrics of every
pipeline, hidden, under ids that begin with the pipeline's name, and shows an expression over those whose ids
begin with the chosen one's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any  # a dashboard's body is as mixed as JSON

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from lambdas.effects.metrics import NAMESPACE
from stacks.constructs.metered import METERED

CHOSEN = "chosen_pipeline"  # what the chosen pipeline's name takes the place of
FULL, GRAPH, HEADING, ALARMS = 24, 6, 1, 4  # of the grid: its width, heights


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a graph: a metric of one `part` of the pipeline, or of what its handlers count.

    `shown` is metric math in which {} is the metric; no data is zero, unless that would be a value.
    """

    label: str
    metric: str
    part: str = ""
    statistic: str = "Sum"
    shown: str = "FILL({}, 0)"


@dataclass(frozen=True, kw_only=True)
class Graph:
    """`limit` is a number and what it is."""

    title: str
    lines: Sequence[Line]
    limit: tuple[float, str] | None = None
    period: int = 60  # s


SECONDS, MINUTES = "{} / 1000", "{} / 60000"  # of milliseconds
ROWS: Mapping[str, Sequence[Graph]] = {
    "In: what producers send": [
        Graph(
            title="Records that came in, a minute",
            lines=[Line(label="records", metric="IncomingRecords", part="stream")],
        ),
        Graph(
            title="MB a second into the stream",
            lines=[
                Line(
                    label="MB a second",
                    metric="IncomingBytes",
                    part="stream",
                    shown="FILL({}, 0) / 60 / 1000000",
                )
            ],
            limit=(1, "what one shard takes"),
        ),
        Graph(
            title="Puts that the stream refused: it is full",
            lines=[Line(label="refused", metric="WriteProvisionedThroughputExceeded", part="stream")],
        ),
    ],
    "Detect: reads each event, keeps the shards' state, finds what is strange": [
        Graph(
            title="Minutes that detect is behind the stream",
            lines=[
                Line(
                    label="minutes behind",
                    metric="IteratorAge",
                    part="detect",
                    statistic="Maximum",
                    shown=MINUTES,
                )
            ],
            limit=(10, "alarm"),
        ),
        Graph(
            title="Calls of detect, and failures",
            lines=[
                Line(label="calls", metric="Invocations", part="detect"),
                Line(label="failed", metric="Errors", part="detect"),
            ],
        ),
        Graph(
            title="Seconds that a batch takes, the longest",
            lines=[
                Line(label="seconds", metric="Duration", part="detect", statistic="Maximum", shown=SECONDS)
            ],
        ),
        Graph(
            title="Events given up, late or repeated",
            lines=[
                Line(
                    label="given up, kept in S3",
                    metric="OnFailureDestinationDeliveredEventCount",
                    part="records",
                ),
                Line(label="given up, in the stream only", metric="DroppedEventCount", part="records"),
                Line(label="a detector failed", metric="faults"),
                Line(label="late", metric="late"),
                Line(label="repeated", metric="duplicates"),
            ],
        ),
    ],
    "Tick: moves the clock of quiet shards": [
        Graph(
            title="Ticks in five minutes; five are due",
            lines=[
                Line(label="ticks", metric="Invocations", part="tick"),
                Line(label="failed", metric="Errors", part="tick"),
            ],
            period=300,
        ),
        Graph(
            title="Seconds that a tick takes, the longest; 55 are the most",
            lines=[Line(label="seconds", metric="Duration", part="tick", statistic="Maximum", shown=SECONDS)],
        ),
    ],
    "Found: what is strange, and the incidents that come of it": [
        Graph(title="Findings", lines=[Line(label="findings", metric="findings")], period=300),
        Graph(
            title="Incidents: opened, and all their changes",
            lines=[Line(label="opened", metric="opened"), Line(label="changes", metric="changes")],
            period=300,
        ),
    ],
    "Told: the alerts": [
        Graph(
            title="Changes that were told, and calls that failed",
            lines=[
                Line(label="told", metric="NumberOfMessagesDeleted", part="changes"),
                Line(label="failed", metric="Errors", part="alert"),
            ],
            period=300,
        ),
        Graph(
            title="Minutes that the oldest change waits to be told",
            lines=[
                Line(
                    label="minutes",
                    metric="ApproximateAgeOfOldestMessage",
                    part="changes",
                    statistic="Maximum",
                    shown="FILL({}, 0) / 60",
                )
            ],
            limit=(10, "alarm"),
        ),
        Graph(
            title="Not delivered: these wait for a person",
            lines=[
                Line(
                    label="undelivered changes",
                    metric="ApproximateNumberOfMessagesVisible",
                    part="undelivered",
                    statistic="Maximum",
                ),
                Line(label="SMS given up", metric="sms_given_up"),
            ],
            period=300,
        ),
    ],
    "Lake: what analysts ask": [
        Graph(
            title="Minutes that the oldest event waits for the lake",
            lines=[
                Line(
                    label="minutes",
                    metric="DeliveryToS3.DataFreshness",
                    part="delivery",
                    statistic="Maximum",
                    shown="{} / 60",
                )
            ],
            limit=(15, "alarm"),
        ),
        Graph(
            title="Records delivered into the lake",
            lines=[Line(label="delivered", metric="DeliveryToS3.Records", part="delivery")],
            period=300,
        ),
        Graph(
            title="Left out of the lake",
            lines=[
                Line(label="rows that do not fit", metric="FailedConversion.Records", part="delivery"),
                Line(label="failed calls of transform", metric="Errors", part="transform"),
            ],
            period=300,
        ),
    ],
    "Quarantine: what cannot be read; the view quarantine_reasons says why": [
        Graph(
            title="Parts of records that were quarantined",
            lines=[Line(label="parts", metric="quarantined")],
            period=300,
        ),
        Graph(
            title="Records: all, and those with a quarantined part",
            lines=[
                Line(label="all", metric="SucceedProcessing.Records", part="delivery"),
                Line(label="with a quarantined part", metric="quarantined_records"),
            ],
            period=900,
        ),
    ],
}


class PipelinesDashboard(Construct):
    """`names` are each pipeline's generated names by part, `alarms` the ARNs of alarms by whose they are."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        name: str,
        names: Mapping[str, Mapping[str, str]],
        alarms: Mapping[str, Sequence[str]],
    ) -> None:
        super().__init__(scope, id)
        stack = cdk.Stack.of(self)
        body = {
            "start": "-PT12H",
            "periodOverride": "inherit",
            "variables": [
                {
                    "id": "pipeline",
                    "type": "pattern",
                    "pattern": CHOSEN,
                    "inputType": "select",
                    "label": "Pipeline",
                    "visible": True,
                    "defaultValue": next(iter(names)),
                    "values": [{"value": each, "label": each} for each in names],
                }
            ],
            "widgets": list(_placed(_widgets(names, alarms, stack.region))),
        }
        cloudwatch.CfnDashboard(
            self, "Dashboard", dashboard_name=name, dashboard_body=stack.to_json_string(body)
        )


def _widgets(
    names: Mapping[str, Mapping[str, str]], alarms: Mapping[str, Sequence[str]], region: str
) -> Iterator[list[dict[str, Any]]]:
    """The rows of widgets, from the top."""
    yield [_heading("Alarms of every pipeline")]
    boxes = [
        {"type": "alarm", "height": ALARMS, "properties": {"title": whose, "alarms": list(arns)}}
        for whose, arns in alarms.items()
    ]
    yield from (boxes[at : at + 4] for at in range(0, len(boxes), 4))
    for heading, graphs in ROWS.items():
        yield [_heading(f"{CHOSEN} · {heading}")]
        yield [_graph(graph, names, region) for graph in graphs]


def _placed(rows: Iterator[list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """The widgets with their places: a row shares the width, the next stands below it."""
    y = 0
    for row in rows:
        width = FULL // len(row)
        for spot, widget in enumerate(row):
            yield {"x": spot * width, "y": y, "width": width, **widget}
        y += max(widget["height"] for widget in row)


def _heading(text: str) -> dict[str, Any]:
    return {"type": "text", "height": HEADING, "properties": {"markdown": f"## {text}"}}


def _graph(graph: Graph, names: Mapping[str, Mapping[str, str]], region: str) -> dict[str, Any]:
    metrics: list[list[Any]] = []
    for letter, line in zip(ascii_lowercase, graph.lines, strict=False):
        metrics += _hidden(line, letter, names)
        expression = line.shown.format(f"{CHOSEN}_{letter}")
        metrics.append([{"expression": expression, "label": line.label, "id": f"shown_{letter}"}])
    properties: dict[str, Any] = {
        "title": graph.title,
        "view": "timeSeries",
        "stacked": False,
        "region": region,
        "period": graph.period,
        "yAxis": {"left": {"min": 0, "showUnits": False}},
        "metrics": metrics,
    }
    if graph.limit is not None:
        value, label = graph.limit
        properties["annotations"] = {"horizontal": [{"value": value, "label": label}]}
    return {"type": "metric", "height": GRAPH, "properties": properties}


def _hidden(line: Line, letter: str, names: Mapping[str, Mapping[str, str]]) -> Iterator[list[Any]]:
    """The line's metric of each pipeline; one of the handlers' counts has the pipeline's own name."""
    more = {"stat": line.statistic, "visible": False}
    if not line.part:
        yield [NAMESPACE, line.metric, "pipeline", CHOSEN, {**more, "id": f"{CHOSEN}_{letter}"}]
        return
    namespace, dimension = METERED[line.part]
    for pipeline, parts in names.items():
        yield [namespace, line.metric, dimension, parts[line.part], {**more, "id": f"{pipeline}_{letter}"}]
