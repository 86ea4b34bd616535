"""What made-up traffic consists of: seeded, so that a run repeats; labelled, so that it can be judged."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import Any  # what a record holds is as mixed as JSON

HOUR = 3600.0
LATE_BY = (20.0, 40.0)  # s; more than the lateness of any pipeline whose traffic uses `disturbed`


@dataclass(frozen=True)
class Sent:
    """One record on its way.

    `at` is when its producer sends it (s since 1970). `label` names the anomaly that it belongs to, if any,
    as `detector/key/number`. `via` says how it is sent: `kinesis` or `iot`.
    """

    at: float
    data: bytes
    partition_key: str
    label: str | None = None
    via: str = "kinesis"


def iso(seconds: float) -> str:
    """
    >>> iso(1769853600.25)
    '2026-01-31T10:00:00.250Z'
    """
    return datetime.fromtimestamp(round(seconds, 3), UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def json_line(values: dict[str, object]) -> bytes:
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()


def nested_json(values: Mapping[str, object]) -> bytes:
    return json_line(nested(values))


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by the names that columns give as their sources, each as deep as its dots say.

    >>> nested({"at": 1, "data.temp": 2, "data.unit": "°C"})
    {'at': 1, 'data': {'temp': 2, 'unit': '°C'}}
    """
    whole: dict[str, Any] = {}
    for source, value in values.items():
        outer, *inner = source.split(".")
        for part in reversed(inner):
            value = {part: value}
        merge(whole, {outer: value})
    return whole


def merge(whole: dict[str, Any], part: Mapping[str, Any]) -> None:
    for name, value in part.items():
        if isinstance(value, dict) and isinstance(whole.get(name), dict):
            merge(whole[name], value)
        else:
            whole[name] = value


def hourly(start: float, seconds: float, places: Sequence[float], lasting: float) -> Iterator[float]:
    """When episodes begin: at these parts of each hour, or of a run that is shorter; only whole episodes."""
    hour = start
    while hour < start + seconds:
        length = min(HOUR, start + seconds - hour)
        for place in places:
            if place * length + lasting < length:
                yield hour + place * length
        hour += HOUR


def disturbed(
    sent: Iterable[Sent],
    chance: Random,
    *,
    late: int,
    may_be_late: Callable[[Sent], bool],
    repeated: int,
    broken: Sequence[bytes],
) -> Iterator[Sent]:
    """The records in the order of their sending, with what goes wrong on the way of any.

    `late` of those that may be come after their windows have closed (never a labelled one, and not at the
    run's end, where nothing newer would come before them), `repeated` are sent twice, `broken` are strewn in.
    """
    ordered = sorted(sent, key=lambda each: each.at)
    if not ordered:
        return
    first, last = ordered[0].at, ordered[-1].at
    places = [
        place
        for place, each in enumerate(ordered)
        if each.label is None and each.at < last - 2 * LATE_BY[1] and may_be_late(each)
    ]
    for place in chance.sample(places, min(late, len(places))):
        ordered[place] = replace(ordered[place], at=ordered[place].at + chance.uniform(*LATE_BY))
    for each in chance.sample(ordered, min(repeated, len(ordered))):
        ordered.append(replace(each, at=each.at + chance.uniform(0.1, 2)))
    for data in broken:
        ordered.append(Sent(chance.uniform(first, last), data, chance.choice(ordered).partition_key))
    yield from sorted(ordered, key=lambda each: each.at)
