"""The example in each detector's docstring runs."""

import doctest
import importlib
import pkgutil

import pytest

import lambdas.detectors
from lambdas import model
from tests.detectors import support

MODULES = [found.name for found in pkgutil.iter_modules(lambdas.detectors.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_documented_example_runs(name: str) -> None:
    module = importlib.import_module(f"lambdas.detectors.{name}")
    names = {**vars(support), "readings": support.rows, "beats": support.rows, "plays": support.rows}
    names |= {name: getattr(model, name) for name in ("HIGH", "CRITICAL", "seconds", "minutes")}
    names |= {"mean": importlib.import_module("lambdas.columns").mean}
    failed, _ = doctest.testmod(module, extraglobs=names)
    assert failed == 0


@pytest.mark.parametrize("name", ["columns", "model", "incidents", "formats.decode", "detectors.detector"])
def test_model_examples_run(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"lambdas.{name}"))
    assert tried > 0
    assert failed == 0
