"""Aggregates as the Kinesis producer library makes them, written byte by byte."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def aggregate(*records: bytes, keys: Sequence[str] = ("key-1",), explicit: Sequence[str] = ()) -> bytes:
    """One record of the stream that holds these."""
    body = b"".join(field(1, key.encode()) for key in keys)
    body += b"".join(field(2, each.encode()) for each in explicit)
    for number, data in enumerate(records):
        which = b"\x08" + varint(number % len(keys))
        which += b"\x10" + varint(number % len(explicit)) if explicit else b""
        body += field(3, which + field(3, data) + field(4, field(1, b"tag") + field(2, b"value")))
    return b"\xf3\x89\x9a\xc2" + body + hashlib.md5(body, usedforsecurity=False).digest()


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)
