"""Streaming equals one query over the distinct events: however late and often they come, however they are cut
into shards and batches, with replays, cold starts and ticks in between.
"""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings

from lambdas.columns import count, mean, total
from lambdas.detectors import sequence
from lambdas.detectors.sequence import Sequence
from lambdas.detectors.threshold import Threshold
from lambdas.detectors.window import Window
from lambdas.model import HIGH, Row, hours, minutes, seconds
from lambdas.streaming.lane import Item
from tests.detectors.support import Play
from tests.streaming.schedules import Step, play, schedules, straight
from tests.streaming.support import bodies, pipeline, records, run
from tests.support import often

EXAMPLES, PARTS = often(1_000, soak=2_000), often(1, soak=50)
LATENESS, REMEMBER, AHEAD = 10, 60, 300  # s
DO: Any = {"severity": HIGH, "do_first": "Look.", "settle": seconds(20), "quiet": minutes(3)}
ALSO = [total(Play.won), count()]
DETECTORS = (
    Threshold(name="big", when=Play.won >= 30, **DO),
    Window(name="minute", every=seconds(60), when=mean(Play.won) > 20, also=ALSO, **DO),
    Window(name="sliding", span=seconds(30), every=seconds(10), when=total(Play.won) > 60, also=ALSO, **DO),
    Window(name="session", gap=seconds(20), also=ALSO, **DO),
    Sequence(
        name="streak",
        steps=[sequence.Step(when=Play.won > 0, times=3, unbroken=True)],
        within=hours(99),
        **DO,
    ),
    Sequence(
        name="sits",
        steps=[sequence.Step(when=Play.action.is_("enter")), sequence.Step(when=Play.action.is_("sit"))],
        within=hours(99),
        **DO,
    ),
)
PIPELINE = pipeline(Play, *DETECTORS, lateness=LATENESS, remember=REMEMBER)

# One row per thing that is said: what, of whom, at which step, of which time, and what was counted. Times are
# ms since 1970. A shard's clock is the newest event time seen; each tick adds the time since the arrival or
# tick before it. A window is told at the first step at which the clock less the lateness has come to its end;
# one that a tick in an idle shard should have told is missed.
ORACLE = """
with events_and_ticks as (
    select *, form = 'tick' as is_tick from steps where form = 'tick' or happened <= now + :ahead
),
passing as (
    select
        *,
        case when is_tick then now - lag(now) over (partition by shard order by step) else 0 end as idle,
        row_number() over (partition by play_id, is_tick order by step) as turn
    from events_and_ticks
),
passed as (
    select *, sum(idle) over (partition by shard order by step) as idled from passing
),
clocks as (
    select
        *,
        idled + max(case when not is_tick and turn = 1 then min(happened, now) - idled end)
            over (partition by shard order by step) as clock
    from passed
),
watermarks as (
    select *, coalesce(lag(clock) over (partition by shard order by step) - :lateness, 0) as watermark
    from clocks
),
distinct_events as (
    select *, happened >= watermark as is_on_time
    from watermarks
    where not is_tick and (turn = 1 or happened < watermark - :remember)
),
on_time as (
    select * from distinct_events where is_on_time
),
-- Each window of a guest: when it began, when it is to be told, what it holds.
minutes as (
    select
        'minute' as name, shard, guest, min(step) as first,
        happened / 60000 * 60000 as since, happened / 60000 * 60000 + 60000 as until,
        count(*) as events, sum(won) as total, avg(won) > 20 as is_found
    from on_time
    group by guest, since
),
slides as (
    select
        'sliding', shard, guest, min(step),
        happened / 10000 * 10000 - back as since, happened / 10000 * 10000 - back + 30000,
        count(*), sum(won), sum(won) > 60
    from on_time, (select 0 as back union all select 10000 union all select 20000)
    group by guest, since
),
gaps as (
    select *, happened - lag(happened) over (partition by guest order by happened) >= 20000 as is_apart
    from on_time
),
numbered as (
    select *, sum(coalesce(is_apart, 0)) over (partition by guest order by happened) as session from gaps
),
sessions as (
    select
        'session', shard, guest, min(step), min(happened), max(happened) + 20000,
        count(*), sum(won), 0
    from numbered
    group by guest, session
),
windows as (
    select * from minutes union all select * from slides union all select * from sessions
),
closed as (
    select windows.*, min(step) as step
    from windows join clocks on clocks.shard = windows.shard and clock - :lateness >= until
    group by name, windows.guest, since
),
looks as (
    select looked.shard, looked.step, clock + looked.now - before.now as clock
    from steps as looked join clocks as before on before.shard = looked.shard and before.step = (
        select max(step) from clocks where clocks.shard = looked.shard and clocks.step < looked.step
    )
    where looked.form = 'idle'
),
lines as (
    select
        guest,
        row_number() over (partition by guest order by happened desc, step desc) as back,
        group_concat(case when won > 0 then 'W' else '-' end, '') over in_order as wins,
        group_concat(substr(action, 1, 1), '') over in_order as moves
    from on_time
    window in_order as (partition by guest order by happened, step)
)
select 'late', guest, step, null, null, null from distinct_events where not is_on_time
union all select 'found big', guest, step, happened, null, null from on_time where won >= 30
union all select name, guest, step, since, events, total from closed
union all select 'found ' || name, guest, step, until, null, null from closed where is_found
union all
select 'missed', guest, looks.step, until, null, null
from closed join looks on looks.shard = closed.shard and looks.step > first and looks.step < closed.step
where looks.clock - :lateness >= until
union all select 'found streak', guest, null, null, times('WWW', wins), null from lines where back = 1
union all select 'found sits', guest, null, null, times('e.*?s', moves), null from lines where back = 1
"""
SPANS = {"lateness": LATENESS * 1000, "remember": REMEMBER * 1000, "ahead": AHEAD * 1000}
BLANK = dict.fromkeys(("form", "play_id", "guest", "happened", "won", "action"))
UNCOUNTED = ("found streak", "found sits")  # which three wins a streak is of is the detectors' own matter
Told = tuple[str, str, int | None, int | None, int | None, float | None]


