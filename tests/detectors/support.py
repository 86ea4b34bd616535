"""Small events, and a way to run a detector over them, for tests and for the detectors' own examples."""

from collections.abc import Iterable
from typing import Any

from lambdas.columns import Double, Text, Timestamp, Value
from lambdas.detectors.detector import Detector
from lambdas.model import Event, Finding, Row, Said


class Reading(Event, key="sensor_id", time="at"):
    sensor_id = Text("which sensor")
    temperature = Double("of the air", unit="°C")
    at = Timestamp("when it was read")


class Beat(Event, key="strap", time="at"):
    strap = Text("which strap")
    heart_rate = Double("beats of the heart", unit="bpm")
    at = Timestamp("when it was measured")


class Play(Event, key="guest", time="at", id="play_id"):
    play_id = Text("one for each play")
    guest = Text("who played")
    action = Text("enter, sit, bet or leave")
    won = Double("the guest's win, below zero for a loss", unit="$")
    at = Timestamp("when it happened")


def rows(start: float = 0.0, step: float = 1.0, **columns: list[Value]) -> list[Row]:
    """A row for each value of the columns, `step` seconds apart."""
    length = max(len(values) for values in columns.values())
    return [
        Row(start + step * at, {name: values[at] for name, values in columns.items()}, start + step * at, at)
        for at in range(length)
    ]


def hear(detector: Detector[Any], given: Iterable[Row], until: float | None = None) -> list[Said]:
    """All that a detector says of one key's rows, and of the time after them."""
    state = detector.begin()
    said: list[Said] = []
    for row in given:
        while (due := detector.due(state)) is not None and due <= row.time:
            said += detector.advance(state, due)
        said += detector.observe(state, row) or ()
    while until is not None and (due := detector.due(state)) is not None and due <= until:
        said += detector.advance(state, due)
    return said


def find(detector: Detector[Any], given: Iterable[Row], until: float | None = None) -> list[Finding]:
    """The findings among what a detector says."""
    return [said for said in hear(detector, given, until) if isinstance(said, Finding)]
