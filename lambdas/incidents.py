"""An incident's changes: made in the shard, carried by the queue, told to people and kept in the lake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from lambdas.columns import lake_time
from lambdas.model import Contribution, Severity

OPENED, ESCALATED, RESOLVED = STATES = ("opened", "escalated", "resolved")
TIMES = ("since", "detected_at", "changed_at", "ended_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentChange:
    """One step of an incident's life; `version` counts them from 1. Times are event times, seconds since
    1970.

    `since` is when the strangeness began, `detected_at` when the first finding was made, `changed_at` when
    this change was, `ended_at` when the key was as it should be again. `reason` says why an incident was
    resolved: `clear`, `quiet` or `lost sight`. `observed`, `expected` and `sentence` are those of the worst
    finding so far; of a resolved incident too. `findings` counts all so far.
    """

    incident_id: str
    version: int
    state: str
    pipeline: str
    detector: str
    key: str
    direction: str
    severity: Severity
    since: float
    detected_at: float
    changed_at: float
    ended_at: float | None = None
    reason: str = ""
    findings: int = 1
    worst_score: float = 0.0
    observed: float | None = None
    unit: str = ""
    expected: str = ""
    sentence: str = ""
    contributions: tuple[Contribution, ...] = ()
    shown: Mapping[str, Any] = field(default_factory=dict)

    @property
    def change_id(self) -> str:
        return f"{self.incident_id}-{self.version}"

    def to_row(self) -> dict[str, Any]:
        """The change as a row of the lake and as a message of the queue."""
        row = {"change_id": self.change_id, **{name: getattr(self, name) for name in self.__slots__}}
        row["severity"] = self.severity.name.lower()
        row["contributions"] = [asdict(each) for each in self.contributions]
        row["shown"] = {name: str(value) for name, value in self.shown.items()}
        for name in TIMES:
            row[name] = None if row[name] is None else lake_time(row[name])
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> IncidentChange:
        """The inverse of `to_row`; raises `KeyError` or `ValueError` for a row that is none."""
        given = {name: row[name] for name in cls.__slots__}
        given["severity"] = Severity[given["severity"].upper()]
        given["contributions"] = tuple(Contribution(**each) for each in given["contributions"])
        for name in TIMES:
            given[name] = None if given[name] is None else from_lake_time(given[name])
        return cls(**given)


def from_lake_time(text: str) -> float:
    """
    >>> from_lake_time("2026-01-31 10:00:00.250")
    1769853600.25
    """
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
