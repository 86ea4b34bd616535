"""An incident's life in its shard: opened by a finding, escalated by a worse one, resolved once all is
well.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from lambdas.incidents import RESOLVED, IncidentChange
from lambdas.model import Contribution, Finding, Severity


@dataclass(slots=True)
class Episode:
    """The open incident of one key and direction. Times are event times, s."""

    incident_id: str
    severity: int
    since: float
    detected_at: float
    last: float  # of the newest finding
    score: float
    cleared_at: float | None = None
    version: int = 1
    findings: int = 1
    observed: float | None = None
    unit: str = ""
    expected: str = ""
    sentence: str = ""
    contributions: tuple[Contribution, ...] = ()
    shown: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def opened(cls, incident_id: str, finding: Finding, severity: Severity) -> Episode:
        episode = cls(incident_id, severity, finding.since, finding.time, finding.time, finding.score)
        episode._take_over(finding)
        return episode

    def repeated(self, finding: Finding, severity: Severity) -> bool:
        """Counts a further finding; whether it makes the incident worse."""
        self.findings += 1
        self.since = min(self.since, finding.since)
        self.last = max(self.last, finding.time)
        if self.cleared_at is not None and finding.time > self.cleared_at:
            self.cleared_at = None
        if finding.score > self.score:
            self.score = finding.score
            self._take_over(finding)
        if severity <= self.severity:
            return False
        self.severity = severity
        self.version += 1
        return True

    def _take_over(self, finding: Finding) -> None:
        self.observed, self.unit, self.expected = finding.observed, finding.unit, finding.expected
        self.sentence, self.contributions, self.shown = (
            finding.sentence,
            finding.contributions,
            dict(finding.shown),
        )

    def cleared(self, time: float) -> None:
        """The key is as it should be from `time` on, unless a newer finding says otherwise."""
        if time >= self.last and self.cleared_at is None:
            self.cleared_at = time

    @property
    def heard_until(self) -> float:
        """The newest event time that anything was said of the incident."""
        return self.last if self.cleared_at is None else max(self.last, self.cleared_at)

    def due(self, settle: float, quiet: float) -> float:
        """The event time at which the incident is over if nothing more is found."""
        return self.last + quiet if self.cleared_at is None else self.cleared_at + settle

    def change(
        self, state: str, time: float, who: tuple[str, str, str, str], reason: str = ""
    ) -> IncidentChange:
        """The change that tells of what the episode is now; `who` is pipeline, detector, key and
        direction.
        """
        pipeline, detector, key, direction = who
        ended = None
        if state == RESOLVED:
            ended = self.last if self.cleared_at is None else self.cleared_at
        return IncidentChange(
            incident_id=self.incident_id,
            version=self.version,
            state=state,
            pipeline=pipeline,
            detector=detector,
            key=key,
            direction=direction,
            severity=Severity(self.severity),
            since=self.since,
            detected_at=self.detected_at,
            changed_at=time,
            ended_at=ended,
            reason=reason,
            findings=self.findings,
            worst_score=self.score,
            observed=self.observed,
            unit=self.unit,
            expected=self.expected,
            sentence=self.sentence,
            contributions=self.contributions,
            shown=self.shown,
        )

    def save(self) -> list[Any]:
        plain = {spot.name: getattr(self, spot.name) for spot in fields(self)}
        plain["severity"] = int(self.severity)
        plain["contributions"] = [asdict(each) for each in self.contributions]
        return list(plain.values())

    @classmethod
    def restore(cls, saved: list[Any]) -> Episode:
        episode = cls(*saved)
        episode.contributions = tuple(Contribution(**each) for each in saved[13])
        return episode
