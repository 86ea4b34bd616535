"""One whole run: synthesize, deploy, play, keep, count, draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any  # settings are as mixed as JSON

from lambdas.columns import DeclarationError
from laptop.assembly import SynthError, assembly
from laptop.clock import Clock
from laptop.cloud import Cloud
from laptop.figures import Figures, as_summary, gather
from laptop.page import write_page
from laptop.policies import PolicyError
from laptop.resources import DeployError
from laptop.run import QUIET, NoTraffic, Run, Traffic
from laptop.run_folder import NoRun, RunFolder
from laptop.services import NotHonoured
from laptop.terminal import Terminal
from pipelines import discovery
from sql.errors import SqlError
from sql.lake import Lake

RECIPIENTS = [{"email": "operators@example.com"}, {"sms": "+15555550100", "severities": ["critical"]}]
# What ends a run with its own sentence.
REFUSALS = (DeclarationError, DeployError, NoRun, NoTraffic, NotHonoured, PolicyError, SqlError, SynthError)


@dataclass(frozen=True, kw_only=True)
class Performed:
    """A finished run: its folder, and its figures by pipeline."""

    folder: RunFolder
    figures: Sequence[Figures]


def perform(
    names: Sequence[str],
    traffic: Traffic,
    terminal: Terminal,
    *,
    numbers: Mapping[str, float],
    beside: Callable[[Run], None] = lambda _: None,
    **more: Any,
) -> Performed:
    """Plays traffic through the pipelines as `numbers` override them (`pipeline.detector.number`).

    `beside` does what is to be done on the deployed account before the first record; `more` goes into the
    summary.
    """
    terminal.stage(f"synthesizing the app with {', '.join(names)}")
    cdk_out = assembly(
        {"freshet": {"pipelines": list(names), "recipients": RECIPIENTS, "set": dict(numbers)}}
    )
    folder = RunFolder.new()
    with Cloud(Clock(traffic.start)) as cloud:
        terminal.stage("deploying its templates into the laptop's AWS")
        cloud.deploy(cdk_out)
        with closing(Run(cloud, folder, terminal.steps())) as run:
            run.keep()
            if stale := Lake(folder.path).stale_views():
                raise SqlError(f"{stale[0]} It is a file under pipelines/*/views.")
            terminal.stage(
                f"{len(cloud.resources)} resources deployed; playing {span(traffic.seconds)} and "
                f"{span(QUIET)} of silence after it"
            )
            for name, rows in traffic.references.items():
                run.seed_references(name, rows)
            beside(run)
            run.play(traffic)
            terminal.stage("keeping the lake")
            run.keep()
            played, messages, troubles = run.played, run.messages, run.troubles()
            ended = cloud.clock.now
    gathered = gather(
        folder,
        records={name: played.records[name] for name in names},
        labels=played.labels,
        messages=messages,
        troubles=troubles,
        views={name: views_of(name) for name in names},
        ended=ended,
    )
    summary = as_summary(
        gathered,
        start=traffic.start,
        seconds=traffic.seconds,
        ended=ended,
        overrides={name: overrides_of(name, numbers) for name in names},
        **more,
    )
    folder.finish(summary)
    page = write_page(folder, summary)
    terminal.closing(gathered)
    terminal.stage(f"see it: {page}")
    terminal.stage('ask it: ./freshet query "show tables"')
    return Performed(folder=folder, figures=gathered)


def overrides_of(pipeline: str, numbers: Mapping[str, float]) -> dict[str, float]:
    """A pipeline's own numbers, by `detector.number`."""
    return {
        path.removeprefix(f"{pipeline}."): value
        for path, value in numbers.items()
        if path.startswith(f"{pipeline}.")
    }


def views_of(pipeline: str) -> list[str]:
    return [path.stem for path in sorted((discovery.ROOT / pipeline / "views").glob("*.sql"))]


def span(seconds: float) -> str:
    """
    >>> span(5.4), span(90), span(3_600), span(7_000_000)
    ('5 s', '1.5 min', '60 min', '81 days')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{round(seconds / 60, 1):g} min" if seconds < 86_400 else f"{seconds / 86_400:,.0f} days"
