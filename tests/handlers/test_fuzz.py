"""Whatever bytes come: each part of a record is an event or in quarantine with a reason, transform and detect
agree, and no exception leaves a handler.
"""

import gzip
import importlib
import json
from base64 import b64decode
from collections import Counter, defaultdict
from collections.abc import Iterator
from random import Random
from typing import Any

import orjson
import pytest

from lambdas.columns import Integer
from lambdas.formats.decode import lake_row
from lambdas.model import Pipeline, Row
from pipelines import discovery
from tests.effects.support import Faults, real
from tests.handlers.mutation import mutated
from tests.handlers.support import FIRST_SEQUENCE, NOON, Sent, World, deploy, detect_event, transform_event
from tests.support import often

NAMES = discovery.names()
RECORDS, PARTS = 20_000, often(1, soak=50)  # records a part
BATCH = 250  # records
PROVENANCE = {"shard_id", "sequence_number", "record_index", "arrived_at"}
ARRIVES = (
    0.0,
    0.001,
    0.5,
    3.25,
    -1.0,
    -299.999,
    -300.0,
    -300.001,
    -301.0,
    -86_400.0,
    86_400.0,
)  # s after sending


def deployed(monkeypatch: pytest.MonkeyPatch, pipeline: Pipeline) -> World:
    """The pipeline's functions, and the tables of its references with nobody in them."""
    tables = {}
    for name, reference in pipeline.references.items():
        tables[name] = f"{name}-table"
        real("dynamodb").create_table(
            TableName=tables[name],
            KeySchema=[{"AttributeName": reference.key.name, "KeyType": "HASH"}],
            AttributeDefinitions=[
                {
                    "AttributeName": reference.key.name,
                    "AttributeType": "N" if isinstance(reference.key, Integer) else "S",
                }
            ],
            BillingMode="PAY_PER_REQUEST",
        )
    real("kinesis").create_stream(StreamName=f"{pipeline.name}-stream", ShardCount=1)
    return deploy(monkeypatch, pipeline.name, FRESHET_REFERENCE_TABLES=json.dumps(tables))


def samples(name: str) -> list[Sent]:
    module = importlib.import_module(f"pipelines.{name}.traffic")
    return [Sent(each.at, each.data) for each in module.traffic(seed=7, start=NOON, seconds=600)]


def batches(name: str, part: int) -> Iterator[list[Sent]]:
    known, chance = samples(name), Random(f"{name}/{part}")
    datas = [each.data for each in known]
    for first in range(0, RECORDS // len(NAMES), BATCH):
        yield [
            Sent(
                each.at + chance.choice(ARRIVES),
                mutated(chance, each.data, datas),
                FIRST_SEQUENCE + first + place,
            )
            for place, each in enumerate(chance.choices(known, k=BATCH))
        ]


@pytest.mark.semantics(line=1, clause="ahead")
@pytest.mark.semantics(line=5, clause="part")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", range(PARTS))
def test_mutated_record_is_events_or_in_quarantine_with_a_reason(
    part: int, name: str, aws: Faults, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = discovery.load(name)
    world = deployed(monkeypatch, pipeline)
    detect, transform = world.container("lambdas.detect"), world.container("lambdas.transform")
    total: Counter[str] = Counter()
    for batch in batches(name, part):
        aws.requests.clear()
        capsys.readouterr()

        answers = transform.handler(transform_event(batch), None)["records"]
        assert detect.handler(detect_event(batch), None) == {"batchItemFailures": []}

        counts = counted(capsys)
        lines = [b64decode(answer.get("data", "")).splitlines() for answer in answers]
        refused = quarantined(aws)
        records, failed = detect.read_batch(detect_event(batch)["Records"])
        assert failed == []
        for sent, record, answer, written in zip(batch, records, answers, lines, strict=True):
            reasons = refused[str(sent.sequence)]
            assert answer["result"] == ("Ok" if written else "Dropped"), sent.data
            assert [lake(pipeline, row) for row in record.rows] == list(map(event_of, written)), sent.data
            assert record.unreadable == len(reasons), sent.data
            assert written or reasons, sent.data
            assert all(reason.endswith(".") for reason in reasons), sent.data
        rows = sum(len(written) for written in lines)
        assert sum(counts[each] for each in ("events", "duplicates")) == rows
        assert counts["unreadable"] == counts["quarantined"] == sum(map(len, refused.values()))
        total.update(rows=rows, refused=counts["unreadable"], records=len(batch))
    assert min(total["rows"], total["refused"]) > total["records"] // 5  # both are put to the test


def lake(pipeline: Pipeline, row: Row) -> dict[str, Any]:
    """What the lake is to get of an event that detect has read."""
    written: dict[str, Any] = orjson.loads(orjson.dumps(lake_row(pipeline.event.columns, row.values)))
    return written


def event_of(line: bytes) -> dict[str, Any]:
    return {name: value for name, value in orjson.loads(line).items() if name not in PROVENANCE}


def quarantined(aws: Faults) -> dict[str, list[str]]:
    """The reasons in quarantine by the record's number."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for request in aws.requested("put_object"):
        if request["Key"].startswith("quarantine/"):
            for line in gzip.decompress(request["Body"]).splitlines():
                row = orjson.loads(line)
                reasons[row["sequence_number"]].append(row["reason"])
    return reasons


def counted(capsys: pytest.CaptureFixture[str]) -> Counter[str]:
    """What both functions have counted."""
    counts: Counter[str] = Counter()
    for line in capsys.readouterr().out.splitlines():
        if '"_aws"' in line:
            counts.update(
                {name: int(each[0]) for name, each in json.loads(line).items() if isinstance(each, list)}
            )
    return counts
