"""The page of a run: one file that a browser opens without a network, for readers who want to see."""
# ruff: noqa: S608 - the queries are made of declared names, of numbers, and of texts that literal() quotes

from __future__ import annotations

import base64
import hashlib
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lambdas.alerting.characters import one_line
from lambdas.alerting.keys import key_words
from lambdas.alerting.message import compose
from lambdas.alerting.sms import DISPLAY_NAME
from lambdas.alerting.story import duration, words
from lambdas.columns import number
from lambdas.detectors.aggregates import LARGEST
from lambdas.detectors.sequence import Sequence as Steps
from lambdas.incidents import TIMES, IncidentChange
from lambdas.model import key_columns
from laptop.chart import Span, path, utc
from laptop.page_measures import Measure, literal, literals, measures_of
from laptop.run_folder import RunFolder
from pipelines import discovery
from sql.lake import Lake

HERE = Path(__file__).parent
BUCKETS, MARKED = 500, 200  # most parts of a chart's time that tell its readings, and its findings, apart
CHARTS, INCIDENTS, MARKS, REASONS = 120, 200, 6_000, 150  # the most on a page, shared among its pipelines
CHANNELS = {"email": "e-mail", "sms": "SMS"}
THICKNESS = {"low": 4, "medium": 8, "high": 12, "critical": 18}  # px, for those who see no colours


def write_page(folder: RunFolder, summary: Mapping[str, Any]) -> Path:
    """Writes `page.html` into the run's folder, of its lake, its messages and the pipelines' declarations."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "counted": counted, "digest": digest, "duration": duration, "line": one_line, "many": many,
        "number": number, "utc": utc,
    }  # fmt: skip
    lake = Lake(folder.path, now=datetime.fromtimestamp(summary["ended"], UTC))
    told = received(folder.read_json("messages.json"))
    html = environment.get_template("page.html").render(
        summary={"file": "", **summary},
        names=[words(figures["pipeline"]) for figures in summary["pipelines"]],
        verdict=verdict(summary["pipelines"]),
        sections=[Section(lake, figures, summary, told) for figures in summary["pipelines"]],
        thickness=THICKNESS,
        style=(HERE / "page.css").read_text(),
        script=(HERE / "page.js").read_text(),
    )
    page = folder.path / "page.html"
    page.write_text(html.lstrip(), encoding="utf-8", errors="replace")
    return page


def digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def many(count: int, noun: str, plural: str = "") -> str:
    """
    >>> many(1, "alert"), many(1200, "alert"), many(2, "anomaly", "anomalies")
    ('1 alert', '1,200 alerts', '2 anomalies')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def counted(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(numbers.items()))


def verdict(pipelines: Sequence[Mapping[str, Any]]) -> str:
    """What the run came to, in a sentence."""
    records, incidents, quarantined, anomalies = (
        sum(figures.get(name, 0) for figures in pipelines)
        for name in ("records", "incidents", "quarantined", "anomalies")
    )
    alerts = sum(sum(figures["alerts"].values()) for figures in pipelines)
    said = (
        f"{many(records, 'record')} made {many(incidents, 'incident')}, told in {many(alerts, 'alert')}; "
        f"{many(quarantined, 'part')} went into quarantine"
    )
    if anomalies:
        missed, false = (sum(len(each[name]) for each in pipelines) for name in ("missed", "false_incidents"))
        said += (
            f"; {anomalies - missed:,} of {many(anomalies, 'labelled anomaly', 'labelled anomalies')} found, "
            f"{many(false, 'false incident')}"
        )
    return f"{said}."


def received(messages: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, None]]:
    """Who got which text by which channel; the number of a person concerned is private, so it is left out."""
    told: dict[tuple[str, str], dict[str, None]] = {}
    for message in messages:
        reader = "the person concerned" if message["attributes"].get("direct") else message["to"]
        text = message["body"].removeprefix(f"{DISPLAY_NAME}> ")
        told.setdefault((message["channel"], text), {})[reader] = None
    return told


