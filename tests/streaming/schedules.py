"""Drawn lives of a stream: what happens when, in which shard, and how it reaches the detectors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import chain
from typing import Any, NamedTuple

from hypothesis import strategies as st

from lambdas.columns import Timestamp
from lambdas.formats.decode import Decoder
from lambdas.model import Event, Pipeline, Row
from lambdas.streaming.lane import Item
from lambdas.streaming.shard import Record, Shard
from tests.detectors.support import Play
from tests.streaming.support import Log, pipeline

START = 1_769_853_600_000  # 2026-01-31 10:00:00 UTC, ms since 1970
LATER = START + 100_000_000  # when nothing is awaited any more
SHARDS = 3
GUESTS = "abcdef"  # each in the shard of its place in the alphabet
OFFSETS = (0, 60, 345, -570)  # minutes east of Greenwich
UNREADABLE = b'{"play_id": "none", "guest": 7}'


class InSeconds(Event, key="guest", time="at", id="play_id"):
    play_id, guest, action, won = Play.play_id, Play.guest, Play.action, Play.won
    at = Timestamp("when it happened", form="seconds")


class InMilliseconds(Event, key="guest", time="at", id="play_id"):
    play_id, guest, action, won = Play.play_id, Play.guest, Play.action, Play.won
    at = Timestamp("when it happened", form="milliseconds")


# The same event as producers of three kinds write its time.
DECODERS = {
    "iso": Decoder(pipeline(Play)),
    "seconds": Decoder(pipeline(InSeconds)),
    "milliseconds": Decoder(pipeline(InMilliseconds)),
}


class Happening(NamedTuple):
    """An event as it was produced; `happened` in ms since 1970."""

    play_id: str
    guest: str
    happened: int
    won: int | None
    action: str
    form: str
    offset: int

    @property
    def shard(self) -> int:
        return GUESTS.index(self.guest) % SHARDS

    def written(self) -> bytes:
        moment = datetime.fromtimestamp(START / 1000, timezone(timedelta(minutes=self.offset)))
        at = {
            "iso": (moment + timedelta(milliseconds=self.happened - START)).isoformat(),
            "seconds": self.happened / 1000,
            "milliseconds": self.happened,
        }
        named = {"play_id": self.play_id, "guest": self.guest, "won": self.won, "action": self.action}
        return json.dumps(named | {"at": at[self.form]}).encode()


class Arrives(NamedTuple):
    """A record in a shard; without a happening it cannot be read."""

    now: int
    shard: int
    happening: Happening | None

    def record(self, sequence: int) -> Record:
        data = self.happening.written() if self.happening else UNREADABLE
        decoder = DECODERS[self.happening.form if self.happening else "iso"]
        parts = list(decoder.decode(data, self.now, sequence=sequence))
        rows = [part for part in parts if isinstance(part, Row)]
        return Record(sequence, self.now / 1000, rows, len(parts) - len(rows))


class Delivers(NamedTuple):
    """What waits in a shard goes out as a batch, together with the `again` records before it.

    With `dies` a first invocation works on it and is gone before it commits.
    """

    shard: int
    again: int
    dies: bool
    is_cold: bool


class Ticks(NamedTuple):
    """The clock's signal to all shards."""

    now: int


Step = Arrives | Delivers | Ticks

DRAWN = st.tuples(
    st.sampled_from(["event"] * 8 + ["batch"] * 3 + ["tick"] * 2 + ["unreadable"]),
    st.one_of(st.integers(0, 9_000), st.integers(0, 90_000)),  # ms since the step before
    st.integers(0, 60),  # which event: one that was drawn before comes again
    # ms from the event to its arrival: mostly within the lateness, some late, some ahead, some too far
    st.one_of(
        st.integers(0, 12_000), st.integers(-15_000, 60_000), st.sampled_from([-300_000, -300_001, -400_000])
    ),
    st.integers(-20, 50),
)


def schedules() -> st.SearchStrategy[list[Step]]:
    """Steps in the order of the arrival clock."""
    # Lists of lists: of one alone hypothesis draws few that are long.
    parts = st.lists(st.lists(DRAWN, min_size=1, max_size=9), min_size=1, max_size=7)
    return parts.map(lambda drawn: list(steps(list(chain.from_iterable(drawn)))))


