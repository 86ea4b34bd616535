"""Pipelines are found by their folders, and what is wrong with a folder is said in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lambdas.columns import DeclarationError
from pipelines import discovery

WHOLE = """
from lambdas.columns import Double, Text
from lambdas.detectors.threshold import Threshold
from lambdas.formats.json_objects import Json
from lambdas.model import HIGH, Event, Pipeline

class Level(Event, key="tank_id"):
    tank_id = Text("which tank")
    level = Double("how full", unit="%")

pipeline = Pipeline(about="levels of tanks", event=Level, formats=[Json()], detectors=[
    Threshold(name="too_full", when=Level.level > 95, severity=HIGH, do_first="Open the drain."),
])
"""


def folder(root: Path, name: str, text: str | None, *, file: str = "pipeline.py") -> Path:
    (root / name).mkdir()
    if text is not None:
        (root / name / file).write_text(text)
    return root


def test_a_folder_with_a_declaration_is_a_pipeline_named_after_it(tmp_path: Path) -> None:
    found = discovery.discover(folder(tmp_path, "tank_levels", WHOLE))

    assert list(found) == ["tank_levels"]
    assert found["tank_levels"].name == "tank_levels"
    assert found["tank_levels"].table == "tank_levels_events"


def test_folders_without_python_and_hidden_ones_are_no_pipelines(tmp_path: Path) -> None:
    folder(tmp_path, "notes", "a page", file="README.md")
    folder(tmp_path, "__pycache__", "", file="x.py")
    folder(tmp_path, ".old", WHOLE)

    assert discovery.discover(tmp_path) == {}


def test_the_pipelines_of_the_repository_are_found_in_order() -> None:
    assert list(discovery.discover()) == sorted(discovery.names())
    assert {"casino", "heart_rate", "temperature"} <= set(discovery.names())


REFUSED = {
    "no global": (
        ("tanks", "levels = 1", "pipeline.py"),
        "tanks: pipelines/tanks/pipeline.py has no global named pipeline; say pipeline = Pipeline(…).",
    ),
    "another type": (
        ("tanks", "pipeline = {}", "pipeline.py"),
        "tanks: in pipelines/tanks/pipeline.py the global pipeline is of type dict; say "
        "pipeline = Pipeline(…).",
    ),
    "import error": (
        ("tanks", "import json\nfrom json import nothing\n", "pipeline.py"),
        "tanks: pipelines/tanks/pipeline.py cannot be imported, line 2: "
        "ImportError: cannot import name 'nothing' from 'json' (json); mend it there.",
    ),
    "syntax": (
        ("tanks", "\n\npipeline = (", "pipeline.py"),
        "tanks: pipelines/tanks/pipeline.py cannot be imported, line 3: "
        "SyntaxError: '(' was never closed; mend it there.",
    ),
    "declaration": (
        ("tanks", WHOLE.replace('do_first="Open the drain."', 'do_first=""'), "pipeline.py"),
        "tanks: too_full: do_first is empty; write what the operator should do first.",
    ),
    "event": (
        ("tanks", WHOLE.replace('key="tank_id"', 'key="tank"'), "pipeline.py"),
        "tanks: Level: the key 'tank' is not one of its columns (tank_id, level).",
    ),
    "folder's name": (
        ("Tank-Levels", WHOLE, "pipeline.py"),
        "Tank-Levels: the folder's name 'Tank-Levels' is not lower snake case of at most 40 characters; "
        "rename it.",
    ),
    "file's name": (
        ("tanks", WHOLE, "pipelines.py"),
        "tanks: the folder has pipelines.py and no pipeline.py; declare the pipeline in "
        "pipelines/tanks/pipeline.py.",
    ),
}


@pytest.mark.parametrize(("given", "sentence"), REFUSED.values(), ids=list(REFUSED))
def test_a_wrong_folder_is_refused_in_one_sentence(
    tmp_path: Path, given: tuple[str, str, str], sentence: str
) -> None:
    name, text, file = given
    root = folder(tmp_path, name, text, file=file)

    with pytest.raises(DeclarationError) as refused:
        discovery.discover(root)

    assert str(refused.value).replace(json.__file__, "json") == sentence


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        DeclarationError, match="temprature: there is no such pipeline; did you mean temperature"
    ):
        discovery.load("temprature")
    everyone = ", ".join(discovery.names())
    with pytest.raises(DeclarationError, match=f"zebra: there is no such pipeline; there are {everyone}"):
        discovery.load("zebra")