@cache
def database() -> sqlite3.Connection:
    """SQLite: of a few rows it answers in a tenth of the time that DuckDB takes to plan."""
    connection = sqlite3.connect(":memory:")
    connection.create_function("times", 2, lambda pattern, text: len(re.findall(pattern, text)))
    connection.execute("create table steps (step, shard, now, form, play_id, guest, happened, won, action)")
    return connection


def asked(rows: Iterable[dict[str, Any]]) -> Counter[Told]:
    """What the query says of a schedule's steps."""
    connection = database()
    connection.execute("delete from steps")
    connection.executemany(
        "insert into steps values (:step, :shard, :now, :form, :play_id, :guest, :happened, :won, :action)",
        [BLANK | row for row in rows],
    )
    answer = connection.execute(ORACLE, SPANS)
    return Counter(row for row in answer if row[0] not in UNCOUNTED or row[4])


def told(said: Iterable[tuple[int, Item]]) -> Counter[Told]:
    """What the detectors say at each step."""
    items: Counter[Told] = Counter()
    counted: Counter[tuple[str, str]] = Counter()
    for step, item in said:
        body = item.body
        if item.kind == "late_event":
            items["late", body["key"], int(body["sequence_number"]), None, None, None] += 1
        elif item.kind == "window_result":
            events, total = (body["aggregates"].get(name) for name in ("count()", "total(won)"))
            items[body["detector"], body["key"], step, milliseconds(body["window_start"]), events, total] += 1
        elif item.kind == "finding":
            name = f"found {body['detector']}"
            if name in UNCOUNTED:
                counted[name, body["key"]] += 1
            else:
                items[name, body["key"], step, milliseconds(body["found_at"]), None, None] += 1
    return items + Counter({(*who, None, None, times, None): 1 for who, times in counted.items()})


@pytest.fixture(scope="module", params=range(PARTS))
def part(request: pytest.FixtureRequest) -> int:
    """One of the parts of a soak: several processes do them, and each is told when it is done."""
    number: int = request.param
    return number


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(f"{text}+00:00").timestamp() * 1000)


@pytest.mark.semantics(line=1, clause="windows")
@pytest.mark.semantics(line=1, clause="forms")
@pytest.mark.semantics(line=1, clause="watermark")
@pytest.mark.semantics(line=1, clause="cut")
@pytest.mark.semantics(line=1, clause="ahead")
@pytest.mark.semantics(line=1, clause="late")
@pytest.mark.semantics(line=1, clause="order")
@pytest.mark.semantics(line=2, clause="idle")
@pytest.mark.semantics(line=2, clause="passes")
@pytest.mark.semantics(line=3, clause="replay")
@pytest.mark.semantics(line=3, clause="cold")
@pytest.mark.semantics(line=4, clause="id")
@pytest.mark.usefixtures("part")
@settings(max_examples=EXAMPLES, deadline=None)
@given(schedule=schedules())
def test_streaming_equals_one_query(schedule: list[Step]) -> None:
    played = play(PIPELINE, schedule)
    plainly = list(straight(PIPELINE, played))

    assert told((step, item) for _, step, item in plainly) == asked(played.rows)
    for shard, sent in enumerate(played.sent):
        assert sent == [item for where, _, item in plainly if where == shard]


@pytest.mark.semantics(line=2, clause="passes")
@pytest.mark.semantics(line=10, clause="life")
@settings(max_examples=EXAMPLES // 5, deadline=None)
@given(schedule=schedules())
def test_each_incident_opens_once_and_is_resolved_after_silence(schedule: list[Step]) -> None:
    lives: dict[str, list[tuple[int, str]]] = {}
    for change in bodies(chain.from_iterable(play(PIPELINE, schedule).sent), "incident_change"):
        lives.setdefault(change["incident_id"], []).append((change["version"], change["state"]))
    for life in lives.values():
        assert [version for version, _ in life] == list(range(1, len(life) + 1))
        assert life[0][1] == "opened"
        assert life[-1][1] == "resolved"
        assert all(state == "escalated" for _, state in life[1:-1])


@pytest.mark.semantics(line=3, clause="replay")
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
