"""Every pipeline's cases.yaml, in several batchings; what is said of one that fails or cannot be read."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from lambdas.model import Pipeline
from pipelines import cases, discovery
from pipelines.cases import Case, CaseError

BATCH_SIZES = (cases.WHOLE, 1, 3)  # records
CASES = [case for name in discovery.names() for case in cases.read(name)]


@functools.cache
def load(name: str) -> Pipeline:
    return discovery.load(name)


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, batch_size: int) -> None:
    told = cases.verdict(case, load(case.pipeline), batch_size)

    if told:
        pytest.fail(told, pytrace=False)


@pytest.mark.parametrize("name", discovery.names())
def test_every_detector_has_a_case_that_alerts_and_one_that_is_silent(name: str) -> None:
    assert list(cases.missing(load(name), [case for case in CASES if case.pipeline == name])) == []


def test_names_of_cases_are_unique() -> None:
    assert len({str(case) for case in CASES}) == len(CASES)


def of_temperature(tmp_path: Path, text: str) -> list[Case]:
    (tmp_path / "temperature").mkdir()
    (tmp_path / "temperature" / "cases.yaml").write_text(text)
    return cases.read("temperature", tmp_path)


def one_case(**changes: str) -> str:
    parts = {"case": "a test's", "events": "[{at: +0s, sensor_id: s, temperature: 21}]", "expect": "silence"}
    lines = [f"{name}: {value}" for name, value in (parts | changes).items() if value]
    return "cases:\n  too_hot:\n    - " + "\n      ".join(lines)


FAILING = [
    (
        one_case(expect="[{opened: too_hot, key: s, at: +0s}]"),
        "expected opened too_hot (key s, at +0s); there was silence. Write in "
        "pipelines/temperature/pipeline.py the condition of too_hot (when=…) so that this case meets it: "
        "it says “temperature at least 30 °C”, "
        "and the case gives its temperature 21.0.",
    ),
    (
        one_case(events="[{at: +5s, sensor_id: s, temperature: 31}]"),
        "expected silence; there was opened too_hot (key s, at +5s). In "
        "pipelines/temperature/pipeline.py the condition of too_hot is “temperature at least 30 °C”: "
        "mend it, or the case.",
    ),
    (
        one_case(events="[{at: +0s, sensor_id: s, temperature: 31}]", expect="[{opened: too_hot, key: t}]"),
        "expected opened too_hot (key t); there was opened too_hot (key s). In pipelines/temperature/"
        "pipeline.py the condition of too_hot is “temperature at least 30 °C”: "
        "mend it, or the case.",
    ),
    (
        one_case(unreadable="1"),
        "expected 1 unreadable parts; there were 0. Mend the columns in pipelines/temperature/pipeline.py, "
        "or the case.",
    ),
    (
        one_case(expect="[{opened: too_cold}]").replace("too_hot:", "too_cold:"),
        "expected opened too_cold; there was silence. Write in pipelines/temperature/pipeline.py, under "
        "detectors, the one that is named 'too_cold'.",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), FAILING, ids=[sentence for _, sentence in FAILING])
def test_case_that_fails_says_what_to_write(tmp_path: Path, text: str, sentence: str) -> None:
    [case] = of_temperature(tmp_path, text)

    assert cases.verdict(case, load("temperature")) == (
        f'pipelines/temperature/cases.yaml, case "a test\'s": {sentence}'
    )


IN_FILE = "pipelines/temperature/cases.yaml"
UNREADABLE = [
    ("cases: {", f"{IN_FILE} is no YAML: .*line 1.*; mend it there."),
    ("events: []", f"{IN_FILE} has no cases; say cases: and under it the name of a detector."),
    ("cases: {too_hot: 3}", f"{IN_FILE}: under too_hot is no list; begin each case with '- case: …'."),
    (one_case(case=""), "case 1 of too_hot: it has no name; say case: and in some words what it shows."),
    (one_case(events=""), "it has no events; say events: and a line such as - {at: \\+0s} for each."),
    (one_case(events="[{temperature: 3}]"), "the event .* has no time; say at: \\+0s."),
    (one_case(expect="loud"), "it expects nothing; say expect: silence, or a line such as .*"),
    (one_case(expect="[{opend: too_hot}]"), "is no change; say one of opened, escalated, resolved with .*"),
    (one_case(expect="[{opened: too_hot, kee: s}]"), "a change has no field 'kee'; there are key, at, .*"),
    (one_case(expects="silence"), "a case has no 'expects'; did you mean expect."),
    (one_case(events="[{at: soon}]"), "case \"a test's\": 'soon' is no time; write one such as .*"),
    (one_case(events="[{at: +0s, temp: 3}]"), "'temp' is no column of Reading; there are sensor_id, .*"),
]


@pytest.mark.parametrize(("text", "sentence"), UNREADABLE, ids=[sentence for _, sentence in UNREADABLE])
def test_case_that_cannot_be_played_is_refused_with_a_sentence(
    tmp_path: Path, text: str, sentence: str
) -> None:
    def play() -> None:
        for case in of_temperature(tmp_path, text):
            cases.verdict(case, load("temperature"))

    with pytest.raises(CaseError, match=f"{sentence}$") as refused:
        play()

    assert str(refused.value).startswith(IN_FILE)


def test_report_tells_of_each_case_and_of_a_detector_without_one() -> None:
    said: list[str] = []

    assert cases.report(["temperature"], say=said.append)
    assert said[0].startswith("ok      temperature, too_hot: a single hot reading opens an incident")
    assert list(cases.missing(load("temperature"), [])) == [
        f"{IN_FILE}: too_hot has no case that alerts; write one.",
        f"{IN_FILE}: too_hot has no case that is silent; write one.",
    ]
