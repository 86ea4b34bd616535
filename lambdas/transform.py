"""Entry point: records on their way to the lake become its rows; what cannot be read goes to quarantine."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from lambdas.columns import lake_time
from lambdas.effects import metrics
from lambdas.effects.quarantine import Quarantine, Rejected
from lambdas.effects.settings import TransformSettings
from lambdas.formats.decode import Decoder, Unreadable, lake_row
from lambdas.model import Row
from lambdas.tables import PARTS

# Firehose takes an answer of 6 MB. What does not fit is answered as failed, and Firehose keeps its bytes
# in the error output: better there than in a batch that fails as a whole.
MOST_ANSWER_BYTES = 5_500_000

settings = TransformSettings.of_environment()
pipeline = settings.load_pipeline()
decoder = Decoder(pipeline)
quarantine = Quarantine(settings.quarantine_bucket, pipeline.name)


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    rejected: list[Rejected] = []
    answers: list[dict[str, str]] = []
    room = MOST_ANSWER_BYTES
    for record in event["records"]:
        lines, unreadable = read_record(record)
        if unreadable.parts:
            rejected.append(unreadable)
            counts["quarantined_records"] += 1
        counts["quarantined"] += len(unreadable.parts)
        data = b64encode(lines).decode()
        answer = {"recordId": record["recordId"], "result": "Ok" if data else "Dropped"}
        if len(data) > room:
            counts["too_large"] += 1
            answer["result"] = "ProcessingFailed"
        elif data:
            answer["data"] = data
            room -= len(data)
        answers.append(answer)
    quarantine.put(rejected)
    metrics.count(pipeline.name, counts)
    return {"records": answers}


def read_record(record: Mapping[str, Any]) -> tuple[bytes, Rejected]:
    """A record's rows as lines of JSON, and the parts of it that are none."""
    data, source = b64decode(record["data"]), record["kinesisRecordMetadata"]
    arrival_ms = source["approximateArrivalTimestamp"]
    provenance = {
        "shard_id": source["shardId"],
        "sequence_number": source["sequenceNumber"],
        "record_index": 0,
        "arrived_at": lake_time(arrival_ms / 1000),
    }
    # Firehose opens a producer library's aggregate: its parts share a number and are told apart by another.
    first = int(source.get("subsequenceNumber") or 0) * PARTS
    lines: list[bytes] = []
    unreadable: list[Unreadable] = []
    for part in decoder.decode(data, arrival_ms, sequence=int(source["sequenceNumber"])):
        if isinstance(part, Row):
            place = {"record_index": first + part.index}
            row = lake_row(pipeline.event.columns, part.values) | provenance | place
            lines.append(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        else:
            unreadable.append(replace(part, index=first + part.index))
    return b"".join(lines), Rejected(
        data=data,
        partition_key=source["partitionKey"],
        shard_id=source["shardId"],
        sequence_number=source["sequenceNumber"],
        arrival_ms=arrival_ms,
        parts=unreadable,
        good=len(lines),
    )
