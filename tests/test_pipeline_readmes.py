"""What a pipeline's README says of its declaration is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pipelines import discovery

ROOT = Path(discovery.__file__).parent


@pytest.mark.parametrize("name", discovery.names())
def test_readme_names_each_detector_with_what_to_do_first(name: str) -> None:
    text = (ROOT / name / "README.md").read_text()

    for detector in discovery.load(name).detectors:
        row = next(line for line in text.splitlines() if line.startswith(f"| `{detector.name}` |"))
        assert row.endswith(f"| {detector.do_first} |")


@pytest.mark.parametrize("name", discovery.names())
def test_numbers_that_readme_sets_can_be_set(name: str) -> None:
    text = (ROOT / name / "README.md").read_text()
    settings = [json.loads(found) for found in re.findall(r'"set": (\{.*?\})', text)]

    for path, number in [item for setting in settings for item in setting.items()]:
        pipeline, _, rest = path.partition(".")
        discovery.load(pipeline).overridden({rest: number})

    assert settings


@pytest.mark.parametrize("name", discovery.names())
def test_readme_names_each_view_and_saved_query(name: str) -> None:
    text = (ROOT / name / "README.md").read_text()

    for path in [*(ROOT / name / "views").glob("*.sql"), *(ROOT / name / "queries").glob("*.sql")]:
        assert f"`{path.stem}`" in text


@pytest.mark.parametrize("name", discovery.names())
def test_costs_that_readme_adds_up_come_to_its_sum(name: str) -> None:
    text = (ROOT / name / "README.md").read_text()

    total = re.search(r"About \$(\d+) for", text)
    parts = [float(part) for part in re.findall(r"\| ([0-9.]+) \|$", text, flags=re.MULTILINE)]

    assert f"./freshet costs {name}" in text or total
    assert round(sum(parts)) == (int(total[1]) if total else 0)
