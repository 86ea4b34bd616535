"""JSON: one object, several after each other or a line each, or a list of objects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from lambdas.columns import Unfit, kind


@dataclass(frozen=True)
class Json:
    """Recognises what begins like JSON, and whatever no other format recognises."""

    def recognises(self, data: bytes) -> bool:
        return data.lstrip()[:1] in (b"{", b"[", b"")

    def read(self, data: bytes) -> Iterator[Mapping[str, Any]]:
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            yield from several(data)
            return
        yield from objects(value)


def objects(value: Any) -> Iterator[Mapping[str, Any]]:
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, dict):
            raise Unfit(f"the record is {kind(each)}, a JSON object is expected")
        yield each


def several(data: bytes) -> Iterator[Mapping[str, Any]]:
    """Objects set apart by nothing, blanks or line breaks; what comes before a broken one is read."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Unfit(f"the record is not UTF-8 text (byte {error.start})") from None
    decoder, at, end = json.JSONDecoder(), 0, len(text.rstrip())
    if not end:
        raise Unfit("the record is empty")
    while at < end:
        at += len(text[at:]) - len(text[at:].lstrip())
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise Unfit(f"the record is not JSON: {error.msg} at character {error.pos + 1}") from None
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            # Python reads it; neither the lake nor the state log could be given it.
            raise Unfit(
                "the record holds half of a character pair, as \\ud800 alone, which is no text"
            ) from None
        yield from objects(value)
