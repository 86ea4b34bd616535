"""What a run shows on the terminal: progress, each message as its reader gets it, the closing table."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from laptop.figures import Figures
from laptop.messages import Message
from laptop.run import Progress as Steps
from sql.lake import Answer, render

KIND = ("pipeline", "detector", "state", "direct")  # of a message, by what it was routed
CHANNELS = {"email": "e-mail", "sms": "SMS"}


class Terminal:
    """Plain lines where nobody watches, a moving bar where somebody does."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._shown: set[tuple[str | None, ...]] = set()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[records]:,} records, {task.fields[rate]:,.0f} a second"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("traffic", total=None, records=0, rate=0.0, visible=False)
        self._tenth = 0
        self._began = 0.0

    def steps(self) -> Steps:
        return Steps(stage=self.stage, moved=self.moved, message=self.message)

    def __enter__(self) -> Terminal:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def stage(self, words: str) -> None:
        # A path that is broken over lines cannot be clicked.
        self._console.print(Text(f"· {words}", style="bold"), soft_wrap=True)

    def note(self, words: str) -> None:
        self._console.print(Text(f"  {words}"), soft_wrap=True)

    def moved(self, share: float, records: int) -> None:
        self._began = self._began or time.monotonic()
        passed = time.monotonic() - self._began
        rate = records / passed if passed else 0.0
        self._bar.update(self._task, completed=share, total=1.0, records=records, rate=rate, visible=True)
        tenth = int(10 * share)
        if tenth > self._tenth and not self._console.is_terminal:
            self._tenth = tenth
            left = passed / share - passed
            self.note(
                f"{share:4.0%}, {records:,} records sent, {rate:,.0f} a second, about {left:,.0f} s left"
            )

    def message(self, message: Message) -> None:
        """The first of its kind as its reader gets it, others in a line."""
        if self._quiet:
            return
        title = f"{CHANNELS[message.channel]} to {message.to}"
        kind = (message.channel, *(message.attributes.get(name) for name in KIND))
        if kind in self._shown:
            line = message.subject or message.body.partition("\n")[0]
            self._console.print(Text(f"  {title}: {line}"), overflow="ellipsis", no_wrap=True)
            return
        self._shown.add(kind)
        text = f"Subject: {message.subject}\n\n{message.body}" if message.subject else message.body
        self._console.print(Panel(Text(text), title=Text(title), title_align="left", expand=False))

    def closing(self, gathered: Sequence[Figures]) -> None:
        """Rows are what was counted, columns the pipelines."""
        table = Table(title="What came of it", title_justify="left", pad_edge=False)
        table.add_column("")
        for figures in gathered:
            table.add_column(figures.pipeline, justify="right")
        for title, name in ROWS:
            table.add_row(title, *(f"{getattr(figures, name):,}" for figures in gathered))
        for channel, words in CHANNELS.items():
            table.add_row(
                f"alerts by {words}", *(f"{figures.alerts.get(channel, 0):,}" for figures in gathered)
            )
        table.add_section()
        for figures in gathered:
            for view, rows in figures.views.items():
                table.add_row(
                    f"rows of {view}", *(f"{rows:,}" if each is figures else "" for each in gathered)
                )
        if is_labelled := any(figures.anomalies for figures in gathered):
            table.add_section()
            table.add_row("labelled anomalies", *(f"{figures.anomalies:,}" for figures in gathered))
            table.add_row("  of them missed", *(f"{len(figures.missed):,}" for figures in gathered))
            table.add_row("false incidents", *(f"{len(figures.false_incidents):,}" for figures in gathered))
        self._console.print(table)
        for figures in gathered:
            for what, times in figures.troubles.items():
                words = f"{figures.pipeline}: {times:,} {what}; functions.log in the run's folder says more"
                self._console.print(Text(words, style="bold red"))
        for figures in gathered:
            for words, names in (("missed", figures.missed), ("not labelled", figures.false_incidents)):
                if names and is_labelled:
                    self._console.print(Text(f"{figures.pipeline}: {words}: {', '.join(names)}"))

    def answer(self, title: str, answer: Answer) -> None:
        """A query's rows, under a title."""
        self._console.print(Text(f"\n{title}", style="italic"))
        self._console.print(Text.from_ansi(render(answer)), soft_wrap=True)


ROWS = (
    ("records sent", "records"),
    ("events in the lake", "events"),
    ("late events", "late"),
    ("quarantined", "quarantined"),
    ("findings", "findings"),
    ("incidents", "incidents"),
    ("  of them open", "open"),
    ("Parquet files", "parquet_files"),
)
