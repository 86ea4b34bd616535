"""The detect handler as a container has it, between services that answer at once: what is timed is Freshet's
own work, up to the bytes of the log's entry.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from types import ModuleType
from typing import Any

import orjson

from lambdas.effects import clients
from lambdas.effects.state_log import StateLog, unpacked
from lambdas.model import Pipeline
from lambdas.tables import RESULT_TABLES

SHARD = "shardId-000000000000"
FIRST_SEQUENCE = 49590338271490256608559692538361571095921575989136588898  # as long as real ones are
BATCH = 1_000  # records, as the stack's mapping asks for
NAME = "measured"
Batch = Mapping[str, Any]


class Services:
    """A bucket in memory, a stream of one shard, and queues and delivery streams that take everything."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}

    def __call__(self, _service: str) -> Services:
        return self

    def put_object(self, *, Key: str, Body: bytes, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's names
        self.objects[Key] = Body, datetime.fromtimestamp(time.time(), UTC)
        return {}

    def get_object(self, *, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - as above
        return {"Body": io.BytesIO(self.objects[Key][0])}

    def list_objects_v2(self, *, Prefix: str = "", **_: Any) -> dict[str, Any]:  # noqa: N803 - as above
        found = sorted(key for key in self.objects if key.startswith(Prefix))
        return {
            "Contents": [
                {"Key": key, "Size": len(self.objects[key][0]), "LastModified": self.objects[key][1]}
                for key in found
            ]
        }

    def delete_objects(self, **_: Any) -> dict[str, Any]:
        return {}

    def get_paginator(self, _operation: str) -> Services:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        whole = {"StartingHashKey": "0", "EndingHashKey": str(2**128 - 1)}
        return [{"Shards": [{"ShardId": SHARD, "HashKeyRange": whole}]}]

    def put_record_batch(self, *, Records: Sequence[Any], **_: Any) -> dict[str, Any]:  # noqa: N803 - as above
        return {"FailedPutCount": 0, "RequestResponses": [{} for _ in Records]}

    def send_message_batch(self, **_: Any) -> dict[str, Any]:
        return {}


class Container:
    """A cold start of detect for a pipeline; `handle` is one invocation."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.services = Services()
        declared = ModuleType(f"pipelines.{NAME}.pipeline")
        declared.__dict__["pipeline"] = pipeline
        sys.modules |= {f"pipelines.{NAME}": ModuleType(f"pipelines.{NAME}"), declared.__name__: declared}
        os.environ |= environment(NAME)
        sys.modules.pop("lambdas.detect", None)
        self.module = import_module("lambdas.detect")

    def handle(self, batch: Batch) -> None:
        clients.client = self.services  # type: ignore[assignment] # of the container whose turn it is
        with contextlib.redirect_stdout(io.StringIO()):  # metrics are lines of the log
            answer = self.module.handler(batch, None)
        if answer["batchItemFailures"]:
            raise RuntimeError(f"the batch was not finished: {answer}")

    def write_base(self, state: Any) -> None:
        """Makes a state what the log has, as after an entry of the number 1."""
        clients.client = self.services  # type: ignore[assignment] # as above
        StateLog("state", NAME).write_base(SHARD, 1, state)

    def newest_change(self) -> dict[str, Any]:
        """What the newest entry of the log says that a batch changed."""
        newest = min(key for key in self.services.objects if key.endswith(".entry"))  # keys count down
        entry = unpacked(self.services.objects[newest][0])
        assert entry is not None  # it was just written
        change: dict[str, Any] = entry["change"]
        return change

    def seconds(self, batches: Iterable[Batch]) -> float:
        """The processor's time for the batches, s."""
        begun = time.process_time()
        for batch in batches:
            self.handle(batch)
        return time.process_time() - begun


def environment(pipeline: str) -> dict[str, str]:
    """What a stack tells the function."""
    return {
        "FRESHET_PIPELINE": pipeline,
        "FRESHET_STATE_BUCKET": "state",
        "FRESHET_STREAM_NAME": "stream",
        "FRESHET_RESULT_STREAMS": orjson.dumps({kind: kind for kind in RESULT_TABLES}).decode(),
        "FRESHET_CHANGES_QUEUE_URL": "https://queue.example",
        "POWERTOOLS_SERVICE_NAME": pipeline,
    }


def batches(events: Iterable[tuple[float, Mapping[str, Any]]], size: int = BATCH) -> Iterator[Batch]:
    """Events with their arrival times (s) as a mapping hands them over, one event a record."""
    records: list[dict[str, Any]] = []
    for place, (arrived, event) in enumerate(events):
        records.append(record(FIRST_SEQUENCE + place, arrived, orjson.dumps(event)))
        if len(records) == size:
            yield {"Records": records}
            records = []
    if records:
        yield {"Records": records}


def record(sequence: int, arrived: float, data: bytes) -> dict[str, Any]:
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "key",
            "sequenceNumber": str(sequence),
            "data": b64encode(data).decode(),
            "approximateArrivalTimestamp": arrived,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{SHARD}:{sequence}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/detect",
        "awsRegion": "eu-central-1",
        "eventSourceARN": "arn:aws:kinesis:eu-central-1:123456789012:stream/measured",
    }
