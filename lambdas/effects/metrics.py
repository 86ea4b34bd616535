"""Metrics as lines of CloudWatch's embedded format on standard output, from where the log carries them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from lambdas.effects.sending import Item

NAMESPACE = "Freshet"
MOST_DIMENSION = 1_024  # characters
MOST_NAME = 255  # characters of a metric's name
LARGEST = 2.0**360  # of CloudWatch's values, either side of zero
DIGEST = 16  # hex digits that tell shortened names apart

logger = Logger(child=True)


def count(pipeline: str, counts: Mapping[str, int]) -> None:
    """Writes how often each thing happened. What did not is left out: a metric is paid for by the hours
    in which it is written.
    """
    happened = {name: number for name, number in counts.items() if number}
    if not happened:
        return
    try:
        blob = blank()
        blob.add_dimension("pipeline", pipeline)
        for name, number in happened.items():
            blob.add_metric(metric_name(name), MetricUnit.Count, number)
        blob.flush_metrics()
    except Exception as error:  # it is called after commits, which a metric must not make to be done again
        lost({type(error).__name__: 1})


def measure(items: Iterable[Item]) -> None:
    """Writes each window result that is a metric, at the time its window ends.

    Raises nothing: an item that could never be written would be sent again for ever, and with it every row
    of its commit.
    """
    failures: Counter[str] = Counter()
    for item in items:
        try:
            write(item.body)
        except Exception as error:  # its text may quote a key
            failures[type(error).__name__] += 1
    if failures:
        lost(failures)


def write(body: Mapping[str, Any]) -> None:
    aggregates = {name: value for name, value in body["aggregates"].items() if is_measurable(value)}
    if not aggregates:
        return
    blob = blank()
    # Not set_timestamp: it would warn at each window of old records, which CloudWatch leaves out anyway.
    blob.timestamp = round(body["window_end"] * 1000)
    for name in ("pipeline", "detector", "key"):
        blob.add_dimension(name, dimension(body[name]))
    for name, value in aggregates.items():
        blob.add_metric(metric_name(name), MetricUnit.NoUnit, value)
    blob.flush_metrics()


def lost(failures: Mapping[str, int]) -> None:
    logger.error(
        "Metrics could not be written and are left out; window results are in the lake all the same.",
        errors=dict(failures),
    )


def is_measurable(value: object) -> bool:
    """Whether CloudWatch takes the value: a number, finite and not beyond its range."""
    return isinstance(value, int | float) and abs(value) <= LARGEST


def metric_name(label: str) -> str:
    """A label as CloudWatch takes it for a name. One that is cut ends in a digest of the whole, since long
    labels often differ in their ends alone.

    >>> metric_name("total(won)"), len(metric_name("w" * 300))
    ('total(won)', 255)
    """
    if len(label) <= MOST_NAME:
        return label
    return f"{label[: MOST_NAME - DIGEST - 1]}~{sha256(label.encode()).hexdigest()[:DIGEST]}"


def blank() -> EphemeralMetrics:
    # An empty service keeps Powertools from adding a dimension of its own.
    return EphemeralMetrics(namespace=NAMESPACE, service="")


def dimension(value: str) -> str:
    """A dimension's value as CloudWatch takes it: ASCII, without line breaks, not empty.

    >>> dimension("Küche"), dimension("")
    ('K\\\\xfcche', '-')
    """
    return value.encode("unicode_escape").decode()[:MOST_DIMENSION] or "-"
