"""The examples in the docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import lambdas.alerting

MODULES = [f"lambdas.alerting.{found.name}" for found in pkgutil.iter_modules(lambdas.alerting.__path__)]


@pytest.mark.parametrize("name", [*MODULES, "lambdas.effects.incidents"])
def test_documented_examples_run(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))

    assert failed == 0
