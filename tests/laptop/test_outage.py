"""The deployed app, its mappings disabled for ten minutes and then enabled, beside a run without that."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lambdas.tables import RESULT_TABLES
from laptop.clock import Clock
from laptop.cloud import Cloud
from laptop.run import Progress, Run, Traffic, merged
from laptop.run_folder import RunFolder
from pipelines.traffic import Sent
from sql.lake import Lake

START = 1_767_261_600.0  # 2026-01-01 10:00 UTC
OUT, BACK, SECONDS = START + 65, START + 665, 720
# A tick each minute, and one every ten seconds.
PIPELINES = {name: importlib.import_module(f"pipelines.{name}.traffic") for name in ("heart_rate", "casino")}
RESULTS = ("finding", "window_result", "late_event", "incident_change")


class Outage:
    """Traffic through the deployed app, with an outage in it or none."""

    def __init__(self, cdk_out: Path, folder: Path, *, out: float, back: float) -> None:
        with Cloud(Clock(START)) as cloud:
            cloud.deploy(cdk_out)
            kept = RunFolder.new(folder)
            with closing(Run(cloud, kept, Progress())) as run:
                self._run, self._is_out = run, False
                self._readers = [
                    one.physical_id
                    for one in cloud.of_type("AWS::Lambda::EventSourceMapping")
                    if ":kinesis:" in one.properties["EventSourceArn"]
                ]
                for name, module in PIPELINES.items():
                    run.seed_references(name, module.references(1))
                sent = self._sent(out, back)
                run.play(Traffic(sent=sent, start=START, seconds=SECONDS, step=10))
                run.keep()
                self.subjects = sorted(message.subject for message in run.messages)
            lake = Lake(kept.path)
            self.results = {kind: rows(lake, kind) for kind in RESULTS}

    def _sent(self, out: float, back: float) -> Iterator[tuple[str, Sent]]:
        for each in merged(PIPELINES, seed=1, start=START, seconds=SECONDS):
            if self._is_out != (out <= each[1].at < back):
                self._is_out = not self._is_out
                for reader in self._readers:
                    self._run.mappings.switch(reader, enabled=not self._is_out)
            yield each


def rows(lake: Lake, kind: str) -> list[str]:
    """A table's rows, in the order of their text."""
    table = RESULT_TABLES[kind]
    columns = ", ".join(column.name for column in table.columns)
    return sorted(map(str, lake.query(f"select {columns} from {table.name}").rows))  # noqa: S608 - our own


@pytest.mark.semantics(line=2, clause="idle")
def test_an_outage_of_ten_minutes_changes_nothing_of_what_is_found(
    cdk_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr("laptop.run.QUIET", 120.0)  # long enough for all windows to close
    usual = Outage(cdk_out, tmp_path / "usual", out=BACK, back=BACK)
    # when
    found = Outage(cdk_out, tmp_path / "outage", out=OUT, back=BACK)
    # then
    assert {name: len(rows) > 0 for name, rows in found.results.items()} == dict.fromkeys(found.results, True)
    assert found.results == usual.results
    assert found.subjects == usual.subjects
