"""Records as nobody should send them: mutations of a pipeline's own samples, the same for the same seed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

AGGREGATE = b"\xf3\x89\x9a\xc2"
TIMES = (
    "1969-12-31T23:59:59.999Z",
    "1970-01-01T00:00:00Z",
    "2199-12-31T23:59:59.9999Z",
    "2200-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2026-02-30T00:00:00Z",
    "2026-01-31T24:00:00Z",
    "2026-01-31T10:00:60Z",
    "2026-01-31T10:00:00+24:00",
    "2026-01-31T10:00:00.0005Z",
    "2026-01-31T10:00:00.1234567Z",
    "2026-01-31T10:00:00-00:00",
    "2026-01-31 10:00:00",
    "2026-01-31t10:00:00z",
    "2026-01-31T10:00Z",
    "2026-01-31",
    "2026-W05-6T10:00:00Z",
    "20260131T100000Z",
    "2026-01-31T10:00:00 +01:00",
    "\uff12\uff10\uff12\uff16-01-31T10:00:00Z",
    " 2026-01-31T10:00:00Z\n",
)
NUMBERS = (
    0, -0.0, -1, 1.5, 1e308, -1e308, 5e-324, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64,
    1_769_853_600, 1_769_853_600_000, 7_258_118_400, 10**400, float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
NUMERALS = (
    "7",
    " 7 ",
    "+7",
    "--7",
    "7.",
    ".7",
    "7e3",
    "7e400",
    "1_0",
    "0x7",
    "\uff17",
    "nan",
    "Infinity",
    "-0",
    "9" * 5_000,
)
TEXTS = (
    "",
    " ",
    "\x00",
    "\ud800",
    "\udfff\ud800",
    "\u202e",
    "😀",
    "true",
    "null",
    "x" * 3_000,
    "a\nb",
    'a"b',
    "{",
    "é",
)
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [None], {"": None}, [[1]], {"a": {"b": [1]}})
LEVELS = (2, 150, 199, 200, 201, 250)
BLANKS = (b"", b" ", b"\n", b"\r\n", b"\t", b",", b"\x1e", b"\x00", b"\xef\xbb\xbf")

Mutation = Callable[[Random, bytes, Sequence[bytes]], bytes]


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def nasty(chance: Random) -> Any:
    kind = chance.randrange(6)
    if kind == 5:
        return nested(chance.choice(LEVELS))
    return chance.choice((TIMES, NUMBERS, NUMERALS, TEXTS, OTHERS)[kind])


def flip(chance: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8)) if changed else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(chance: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    first, last = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    return chance.choice((data[:first], data[last:], data[:first] + data[last:], data[first:last]))


def splice(chance: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = chance.choice(others)
    return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]


def insert(chance: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    at = chance.randint(0, len(data))
    odd = (
        b"\xff",
        b"\xc3(",
        b"\xed\xa0\x80",
        b"\x00",
        b"\xf0\x9f",
        b"\xe2\x80\xa8",
        chance.randbytes(9),
        data[at:] * 2,
    )
    return data[:at] + chance.choice(odd) + data[at:]


def join(chance: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    parts = [data, *chance.choices(others, k=chance.choice((1, 1, 2, 40)))]
    joined = chance.choice(BLANKS).join(parts)
    return chance.choice((joined, joined, b"[" + b",".join(parts) + b"]", b"[" + joined))


def wrap(chance: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    form = chance.randrange(8)
    if form == 0:
        return gzip.compress(data, mtime=0)
    if form == 1:
        return gzip.compress(data, mtime=0)[: chance.randint(0, 30)]
    if form == 2:
        return AGGREGATE + data
    if form == 3:
        return AGGREGATE + chance.randbytes(chance.randint(0, 60))
    if form == 4:
        return data.decode("utf-8", "replace").encode("utf-16")
    if form == 5:
        levels = chance.choice((*LEVELS, 1_200, 9_000))
        return b"[" * levels + data + b"]" * levels
    if form == 6:
        return json.dumps(data.decode("utf-8", "replace")).encode()
    return chance.choice(BLANKS) + data + chance.choice(BLANKS)


def restructure(chance: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    """Exchanges, leaves out, renames or doubles a value of what is JSON; of a line, one of its values."""
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or not values:
        parts = data.split(b",")
        parts[chance.randrange(len(parts))] = str(nasty(chance)).encode("utf-8", "surrogatepass")
        return b",".join(parts + [b"7"] * chance.choice((0, 0, 1)))
    name = chance.choice(list(values))
    form = chance.randrange(8)
    if form == 0:
        del values[name]
    elif form == 1:
        values[chance.choice((name.upper(), f"{name} ", "", "\ud800", "a.b"))] = values.pop(name)
    elif form == 2:
        values[name] = str(values[name])
    elif form == 3:
        values[name] = chance.choice(([values[name]], {name: values[name]}, values))  # the last holds itself
        if values[name] is values:
            values[name] = dict.fromkeys(values, 1)
    else:
        values[name] = nasty(chance)
    written = json.dumps(values, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    if form == 7:  # its name twice
        again = json.dumps({name: nasty(chance)}).encode()
        written = chance.choice((written[:-1] + b"," + again[1:], again[:-1] + b"," + written[1:]))
    return written


MUTATIONS: Sequence[Mutation] = (flip, cut, splice, insert, join, wrap, *[restructure] * 6)


def mutated(chance: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A record after one mutation, or several on top of each other; now and then as it was."""
    for _ in range(chance.choice((0, 1, 1, 1, 1, 2, 3))):
        data = chance.choice(MUTATIONS)(chance, data, others)
    return data[:20_000]