def steps(drawn: Sequence[tuple[str, int, int, int, int]]) -> Iterator[Step]:
    known: dict[int, Happening] = {}
    now = START
    for kind, pause, number, delay, won in drawn:
        if kind == "batch":
            yield Delivers(number % SHARDS, max(0, won) // 8, dies=won % 4 == 0, is_cold=pause % 2 == 0)
            continue
        now += pause if kind != "tick" else 4 * pause
        if kind == "tick":
            yield Ticks(now)
        elif kind == "unreadable":
            yield Arrives(now, number % SHARDS, None)
        else:
            known.setdefault(number, happening(number, now - delay, won, pause))
            yield Arrives(now, known[number].shard, known[number])


def happening(number: int, happened: int, won: int, choice: int) -> Happening:
    return Happening(
        play_id=str(number),
        guest=GUESTS[number % len(GUESTS)],
        happened=happened - happened % 1000 if choice % 2 else happened,
        won=None if won == 13 else won,
        action=("enter", "sit", "bet")[won % 3],
        form=tuple(DECODERS)[choice % len(DECODERS)],
        offset=OFFSETS[number % len(OFFSETS)],
    )


@dataclass
class Consumer:
    """One shard's detect and tick, each in a container of its own, and the log between them."""

    log: Log
    detect: Shard | None = None
    tick: Shard | None = None
    waiting: list[Record] = field(default_factory=list)
    had: list[Record] = field(default_factory=list)

    def deliver(self, *, again: int = 0, dies: bool = False, is_cold: bool = False) -> None:
        given = [*self.had[len(self.had) - again :], *self.waiting] if again else self.waiting
        if dies:
            (self.detect or self.log.load()).process(given)
        shard = self.log.load() if dies or is_cold or self.detect is None else self.detect
        if self.log.save(shard, shard.process(given)):
            self.tick = None  # the log has a newer entry than its state
        self.detect = shard
        self.had += self.waiting
        self.waiting = []

    def let_pass(self, now: int) -> str:
        """A tick: `tick` where it wrote an entry, `idle` where nothing was to be written, else nothing."""
        if self.waiting:
            return ""
        self.tick = self.tick or self.log.load()
        due = self.tick.due()
        if due is None or due > now / 1000:
            return "idle"
        if not self.log.save(self.tick, self.tick.advance(now / 1000)):
            return "idle"
        self.detect = None
        return "tick"


@dataclass
class Played:
    """What came of a schedule: what each shard sent, its steps (of the ticks those that wrote an entry), and
    all that happened as rows.
    """

    sent: list[list[Item]]
    steps: list[tuple[int, int, Record | Ticks]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


def play(pipeline: Pipeline, schedule: Sequence[Step]) -> Played:
    """A schedule, then what still waits, and a tick after which nothing is awaited."""
    consumers = [Consumer(Log(pipeline, shard_id=shard_id(shard))) for shard in range(SHARDS)]
    played = Played([consumer.log.sent for consumer in consumers])
    last = (Delivers(shard, 0, dies=False, is_cold=False) for shard in range(SHARDS))
    for number, step in enumerate((*schedule, *last, Ticks(LATER)), start=1):
        if isinstance(step, Arrives):
            given = step.record(number)
            consumers[step.shard].waiting.append(given)
            played.steps.append((number, step.shard, given))
            event = step.happening._asdict() if step.happening else {}
            played.rows.append({"step": number, "shard": step.shard, "now": step.now} | event)
        elif isinstance(step, Delivers):
            consumers[step.shard].deliver(again=step.again, dies=step.dies, is_cold=step.is_cold)
        else:
            for shard, consumer in enumerate(consumers):
                form = consumer.let_pass(step.now)
                played.rows.append({"step": number, "shard": shard, "now": step.now, "form": form})
                if form == "tick":
                    played.steps.append((number, shard, step))
    return played


def straight(pipeline: Pipeline, played: Played) -> Iterator[tuple[int, int, Item]]:
    """What is said in which shard at which step when the same comes record by record, nothing twice."""
    shards = [Shard(pipeline, shard_id(shard)) for shard in range(SHARDS)]
    for number, shard, step in played.steps:
        outcome = (
            shards[shard].advance(step.now / 1000)
            if isinstance(step, Ticks)
            else shards[shard].process([step])
        )
        for item in outcome.outbox:
            yield shard, number, item


def shard_id(number: int) -> str:
    return f"shardId-{number:012d}"
