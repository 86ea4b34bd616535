"""Streaming equals one query over all events: disorder, repeats, late events, any cut into batches, cold
starts.
"""

import re
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.columns import count, lake_time, mean, total
from lambdas.detectors.sequence import Sequence, Step
from lambdas.detectors.threshold import Threshold
from lambdas.detectors.window import Window
from lambdas.model import HIGH, Row, hours, seconds
from tests.detectors.support import Play
from tests.streaming.support import bodies, pipeline, records, run

LATENESS = 10
DETECTORS = (
    Threshold(name="big", when=Play.won >= 30, severity=HIGH, do_first="Look."),
    Window(
        name="minute",
        every=seconds(60),
        when=mean(Play.won) > 20,
        also=[total(Play.won), count()],
        severity=HIGH,
        do_first="Look.",
    ),
    Window(
        name="sliding",
        span=seconds(30),
        every=seconds(10),
        when=total(Play.won) > 60,
        severity=HIGH,
        do_first="Look.",
    ),
    Window(name="session", gap=seconds(20), also=[total(Play.won), count()], severity=HIGH, do_first="Look."),
    Sequence(
        name="streak",
        steps=[Step(when=Play.won > 0, times=3, unbroken=True)],
        within=hours(10),
        severity=HIGH,
        do_first="Look.",
    ),
    Sequence(
        name="sits",
        steps=[Step(when=Play.action.is_("enter")), Step(when=Play.action.is_("sit"))],
        within=hours(10),
        severity=HIGH,
        do_first="Look.",
    ),
)
PIPELINE = pipeline(Play, *DETECTORS, lateness=LATENESS)

EVENT = st.fixed_dictionaries(
    {
        "at": st.integers(0, 300),
        "guest": st.sampled_from("abc"),
        "won": st.one_of(st.none(), st.integers(-20, 50)),
        "action": st.sampled_from(["enter", "sit", "bet"]),
        "id": st.integers(0, 40),
    }
)


@st.composite
def streams(draw: st.DrawFn) -> list[Row]:
    """Events in an order that is mostly that of their times; an id that comes again is the same event
    again.
    """
    drawn: list[Any] = draw(st.lists(EVENT, min_size=1, max_size=60))
    jitter = draw(st.lists(st.integers(-15, 15), min_size=len(drawn), max_size=len(drawn)))
    known: dict[int, Row] = {}
    order = sorted(zip(drawn, jitter, strict=True), key=lambda pair: pair[0]["at"] + pair[1])
    stream = []
    for event, _ in order:
        values = {name: event[name] for name in ("guest", "won", "action")} | {"play_id": str(event["id"])}
        stream.append(known.setdefault(event["id"], Row(float(event["at"]), values)))
    return stream


ON_TIME = """
create table on_time as
with first_seen as (
    select *, row_number() over (partition by play_id order by sequence) as turn from events
),
distinct_events as (select * from first_seen where turn = 1),
judged as (
    select
        *,
        max(happened) over (order by sequence rows between unbounded preceding and 1 preceding) as newest
    from distinct_events
)
select * from judged where newest is null or happened >= newest - ?
"""


SLIDING = """
select guest, w, sum(won)
from
    on_time,
    unnest(
        [floor(happened / 10) * 10 - 20, floor(happened / 10) * 10 - 10, floor(happened / 10) * 10]
    ) as t(w)
group by all
"""

SESSIONS = """
with gaps as (
    select *, happened - lag(happened) over (partition by guest order by happened) >= 20 as apart
    from on_time
),
numbered as (
    select
        *,
        sum(coalesce(apart, false)::int)
            over (partition by guest order by happened rows unbounded preceding) as session
    from gaps
)
select guest, min(happened), count(*), sum(won) from numbered group by guest, session
"""

LINES = """
select
    guest,
    string_agg(case when won > 0 then 'W' else '-' end, '' order by happened, sequence),
    string_agg(
        case action when 'enter' then 'E' when 'sit' then 'S' else '-' end, '' order by happened, sequence
    )
from on_time
group by guest
"""


