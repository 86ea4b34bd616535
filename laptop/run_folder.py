"""What a run leaves behind: a folder with its lake, its catalog, its messages and its figures."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).parents[1]
RUNS = Path(os.environ.get("FRESHET_RUNS", HOUSE / ".freshet" / "runs"))
LATEST = "latest"


class NoRun(LookupError):
    """There is no run to ask, or no place for one; the message says what to do."""


@dataclass(frozen=True)
class RunFolder:
    """`lake/` as in S3, `catalog.json`, `messages.json`, `summary.json`, `functions.log`."""

    path: Path

    @classmethod
    def new(cls, runs: Path = RUNS) -> RunFolder:
        """A folder of its own for each run, so that one that was killed is in nobody's way."""
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
        path = runs / name
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise NoRun(
                f"{runs} cannot be written ({error.strerror}); set FRESHET_RUNS to a folder that can."
            ) from None
        return cls(path)

    @classmethod
    def latest(cls, runs: Path = RUNS) -> RunFolder:
        """The last run that was finished."""
        pointer = runs / LATEST
        if not pointer.is_file() or not (runs / pointer.read_text().strip() / "summary.json").is_file():
            raise NoRun(f"There is no finished run in {runs}. Make one with: make demo")
        return cls(runs / pointer.read_text().strip())

    @property
    def lake(self) -> Path:
        return self.path / "lake"

    @property
    def ended(self) -> datetime:
        """When the run ended by its simulated clock: what a question about it means by now."""
        return datetime.fromtimestamp(self.read_json("summary.json")["ended"], UTC)

    def write_json(self, name: str, value: Any) -> None:
        (self.path / name).write_text(json.dumps(value, indent=1, ensure_ascii=False))

    def read_json(self, name: str) -> Any:
        return json.loads((self.path / name).read_text())

    def finish(self, summary: dict[str, Any]) -> None:
        """Writes the figures and makes this the latest run, the last step of all and in one move."""
        self.write_json("summary.json", summary)
        pointer = self.path.parent / f".{LATEST}-{os.getpid()}"
        pointer.write_text(self.path.name)
        pointer.replace(self.path.parent / LATEST)
