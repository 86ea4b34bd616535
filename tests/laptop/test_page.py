"""The page of a run in a real browser: offline, on a phone, without a mouse, with hostile and many events."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from lambdas.columns import Double, Text, Timestamp, lake_time
from lambdas.detectors.threshold import Threshold
from lambdas.formats.json_objects import Json
from lambdas.model import CRITICAL, LOW, Event, Pipeline
from laptop.chart import GRAIN, Span
from laptop.page import write_page
from pipelines import discovery
from sql.lake import Lake
from tests.laptop.generated_run import START, GeneratedRun, change, readings, spells

HOSTILE = "<script>window.hacked = 1</script>"
LONG = "k" * 3_000
PEAK = 61.25
MOST_BYTES = 5_000_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "google-chrome", "chromium-browser")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        missing = "No browser is on PATH; install one, as by: apt-get install chromium"
        # Where the tests decide on a change, none may be left out unseen.
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=found, args=sandbox)
        yield started
        started.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> GeneratedRun:
    """An hour of three sensors, two with hostile names; three incidents, and a quarantine of five parts."""
    made = GeneratedRun(tmp_path_factory.mktemp("run"), discovery.load("temperature"))
    made.put_events(readings(30_000, keys=["sensor-1", HOSTILE, LONG], peak=PEAK))
    made.put_changes(
        [
            change(1, "opened", key="sensor-1", number=1),
            change(2, "escalated", key="sensor-1", number=1, severity=CRITICAL, observed=PEAK),
            change(
                3,
                "resolved",
                key="sensor-1",
                number=1,
                severity=CRITICAL,
                ended_at=START + 700,
                reason="clear",
            ),
            change(1, "opened", key=HOSTILE, number=2, at=2_000, sentence=HOSTILE),
            change(1, "opened", key=LONG, number=3, at=2_500, observed=1.7e308),
        ]
    )
    made.put_quarantine(
        [
            {"reason": "temperature is text that is not a number.", "field": "temperature", "value": HOSTILE,
             "shard_id": "shard", "sequence_number": f"q{number}"}
            for number in range(5)
        ]
    )  # fmt: skip
    summary = made.finish(records=30_005, events=30_000, quarantined=5, findings=5, incidents=3, open=2)
    write_page(made.folder, summary)
    return made


Opened = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, run: GeneratedRun) -> Iterator[Opened]:
    """Opens the run's page as a browser without a network does; what goes wrong in it fails the test."""
    wrong: list[str] = []
    contexts = []

    def open_page(path: Path = run.path, **options: Any) -> Page:
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto((path / "page.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def test_page_opens_offline_and_asks_for_nothing_else(browser: Browser, run: GeneratedRun) -> None:
    context = browser.new_context(offline=True)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto((run.path / "page.html").as_uri())

    assert asked == [(run.path / "page.html").as_uri()]
    assert page.locator("svg.readings").count() == 3
    context.close()


def test_policy_of_the_page_forbids_every_outside_resource(browser: Browser, run: GeneratedRun) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto((run.path / "page.html").as_uri())

    refused = page.evaluate(
        """() => new Promise(answer => {
            const refused = [];
            document.addEventListener("securitypolicyviolation", event => {
                refused.push(event.effectiveDirective);
                if (refused.length === 4) answer(refused.sort());
            });
            document.body.append(Object.assign(new Image(), {src: "https://example.com/a.png"}));
            const script = document.createElement("script");
            script.textContent = "window.hacked = 1";
            document.body.append(script);
            const style = document.createElement("style");
            style.textContent = "* { color: red }";
            document.body.append(style);
            fetch("https://example.com/").catch(() => 0);
            setTimeout(() => answer(refused), 5000);
        })"""
    )

    assert refused == ["connect-src", "img-src", "script-src-elem", "style-src-elem"]
    context.close()


@pytest.mark.parametrize("width", [320, 360, 1280])
def test_nothing_is_wider_than_the_screen(opened: Opened, width: int) -> None:
    page = opened(viewport={"width": width, "height": 780})
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")

    assert page.evaluate("document.documentElement.scrollWidth") == width


def press_until(page: Page, key: str, reached: str) -> None:
    for _ in range(50):
        page.keyboard.press(key)
        if page.evaluate(f"document.activeElement.matches({reached!r})"):
            return
    raise AssertionError(f"{key} does not reach {reached}")


def test_keyboard_alone_reaches_an_alert_from_the_picture(opened: Opened) -> None:
    page = opened()
    text = page.get_by_text("[HIGH] temperature sensor-1: too hot")
    assert not text.is_visible()

    press_until(page, "Tab", ".lanes a")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.matches('summary')")

    assert text.is_visible()
    assert "Do first: Check the cooling" in page.inner_text("details.incident[open]")


def test_keyboard_alone_opens_an_incident_of_the_list(opened: Opened) -> None:
    page = opened()

    press_until(page, "Tab", "details.incident summary")
    page.keyboard.press("Enter")

    assert page.locator("details.incident[open] pre").first.is_visible()


def test_arrows_go_from_incident_to_incident(opened: Opened) -> None:
    page = opened()
    press_until(page, "Tab", ".lanes a")

    page.keyboard.press("ArrowRight")
    second = page.evaluate("document.activeElement.getAttribute('href')")
    page.keyboard.press("ArrowLeft")
    first = page.evaluate("document.activeElement.getAttribute('href')")

    links = page.eval_on_selector_all(".lanes a", "all => all.map(a => a.getAttribute('href'))")
    assert [first, second] == links[:2]


def test_focus_is_seen(opened: Opened) -> None:
    page = opened()

    press_until(page, "Tab", "details.incident summary")

    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_without_scripts_charts_are_there_and_details_open(opened: Opened) -> None:
    page = opened(java_script_enabled=False)

    page.locator("details.incident summary").first.click()

    assert page.locator("svg.readings path").count() == 3
    assert page.locator("details.incident pre").first.is_visible()


def test_incident_shows_each_alert_as_its_reader_got_it(opened: Opened, run: GeneratedRun) -> None:
    page = opened()

    shown = page.locator("details.incident").first.locator("pre").all_text_contents()

    sent = [f"{each.subject}\n\n{each.body}" for each in run.messages if "sensor-1" in each.subject]
    assert shown == sent
    assert len(sent) == 3


def test_numbers_are_those_of_the_lake(opened: Opened, run: GeneratedRun) -> None:
    page = opened()
    lake = Lake(run.path)

    shown = page.eval_on_selector_all(".flow data", "all => all.map(each => Number(each.value))")

    asked = [
        int(lake.query(f"select count({what}) from {table}").rows[0][0])  # noqa: S608 - names of this test
        for what, table in (
            ("*", "temperature_events"), ("*", "findings"), ("distinct incident_id", "incident_changes")
        )
    ]  # fmt: skip
    assert shown == [30_005, *asked, len(run.messages)]
    assert "Nothing is lost: 30,005 records sent" in page.inner_text("main")
    assert page.locator("td", has_text="temperature is text").locator("xpath=..").inner_text().endswith("5")


def test_lost_record_is_said(run: GeneratedRun, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    lost = GeneratedRun(tmp_path / "run", run.pipeline)
    page = write_page(lost.folder, lost.finish(records=30_007, events=30_000, quarantined=5)).read_text()

    assert "2 records unaccounted for" in page
    assert "Nothing is lost" not in page


def test_thinning_is_explained_only_where_readings_are_thinned(
    opened: Opened, run: GeneratedRun, tmp_path: Path
) -> None:
    few = GeneratedRun(tmp_path, run.pipeline)
    few.put_events(readings(60, keys=["sensor-1"]))
    write_page(few.folder, few.finish(records=60, events=60))

    shown = [opened(path).inner_text("main") for path in (run.path, tmp_path)]

    assert ["more readings than can be drawn" in each for each in shown] == [True, False]


def test_no_line_is_drawn_over_a_label(opened: Opened) -> None:
    covered = opened().evaluate(
        """() => [...document.querySelectorAll("svg.readings")].flatMap(chart => {
            const path = chart.querySelector("path");
            return [...chart.querySelectorAll("text[x='0']")].map(text =>
                Boolean(text.compareDocumentPosition(path) & Node.DOCUMENT_POSITION_FOLLOWING));
        })"""
    )

    assert len(covered) >= 9
    assert not any(covered)


def test_incident_of_no_length_is_seen_in_its_chart(
    opened: Opened, run: GeneratedRun, tmp_path: Path
) -> None:
    short = GeneratedRun(tmp_path, run.pipeline)
    short.put_events(readings(60, keys=["sensor-1"]))
    ended = change(2, "resolved", key="sensor-1", ended_at=START + 600, reason="clear")
    short.put_changes([change(1, "opened", key="sensor-1"), ended])
    write_page(short.folder, short.finish(records=60, events=60, incidents=1))
    page = opened(tmp_path)

    # What a browser hits is what it has painted.
    painted = page.evaluate(
        """() => {
            const chart = document.querySelector("svg.readings");
            chart.scrollIntoView({block: "center"});
            const box = chart.getBoundingClientRect();
            const part = 600 / (3600 - 60);
            return document.elementsFromPoint(box.left + part * box.width, box.top + 150)
                .map(each => each.getAttribute("class")).filter(Boolean);
        }"""
    )

    assert "shade high" in painted


def test_peak_is_drawn_though_readings_are_thinned(run: GeneratedRun) -> None:
    page = (run.path / "page.html").read_text()
    lake = Lake(run.path)
    low, high, at = lake.query(
        "select min(temperature), max(temperature), max_by(to_unixtime(measured_at), temperature) "
        "from temperature_events where sensor_id = 'sensor-1'"
    ).rows[0]
    began, ended = lake.query(
        "select min(to_unixtime(measured_at)), max(to_unixtime(measured_at)) from temperature_events"
    ).rows[0]

    values = Span.around([low, high, 30.0])
    drawn = f"{round(GRAIN * Span(began, ended).part(at))} {round(GRAIN * (1 - values.part(PEAK)))}"

    assert high == PEAK
    paths = re.findall(r'<path class="line" d="([^"]+)"', page)
    # The other keys' paths do not hold it, so it is not there by chance.
    assert [drawn in path for path in paths].count(True) == 1
    assert all(path.count(" ") < 4_000 for path in paths)
    assert "10,000 readings, thinned to " in page


def test_hostile_texts_are_shown_and_do_nothing(opened: Opened) -> None:
    page = opened()
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")

    assert page.evaluate("window.hacked") is None
    assert page.locator("script").count() == 1
    shown = page.inner_text("main")
    assert shown.count(HOSTILE) >= 4  # a chart, a lane, an incident, an example of the quarantine


def test_page_of_a_run_without_labels_speaks_of_none(opened: Opened) -> None:
    shown = opened().inner_text("body")

    assert "labelled" not in shown
    assert "missed" not in shown


def test_labels_are_told_where_there_are_some(run: GeneratedRun, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    labelled = GeneratedRun(tmp_path / "run", run.pipeline)
    summary = labelled.finish(anomalies=3, missed=["too_hot/sensor-1"], false_incidents=[])

    page = write_page(labelled.folder, summary).read_text()

    assert "2 of 3 labelled anomalies found, 0 false incidents" in page
    assert "3 labelled: 1 missed, 0 false" in page


class Visit(Event, key="door", time="at"):
    door = Text("which door")
    visitor = Text("who came", private=True)
    weight = Double("of the visitor", unit="kg", private=True)
    length = Double("of the stay", unit="min")
    at = Timestamp("when")


visits = Pipeline(
    about="who comes and goes",
    event=Visit,
    formats=[Json()],
    detectors=[Threshold(name="long_stay", when=Visit.length > 60, severity=LOW, do_first="Knock.")],
    name="visits",
)


def test_private_columns_are_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "load", lambda _: visits)
    run = GeneratedRun(tmp_path, visits)
    run.put_events(
        "select 'front' as door, 'Jane Secret' as visitor, 77.125 as weight, 12.5 as length, "
        f"to_timestamp({START})::timestamp as at, 's' as shard_id, '1' as sequence_number, "
        '0 as record_index, "at" as arrived_at'
    )
    run.put_quarantine(
        [{"reason": "visitor is a number.", "field": "visitor", "value": "", "data": "SmFuZQ=="}]
    )

    page = write_page(run.folder, run.finish(records=1, events=1)).read_text()

    assert "length, min" in page
    assert [each for each in ("Jane", "SmFuZQ", "77.1", "of the visitor") if each in page] == []


def test_number_of_the_person_concerned_is_nowhere(tmp_path: Path) -> None:
    run = GeneratedRun(tmp_path, discovery.load("heart_rate"))
    beat = change(1, "opened", key="7", pipeline="heart_rate", detector="out_of_range")
    run.put_changes([beat], numbers=["+491701234567"])

    page = write_page(run.folder, run.finish(incidents=1)).read_text()

    assert "SMS to the person concerned" in page
    assert "Please check now." in page
    assert "1701234567" not in page


CONTRAST = """() => {
    const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
        .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const parts = colour => colour.match(/[\\d.]+/g).map(Number);
    const paper = light(parts(getComputedStyle(document.body).backgroundColor));
    return [...document.querySelectorAll("body *")].flatMap(each => {
        if (![...each.childNodes].some(node => node.nodeType === 3 && node.data.trim())) return [];
        const style = getComputedStyle(each);
        if (["SCRIPT", "TITLE", "title"].includes(each.tagName)) return [];
        const ink = light(parts(each.namespaceURI.endsWith("svg") ? style.fill : style.color));
        const contrast = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
        return contrast < 4.5 ? [`${each.tagName}.${each.className} ${contrast}`] : [];
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast(opened: Opened, scheme: Any) -> None:
    page = opened(color_scheme=scheme)

    assert page.evaluate(CONTRAST) == []


def test_light_and_dark_differ(opened: Opened) -> None:
    papers = [
        opened(color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]

    assert len(set(papers)) == 2


def test_structure_can_be_heard(opened: Opened) -> None:
    page = opened()
    levels = page.eval_on_selector_all(
        "h1, h2, h3, h4, h5, h6", "all => all.map(each => Number(each.tagName[1]))"
    )
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("svg.readings, svg.lanes, svg a, nav, section")]
            .filter(each => !(each.getAttribute("aria-label") || each.getAttribute("aria-labelledby")))
            .map(each => each.outerHTML.slice(0, 80))"""
    )
    ids = page.eval_on_selector_all("[id]", "all => all.map(each => each.id)")

    assert page.evaluate("document.documentElement.lang") == "en"
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= level + 1 for level, later in pairwise(levels))
    assert nameless == []
    assert len(ids) == len(set(ids))
    named = page.eval_on_selector_all(".lanes a", "all => all.map(a => a.getAttribute('aria-label'))")
    assert named[0].startswith("critical: sensor-1, too hot, 2026-01-31 10:10:00")


def test_page_prints(opened: Opened) -> None:
    assert opened().pdf(format="A4").startswith(b"%PDF")


def test_page_of_a_million_events_is_small_and_says_what_it_leaves_out(
    tmp_path: Path, opened: Opened
) -> None:
    run = GeneratedRun(tmp_path, discovery.load("temperature"))
    keys = [f"sensor-{number}" for number in range(1_000)]
    run.put_events(readings(1_000_000, keys=keys))
    run.put_changes(spells(2_000, keys))
    run.put_quarantine(
        {"reason": f"reason {number}", "field": "", "value": "x" * 10_000} for number in range(1_000)
    )

    page = write_page(run.folder, run.finish(records=1_001_000, events=1_000_000, incidents=2_000))

    assert page.stat().st_size < MOST_BYTES
    shown = opened(tmp_path).inner_text("main")
    assert "880 more keys; ask: " in shown
    assert "1,800 more incidents; ask: " in shown
    assert re.search(r"\d+ incidents? on this page", shown)
    assert "850 more reasons; ask: " in shown
    queries = re.findall(r'\./freshet query "(.+)"', shown)
    assert [len(Lake(tmp_path).query(query).rows) for query in queries] == [1_000, 2_000, 1_000]


def test_page_is_small_though_every_key_is_strange_all_the_time(tmp_path: Path) -> None:
    run = GeneratedRun(tmp_path, discovery.load("temperature"))
    keys = [f"sensor-{number}" for number in range(120)]
    run.put_events(readings(240_000, keys=keys))
    run.put_results(
        "finding",
        (
            {
                "finding_id": f"{key} {second}",
                "pipeline": "temperature",
                "detector": "too_hot",
                "key": key,
                "found_at": lake_time(START + second),
                "severity": "critical",
                "score": second,
                "observed": 50.0,
                "sentence": "temperature is " + "9" * 1_000,
            }
            for key in keys
            for second in range(0, 3_600, 18)
        ),
    )

    page = write_page(run.folder, run.finish(findings=24_000))

    assert page.stat().st_size < MOST_BYTES
    # Each chart has its marks, and the latest finding, which has the highest score, is among them.
    html = page.read_text()
    assert html.count("2026-01-31 10:59:42, critical") == len(keys)
    assert html.count('<circle class="mark') == 6_000
