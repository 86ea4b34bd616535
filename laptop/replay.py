"""A user's own file through the whole run, with the file's clock as the clock."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Console

from lambdas.effects.quarantine import Quarantine, Rejected
from lambdas.formats.decode import Unreadable
from laptop.page import many
from laptop.perform import REFUSALS, overrides_of, perform
from laptop.run import Run, Traffic
from laptop.services import utc
from laptop.terminal import Terminal
from pipelines import discovery
from pipelines.entries import RecordingError
from pipelines.recording import Line, lines_of, rows_of
from pipelines.traffic import HOUR, Sent
from sql.lake import Lake

DAY = 86_400.0
TIME = "%Y-%m-%d %H:%M:%S UTC"
AHEAD = 10  # rows that a time far ahead of the clock is compared with
LATE_SHARE = 0.05  # of rows behind the clock, beyond which a file is not in the order of time
# How often the services are looked at, s: the first with which a file takes no more looks than these. Each
# divides an hour, so that no look takes in the records of two, which have partitions of their own.
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600)
MOST_LOOKS = 2_000
SHOWN = 20
INCIDENTS = f"""
select
    min(since) as since,
    max(ended_at) as until,
    detector,
    key,
    max_by(severity, version) as severity,
    max(findings) as findings,
    max(worst_score) as worst
from incident_changes
group by detector, key, incident_id
order by since desc
limit {SHOWN}
"""  # noqa: S608 - a number of ours
SOURCES = "select distinct shard_id, sequence_number from {table}"
REASONS = """
select
    reason,
    field,
    sum(parts) as parts
