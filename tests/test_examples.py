"""Every example in a docstring runs."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from lambdas import columns, model
from tests.detectors import support

HOUSE = Path(__file__).parents[1]
ROOMS = ("docs", "glue_jobs", "lambdas", "laptop", "operate", "pipelines", "sql", "stacks")
EXAMPLES = sorted(
    ".".join(path.relative_to(HOUSE).with_suffix("").parts)
    for room in ROOMS
    for path in (HOUSE / room).rglob("*.py")
    if ">>> " in path.read_text()
)
# A detector's example plays rows and says its limits as a declaration does.
OF_DETECTORS = {
    **vars(support),
    **dict.fromkeys(("readings", "beats", "plays"), support.rows),
    **{name: getattr(model, name) for name in ("HIGH", "CRITICAL", "seconds", "minutes")},
    "mean": columns.mean,
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(name: str) -> None:
    given = OF_DETECTORS if name.startswith("lambdas.detectors.") else {}

    failed, tried = doctest.testmod(importlib.import_module(name), extraglobs=given)

    assert tried > 0
    assert failed == 0


def test_every_detector_has_an_example() -> None:
    detectors = {path.stem for path in (HOUSE / "lambdas" / "detectors").glob("*.py")} - {"__init__"}

    assert {f"lambdas.detectors.{name}" for name in detectors - {"aggregates"}} <= set(EXAMPLES)
