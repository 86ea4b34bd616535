"""Metrics as lines of CloudWatch's embedded format on standard output, from where the log carries them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from lambdas.effects.sending import Item

NAMESPACE = "Freshet"
MOST_DIMENSION = 1_024  # characters


def count(pipeline: str, counts: Mapping[str, int]) -> None:
    """Writes how often each thing happened. What did not is left out: a metric is paid for by the hours
    in which it is written.
    """
    blob = blank()
    blob.add_dimension("pipeline", pipeline)
    happened = {name: number for name, number in counts.items() if number}
    for name, number in happened.items():
        blob.add_metric(name, MetricUnit.Count, number)
    if happened:
        blob.flush_metrics()


def measure(items: Iterable[Item]) -> None:
    """Writes each window result that is a metric, at the time its window ends."""
    for item in items:
        aggregates = {name: value for name, value in item.body["aggregates"].items() if value is not None}
        if not aggregates:
            continue
        blob = blank()
        # Not set_timestamp: it would warn at each window of old records, which CloudWatch leaves out anyway.
        blob.timestamp = round(item.body["window_end"] * 1000)
        for name in ("pipeline", "detector", "key"):
            blob.add_dimension(name, dimension(item.body[name]))
        for name, value in aggregates.items():
            blob.add_metric(name, MetricUnit.NoUnit, value)
        blob.flush_metrics()


def blank() -> EphemeralMetrics:
    # An empty service keeps Powertools from adding a dimension of its own.
    return EphemeralMetrics(namespace=NAMESPACE, service="")


def dimension(value: str) -> str:
    """A dimension's value as CloudWatch takes it: ASCII, without line breaks, not empty.

    >>> dimension("Küche"), dimension("")
    ('K\\\\xfcche', '-')
    """
    return value.encode("unicode_escape").decode()[:MOST_DIMENSION] or "-"