from quarantine_reasons
group by reason, field
order by parts desc
"""


class ReplayError(RuntimeError):
    """The replay cannot run; the message says what to mend."""


def replay(
    name: str,
    path: Path,
    *,
    columns: Mapping[str, str],
    constants: Mapping[str, str],
    references: Mapping[str, Path],
    numbers: Mapping[str, float],
    since: float | None,
    until: float | None,
    quiet: bool,
) -> None:
    """Plays a file through a pipeline; raises `ReplayError` with a sentence.

    `columns` are the file's names by column, `constants` values by column, `references` files by reference,
    `numbers` overrides by `pipeline.detector.number`; only what is sent from `since` until before `until` (s
    since 1970) is played.
    """
    try:
        if name not in discovery.names() and Path(name).exists():
            raise ReplayError(f"{name} is a file; say the pipeline first: freshet replay PIPELINE {name}")
        pipeline = discovery.load(name)
        pipeline.overridden(overrides_of(name, numbers))
        for reference in references:
            if reference not in pipeline.references:
                raise ReplayError(
                    f"--reference {reference}=…: {name} has no such reference; "
                    f"{discovery.nearest(reference, pipeline.references)}."
                )
        seeded = {each: rows_of(file, pipeline.references[each]) for each, file in references.items()}
        with Terminal(Console(), quiet=quiet) as terminal:
            terminal.stage(f"reading {path}")
            lines, told = lines_of(path, pipeline, columns=columns, constants=constants)
            sent = between(on_the_clock(lines, pipeline.lateness.total_seconds()), since, until)
            if not sent:
                times = [at for at, _ in on_the_clock(lines, 0)]
                raise ReplayError(
                    f"{path}: no row is from that time; its rows are from {utc(min(times)):{TIME}} to "
                    f"{utc(max(times)):{TIME}}. Say another --from or --until."
                )
            for words in told:
                terminal.note(words)
            for each in pipeline.references.keys() - seeded.keys():
                terminal.note(f"the reference {each} is empty; --reference {each}=FILE fills it")
            first, last = sent[0][0], sent[-1][0]
            step = next((step for step in STEPS if (last - first) / step <= MOST_LOOKS), STEPS[-1])
            start = first - first % step
            if all(line.time is None for line in lines):
                terminal.note("no row has a time that can be read, so that one is sent a second from then on")
            terminal.note(
                f"{many(len(sent), 'row')} from {utc(first):{TIME}} to {utc(last):{TIME}}, played in steps "
                f"of {step:,} s"
            )
            unsent = [(at, line) for at, line in sent if line.fault]
            traffic = Traffic(
                sent=[(name, Sent(at, line.data, line.partition_key)) for at, line in sent if not line.fault],
                start=start,
                seconds=last - start + 1,
                step=step,
                references={name: seeded},
            )
            done = perform(
                [name],
                traffic,
                terminal,
                numbers=numbers,
                beside=lambda run: set_aside(run, name, unsent),
                file=path.name,
                rows=len(sent),
            )
            lake = Lake(done.folder.path, now=done.folder.ended)
            for title, asked in ((f"Incidents, the last {SHOWN}", INCIDENTS), ("Quarantine", REASONS)):
                answer = lake.query(asked)
                if answer.rows:
                    terminal.answer(title, answer)
            rows = set(lake.query(SOURCES.format(table=pipeline.table)).rows)
            quarantined = set(lake.query(SOURCES.format(table="quarantine")).rows)
            terminal.stage(sum_of(len(sent), len(rows), len(quarantined), len(rows & quarantined)))
            if not rows:
                raise ReplayError(f"Of {path} nothing could be read as an event of {name}; see above why.")
    except (*REFUSALS, RecordingError) as error:
        raise ReplayError(str(error)) from error


def on_the_clock(lines: Sequence[Line], lateness: float) -> list[tuple[float, Line]]:
    """Each line with the time at which it is sent: its own, where the file is in the order of time.

    A line without a time is sent after the one before it. One far ahead of all that follow it has a wrong
    time, so the clock does not follow it. A file whose lines are not in order (one sensor after the other)
    is a recording of what happened at once: its lines are sent in the order of their times.
    """
    times = [(place, line.time) for place, line in enumerate(lines) if line.time is not None]
    trusted: dict[int, float] = {}
    now = math.inf
    for number, (place, time) in enumerate(times):
        following = [each for _, each in times[number + 1 : number + 1 + AHEAD]]
        is_alone = max(following) < time - DAY if following else is_last_far(times, time)
        if not (time > now + DAY and is_alone):
            trusted[place] = time
            now = time if math.isinf(now) else max(now, time)
    if not trusted:
        # Nothing has a time of its own: a line a second.
        return [(float(number), line) for number, line in enumerate(lines, start=int(DAY * 20_454))]
    clock, newest, behind = list[tuple[float, Line]](), min(trusted.values()), 0
    for place, line in enumerate(lines):
        time = trusted.get(place, newest)
        behind += time < newest - lateness
        newest = max(newest, time)
        clock.append((newest, line))
    if behind <= LATE_SHARE * len(trusted):
        return clock
    ordered, at = list[tuple[float, Line]](), min(trusted.values())
    for place, line in enumerate(lines):
        at = trusted.get(place, at)
        ordered.append((at, line))
    return sorted(ordered, key=lambda each: each[0])


def is_last_far(times: Sequence[tuple[int, float]], time: float) -> bool:
    """Whether the last time of all is further from the others than they lie apart."""
    others = [each for _, each in times[:-1]]
    return bool(others) and time - max(others) > max(DAY, max(others) - min(others))


def sum_of(sent: int, read: int, unread: int, both: int) -> str:
    """What became of a file's rows; of `both` a part is in the lake and a part in quarantine.

    >>> sum_of(9, 7, 2, 0)
    '9 rows in the file = 7 in the lake + 2 in quarantine'
    >>> sum_of(9, 7, 3, 1)
    '9 rows in the file = 7 in the lake + 3 in quarantine - 1 of which parts are in both'
    >>> sum_of(9, 7, 1, 0)
    '9 rows in the file, 7 in the lake, 1 in quarantine, 1 in neither: functions.log of the run says more'
    """
    words = f"{many(sent, 'row')} in the file"
    if lost := sent - (read + unread - both):
        return (
            f"{words}, {read:,} in the lake, {unread:,} in quarantine, {lost:,} in neither: functions.log of "
            "the run says more"
        )
    parts = f" - {both:,} of which parts are in both" if both else ""
    return f"{words} = {read:,} in the lake + {unread:,} in quarantine{parts}"


def between(
    sent: Sequence[tuple[float, Line]], since: float | None, until: float | None
) -> list[tuple[float, Line]]:
    return [
        (at, line) for at, line in sent if (since is None or at >= since) and (until is None or at < until)
    ]


def set_aside(run: Run, name: str, unsent: Sequence[tuple[float, Line]]) -> None:
    """Puts what no stream could take into the quarantine, as its producer would have to."""
    bucket = run.quarantine_bucket(name)
    for _, hour in groupby(unsent, key=lambda each: each[0] // HOUR):
        Quarantine(bucket, name).put([rejected(at, line) for at, line in hour])
    run.played.records += Counter({name: len(unsent)})


def rejected(at: float, line: Line) -> Rejected:
    return Rejected(
        data=line.data,
        partition_key=line.partition_key,
        shard_id="file",
        sequence_number=str(line.number),
        arrival_ms=round(at * 1000),
        parts=[Unreadable(0, line.fault)],
    )
