"""What the imitated services share: how they refuse what they do not imitate, and how they write times."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any  # a template's properties are as mixed as JSON

# Runs a function by name or ARN and raises laptop.functions.FunctionError when its handler raised.
Invoke = Callable[[str, Any], Any]
IGNORED = {"Tags": "a tag changes nothing that happens"}
JAVA_TIME = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M"}


class NotHonoured(Exception):
    """The deployment asks for something that the laptop's AWS does not imitate."""


def honour(
    where: str, properties: Mapping[str, Any], imitated: Iterable[str], ignored: Iterable[str] = ()
) -> None:
    """Stop at a property that is neither imitated nor, for a reason given where it is listed, ignored."""
    if unknown := properties.keys() - {*imitated, *ignored, *IGNORED}:
        raise NotHonoured(
            f"{where} sets {', '.join(sorted(unknown))}, which the laptop's AWS does not imitate. "
            "Leave it out, or teach the laptop what it does."
        )


def only(where: str, properties: Mapping[str, Any], name: str, *values: object) -> None:
    """Stop unless a property has one of the values that are imitated; None stands for a property left out."""
    if properties.get(name) not in values:
        raise NotHonoured(
            f"{where} has {name} {properties.get(name)!r}; the laptop's AWS imitates only "
            f"{' and '.join(map(repr, values))}. Use that, or teach the laptop the other."
        )


def utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def iso(at: float, timespec: str = "milliseconds") -> str:
    return utc(at).isoformat(timespec=timespec).removesuffix("+00:00") + "Z"


def java_time(at: float, pattern: str) -> str:
    """Write a time in UTC by a Java pattern such as yyyy-MM-dd-HH."""
    parts = re.findall("yyyy|MM|dd|HH|mm|[a-zA-Z]+|[^a-zA-Z]+", pattern)
    if any(part.isalpha() and part not in JAVA_TIME for part in parts):
        raise NotHonoured(f"The laptop's AWS writes no time as {pattern}. Use {', '.join(JAVA_TIME)}.")
    return utc(at).strftime("".join(JAVA_TIME.get(part, part) for part in parts))
