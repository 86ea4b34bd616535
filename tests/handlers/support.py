"""A pipeline deployed into moto, its functions as containers have them, and what the world came to see."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from lambdas.columns import lake_time
from lambdas.effects.state_log import unpacked
from lambdas.formats.decode import Decoder
from lambdas.model import Pipeline, Row
from lambdas.streaming.lane import Item
from lambdas.streaming.shard import Record, Shard
from lambdas.tables import RESULT_TABLES
from tests.effects.support import (
    BUCKET,
    delivered,
    delivery_stream,
    fifo_queue,
    keys,
    objects,
    real,
    received,
)

SHARD = "shardId-000000000000"
FIRST_SEQUENCE = 49590338271490256608559692538361571095921575989136588898  # as long as real ones are
NOON = 1_769_860_800.0  # 2026-01-31 12:00:00 UTC, s
ROW_IDS = {"finding": "finding_id", "window_result": "result_id", "incident_change": "change_id"}
FUNCTIONS = ("lambdas.detect", "lambdas.tick", "lambdas.transform")


@dataclass(frozen=True)
class Sent:
    """A record as a producer put it: when the stream took it (s) and what it is."""

    at: float
    data: bytes
    sequence: int = 0


@dataclass
class World:
    """What is outside the functions: where they write to, and what can be seen there."""

    pipeline: str
    queue_url: str

    def container(self, function: str) -> Any:
        """The function's module as a new container has it: imported afresh, nothing warm."""
        sys.modules.pop(function, None)
        module: ModuleType = import_module(function)
        return module

    def entries(self) -> list[dict[str, Any]]:
        """The log's entries, the newest first."""
        found = sorted(objects(f"state/{self.pipeline}/{SHARD}/"))
        return [unpacked(body) or {} for key, body in found if key.endswith(".entry")]

    def objects(self) -> list[str]:
        """The log's objects, each as its number and kind."""
        prefix = f"state/{self.pipeline}/{SHARD}/"
        names = [key.removeprefix(prefix).split(".") for key in keys(prefix=prefix)]
        return [f"{10**12 - int(number)}.{kind}" for number, kind in names]

    def committed(self) -> set[tuple[str, str]]:
        """Kind and id of every item that the log has."""
        return {(kind, id) for entry in self.entries() for kind, id, _ in entry["outbox"]}

    def rows(self, kind: str) -> list[dict[str, Any]]:
        return delivered(RESULT_TABLES[kind].name)

    def messages(self) -> list[dict[str, Any]]:
        """The queue's messages, taken out of it."""
        return received(self.queue_url)

    def seen(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Every row by kind and id; a row that came twice must have been the same both times."""
        known: dict[tuple[str, str], dict[str, Any]] = {}
        kinds = {RESULT_TABLES[kind].name: kind for kind in ROW_IDS}
        for key, written in objects(""):
            kind = kinds.get(key.partition("/")[0], "")
            for line in written.splitlines() if kind else ():
                row = json.loads(line)
                assert known.setdefault((kind, row[ROW_IDS[kind]]), row) == row
        return known


def deploy(monkeypatch: pytest.MonkeyPatch, pipeline: str, **more: str) -> World:
    """The pipeline's side of AWS, and the environment that its functions are given."""
    streams = {kind: delivery_stream(table.name) for kind, table in RESULT_TABLES.items()}
    with suppress(real("kinesis").exceptions.ResourceInUseException):  # a test may have made one of its own
        real("kinesis").create_stream(StreamName=f"{pipeline}-stream", ShardCount=1)
    world = World(pipeline, fifo_queue())
    environment = {
        "FRESHET_PIPELINE": pipeline,
        "FRESHET_STATE_BUCKET": BUCKET,
        "FRESHET_QUARANTINE_BUCKET": BUCKET,
        "FRESHET_STREAM_NAME": f"{pipeline}-stream",
        "FRESHET_RESULT_STREAMS": json.dumps(streams),
        "FRESHET_CHANGES_QUEUE_URL": world.queue_url,
        "POWERTOOLS_SERVICE_NAME": pipeline,
        "POWERTOOLS_TRACE_DISABLED": "true",
    }
    for name, value in (environment | more).items():
        monkeypatch.setenv(name, value)
    for function in FUNCTIONS:
        monkeypatch.delitem(sys.modules, function, raising=False)
    return world


def reading(sensor: str, temperature: float, at: float) -> Sent:
    """A temperature pipeline's record, taken half a second after it was measured."""
    event = {"sensor_id": sensor, "temperature": temperature, "timestamp": lake_time(at)}
    return Sent(at + 0.5, json.dumps(event).encode())


def numbered(records: Sequence[Sent]) -> list[Sent]:
    return [Sent(each.at, each.data, FIRST_SEQUENCE + place) for place, each in enumerate(records)]


def detect_event(records: Iterable[Sent]) -> dict[str, Any]:
    """A batch as Lambda hands it to detect."""
    return {
        "Records": [
            {
                "eventID": f"{SHARD}:{record.sequence}",
                "eventSource": "aws:kinesis",
                "kinesis": {
                    "sequenceNumber": str(record.sequence),
                    "partitionKey": "key",
                    "data": b64encode(record.data).decode(),
                    "approximateArrivalTimestamp": record.at,
                },
            }
            for record in records
        ]
    }


def transform_event(records: Iterable[Sent]) -> dict[str, Any]:
    """A batch as Firehose hands it to transform."""
    return {
        "records": [
            {
                "recordId": f"record-{record.sequence}",
                "data": b64encode(record.data).decode(),
                "approximateArrivalTimestamp": round(record.at * 1000) + 900,  # Firehose's own arrival
                "kinesisRecordMetadata": {
                    "shardId": SHARD,
                    "partitionKey": "key",
                    "sequenceNumber": str(record.sequence),
                    "subsequenceNumber": 0,
                    "approximateArrivalTimestamp": round(record.at * 1000),
                },
            }
            for record in records
        ]
    }


def tick_event(at: float) -> dict[str, str]:
    return {"scheduled_time": lake_time(at).replace(" ", "T") + "Z"}


def put(world: World, records: Iterable[Sent]) -> list[Sent]:
    """Puts records into the pipeline's stream and returns them with the numbers that they got there."""
    name = f"{world.pipeline}-stream"
    return [
        Sent(
            record.at,
            record.data,
            int(
                real("kinesis").put_record(StreamName=name, Data=record.data, PartitionKey="key")[
                    "SequenceNumber"
                ]
            ),
        )
        for record in records
    ]


def until_done(function: Any, event: dict[str, Any], after_each: Callable[[], None]) -> Any:
    """Invokes as Lambda does: again with the same batch while it fails."""
    for _ in range(8):
        try:
            return function.handler(event, None)
        except Exception as error:
            failure = error
        finally:
            after_each()
    raise failure


def expected(pipeline: Pipeline, records: Iterable[Sent]) -> dict[tuple[str, str], dict[str, Any]]:
    """What one shard without any AWS around it says to the records, by kind and id."""
    decoder, shard = Decoder(pipeline), Shard(pipeline, SHARD)
    items: list[Item] = []
    for record in records:
        parts = list(decoder.decode(record.data, round(record.at * 1000), sequence=record.sequence))
        rows = [part for part in parts if isinstance(part, Row)]
        taken = Record(record.sequence, record.at, rows, len(parts) - len(rows))
        items.extend(shard.process([taken]).outbox)
    return {(item.kind, item.id): item.body for item in items}
