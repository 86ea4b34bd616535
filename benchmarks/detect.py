"""What an event costs detect, beside what the least that any consumer does costs on the same machine.

    PYTHONPATH=. .venv/bin/python benchmarks/detect.py

Times are the processor's, the best of several rounds in which everything is measured in turn, so that a busy
machine slows all of it alike: read the ratios.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from binascii import a2b_base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from benchmarks.container import BATCH, SHARD, Batch, Container, batches, environment
from lambdas.columns import Double, Text, Timestamp, count, high, low, mean
from lambdas.detectors.threshold import Threshold
from lambdas.detectors.window import Window
from lambdas.formats.json_objects import Json
from lambdas.model import HIGH, Event, Pipeline, Row, minutes, seconds
from lambdas.streaming.shard import Record, Shard

NOON = 1_769_860_800.0  # 2026-01-31 12:00:00 UTC, s
EVENTS_A_SECOND = 1_000  # that a shard takes
BATCHES, ROUNDS = 10, 8
KEYS = 100
FEW, MANY, TOUCHED = 1_000, 1_000_000, 100
BATCHES_A_ROUND = 3
COLD_STARTS = 5
COMMON: dict[str, Any] = {"severity": HIGH, "do_first": "Look."}


class Reading(Event, key="sensor_id", time="measured_at"):
    sensor_id = Text("which sensor")
    temperature = Double("air temperature at the sensor", unit="°C")
    measured_at = Timestamp("when the sensor measured", source="timestamp")


class Numbered(Event, key="sensor_id", time="measured_at", id="reading_id"):
    reading_id = Text("one for each reading")
    sensor_id = Text("which sensor")
    temperature = Double("air temperature at the sensor", unit="°C")
    measured_at = Timestamp("when the sensor measured", source="timestamp")


class Unbounded(Window):
    """A window that may keep as many keys as this machine's memory holds, which a handler's would not."""

    def bytes_with(self, lateness: timedelta) -> int:
        return 0


def mean_of(event: type[Reading] | type[Numbered]) -> Window:
    return Window(name="warm", every=seconds(60), when=mean(event.temperature) > 30, **COMMON)


T = Reading.temperature
ONE = [mean_of(Reading)]
FIVE = [
    *ONE,
    Window(name="silent", every=seconds(60), when=count() < 3, **COMMON),
    Window(name="range", every=minutes(5), also=[low(T), high(T)], **COMMON),
    Threshold(name="hot", when=T >= 45, **COMMON),
    Threshold(name="cold", when=T < -20, clear=T > -15, **COMMON),
]


def pipeline(event: type[Event], detectors: Sequence[Any]) -> Pipeline:
    return Pipeline(about="measured", event=event, detectors=detectors, formats=[Json()])


def readings(number: int, sensor_of: Callable[[int], int]) -> Iterator[tuple[float, dict[str, Any]]]:
    """As many as a shard takes in a second, from noon on, each 200 ms on its way."""
    chance = random.Random(4)
    for place in range(number):
        at = NOON + place / EVENTS_A_SECOND
        moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
        yield (
            at + 0.2,
            {
                "reading_id": f"reading-{place:08d}",
                "sensor_id": f"sensor-{sensor_of(place)}",
                "temperature": round(chance.gauss(20, 3), 2),
                "timestamp": moment.replace("+00:00", "Z"),
            },
        )


def plain_loop(given: Sequence[Batch]) -> float:
    """Base64, JSON, sums by key and minute, and nothing else: no check, no event time, nothing saved."""
    begun = time.process_time()
    sums: dict[tuple[str, str], list[float]] = {}
    for batch in given:
        for record in batch["Records"]:
            event = orjson.loads(a2b_base64(record["kinesis"]["data"]))
            mine = sums.setdefault((event["sensor_id"], event["timestamp"][:16]), [0, 0.0])
            mine[0] += 1
            mine[1] += event["temperature"]
    return time.process_time() - begun


def best(jobs: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """Seconds of each job, the least of all rounds."""
    rounds = [{name: job() for name, job in jobs.items()} for _ in range(ROUNDS)]
    return {name: min(each[name] for each in rounds) for name in jobs}


def show(name: str, each: float, beside: float, what: str) -> None:
    print(f"{name:<52}{each * 1e6:>8.2f}{1 / each:>12,.0f}{each / beside:>8.2f} × {what}")


def measure_events() -> None:
    number = BATCHES * BATCH
    given = list(batches(readings(number, lambda place: place % KEYS)))
    spread = list(batches(readings(number, lambda place: place % BATCH)))
    alone = list(batches(readings(BATCH, lambda place: place % KEYS), size=1))

    def run(event: type[Event], detectors: Sequence[Any], given: Sequence[Batch]) -> float:
        return Container(pipeline(event, detectors)).seconds(given)

    times = best(
        {
            "plain": partial(plain_loop, given),
            "one": partial(run, Reading, ONE, given),
            "five": partial(run, Reading, FIVE, given),
            "numbered": partial(run, Numbered, [mean_of(Numbered)], given),
            "spread": partial(run, Reading, ONE, spread),
            "alone": partial(run, Reading, ONE, alone),
        }
    )
    each = {name: taken / (BATCH if name == "alone" else number) for name, taken in times.items()}
    show("a plain loop: base64, JSON, sums by key and minute", each["plain"], each["plain"], "the plain loop")
    show("detect, one mean of 60 s by key", each["one"], each["plain"], "the plain loop")
    show("detect, five detectors", each["five"], each["one"], "one mean")
    show("detect, repeats of an id dropped", each["numbered"], each["one"], "one mean")
    show("detect, each event of a batch of another key", each["spread"], each["one"], "one mean")
    show("detect, one event an invocation", each["alone"], each["one"], "one mean")


def measure_live_keys() -> None:
    """The same on states of few and of many keys, where every batch touches the same number of them."""
    jobs: dict[str, Callable[[], float]] = {}
    containers = {number: container_with(number) for number in (FEW, MANY)}
    for number, container in containers.items():
        turns = iter(list(batches(touching(number, 1 + ROUNDS * BATCHES_A_ROUND))))
        container.handle(next(turns))  # loads the base

        def run(container: Container = container, turns: Iterator[Batch] = turns) -> float:
            return container.seconds([next(turns) for _ in range(BATCHES_A_ROUND)])

        jobs[f"{number}"] = run
    times = best(jobs)
    few, many = (times[f"{number}"] / (BATCHES_A_ROUND * BATCH) for number in (FEW, MANY))
    show(f"detect, {FEW:,} live keys, {TOUCHED} in a batch", few, few, f"{FEW:,} keys")
    show(f"detect, {MANY:,} live keys, {TOUCHED} in a batch", many, few, f"{FEW:,} keys")
    written = containers[MANY].newest_change()["keys"]["live"]
    print(f"keys that the newest entry of {MANY:,} holds: {len(written)}")


def touching(number: int, batches: int) -> Iterator[tuple[float, dict[str, Any]]]:
    """Batches of which each touches `TOUCHED` of so many keys."""
    chance = random.Random(number)
    chosen = [chance.sample(range(number), TOUCHED) for _ in range(batches)]
    return readings(batches * BATCH, lambda place: chosen[place // BATCH][place % TOUCHED])


def container_with(number: int) -> Container:
    """A container whose log has a base of so many keys."""
    window = Unbounded(name="live", every=minutes(60), also=[count()], max_keys=MANY, **COMMON)
    container = Container(pipeline(Reading, [window]))
    shard = Shard(container.module.pipeline, SHARD)
    shard.process([Record(0, NOON, [Row(NOON, {"sensor_id": "one"}, NOON)])])
    state = shard.snapshot()
    one = state["keys"]["live"]["one"]
    state["keys"]["live"] = {f"sensor-{key}": one for key in range(number)}
    container.write_base(state)
    return container


def measure_cold_import() -> None:
    """Each in a new process."""
    code = "import boto3{}; import time; print(time.process_time())"
    taken: dict[str, float] = {}
    for what in ("", ", lambdas.detect"):
        answers = [
            subprocess.run(  # noqa: S603 - our own command
                [sys.executable, "-c", code.format(what)],
                env=os.environ | environment("temperature") | {"PYTHONPATH": str(Path.cwd())},
                capture_output=True,
                text=True,
                check=True,
            )
            for _ in range(COLD_STARTS)
        ]
        taken[what] = min(float(answer.stdout) for answer in answers) * 1e3
    bare, whole = taken.values()
    print(f"start of Python with boto3 {bare:.0f} ms, and with lambdas.detect {whole - bare:.0f} ms more")


if __name__ == "__main__":
    print(f"{'':<52}{'µs':>8}{'a second':>12}{'ratio':>8}")
    measure_events()
    measure_live_keys()
    measure_cold_import()
