"""The demo: an hour of labelled traffic through the deployed pipelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console

from laptop.perform import REFUSALS, overrides_of, perform
from laptop.run import Traffic, merged, traffic_of
from laptop.terminal import Terminal
from pipelines import discovery


class DemoError(RuntimeError):
    """The demo cannot run; the message says what to mend."""


def demo(
    wanted: Sequence[str],
    *,
    seconds: float,
    seed: int,
    start: float,
    numbers: Mapping[str, float],
    quiet: bool,
) -> None:
    """Synthesizes, deploys, plays and shows; raises `DemoError` with a sentence."""
    if not 0 < seconds < float("inf"):
        raise DemoError(f"There is no traffic of {seconds / 60:g} minutes; say --minutes 60.")
    try:
        names = [discovery.load(name).name for name in dict.fromkeys(wanted) or discovery.names()]
        for name in names:
            discovery.load(name).overridden(overrides_of(name, numbers))
        modules = {name: traffic_of(name) for name in names}
        traffic = Traffic(
            sent=merged(modules, seed=seed, start=start, seconds=seconds),
            start=start,
            seconds=seconds,
            references={
                name: module.references(seed)
                for name, module in modules.items()
                if hasattr(module, "references")
            },
        )
        with Terminal(Console(), quiet=quiet) as terminal:
            perform(names, traffic, terminal, numbers=numbers, seed=seed)
    except REFUSALS as error:
        raise DemoError(str(error)) from error
