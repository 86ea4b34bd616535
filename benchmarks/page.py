"""How large a run's page is and how fast it opens, beside the same page with every reading drawn.

    PYTHONPATH=. .venv/bin/python benchmarks/page.py [READINGS]

Prints, for the page and for the alternative, its size, the time to write it, and the time from asking a
headless browser for it until it is drawn: the best of three, each in a browser of its own.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import sync_playwright

from laptop import page
from pipelines import discovery
from tests.laptop.generated_run import GeneratedRun, readings, spells

KEYS, INCIDENTS = 20, 2_000
TRIES = 3
# Both frames after the load: the first is asked for, the second comes when the first is on the screen.
DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def seconds_to_open(path: Path, executable: str) -> float:
    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=executable, args=sandbox)
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        begun = time.perf_counter()
        tab.goto(path.as_uri())
        tab.evaluate(DRAWN)
        taken = time.perf_counter() - begun
        browser.close()
    return taken


def timed(act: Callable[[], Path]) -> tuple[Path, float]:
    begun = time.perf_counter()
    return act(), time.perf_counter() - begun


def main(count: int) -> int:
    executable = next(
        filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None
    )
    if executable is None:
        print("No browser is on PATH; install one, as by: apt-get install chromium", file=sys.stderr)
        return 2
    print(f"{count:,} readings of {KEYS} keys, {INCIDENTS:,} incidents")
    print(f"{'':<12}{'MB':>8}{'write s':>10}{'open s':>10}")
    with tempfile.TemporaryDirectory() as folder:
        run = GeneratedRun(Path(folder), discovery.load("temperature"))
        keys = [f"sensor-{number}" for number in range(KEYS)]
        run.put_events(readings(count, keys=keys))
        run.put_changes(spells(INCIDENTS, keys))
        summary = run.finish(records=count, events=count, incidents=INCIDENTS)
        for name, buckets in (("thinned", page.BUCKETS), ("unthinned", count)):
            page.BUCKETS = buckets
            path, written = timed(lambda: page.write_page(run.folder, summary))
            opened = min(seconds_to_open(path, executable) for _ in range(TRIES))
            print(f"{name:<12}{path.stat().st_size / 1e6:>8.2f}{written:>10.2f}{opened:>10.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
