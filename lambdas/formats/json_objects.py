"""JSON: one object, several after each other or a line each, or a list of objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from lambdas.columns import Unfit, kind

# How deep a parser goes differs by its version and by its caller; a limit far below all of theirs makes one
# verdict everywhere.
MOST_LEVELS = 200
DEEP = f"the record holds lists and objects more than {MOST_LEVELS} levels deep"


@dataclass(frozen=True)
class Json:
    """Recognises what begins like JSON, and whatever no other format recognises."""

    def recognises(self, data: bytes) -> bool:
        return data.lstrip()[:1] in (b"{", b"[", b"")

    def read(self, data: bytes) -> Iterator[Mapping[str, Any] | Unfit]:
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            yield from several(data)
            return
        yield from objects(value, data)

    def read_all(self, records: Iterable[bytes]) -> list[dict[str, Any] | None]:
        found: list[dict[str, Any] | None] = []
        for data in records:
            try:
                value = orjson.loads(data)
            except orjson.JSONDecodeError:
                value = None
            is_usual = type(value) is dict and (len(data) <= MOST_LEVELS or not may_be_deep(data))
            found.append(value if is_usual else None)
        return found


def may_be_deep(data: bytes) -> bool:
    """Most records have too few brackets for it, and counting them costs next to nothing."""
    return data.count(b"{") + data.count(b"[") > MOST_LEVELS


def objects(value: Any, written: bytes = b"") -> Iterator[Mapping[str, Any] | Unfit]:
    if may_be_deep(written) and is_deep(value):
        yield Unfit(DEEP)
        return
    parts = value if isinstance(value, list) else [value]
    if not any(isinstance(part, dict) for part in parts):
        what = "a list without an object" if isinstance(value, list) else kind(value)
        parts = [Unfit(f"the record is {what}, a JSON object is expected")]
    for part in parts:
        yield part if isinstance(part, dict | Unfit) else Unfit(f"the list holds {kind(part)} beside objects")


def is_deep(value: Any) -> bool:
    """Whether lists and objects stand in each other more than `MOST_LEVELS` deep."""
    level = [value]
    for _ in range(MOST_LEVELS + 1):
        level = [each for each in level if isinstance(each, dict | list)]
        if not level:
            return False
        level = [part for each in level for part in (each.values() if isinstance(each, dict) else each)]
    return True


def several(data: bytes) -> Iterator[Mapping[str, Any] | Unfit]:
    """Objects a line each, where a broken line spoils no other; or set apart by nothing or blanks, where what
    comes before a broken one is read.
    """
    lines = [line for line in data.split(b"\n") if line.strip()]
    if len(lines) > 1 and is_json(lines[0]):
        for line in lines:
            try:
                value = orjson.loads(line)
            except orjson.JSONDecodeError:
                yield from one_by_one(line)
            else:
                yield from objects(value, line)
    else:
        yield from one_by_one(data)


def is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def one_by_one(data: bytes) -> Iterator[Mapping[str, Any] | Unfit]:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        yield Unfit(f"the record is not UTF-8 text (byte {error.start})")
        return
    at, end = 0, len(text.rstrip())
    if not end:
        yield Unfit("the record is empty")
    while at < end:
        blanks = BLANKS.match(text, at)
        assert blanks is not None  # it matches nothing, too
        try:
            value, at = DECODER.raw_decode(text, blanks.end())
            if is_deep(value):
                raise RecursionError
            json.dumps(value, ensure_ascii=False).encode()
        except RecursionError:
            # A parser that gives up does not say where the value ends: what comes after it is not read,
            # however deep this one went.
            yield Unfit(DEEP)
            return
        except json.JSONDecodeError as error:
            yield Unfit(f"the record is not JSON: {error.msg} at character {error.pos + 1}")
            return
        except UnicodeEncodeError:
            # Python reads it; neither the lake nor the state log could be given it.
            yield Unfit("the record holds half of a character pair, as \\ud800 alone, which is no text")
            return
        except ValueError:  # Python's guard against numerals that take long to read
            yield Unfit("the record holds a number of more than 4,300 digits")
            return
        yield from objects(value)


def refuse(constant: str) -> Any:
    raise json.JSONDecodeError(f"{constant} is no JSON number", constant, 0)


BLANKS = re.compile(r"\s*")
DECODER = json.JSONDecoder(parse_constant=refuse)
