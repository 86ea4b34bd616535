"""Findings, window results, late events, incident changes and alerts on their way into the lake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import orjson

from lambdas.effects import clients
from lambdas.effects.sending import Item, batches, deliver, shortened
from lambdas.effects.settings import SettingsError
from lambdas.tables import RESULT_TABLES

# Firehose bills each record as if it had a multiple of 5 KB, and a row has a tenth of that. Its converter to
# Parquet reads all the objects in a record, so rows are put together until the next would cost another 5 KB.
RECORD_BYTES = 5 * 1024
MOST_RECORD_BYTES = 1_000 * 1_000
MOST_RECORDS, MOST_BYTES = 500, 4_000_000  # of one call


class Results:
    """Puts rows into the delivery streams of the shared tables; `streams` names one for each kind of row."""

    def __init__(self, streams: Mapping[str, str]) -> None:
        self._streams = streams

    def send(self, items: Iterable[Item]) -> None:
        """Sends each item as a row of its kind's table; raises `Undelivered`."""
        rows: dict[str, list[bytes]] = {}
        for item in items:
            rows.setdefault(item.kind, []).append(line(item))
        for kind, lines in rows.items():
            if kind not in self._streams:
                raise SettingsError(
                    f"The variable FRESHET_RESULT_STREAMS names no stream for {kind!r} rows; deploy the "
                    "stack again, which sets it."
                )
            for batch in batches(packed(lines), len, most=MOST_RECORDS, most_bytes=MOST_BYTES):
                deliver(batch, partial(put, self._streams[kind]), self._streams[kind])


def put(stream: str, records: list[bytes]) -> list[tuple[bytes, str]]:
    """Puts records and returns those that were refused, with Firehose's code."""
    answer = clients.client("firehose").put_record_batch(
        DeliveryStreamName=stream, Records=[{"Data": record} for record in records]
    )
    return [
        (record, result["ErrorCode"])
        for record, result in zip(records, answer["RequestResponses"], strict=True)
        if result.get("ErrorCode")
    ]


def line(item: Item) -> bytes:
    """An item as a line of JSON with the columns of its table and no others."""
    row: dict[str, Any] = {
        column.name: item.body.get(column.name) for column in RESULT_TABLES[item.kind].columns
    }
    encoded = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    if len(encoded) > MOST_RECORD_BYTES:
        encoded = orjson.dumps(shortened(row), option=orjson.OPT_APPEND_NEWLINE)
    return encoded


def packed(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines put together into records that are billed as few as possible."""
    for batch in batches(lines, len, most=RECORD_BYTES, most_bytes=RECORD_BYTES):
        yield b"".join(batch)
