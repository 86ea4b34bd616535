"""Whatever bytes come: each part of a record is an event or in quarantine with a reason, transform and detect
agree, and no exception leaves a handler.
"""

import gzip
import importlib
import json
from base64 import b64decode
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any, NamedTuple

import orjson
import pytest

from lambdas.columns import Integer
from lambdas.formats.decode import lake_row
from lambdas.model import Pipeline, Row
from pipelines import discovery
from tests.effects.support import Faults, make_table, real
from tests.formats.aggregates import aggregate
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
    tables = {
        name: make_table(
            f"{name}-table", reference.key.name, "N" if isinstance(reference.key, Integer) else "S"
        )
        for name, reference in pipeline.references.items()
    }
    real("kinesis").create_stream(StreamName=f"{pipeline.name}-stream", ShardCount=1)
    return deploy(monkeypatch, pipeline.name, FRESHET_REFERENCE_TABLES=json.dumps(tables))


def samples(name: str) -> list[Sent]:
    module = importlib.import_module(f"pipelines.{name}.traffic")
    return [Sent(each.at, each.data) for each in module.traffic(seed=7, start=NOON, seconds=600)]


class Given(NamedTuple):
    """A record as detect gets it, and as transform does: Firehose opens an aggregate before."""

    record: Sent
    opened: list[Sent]


def batches(name: str, part: int) -> Iterator[list[Given]]:
    known, chance = samples(name), Random(f"{name}/{part}")
    datas = [each.data for each in known]
    for first in range(FIRST_SEQUENCE, FIRST_SEQUENCE + RECORDS // len(NAMES), BATCH):
        batch: list[Given] = []
        for sequence, each in enumerate(chance.choices(known, k=BATCH), start=first):
            at = each.at + chance.choice(ARRIVES)
            parts = [mutated(chance, each.data, datas)]
            if chance.random() < 0.04:
                parts += [mutated(chance, data, datas) for data in chance.choices(datas, k=3)]
            whole = aggregate(*parts) if len(parts) > 1 else parts[0]
            batch.append(Given(Sent(at, whole, sequence), [Sent(at, part, sequence) for part in parts]))
        yield batch


def opened(batch: Iterable[Given]) -> dict[str, Any]:
    """A batch as Firehose hands it to transform."""
    event = transform_event(part for given in batch for part in given.opened)
    numbers = (number for given in batch for number in range(len(given.opened)))
    for record, number in zip(event["records"], numbers, strict=True):
        record["kinesisRecordMetadata"]["subsequenceNumber"] = number
    return event


@pytest.mark.semantics(line=1, clause="ahead")
@pytest.mark.semantics(line=5, clause="part")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", range(PARTS))
def test_mutated_record_is_events_or_in_quarantine_with_a_reason(
    part: int,
    name: str,
    aws: Faults,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pipeline = discovery.load(name)
    world = deployed(monkeypatch, pipeline)
    detect, transform = world.container("lambdas.detect"), world.container("lambdas.transform")
    total: Counter[str] = Counter()
    for batch in batches(name, part):
        aws.requests.clear()
        capsys.readouterr()
        for_detect = detect_event(given.record for given in batch)

        answers = iter(transform.handler(opened(batch), None)["records"])
        assert detect.handler(for_detect, None) == {"batchItemFailures": []}

        counts, refused = counted(capsys), quarantined(aws)
        records, failed = detect.reader.batch(for_detect["Records"])
        assert failed == []
        for given, record in zip(batch, records, strict=True):
            lines: list[bytes] = []
            for _, answer in zip(given.opened, answers, strict=False):
                lines += b64decode(answer.get("data", "")).splitlines()
                assert answer["result"] == ("Ok" if "data" in answer else "Dropped"), given
            reasons = refused[str(given.record.sequence)]
            assert [lake(pipeline, row) for row in record.rows] == list(map(event_of, lines)), given
            assert record.unreadable == len(reasons), given
            assert len(lines) + len(reasons) >= len(given.opened), given
            assert all(reason.endswith(".") for reason in reasons), given
            total.update(rows=len(lines), refused=len(reasons), records=1)
        assert counts["events"] + counts["duplicates"] == sum(len(record.rows) for record in records)
        assert counts["unreadable"] == counts["quarantined"] == sum(map(len, refused.values()))
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
