"""An evening at eight tables: 28 ordinary guests, and twelve that somebody should hear of.

Ordinary play never matches a detector by chance: an ordinary guest never wins five times in a row, and the
guests of a table bet and win too little in ten seconds. Who has spent a lot comes only to be noticed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from pipelines.traffic import Sent, disturbed, hourly, iso, json_line

GAMES = ("roulette", "blackjack", "baccarat", "poker")
TABLES = {f"table-{number}": GAMES[number % len(GAMES)] for number in range(1, 9)}
GUESTS = [f"guest-{number:03}" for number in range(1, 41)]
ORDINARY, ROLLERS, CHEATS, SPENDERS, LUCKY = (
    GUESTS[:28],
    GUESTS[28:32],
    GUESTS[32:34],
    GUESTS[34:36],
    GUESTS[36:],
)
MOST_WINS = 4  # in a row, by chance

# What goes wrong in a run of any length.
LATE = 4
REPEATED = 12
BROKEN = (
    b"<play/>",
    b'{"play_id":"broken-1","customer_id":"guest-002","action":"bet","bet":"ten","played_at":"2026-01-01T00:00:00Z"}',
    b'{"customer_id":"guest-003","action":"sit","played_at":"2026-01-01T00:00:00Z"}',
    b'{"play_id":"broken-2","customer_id":"guest-004","action":"sit","played_at":"yesterday"}',
    b'["enter","guest-005"]',
)


@dataclass
class Guest:
    """One guest's plays; counts wins so that none come five in a row by chance."""

    name: str
    chance: Random
    plays: list[Sent] = field(default_factory=list)
    wins: int = 0

    def does(
        self, action: str, at: float, table: str | None = None, label: str | None = None, **money: float
    ) -> None:
        values: dict[str, object] = {
            "play_id": f"{self.name}-{len(self.plays)}-{at:.0f}",
            "customer_id": self.name,
            "action": action,
            "played_at": iso(at),
        }
        if table is not None:
            values |= {"table_id": table, "game": TABLES[table]}
        delay = self.chance.uniform(2, 6) if self.chance.random() < 0.03 else self.chance.uniform(0.05, 0.5)
        self.plays.append(Sent(at + delay, json_line(values | money), self.name, label))

    def bets(self, at: float, table: str, stake: float, won: float, label: str | None = None) -> None:
        self.wins = self.wins + 1 if won > 0 else 0
        self.does("bet", at, table, label, bet=round(stake, 2), gaming_event=round(won, 2))

    def tries_luck(self, at: float, table: str) -> None:
        stake = self.chance.uniform(5, 100)
        is_lucky = self.wins < MOST_WINS and self.chance.random() < 0.45
        self.bets(at, table, stake, stake * self.chance.uniform(0.5, 1.2) if is_lucky else -stake)

    def plays_on(self, at: float, until: float, table: str) -> float:
        """Ordinary bets; returns when the next would have come."""
        while at < until:
            self.tries_luck(at, table)
            at += self.chance.uniform(8, 20)
        return at

    def visits(self, at: float, until: float, table: str) -> None:
        """Comes, plays and leaves."""
        self.does("enter", at)
        at += self.chance.uniform(10, 60)
        self.does("sit", at, table)
        self.does("leave", self.plays_on(at + 5, until, table), table)


def references(seed: int) -> Mapping[str, list[dict[str, object]]]:
    chance = Random(seed)
    rows: list[dict[str, object]] = []
    for name in GUESTS:
        spent = chance.uniform(60_000, 400_000) if name in ROLLERS else chance.uniform(100, 20_000)
        tier = (
            "platinum"
            if spent > 50_000
            else "gold"
            if spent > 12_000
            else "silver"
            if spent > 4_000
            else "bronze"
        )
        rows.append(
            {
                "customer_id": name,
                "full_name": f"Guest {chance.choice('ABCDEFGH')}. {name[-3:]}",
                "spent": round(spent, 2),
                "is_active": chance.random() > 0.1,
                "tier": tier,
            }
        )
    return {"guests": rows}


def traffic(*, seed: int, start: float, seconds: float) -> Iterator[Sent]:
    chance = Random(seed)
    guests = {name: Guest(name, chance) for name in GUESTS}
    tables = list(TABLES)
    for number, name in enumerate(ORDINARY):
        ordinary_evening(guests[name], tables[number % len(tables)], start, start + seconds)
    for number, at in enumerate(hourly(start, seconds, (0.1, 0.55), 300), start=1):
        high_roller(guests[ROLLERS[number % len(ROLLERS)]], chance.choice(tables), at, number)
    for number, at in enumerate(hourly(start, seconds, (0.25, 0.7), 300), start=1):
        possible_cheat(guests[CHEATS[number % len(CHEATS)]], chance.choice(tables), at, number)
    for number, at in enumerate(hourly(start, seconds, (0.15, 0.6), 120), start=1):
        high_spender(guests[SPENDERS[number % len(SPENDERS)]], chance.choice(tables), at, number)
    for number, at in enumerate(hourly(start, seconds, (0.4, 0.85), 120), start=1):
        chips_run_low([guests[name] for name in LUCKY], chance.choice(tables), at, number)
    yield from disturbed(
        [sent for guest in guests.values() for sent in guest.plays],
        chance,
        late=LATE,
        may_be_late=is_win,
        repeated=REPEATED,
        broken=BROKEN,
    )


def is_win(sent: Sent) -> bool:
    """Whether detectors may miss a play: without a loss there could be five wins in a row."""
    return b'"gaming_event":' in sent.data and b'"gaming_event":-' not in sent.data


def ordinary_evening(guest: Guest, table: str, start: float, end: float) -> None:
    at = start + guest.chance.uniform(0, 600)
    while at < end - 120:
        leaves = min(at + guest.chance.uniform(600, 2_400), end - 60)
        guest.visits(at, leaves, table)
        at = leaves + guest.chance.uniform(300, 1_200)


def high_roller(guest: Guest, table: str, at: float, number: int) -> None:
    label = f"high_roller/{guest.name}/{number}"
    guest.does("enter", at, label=label)
    guest.does("sit", at + 120, table, label)
    guest.does("leave", guest.plays_on(at + 125, at + 280, table), table)


def possible_cheat(guest: Guest, table: str, at: float, number: int) -> None:
    label = f"possible_cheat/{guest.name}/{number}"
    guest.does("enter", at)
    guest.does("sit", at + 30, table)
    for win in range(6):
        stake = guest.chance.uniform(50, 100)
        guest.bets(at + 40 + 25 * win, table, stake, 1.5 * stake, label)
    guest.bets(at + 195, table, 20, -20)
    guest.does("leave", at + 210, table)


def high_spender(guest: Guest, table: str, at: float, number: int) -> None:
    label = f"high_spender/{guest.name}/{number}"
    guest.does("enter", at)
    guest.does("sit", at + 30, table)
    for bet in range(7):
        stake = guest.chance.uniform(1_000, 1_400)
        guest.bets(at + 40 + bet, table, stake, -stake, label)
    guest.does("leave", at + 60, table)


def chips_run_low(guests: list[Guest], table: str, at: float, number: int) -> None:
    label = f"chips_run_low/{table}/{number}"
    for place, guest in enumerate(guests):
        guest.does("enter", at + place)
        guest.does("sit", at + 20 + place, table)
        for win in range(2):
            won = guest.chance.uniform(500, 700)
            guest.bets(at + 40 + 3 * win + 0.6 * place, table, 200, won, label)
        guest.bets(at + 60 + place, table, 10, -10)
        guest.does("leave", at + 80 + place, table)
