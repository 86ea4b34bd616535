"""The thirteen declarations load, are valid, stay on one page and are typed: the model carries them."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import mypy.api
import pytest

from lambdas.detectors.detector import Detector
from lambdas.model import Pipeline
from pipelines import discovery

ROOT = Path(__file__).parent.parent
MOST_LINES = 40
MANY_COLUMNS = 12  # each further one has a line more
DECLARED_ONLY = {
    path.stem: path for path in (ROOT / "tests/declarations").glob("*.py") if path.stem != "declared"
}
WHOLE = {path.parent.name: path for path in (ROOT / "pipelines").glob("*/pipeline.py")}
FILES = WHOLE | DECLARED_ONLY


def load(name: str) -> Pipeline:
    if name in WHOLE:
        return discovery.load(name)
    pipeline = importlib.import_module(f"tests.declarations.{name}").pipeline
    assert isinstance(pipeline, Pipeline)
    return pipeline.named(name)


def declaration_lines(source: str) -> int:
    """The lines of a file that are neither blank, comment, import nor the module's docstring."""
    module = ast.parse(source)
    skipped: set[int] = set()
    for node in module.body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_docstring or isinstance(node, ast.Import | ast.ImportFrom):
            skipped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.splitlines(), start=1)
    return sum(
        1 for at, line in lines if at not in skipped and line.strip() and not line.strip().startswith("#")
    )


def test_thirteen_use_cases_are_declared() -> None:
    assert len(FILES) >= 13
    assert not WHOLE.keys() & DECLARED_ONLY.keys()


@pytest.mark.parametrize("name", sorted(FILES))
def test_declaration_is_valid_and_on_one_page(name: str) -> None:
    pipeline = load(name)

    assert pipeline.name == name
    assert pipeline.detectors
    assert all(isinstance(detector, Detector) for detector in pipeline.detectors)
    many = max(0, len(pipeline.event.columns) - MANY_COLUMNS)
    assert declaration_lines(FILES[name].read_text()) <= MOST_LINES + many


@pytest.mark.parametrize("name", sorted(FILES))
def test_each_number_that_a_detector_names_can_be_overridden(name: str) -> None:
    pipeline = load(name)

    for detector in pipeline.detectors:
        assert isinstance(detector, Detector)
        for number in detector.numbers():
            detector.overridden(number, 7)


def test_declarations_pass_the_type_checker() -> None:
    said, errors, status = mypy.api.run(
        ["--strict", "--config-file", str(ROOT / "pyproject.toml"), *sorted(map(str, FILES.values()))]
    )

    assert status == 0, said + errors
