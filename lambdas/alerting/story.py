"""An incident's change in words, of which each channel takes what it has room for and may carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from typing import Any

from lambdas.alerting.characters import one_line, shorten
from lambdas.alerting.keys import key_words, noun
from lambdas.alerting.routing import detector_of
from lambdas.columns import Column, number
from lambdas.detectors.detector import Detector, span_words
from lambdas.incidents import ESCALATED, RESOLVED, IncidentChange
from lambdas.model import Pipeline, key_columns

CLEAR, QUIET, LOST_SIGHT = "clear", "quiet", "lost sight"
# What is left at least of each where a headline is too long; all three together fit with the longest tag.
SHORTEST_KEY, SHORTEST_PIPELINE, SHORTEST_SYMPTOM = 24, 14, 12


@dataclass(frozen=True)
class Story:
    """One change of a pipeline's incident, its times in the operators' `zone` and in UTC."""

    change: IncidentChange
    pipeline: Pipeline
    zone: tzinfo

    @cached_property
    def detector(self) -> Detector[Any] | None:
        """The declaration behind the change; none where a redeploy has removed it since."""
        return detector_of(self.change, self.pipeline)

    @cached_property
    def keys(self) -> tuple[Column, ...]:
        return () if self.detector is None else key_columns(self.pipeline.event, self.detector)

    @cached_property
    def where(self) -> str:
        return words(self.change.pipeline)

    @cached_property
    def who(self) -> str:
        return key_words(self.change.key, self.keys)

    @cached_property
    def who_discreetly(self) -> str:
        """Whose incident it is, for an SMS: without the key where a column of it is discreet."""
        if any(column.discreet or column.private for column in self.keys):
            return " and ".join(f"a {noun(column.words)}" for column in self.keys)
        return self.who

    @cached_property
    def symptom(self) -> str:
        return words(self.change.detector) if self.detector is None else one_line(self.detector.symptom_words)

    @cached_property
    def do_first(self) -> str:
        if self.detector is None:
            return "Ask who looks after the pipeline; what watched this has been removed from it."
        return one_line(self.detector.do_first, 1_000)

    @cached_property
    def severity(self) -> str:
        return self.change.severity.name.lower()

    @cached_property
    def can_get_worse(self) -> bool:
        bands = None if self.detector is None else self.detector.severity
        return isinstance(bands, Mapping) and max(bands.values()) > self.change.severity

    @cached_property
    def tag(self) -> str:
        """How urgent it is, at the very beginning of a message."""
        if self.change.state == RESOLVED:
            return "RESOLVED, LOST SIGHT" if self.change.reason == LOST_SIGHT else "RESOLVED"
        return f"{self.severity.upper()}{', WORSE' if self.change.state == ESCALATED else ''}"

    @cached_property
    def observed(self) -> str:
        observed = self.change.observed
        return "" if observed is None else number(observed, one_line(self.change.unit))

    @cached_property
    def expected(self) -> str:
        return one_line(self.change.expected)

    @cached_property
    def measured(self) -> str:
        """What was observed against what is expected; empty where nothing was measured."""
        if not self.observed or not self.expected:
            return self.observed
        return f"{self.observed}, expected {self.expected}"

    @cached_property
    def sentence(self) -> str:
        """What was found, without a full stop; of the worst finding so far."""
        said = one_line(self.change.sentence, 300).rstrip(".")
        return said or self.measured

    @cached_property
    def is_discreet(self) -> bool:
        """Whether what was found must stay out of an SMS, as some column that it comes from is discreet."""
        return self.detector is None or any(each.discreet or each.private for each in self.detector.reads())

    @cached_property
    def ended_at(self) -> float:
        return self.change.changed_at if self.change.ended_at is None else self.change.ended_at

    @cached_property
    def lasted(self) -> str:
        until = self.ended_at if self.change.state == RESOLVED else self.change.changed_at
        return duration(until - self.change.since)

    @cached_property
    def findings(self) -> str:
        return f"{self.change.findings:,} finding{'' if self.change.findings == 1 else 's'}"

    @cached_property
    def quiet(self) -> str:
        """How long nothing strange must be seen for the incident to be over."""
        return "" if self.detector is None else f" for {span_words(self.detector.quiet.total_seconds())}"

    def column_words(self, label: str) -> str:
        """A column as a person says it, by the label that it has in a finding."""
        known = [self.pipeline.event.columns, *(each.columns for each in self.pipeline.references.values())]
        labels = {column.label: column.words for columns in known for column in columns.values()}
        return labels.get(label) or words(label)

    def time(self, seconds: float) -> str:
        """A time with its date in the operators' zone, and in UTC beside it."""
        utc = datetime.fromtimestamp(round(seconds), UTC)
        local = utc.astimezone(self.zone)
        if zone_name(local) == "UTC":
            return f"{utc:%Y-%m-%d %H:%M:%S} UTC"
        form = "%H:%M:%S" if local.date() == utc.date() else "%Y-%m-%d %H:%M:%S"
        return f"{local:%Y-%m-%d %H:%M:%S} {zone_name(local)} ({utc:{form}} UTC)"

    def clock(self, seconds: float) -> str:
        """A time of the day in the operators' zone; with the date where it is not that of the change."""
        local, today = (
            datetime.fromtimestamp(each, UTC).astimezone(self.zone)
            for each in (seconds, self.change.changed_at)
        )
        form = "%H:%M" if local.date() == today.date() else "%d %b %H:%M"
        return f"{local:{form}} {zone_name(local)}"

    def headline(
        self, start: str, who: str, *, spell: Callable[[str], str], most: int, measure: Callable[[str], int]
    ) -> str:
        """`HIGH cellar pump 7: too hot` within `most`: the key gives way first, then pipeline and symptom."""
        parts = [spell(self.where), spell(who), spell(self.symptom)]

        def line() -> str:
            return f"{start}{parts[0]} {parts[1]}: {parts[2]}"

        for spot, shortest in ((1, SHORTEST_KEY), (0, SHORTEST_PIPELINE), (2, SHORTEST_SYMPTOM)):
            over = measure(line()) - most
            if over > 0:
                parts[spot] = shorten(parts[spot], max(shortest, measure(parts[spot]) - over), measure)
        return line()


def words(name: str) -> str:
    """A name of the declaration as a person reads it.

    >>> words("guests.visits_so_far")
    'guests visits so far'
    """
    return one_line(name.replace("_", " ").replace(".", " "))


def duration(seconds: float) -> str:
    """
    >>> duration(0.2), duration(12.4), duration(3720), duration(200_000)
    ('less than 1 s', '12 s', '1 h 2 min', '2 days 8 h')
    """
    whole = round(seconds)
    if whole < 1:
        return "less than 1 s"
    if whole < 48 * 3600:
        return span_words(whole)
    days, hours = divmod(round(whole / 3600), 24)
    return f"{days} days" + (f" {hours} h" if hours else "")


def zone_name(local: datetime) -> str:
    """`CET`, or `UTC-03` where a zone has no letters of its own."""
    name = local.tzname() or "UTC"
    return f"UTC{name}" if name[0] in "+-" else name


def bulleted(lines: Iterator[str], most: int) -> Iterator[str]:
    """At most so many lines, and how many more there are."""
    every = list(lines)
    yield from every[:most]
    if len(every) > most:
        yield f"- and {len(every) - most} more"
