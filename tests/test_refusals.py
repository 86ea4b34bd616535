"""Every sentence with which a declaration is refused: what triggers it, and how it reads, word by word."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lambdas.columns import (
    Column,
    DeclarationError,
    Double,
    Integer,
    Text,
    Timestamp,
    count,
    distinct,
    mean,
    quantile,
    share,
    total,
)
from lambdas.columns import Json as JsonText
from lambdas.detectors.sequence import Sequence, Step
from lambdas.detectors.threshold import Threshold
from lambdas.detectors.window import Window
from lambdas.formats.csv_line import Csv
from lambdas.formats.json_objects import Json
from lambdas.model import CRITICAL, HIGH, Event, Iot, Kinesis, Load, Pipeline, Reference, minutes, seconds

ROOT = Path(__file__).parent.parent
SOURCES = [
    ROOT / "lambdas/model.py",
    ROOT / "lambdas/columns.py",
    *sorted((ROOT / "lambdas/detectors").glob("*.py")),
    *sorted((ROOT / "lambdas/formats").glob("*.py")),
]


class Guests(Reference, key="guest_id"):
    guest_id = Text("loyalty card")
    spent = Double("in earlier visits", unit="$")
    full_name = Text("the guest's name", private=True)
    mobile = Text("the guest's number", private=True)


class Staff(Reference, key="staff_id"):
    staff_id = Text("who works here")
    mobile = Text("their number")


class Play(Event, key="guest_id", time="played_at", id="play_id"):
    play_id = Text("one for each play")
    guest_id = Text("who", refers_to=Guests)
    table_id = Text("where")
    pin = Text("of the guest's card", private=True)
    won = Double("the guest's win", unit="$")
    played_at = Timestamp("when it happened")


class Call(Event, key="call_id"):
    call_id = Text("one for each call")
    agent = JsonText("all that is known of the agent")
    agents = Integer("how many are there")
    first_name = Text("the agent's", private=True, source="agent.first")
    pen_name = Text("the agent's", source="agent.first")
    team = Text("the agent's", source="agent.team")


def event(key: str = "who", *, time: str | None = None, id: str | None = None, **columns: Column) -> Any:
    return type("Visit", (Event,), {"who": Text("who came"), **columns}, key=key, time=time, id=id)


def reference(key: str, **columns: Column) -> Any:
    return type("Cards", (Reference,), columns, key=key)


def pipeline(**changes: Any) -> Pipeline:
    return Pipeline(**{"about": "a test's", "event": Play, "formats": [Json()], "detectors": [], **changes})


def threshold(**changes: Any) -> Pipeline:
    plain = {"name": "big_win", "when": Play.won > 500, "severity": HIGH, "do_first": "Look."}
    return pipeline(detectors=[Threshold(**{**plain, **changes})])


def call(**changes: Any) -> Pipeline:
    plain = {"name": "big_win", "when": Call.agents > 5, "severity": HIGH, "do_first": "Look."}
    return pipeline(event=Call, detectors=[Threshold(**{**plain, **changes})])


def window(**changes: Any) -> Pipeline:
    plain: dict[str, Any] = {"name": "payout", "when": count() > 5, "severity": HIGH, "do_first": "Look."}
    return pipeline(detectors=[Window(**{**plain, "every": seconds(10), **changes})])


def sequence(**changes: Any) -> Pipeline:
    plain: dict[str, Any] = {"name": "streak", "severity": HIGH, "do_first": "Look.", "within": minutes(10)}
    return pipeline(detectors=[Sequence(**{**plain, "steps": [Step(when=Play.won > 0, times=5)], **changes})])


@dataclass(frozen=True)
class Refusal:
    declared: Callable[[], Any]
    sentence: str


REFUSALS = [
    # Columns, events and references.
    Refusal(
        lambda: bool(Play.won > 0),
        "A condition has no truth of its own; join conditions with & | ~, not with and, or, not.",
    ),
    Refusal(
        lambda: type("Nothing", (Reference,), {}, key="card"),
        "Nothing: it has no columns; declare at least its key, name = Text(…).",
    ),
    Refusal(
        lambda: event(tableId=Text("where")),
        "Visit: the column name 'tableId' is not lower snake case of at most 40 characters; rename it and "
        "say source='tableId'.",
    ),
    Refusal(
        lambda: event(name=Text("of the guest")),
        "Visit: a column may not be named 'name', the class has an attribute of that name; rename it and say "
        "source='name'.",
    ),
    Refusal(
        lambda: event(end=Timestamp("of the visit")),
        "Visit: a column may not be named 'end', SQL has a reserved word of that name; rename it and say "
        "source='end'.",
    ),
    Refusal(
        lambda: event(dt=Text("day")),
        "Visit: a column may not be named 'dt', every row has one of that name; rename it and say "
        "source='dt'.",
    ),
    Refusal(
        lambda: event(table_id=Text(" ")),
        "Visit: the column 'table_id' says nothing about itself; write what it holds.",
    ),
    Refusal(
        lambda: event(key="whom"),
        "Visit: the key 'whom' is not one of its columns (who).",
    ),
    Refusal(
        lambda: event(time="came", came=Text("when")),
        "Visit: the time 'came' is Text; declare it as Timestamp.",
    ),
    Refusal(
        lambda: event(card=Integer("loyalty card", refers_to=Guests)),
        "Visit: the column 'card' is Integer and the key of Guests is Text, so nothing would be found by "
        "it; declare them alike.",
    ),
    Refusal(
        lambda: event(host=Text("a guest", refers_to=Guests), other=Text("a guest", refers_to=Guests)),
        "Visit: 'host' and 'other' both refer to Guests, and an event has one row of a reference; keep "
        "refers_to= on one of them.",
    ),
    Refusal(
        lambda: reference(key="at", at=Timestamp("when")),
        "Cards: the key 'at' is Timestamp; a reference's key is Text or Integer.",
    ),
    Refusal(
        lambda: type("Cards", (Reference,), {}, key="card_id", stale_after=timedelta(days=2)),
        "Cards: stale_after=2 days, 0:00:00 is no span from 0 to a day; say one, as stale_after=minutes(5).",
    ),
    Refusal(
        lambda: type("Cards", (Reference,), {}, key="card_id", stale_after=timedelta(seconds=-1)),
        "Cards: stale_after=-1 day, 23:59:59 is no span from 0 to a day; say one, as stale_after=minutes(5).",
    ),
    Refusal(
        lambda: type("Cards", (Reference,), {}, key="card_id", stale_after=60),
        "Cards: stale_after=60 is no span from 0 to a day; say one, as stale_after=minutes(5).",
    ),
    # Sources and formats.
    Refusal(
        lambda: Kinesis(provisioned="4"),  # type: ignore[arg-type] # what mypy would refuse before
        "Kinesis: '4' shards cannot carry events; say 1 or more, or None for on demand.",
    ),
    Refusal(
        lambda: Kinesis(provisioned=0),
        "Kinesis: 0 shards cannot carry events; say 1 or more, or None for on demand.",
    ),
    Refusal(
        lambda: Kinesis(retention=timedelta(hours=1)),
        "Kinesis: retention=1:00:00 is no span from a day to 365; say one, as timedelta(days=7).",
    ),
    Refusal(
        lambda: Iot(topic="$aws/things"),
        "Iot: '$aws/things' is no topic that a device may publish to; say one such as iot/heartrate.",
    ),
    Refusal(
        lambda: Csv([]),
        "Csv: it has no columns; say Csv([Beat.device_id, Beat.heart_rate]).",
    ),
    # Pipelines.
    Refusal(
        lambda: pipeline(name="Casino"),
        "Casino: the folder's name 'Casino' is not lower snake case of at most 40 characters; rename the "
        "folder.",
    ),
    Refusal(
        lambda: pipeline(about=""),
        "pipeline: it says nothing about itself; write about=… in a line.",
    ),
    Refusal(
        lambda: pipeline(sources=[]),
        "pipeline: it has no source; say sources=[Kinesis()].",
    ),
    Refusal(
        lambda: pipeline(formats=[]),
        "pipeline: it has no format; say formats=[Json()].",
    ),
    Refusal(
        lambda: pipeline(formats=[Csv([Play.won, Staff.staff_id])]),
        "pipeline: its format Csv reads 'staff.staff_id', which is no column of Play; list the event's own "
        "columns.",
    ),
    *(
        Refusal(
            partial(pipeline, **{name: 5}),
            f"pipeline: {name} is 5, no span of time; say one, as {name}=seconds(10).",
        )
        for name in ("lateness", "latency", "skew", "tick")
    ),
    Refusal(
        lambda: threshold(quiet=1_800),
        "pipeline: big_win: quiet is 1800, no span of time; say one, as quiet=seconds(10).",
    ),
    Refusal(
        lambda: threshold(lasting=60),
        "pipeline: big_win: lasting is 60, no span of time; say one, as lasting=seconds(10).",
    ),
    Refusal(
        lambda: window(every=60),
        "pipeline: payout: every is 60, no span of time; say one, as every=seconds(10).",
    ),
    Refusal(
        lambda: sequence(within=600),
        "pipeline: streak: within is 600, no span of time; say one, as within=seconds(10).",
    ),
    Refusal(
        lambda: pipeline(lateness=seconds(-1)),
        "pipeline: lateness is below zero; say 0 or more.",
    ),
    Refusal(
        lambda: pipeline(latency=minutes(6)),
        "pipeline: latency is outside 0 to 300 s, the longest that a batch may wait; say one between them.",
    ),
    *(
        Refusal(
            partial(pipeline, tick=seconds(given)),
            f"pipeline: tick is {given:g} s, and a minute has to be a whole number of them; say one of 5, 6, "
            "10, 12, 15, 20, 30, 60 s.",
        )
        for given in (2, 7, 7.5, 300)
    ),
    Refusal(
        lambda: pipeline(detectors=[*threshold().detectors, *threshold().detectors]),
        "pipeline: two detectors are named 'big_win'; rename one, the name is what an incident is known by.",
    ),
    Refusal(
        lambda: window(when=distinct(Play.table_id) > 5, distinct_cap=10_000),
        "pipeline: its detectors may keep 7,202 MB of state a shard and 64 MB is the budget; lower max_keys"
        " of the largest.",
    ),
    Refusal(
        lambda: threshold().named("casino").overridden({"too_hot.above": 85}),
        "casino: 'too_hot.above' names none of its detectors (big_win); say detector.number=value, as "
        "too_hot.above=85.",
    ),
    # Any detector.
    Refusal(
        lambda: threshold(name="Big win"),
        "pipeline: Big win: a detector's name is lower snake case of at most 40 characters; rename it.",
    ),
    Refusal(
        lambda: threshold(do_first=" "),
        "pipeline: big_win: do_first is empty; write what the operator should do first.",
    ),
    Refusal(
        lambda: threshold(key=Guests.guest_id),
        "pipeline: big_win: the key 'guests.guest_id' is not a column of Play; key it by one of them.",
    ),
    Refusal(
        lambda: threshold(show=[Staff.staff_id]),
        "pipeline: big_win: the column 'staff.staff_id' is neither of Play nor of a reference that one of "
        "its columns refers to; declare refers_to= on the column that holds its key.",
    ),
    Refusal(
        lambda: threshold(show=[Guests.full_name]),
        "pipeline: big_win: the column 'guests.full_name' is private and what a detector reads can stand in"
        " a message; use another column or declare it without private=True.",
    ),
    Refusal(
        lambda: threshold(key=Play.pin),
        "pipeline: big_win: the column 'pin' is private and what a detector reads can stand in a message; "
        "use another column or declare it without private=True.",
    ),
    Refusal(
        lambda: call(show=[Call.agent]),
        "pipeline: big_win: the column 'agent' is read from 'agent' and holds the private 'first_name' of "
        "'agent.first', and what a detector reads can stand in a message; use a column with a narrower "
        "source.",
    ),
    Refusal(
        lambda: call(when=Call.pen_name.is_("Jane")),
        "pipeline: big_win: the column 'pen_name' is read from 'agent.first' and holds the private "
        "'first_name' of 'agent.first', and what a detector reads can stand in a message; use a column with "
        "a narrower source.",
    ),
    Refusal(
        lambda: pipeline(sources=[Kinesis(provisioned=2)], detectors=threshold(key=Play.table_id).detectors),
        "pipeline: big_win: it is keyed by table_id and the stream of more than one shard is partitioned by"
        " guest_id, so no shard sees all of a key; key it by guest_id, use one shard, or say rekey=True.",
    ),
    Refusal(
        lambda: pipeline(
            sources=[Iot(topic="plays"), Kinesis(provisioned=2)], detectors=threshold().detectors
        ),
        "pipeline: big_win: it is keyed by guest_id and the stream of more than one shard is partitioned by "
        "the MQTT client, so no shard sees all of a key; use one shard, or say rekey=True.",
    ),
    Refusal(
        lambda: threshold(rekey=True),
        "pipeline: big_win: it says rekey=True and is keyed by guest_id, as the stream is partitioned; leave "
        "rekey out.",
    ),
    Refusal(
        lambda: window(
            when=total(Play.won) > 5, span=seconds(10), every=seconds(1), key=Play.table_id, rekey=True
        ),
        "pipeline: its re-keyed detectors may keep 322 MB of state a shard and 64 MB is the budget; lower "
        "max_keys of the largest, or skew.",
    ),
    Refusal(
        lambda: threshold(sms=Play.won),
        "pipeline: big_win: sms= is no Text column; say the reference's column that holds the mobile number.",
    ),
    Refusal(
        lambda: threshold(sms=Staff.mobile),
        "pipeline: big_win: sms= names no Text column of a reference of this event; say the column that "
        "holds the mobile number.",
    ),
    Refusal(
        lambda: threshold(key=Play.table_id, sms=Guests.mobile),
        "pipeline: big_win: sms= needs the reference 'guests', which is looked up by 'guest_id'; key the "
        "detector by 'guest_id'.",
    ),
    Refusal(
        lambda: threshold(settle=seconds(-1)),
        "pipeline: big_win: settle is below zero; say 0 or more.",
    ),
    Refusal(
        lambda: threshold(quiet=seconds(0)),
        "pipeline: big_win: quiet is zero, so no incident would outlive its first finding; say minutes(30).",
    ),
    Refusal(
        lambda: threshold(max_keys=0),
        "pipeline: big_win: max_keys is below 1, so it could watch nobody; say 1 or more.",
    ),
    Refusal(
        lambda: threshold(severity={}),
        "pipeline: big_win: severity has no band; say HIGH or {30: HIGH, 45: CRITICAL}.",
    ),
    Refusal(
        lambda: threshold(symptom="größer als erwartet"),
        "pipeline: big_win: its symptom is not at most 40 ASCII characters, as an e-mail's subject asks; "
        "shorten it.",
    ),
    Refusal(
        lambda: threshold(runbook="wiki/big-win"),
        "pipeline: big_win: the runbook 'wiki/big-win' is no https:// address; say one that the operator "
        "can open.",
    ),
    Refusal(
        lambda: threshold(when=mean(Play.won) > 500),
        "pipeline: big_win: “mean won above $500” compares an aggregate; compare a column here.",
    ),
    Refusal(
        lambda: window(when=Play.won > 500),
        "pipeline: payout: “won above $500” compares a column; compare an aggregate such as mean(…) here.",
    ),
    Refusal(
        lambda: threshold(when=Play.won > "much"),
        "pipeline: big_win: “won above much” compares won with 'much', and won is a number; compare it with"
        " a number.",
    ),
    Refusal(
        lambda: threshold(when=~Play.table_id.is_in("seven", 7)),
        "pipeline: big_win: “table id is one of seven, 7” compares table id with 7, and table id is text; "
        "compare it with text.",
    ),
    Refusal(
        lambda: threshold(when=Play.won > Play.table_id),
        "pipeline: big_win: “won above table id” compares won with table id, and won is a number; compare "
        "it with a number.",
    ),
    Refusal(
        lambda: threshold(when=Play.won > float("inf")),
        "pipeline: big_win: “won above $inf” compares won with inf, and won is a number; compare it with a "
        "number.",
    ),
    Refusal(
        lambda: threshold().overridden({"big_win.below": 3}),
        "big_win: it has no number 'below'; it has above, settle, quiet, max_keys, times, lasting.",
    ),
    Refusal(
        lambda: threshold(severity={500: HIGH, 900: CRITICAL}).overridden({"big_win.times": 1.5}),
        "big_win: times is a whole number, 1.5 is not; say 1.",
    ),
    # Each detector's own.
    Refusal(
        lambda: threshold(times=0),
        "pipeline: big_win: times is below 1; say how many events in a row it takes.",
    ),
    Refusal(
        lambda: threshold(lasting=seconds(-1)),
        "pipeline: big_win: lasting is below zero; say 0 or more.",
    ),
    Refusal(
        lambda: window(every=seconds(-10)),
        "pipeline: payout: every is below zero; say 0 or more.",
    ),
    Refusal(
        lambda: window(gap=seconds(10)),
        "pipeline: payout: it has a gap and a length; a session has gap=, any other window every= and "
        "perhaps span=.",
    ),
    Refusal(
        lambda: window(gap=seconds(0.0001), every=seconds(0)),
        "pipeline: payout: its gap is below a millisecond, the finest that times are kept in; say "
        "gap=seconds(30).",
    ),
    Refusal(
        lambda: window(every=seconds(0)),
        "pipeline: payout: its window is zero long; say every=seconds(60), or gap= for a session.",
    ),
    Refusal(
        lambda: window(span=seconds(25)),
        "pipeline: payout: span is not a whole number of every; make it one, as span=seconds(60), "
        "every=seconds(10).",
    ),
    Refusal(
        lambda: window(when=None),
        "pipeline: payout: it aggregates nothing; say when=mean(…) > 1, or also=[mean(…)].",
    ),
    Refusal(
        lambda: Load(events_per_second=0),
        "Load: 0 events a second cost nothing that could be reckoned; say a number above 0.",
    ),
    Refusal(
        lambda: Load(keys=0),
        "Load: events of 0 keys are none; say 1 or more.",
    ),
    Refusal(
        lambda: pipeline(sources=[Kinesis(provisioned=2)], load=Load(events_per_second=2_500)),
        "pipeline: its load of 2,500 events a second is more than its stream takes, 1,000 a shard; say "
        "Kinesis(provisioned=3).",
    ),
    Refusal(
        lambda: window(also=[mean(Play.table_id)]),
        "pipeline: payout: mean(table_id) is on a column that is no number; count, distinct or a numeric "
        "column fit.",
    ),
    Refusal(
        lambda: window(also=[quantile(Play.won, 75)]),
        "pipeline: payout: quantile(won, 75) asks for a fraction outside 0 to 1; say one such as 0.75.",
    ),
    Refusal(
        lambda: window(when=share(mean(Play.won) > 5) > 0.5),
        "pipeline: payout: “mean won above $5” compares an aggregate; compare a column here.",
    ),
    Refusal(
        lambda: sequence(steps=[]),
        "pipeline: streak: it has no step; say steps=[Step(when=…)].",
    ),
    Refusal(
        lambda: sequence(within=seconds(0)),
        "pipeline: streak: within is zero, so no two events could match; say how long the steps may"
        " take together.",
    ),
    Refusal(
        lambda: sequence(attempts=0),
        "pipeline: streak: attempts is below 1; say how many matches may be under way for a key.",
    ),
    Refusal(
        lambda: sequence().overridden({"streak.times": 0}),
        "pipeline: streak: the step “won above $0” is to be met 0 times; say 1 or more.",
    ),
]


@pytest.mark.semantics(line=7, clause="refused")
@pytest.mark.semantics(line=8, clause="budget")
@pytest.mark.semantics(line=11, clause="refused")
@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.sentence)
def test_wrong_declaration_is_refused_with_one_sentence(refusal: Refusal) -> None:
    with pytest.raises(DeclarationError) as refused:
        refusal.declared()

    assert str(refused.value) == refusal.sentence


def test_a_column_beside_a_private_one_may_be_read() -> None:
    assert call(show=[Call.team, Call.agents]).detectors


def refusals_in(path: Path) -> Iterator[tuple[int, str]]:
    """Line and pattern of each sentence that a file can refuse with: what `DeclarationError` is raised with,
    and what a function called …problems yields.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            if isinstance(node.exc.func, ast.Name) and node.exc.func.id == "DeclarationError":
                yield node.lineno, pattern(node.exc.args[0])
        elif isinstance(node, ast.FunctionDef) and node.name.endswith("problems"):
            for part in ast.walk(node):
                if isinstance(part, ast.Yield) and part.value is not None:
                    yield part.lineno, pattern(part.value)


def pattern(sentence: ast.expr) -> str:
    """A regular expression for all that a literal or an f-string can become."""
    if isinstance(sentence, ast.Constant):
        return re.escape(str(sentence.value))
    assert isinstance(sentence, ast.JoinedStr), (
        f"line {sentence.lineno}: write the sentence where it is raised"
    )
    parts = (
        re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+" for part in sentence.values
    )
    return "".join(parts)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_sentence_is_without_a_row(path: Path) -> None:
    sentences = [refusal.sentence for refusal in REFUSALS]

    rowless = [
        (line, wanted)
        for line, wanted in refusals_in(path)
        if not any(re.search(f"(^|: ){wanted}$", sentence) for sentence in sentences)
    ]

    assert rowless == []


def test_the_sentences_are_found_in_the_sources() -> None:
    assert sum(len(list(refusals_in(path))) for path in SOURCES) > 50


def test_sentences_say_what_is_wrong_and_what_to_do() -> None:
    for refusal in REFUSALS:
        assert refusal.sentence.endswith("."), refusal.sentence
        assert not re.search(r"  |\n", refusal.sentence), refusal.sentence
