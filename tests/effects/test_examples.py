"""The examples in docstrings run."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["metrics", "state_log"])
def test_documented_example_runs(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"lambdas.effects.{name}"))
    assert tried > 0
    assert failed == 0