def database(stream: list[Row]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(
        "create table events "
        "(sequence int, play_id varchar, guest varchar, happened double, won double, action varchar)"
    )
    rows = [
        (
            number,
            row.values["play_id"],
            row.values["guest"],
            row.time,
            row.values["won"],
            row.values["action"],
        )
        for number, row in enumerate(stream, start=1)
    ]
    connection.executemany("insert into events values (?, ?, ?, ?, ?, ?)", rows)
    connection.execute(ON_TIME, [LATENESS])
    return connection


@settings(max_examples=300, deadline=None)
@given(stream=streams(), cuts=st.lists(st.integers(0, 60), max_size=6), cold=st.booleans())
def test_streaming_equals_one_query(stream: list[Row], cuts: list[int], cold: bool) -> None:
    sent = run(PIPELINE, records(stream), cuts=cuts, cold=cold, tick=100_000.0)
    everything = database(stream)

    def ask(sql: str) -> list[tuple[object, ...]]:
        return sorted(everything.execute(sql).fetchall(), key=repr)

    found = bodies(sent, "finding")
    results = bodies(sent, "window_result")

    def windows(name: str, *aggregates: str) -> list[tuple[object, ...]]:
        return sorted(
            (
                (row["key"], row["window_start"], *(row["aggregates"].get(each) for each in aggregates))
                for row in results
                if row["detector"] == name
            ),
            key=repr,
        )

    def named(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
        return sorted(((key, lake_time(float(str(start))), *rest) for key, start, *rest in rows), key=repr)

    assert sorted((f["key"], f["found_at"]) for f in found if f["detector"] == "big") == sorted(
        (str(key), lake_time(float(str(at))))
        for key, at in ask("select guest, happened from on_time where won >= 30")
    )
    assert windows("minute", "count()", "total(won)") == named(
        ask("select guest, floor(happened / 60) * 60, count(*), sum(won) from on_time group by all")
    )
    assert windows("sliding", "total(won)") == named(ask(SLIDING))
    assert windows("session", "count()", "total(won)") == named(ask(SESSIONS))
    lines = ask(LINES)
    for name, column, pattern in (("streak", 1, "WWW"), ("sits", 2, "E.*?S")):
        counted = {str(line[0]): len(re.findall(pattern, str(line[column]))) for line in lines}
        for guest, times in counted.items():
            assert sum(f["detector"] == name and f["key"] == guest for f in found) == times
    late = ask("select count(*) from events")[0][0], ask("select count(*) from on_time")[0][0]
    repeats = ask("select count(*) - count(distinct play_id) from events")[0][0]
    assert len(bodies(sent, "late_event")) == int(str(late[0])) - int(str(late[1])) - int(str(repeats))


@settings(max_examples=200, deadline=None)
@given(stream=streams(), cuts=st.lists(st.integers(0, 60), max_size=8), cold=st.booleans())
def test_cut_into_batches_changes_nothing(stream: list[Row], cuts: list[int], cold: bool) -> None:
    given_records = records(stream)
    assert run(PIPELINE, given_records, cuts=cuts, cold=cold, tick=90_000.0) == run(
        PIPELINE, given_records, tick=90_000.0
    )


@settings(max_examples=100, deadline=None)
@given(stream=streams())
def test_each_incident_opens_once_and_is_resolved_after_silence(stream: list[Row]) -> None:
    sent = run(PIPELINE, records(stream), tick=100_000.0)
    lives: dict[str, list[tuple[int, str]]] = {}
    for change in bodies(sent, "incident_change"):
        lives.setdefault(change["incident_id"], []).append((change["version"], change["state"]))
    for life in lives.values():
        assert [version for version, _ in life] == list(range(1, len(life) + 1))
        assert life[0][1] == "opened"
        assert life[-1][1] == "resolved"
        assert all(state == "escalated" for _, state in life[1:-1])


@pytest.mark.parametrize("cold", [False, True])
def test_replayed_batch_changes_nothing(cold: bool) -> None:
    stream = [
        Row(float(at), {"play_id": str(at), "guest": "a", "won": 40.0, "action": "bet"}) for at in range(20)
    ]
    given_records = records(stream)
    again = [*given_records[:10], *given_records[5:10], *given_records[10:]]
    assert run(PIPELINE, again, cuts=[10, 15], cold=cold) == run(
        PIPELINE, given_records, cuts=[10], cold=cold
    )
