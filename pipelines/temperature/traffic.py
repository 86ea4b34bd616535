"""Three sensors, a reading a second each: a calm sine with hot spells in it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random

from pipelines.traffic import Sent, disturbed, iso, json_line

SENSORS = ("sensor-1", "sensor-2", "sensor-3")
HOT_SHARE = 0.005  # of all readings
SPELLS = (1, 1, 1, 5, 12)  # lengths of hot spells, readings
WAVE = 1_800.0  # s from one warmest time to the next

# What goes wrong in a run of any length: readings that come too late, and records that cannot be read.
LATE = 4
BROKEN = (
    b"temperature=21.5",
    b'{"sensor_id":"sensor-2","temperature":"warm","timestamp":"2026-01-01T00:00:00Z"}',
    b'{"temperature":22.5,"timestamp":"2026-01-01T00:00:00Z"}',
    b'{"sensor_id":"sensor-3","temperature":21.9,"timestamp":"2199-01-01T00:00:00Z"}',
)


def traffic(*, seed: int, start: float, seconds: float) -> Iterator[Sent]:
    chance = Random(seed)
    readings = [
        sent
        for phase, sensor in enumerate(SENSORS)
        for sent in sensor_readings(sensor, 2 * math.pi * phase / len(SENSORS), chance, start, seconds)
    ]
    yield from disturbed(readings, chance, late=LATE, may_be_late=lambda _: True, repeated=0, broken=BROKEN)


def sensor_readings(
    sensor: str, phase: float, chance: Random, start: float, seconds: float
) -> Iterator[Sent]:
    hot = hot_seconds(chance, int(seconds))
    for second in range(int(seconds)):
        if second in hot:
            temperature, label = chance.uniform(35, 50), f"too_hot/{sensor}/{hot[second]}"
        else:
            wave = math.sin(2 * math.pi * second / WAVE + phase)
            temperature, label = 24.5 + 4.3 * wave + chance.uniform(-0.2, 0.2), None
        measured_at = start + second + chance.uniform(0, 0.05)
        is_slow = label is None and chance.random() < 0.01
        delay = chance.uniform(2, 8) if is_slow else chance.uniform(0.05, 0.4)
        values = {"sensor_id": sensor, "temperature": round(temperature, 2), "timestamp": iso(measured_at)}
        yield Sent(measured_at + delay, json_line(values), sensor, label)


def hot_seconds(chance: Random, seconds: int) -> dict[int, int]:
    """The seconds with a hot reading and the number of its spell; one spell in each equal part of the run."""
    lengths: list[int] = []
    while (left := round(HOT_SHARE * seconds) - sum(lengths)) > 0:
        lengths.append(min(left, chance.choice(SPELLS)))
    part = seconds // max(1, len(lengths))
    hot: dict[int, int] = {}
    for number, length in enumerate(lengths, start=1):
        begins = (number - 1) * part + chance.randrange(max(1, part - length))
        hot |= dict.fromkeys(range(begins, begins + length), number)
    return hot
