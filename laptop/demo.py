"""The demo: an hour of labelled traffic through the deployed pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from types import ModuleType

from rich.console import Console

from lambdas.columns import DeclarationError
from laptop.assembly import SynthError, assembly
from laptop.clock import Clock
from laptop.cloud import Cloud
from laptop.figures import as_summary, gather
from laptop.policies import PolicyError
from laptop.resources import DeployError
from laptop.run import NoTraffic, Run, merged, traffic_of
from laptop.run_folder import RunFolder
from laptop.services import NotHonoured
from laptop.terminal import Terminal
from pipelines import discovery

RECIPIENTS = [{"email": "operators@example.com"}, {"sms": "+15555550100", "severities": ["critical"]}]


class DemoError(RuntimeError):
    """The demo cannot run; the message says what to mend."""


def demo(wanted: Sequence[str], *, seconds: float, seed: int, start: float, quiet: bool) -> int:
    """Synthesizes, deploys, plays and shows; raises `DemoError` with a sentence."""
    if seconds <= 0:
        raise DemoError("There is no traffic in no time; say --minutes 60.")
    try:
        names = [discovery.load(name).name for name in wanted or discovery.names()]
        traffics = {name: traffic_of(name) for name in names}
        with Terminal(Console(), quiet=quiet) as terminal:
            return _demo(traffics, terminal, seconds=seconds, seed=seed, start=start)
    except (DeclarationError, NoTraffic, SynthError, DeployError, NotHonoured, PolicyError) as error:
        raise DemoError(str(error)) from error


def _demo(
    traffics: dict[str, ModuleType], terminal: Terminal, *, seconds: float, seed: int, start: float
) -> int:
    names = list(traffics)
    folder = RunFolder.new()
    terminal.stage(f"synthesizing the app with {', '.join(names)}")
    settings = {"pipelines": names, "recipients": RECIPIENTS}
    cdk_out = assembly({"freshet": settings})
    with Cloud(Clock(start)) as cloud:
        terminal.stage("deploying its templates into the laptop's AWS")
        cloud.deploy(cdk_out)
        terminal.stage(f"{len(cloud.resources)} resources deployed; playing {seconds / 60:g} min of traffic")
        with closing(Run(cloud, folder, terminal.steps())) as run:
            for name, module in traffics.items():
                references = getattr(module, "references", None)
                if references is not None:
                    run.seed_references(name, references(seed))
            traffic = merged(traffics, seed=seed, start=start, seconds=seconds)
            run.play(traffic, start=start, seconds=seconds)
            terminal.stage("keeping the lake")
            run.keep()
            played, messages, troubles = run.played, run.messages, run.troubles()
            ended = cloud.clock.now
    views = {
        name: [path.stem for path in sorted((discovery.ROOT / name / "views").glob("*.sql"))]
        for name in names
    }
    gathered = gather(
        folder,
        records={name: played.records[name] for name in names},
        labels=played.labels,
        messages=messages,
        troubles=troubles,
        views=views,
        ended=ended,
    )
    folder.finish(as_summary(gathered, start=start, seconds=seconds, seed=seed, ended=ended))
    terminal.closing(gathered)
    terminal.stage(f'the run is in {folder.path}; ask it: .venv/bin/python freshet.py query "show tables"')
    return 0
