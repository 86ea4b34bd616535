"""Ten straps, a beat every five seconds each; some hearts race or slow down for some minutes.

Straps 1 to 4 and 10 publish over IoT, 5 to 7 put JSON into the stream, 8 and 9 plain lines. Nobody has
registered strap 10.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from random import Random

from pipelines.traffic import Sent, disturbed, hourly, iso, json_line

STRAPS = range(1, 11)
UNREGISTERED = 10
OVER_IOT = (1, 2, 3, 4, UNREGISTERED)
PLAIN_LINES = (8, 9)
EVERY = 5.0  # s from one beat that is told to the next
LASTING = 200.0  # s that an anomaly lasts: at least two whole minutes
RACING, SLOW = (124, 140), (28, 37)
# Where in each hour which strap's heart does what.
ANOMALIES = ((0.15, 3, RACING), (0.35, 8, RACING), (0.55, UNREGISTERED, RACING), (0.75, 5, SLOW))

# What goes wrong in a run of any length.
LATE = 4
REPEATED = 5
BROKEN = (
    b"7",
    b"7,seventy",
    b'{"device_id":4,"measured_at":"2026-01-01T00:00:00Z"}',
    b'{"device_id":"strap","heart_rate":71,"measured_at":"2026-01-01T00:00:00Z"}',
    b'{"device_id":2,"heart_rate":',
)


def references(seed: int) -> Mapping[str, list[dict[str, object]]]:
    chance = Random(seed)
    first = ["Ada", "Ben", "Cem", "Dora", "Emil", "Fay", "Gus", "Hana", "Ida"]
    last = ["Okafor", "Lindqvist", "Moreau", "Tanaka", "Novak", "Silva", "Brandt", "Haddad", "Kelly"]
    chance.shuffle(last)
    registered = [strap for strap in STRAPS if strap != UNREGISTERED]
    return {
        "registrations": [
            {
                "device_id": strap,
                "customer_id": f"customer-{strap:03}",
                "first_name": first_name,
                "last_name": last_name,
                "email": f"{first_name}.{last_name}@example.com".lower(),
                "mobile": f"+4915550000{strap:02}",
            }
            for strap, first_name, last_name in zip(registered, first, last, strict=True)
        ]
    }


def traffic(*, seed: int, start: float, seconds: float) -> Iterator[Sent]:
    chance = Random(seed)
    beats = [sent for strap in STRAPS for sent in strap_beats(strap, chance, start, seconds)]
    yield from disturbed(
        beats,
        chance,
        late=LATE,
        may_be_late=lambda sent: sent.data[:1] == b"{",
        repeated=REPEATED,
        broken=BROKEN,
    )


def strap_beats(strap: int, chance: Random, start: float, seconds: float) -> Iterator[Sent]:
    usual, phase = chance.uniform(72, 92), chance.uniform(0, 2 * math.pi)
    episodes = [
        (began, bounds)
        for place, who, bounds in ANOMALIES
        if who == strap
        for began in hourly(start, seconds, [place], LASTING)
    ]
    measured_at = start + chance.uniform(0, EVERY)
    while measured_at < start + seconds:
        inside = [
            (number, bounds)
            for number, (began, bounds) in enumerate(sorted(episodes), start=1)
            if began <= measured_at < began + LASTING
        ]
        if inside:
            (number, bounds) = inside[0]
            rate, label = chance.randint(*bounds), f"out_of_range/{strap}/{number}"
        else:
            calm = usual + 10 * math.sin(2 * math.pi * measured_at / 1_200 + phase) + chance.gauss(0, 6)
            rate, label = min(140, max(60, round(calm))), None
        yield sent_beat(strap, rate, measured_at, label, chance)
        measured_at += EVERY + chance.uniform(-0.5, 0.5)


def sent_beat(strap: int, rate: int, measured_at: float, label: str | None, chance: Random) -> Sent:
    if strap in PLAIN_LINES:
        return Sent(measured_at, f"{strap},{rate}".encode(), str(strap), label)
    delay = chance.uniform(1, 3) if chance.random() < 0.02 else chance.uniform(0.05, 0.4)
    values = {"device_id": strap, "heart_rate": rate, "measured_at": iso(measured_at)}
    via = "iot" if strap in OVER_IOT else "kinesis"
    return Sent(measured_at + delay, json_line(values), str(strap), label, via)
