"""What tests of whole pipelines share: references as the handler would join them to an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lambdas.columns import Value
from lambdas.model import Pipeline, Row

Known = Mapping[str, Mapping[Value, Mapping[str, Value]]]


def reference_values(pipeline: Pipeline, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> Known:
    """The rows of each reference by key, each value read by its column and named as detectors know it."""
    known: dict[str, dict[Value, Mapping[str, Value]]] = {}
    for name, reference in pipeline.references.items():
        known[name] = {}
        for row in rows.get(name, ()):
            values = {
                column.label: column.read(row[each])
                for each, column in reference.columns.items()
                if row.get(each) is not None
            }
            known[name][values[reference.key.label]] = values
    return known


def enriched(row: Row, pipeline: Pipeline, known: Known) -> Row:
    """The event with the values of the references that its columns lead to."""
    values = dict(row.values)
    for name, (holder, _) in pipeline.event.references().items():
        values |= known.get(name, {}).get(row.values.get(holder.name), {})
    return replace(row, values=values)