@dataclass(frozen=True)
class Incident:
    """An incident by its changes in order, and in words whose and what it is."""

    changes: Sequence[IncidentChange]
    who: str
    what: str

    @property
    def newest(self) -> IncidentChange:
        return self.changes[-1]

    @property
    def severity(self) -> str:
        return self.newest.severity.name.lower()

    @property
    def lasted(self) -> str:
        ended = self.newest.ended_at
        return "not over" if ended is None else duration(ended - self.newest.since)

    @property
    def label(self) -> str:
        return f"{self.severity}: {self.who}, {self.what}, {utc(self.newest.since)}, {self.lasted}"


@dataclass(frozen=True)
class Mark:
    """A finding, or several close together; without a value it stands at the plot's upper edge."""

    at: float
    value: float | None
    severity: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One key's readings; `label` says in words what it shows."""

    who: str
    said: str
    thinned: bool
    label: str
    values: Span
    path: str
    style: str
    limits: Sequence[tuple[float, str]]
    incidents: Sequence[Incident]
    marks: Sequence[Mark]


class Section:
    """One pipeline's part of the page: its words and numbers, as the template asks for them."""

    def __init__(
        self,
        lake: Lake,
        figures: Mapping[str, Any],
        summary: Mapping[str, Any],
        told: Mapping[tuple[str, str], Iterable[str]],
    ) -> None:
        self._lake, self._told = lake, told
        self._share = 1 / len(summary["pipelines"])
        self.figures, self.name = figures, str(figures["pipeline"])
        self.words = words(self.name)
        overrides = summary.get("overrides", {}).get(self.name, {})
        self.pipeline = discovery.load(self.name).overridden(overrides)
        self.incidents = list(self._worst_incidents())
        self.time = self._happened(Span(summary["start"], summary["ended"]))
        self.bucket = self.time.length / BUCKETS
        self.accounted = self._ask(
            f"select count(*) from (select shard_id, sequence_number from {self.pipeline.table} union select "
            f"shard_id, sequence_number from quarantine where pipeline = {literal(self.name)}) as records"
        )[0][0]

    def _ask(self, sql: str) -> Sequence[Sequence[Any]]:
        return self._lake.query(sql).rows

    def _most(self, on_a_page: int) -> int:
        return max(1, int(on_a_page * self._share))

    def _worst_incidents(self) -> Iterator[Incident]:
        """As many as the page has room for, the worst first."""
        worst = self._ask(
            "select incident_id, max(case severity when 'critical' then 4 when 'high' then 3 when 'medium' "
            "then 2 else 1 end) as worst, min(since) as since from incident_changes "
            f"where pipeline = {literal(self.name)} group by incident_id "
            f"order by worst desc, since, incident_id limit {self._most(INCIDENTS)}"
        )
        names = IncidentChange.__slots__
        found: dict[str, dict[int, IncidentChange]] = {row[0]: {} for row in worst}
        for row in self._ask(
            f"select {', '.join(names)} from incident_changes where incident_id in ({literals(found)}) "
            "order by version"
        ):
            given = dict(zip(names, row, strict=True))
            given |= {name: given[name] and str(given[name]) for name in TIMES}
            change = IncidentChange.from_row(given)
            found[change.incident_id][change.version] = change  # a repeat is the same
        for versions in found.values():
            changes = list(versions.values())
            yield Incident(
                changes, self._who(changes[-1].detector, changes[-1].key), words(changes[-1].detector)
            )

    def _who(self, detector: str, key: str) -> str:
        declared = next((each for each in self.pipeline.detectors if each.name == detector), None)
        return key_words(key, () if declared is None else key_columns(self.pipeline.event, declared))

    def _happened(self, run: Span) -> Span:
        """From the first to the last that happened while the run lasted."""
        time = "arrived_at" if self.pipeline.event.time is None else self.pipeline.event.time.name
        known = [
            *self._ask(
                f"select min(to_unixtime({time})), max(to_unixtime({time})) from {self.pipeline.table} "
                f"where to_unixtime({time}) between {run.low} and {run.high}"
            )[0],
            *(each for i in self.incidents for each in (i.newest.since, i.newest.ended_at)),
        ]
        known = [each for each in known if each is not None and run.low <= each <= run.high]
        return Span(min(known), max(known)) if known else run

    def stages(self) -> Iterator[tuple[int, str, Sequence[str]]]:
        """What came of what, with what is worth saying of each."""
        figures = self.figures
        states = self._ask(
            "select state, count(distinct change_id) from incident_changes "
            f"where pipeline = {literal(self.name)} group by state"
        )
        changes = {str(state): int(count) for state, count in states}
        labels = (
            f"{figures['anomalies']:,} labelled: {len(figures['missed'])} missed, "
            + (f"{len(figures['false_incidents'])} false")
            if figures.get("anomalies")
            else ""
        )
        quarantined = f"{many(figures['quarantined'], 'part')} in quarantine"
        yield figures["records"], "records sent", ()
        yield figures["events"], "rows in the lake", (quarantined, f"{figures['late']:,} late")
        yield figures["findings"], "findings", ()
        told = [f"{sum(changes.values()):,} changes: {counted(changes)}", f"{figures['open']:,} open", labels]
        yield figures["incidents"], "incidents", [each for each in told if each]
        alerts = figures["alerts"]
        yield sum(alerts.values()), "alerts", [f"{n:,} by {CHANNELS[one]}" for one, n in alerts.items()]

    def measures(self) -> Iterator[Mapping[str, Any]]:
        known = list(measures_of(self.pipeline))
        for measure in known:
            total, charts = self._charts(measure, len(known))
            columns = ", ".join(one.name for one in key_columns(self.pipeline.event, measure.detector))
            yield {
                "words": measure.expression.words,
                "unit": measure.expression.unit,
                "about": measure.about,
                "judge": words(measure.detector.name),
                "total": total,
                "charts": charts,
                "sql": f"select {columns}, count(*) from {self.pipeline.table} group by {columns}",
            }

    def _charts(self, measure: Measure, measures: int) -> tuple[int, list[Chart]]:
        """How many keys there are, and charts of some: of those with incidents, then of the busiest."""
        detector, unit = measure.detector.name, measure.expression.unit
        rows = (
            f"(select key, at, value from ({measure.rows}) as every_row where at between {self.time.low} and "
            f"{self.time.high} and key is not null and abs(value) < {LARGEST}) as readings"
        )
        mine: dict[str, list[Incident]] = {}
        for each in self.incidents:
            if each.newest.detector == detector:
                mine.setdefault(each.newest.key, []).append(each)
        keys = self._ask(
            f"select key, count(*), min(value), max(value), count(*) over () from {rows} group by key order "
            f"by case when key in ({literals(mine)}) then 0 else 1 end, count(*) desc, key "
            f"limit {max(1, self._most(CHARTS) // measures)}"
        )
        places = {key: place for place, key in enumerate(mine)}
        wanted = literals(row[0] for row in keys)
        points: dict[str, list[tuple[float, float]]] = {row[0]: [] for row in keys}
        bucket = f"cast(floor((at - {self.time.low}) / {self.bucket}) as bigint)"
        for key, _, low, low_at, high, high_at in self._ask(
            f"select key, {bucket}, min(value), min_by(at, value), max(value), max_by(at, value) from {rows} "
            f"where key in ({wanted}) group by 1, 2 order by 1, 2"
        ):
            points[key] += dict.fromkeys(sorted(((low_at, low), (high_at, high))))
        marked = self._most(MARKS) // max(1, len(keys) * measures)
        marks = self._marks(measure, wanted, max(10, min(marked, MARKED)))
        charts = []
        for key, count, low, high, _ in sorted(keys, key=lambda row: places.get(row[0], len(mine))):
            drawn, incidents, found = points[key], mine.get(key, []), marks.get(key, [])
            gap = self._gap(measure, drawn)
            shown = [
                mark.value for mark in found if abs(mark.value or 0) < LARGEST and mark.value is not None
            ]
            values = Span.around([low, high, *(limit for limit, _ in measure.limits), *shown])
            thinned = f", thinned to {len(drawn):,}" if count > len(drawn) else ""
            of_all = " on this page" if len(self.incidents) < self.figures["incidents"] else ""
            said = f"{many(count, measure.noun)}{thinned} · {many(len(incidents), 'incident')}{of_all}"
            charts.append(
                Chart(
                    who=self._who(detector, key),
                    said=said,
                    thinned=bool(thinned),
                    label=f"{measure.expression.words}, {said}; "
                    f"lowest {number(low, unit)}, highest {number(high, unit)}",
                    values=values,
                    path=path(drawn, self.time, values, gap),
                    style="line" if gap else "dots",
                    limits=measure.limits,
                    incidents=incidents,
                    marks=found,
                )
            )
        return (keys[0][4] if keys else 0), charts

    def _gap(self, measure: Measure, points: Sequence[tuple[float, float]]) -> float:
        """The longest time (s) that a line goes on without a reading: none where events are no level."""
        if isinstance(measure.detector, Steps) or len(points) < 2:
            return 0
        between = [later[0] - earlier[0] for earlier, later in pairwise(points)]
        return max(5 * statistics.median(between), 3 * self.bucket)

    def _marks(self, measure: Measure, wanted: str, parts: int) -> dict[str, list[Mark]]:
        """Findings by key; of those too close together to be told apart the worst."""
        part = f"cast(floor((at - {self.time.low}) / {self.time.length / parts}) as bigint)"
        worst = ", ".join(f"max_by({name}, score)" for name in ("at", "observed", "severity", "sentence"))
        marks: dict[str, list[Mark]] = {}
        for key, _, count, at, observed, severity, sentence in self._ask(
            f"select key, {part}, count(*), {worst} from (select distinct finding_id, key, observed, "
            "severity, sentence, score, to_unixtime(found_at) as at from findings where "
            f"pipeline = {literal(self.name)} and detector = {literal(measure.detector.name)}) as found "
            f"where key in ({wanted}) group by 1, 2 order by 1, 2"
        ):
            more = f" And {many(count - 1, 'finding')} more." if count > 1 else ""
            said = f"{utc(at)}, {severity}: {one_line(sentence)}{more}"
            value = observed if sentence.startswith(f"{measure.expression.words} is ") else None
            marks.setdefault(key, []).append(Mark(at, value, severity, said))
        return marks

    def lanes(self) -> Sequence[Sequence[Incident]]:
        """Incidents by detector and key, in order of time, the lane with the worst first."""
        lanes: dict[tuple[str, str], list[Incident]] = {}
        for each in self.incidents:
            lanes.setdefault((each.newest.detector, each.newest.key), []).append(each)
        return [sorted(lane, key=lambda each: each.newest.since) for lane in lanes.values()]

    def alerts(self, change: IncidentChange) -> Iterator[tuple[str, str, str, str]]:
        """A change's alerts as their readers got them: what its function composes, where it was sent."""
        message = compose(change, pipeline=self.pipeline)
        forms = (("email", message.email), ("sms", message.sms), ("sms", message.direct_sms))
        for channel, text in forms:
            if readers := self._told.get((channel, text)):
                subject = message.subject if channel == "email" else ""
                yield CHANNELS[channel], ", ".join(readers), subject, text

    def reasons(self) -> Sequence[Sequence[Any]]:
        """Reason, field, an example, parts, and how many reasons there are."""
        return self._ask(
            "select reason, field, min(value), count(*), count(*) over () from quarantine "
            f"where pipeline = {literal(self.name)} group by reason, field order by count(*) desc, reason "
            f"limit {self._most(REASONS)}"
        )
