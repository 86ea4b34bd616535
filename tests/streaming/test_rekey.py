"""Detectors of another key than the stream's say on many shards what they say on one."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.columns import count, total
from lambdas.detectors.sequence import Sequence, Step
from lambdas.detectors.window import Window
from lambdas.model import HIGH, Kinesis, Row, seconds
from pipelines.casino.pipeline import Play
from pipelines.casino.pipeline import pipeline as casino
from tests.streaming.rekeying import Stages, alone, content

LATENESS = casino.lateness.total_seconds()


def rekeyed(detector: Any) -> Any:
    return replace(detector, rekey=True, max_keys=1_000) if detector.key is Play.table_id else detector


REKEYED = replace(
    casino.named("casino"),
    sources=[Kinesis(provisioned=4)],
    detectors=[
        *map(rekeyed, casino.detectors),
        Sequence(
            name="table_wins",
            key=Play.table_id,
            steps=[Step(when=Play.won > 0, times=3, unbroken=True)],
            within=seconds(60),
            show=[Play.customer_id],
            rekey=True,
            severity=HIGH,
            do_first="Look.",
        ),
        Window(
            name="game_minute",
            key=(Play.game, Play.action),
            every=seconds(60),
            also=[total(Play.won), count()],
            rekey=True,
            max_keys=100,
            severity=HIGH,
            do_first="Look.",
        ),
    ],
)

PLAY = st.fixed_dictionaries(
    {
        "at": st.integers(0, 240),
        "behind": st.integers(0, int(LATENESS)),
        "customer_id": st.sampled_from([f"guest-{number}" for number in range(12)]),
        "table_id": st.one_of(st.none(), st.sampled_from(["table-1", "table-2", "table-3"])),
        "game": st.sampled_from(["poker", "roulette"]),
        "action": st.sampled_from(["sit", "bet"]),
        "won": st.one_of(st.none(), st.integers(-500, 1_500)),
    }
)


def rows(plays: list[dict[str, Any]]) -> list[Row]:
    """The plays as they arrive: out of order, none so late that one shard would leave it out."""
    made = []
    for number, play in enumerate(sorted(plays, key=lambda play: play["at"] + play["behind"])):
        values = {name: value for name, value in play.items() if name not in ("at", "behind")}
        values |= {"play_id": f"play-{number}", "bet": None, "guests.spent": 100.0, "guests.tier": "gold"}
        made.append(Row(float(play["at"]), values, float(play["at"] + play["behind"])))
    return made


@pytest.mark.semantics(line=7, clause="rekeyed")
@settings(max_examples=100, deadline=None)
@given(
    plays=st.lists(PLAY, min_size=1, max_size=60),
    steps=st.lists(st.tuples(st.integers(0, 13), st.integers(1, 20)), max_size=80),
    seed=st.integers(0, 2**32),
)
def test_many_shards_give_what_one_gives(
    plays: list[dict[str, Any]], steps: list[tuple[int, int]], seed: int
) -> None:
    given_rows = rows(plays)
    stages = Stages(REKEYED, Random(seed))
    waiting = list(given_rows)
    now = 0.0
    for which, most in steps:
        if which == 13:
            stages.tick(now)
        elif which >= len(stages.shards):
            for row in waiting[:most]:
                stages.put(str(row.values["customer_id"]), row)
                now = row.arrival
            del waiting[:most]
        else:
            stages.read(stages.shards[which], most)
    for row in waiting:
        stages.put(str(row.values["customer_id"]), row)
    stages.drain()
    end = 100_000.0
    stages.tick(end)
    stages.drain()
    assert content(stages.sent) == content(alone(REKEYED, given_rows, [end]))
