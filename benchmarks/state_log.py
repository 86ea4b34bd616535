"""What the state log of a shard costs a month, at the load that each pipeline declares.

    PYTHONPATH=. .venv/bin/python benchmarks/state_log.py

Plays an hour of the pipeline's own traffic through detect, a batch for each latency, and counts what is put
into the bucket. Prices and the other reckoning are those of `freshet costs`.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from boto3.dynamodb.types import TypeSerializer

from benchmarks.container import BATCH, FIRST_SEQUENCE, Batch, Container, Services, record
from lambdas.model import Pipeline
from pipelines import discovery
from pipelines.traffic import HOUR, Sent
from stacks.costs import ENTRIES_A_BASE, HOURS, PRICES, Flow

START = 1_767_261_600.0  # 2026-01-01 10:00 UTC, s
KINDS = ("entry", "sent", "base")


class Bucket(Services):
    """Counts what is put into the log and what a listing and a read would cost; knows every reference."""

    def __init__(self, items: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        super().__init__()
        self.puts: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.lists = self.gets = 0
        self._items = items

    def put_object(self, *, Key: str, Body: bytes, **more: Any) -> dict[str, Any]:  # noqa: N803 - boto3's names
        kind = Key.rpartition(".")[2] if Key.startswith("state/") else "taken"
        self.puts[kind] += 1
        self.bytes[kind] += len(Body)
        return super().put_object(Key=Key, Body=Body, **more)

    def list_objects_v2(self, **request: Any) -> dict[str, Any]:
        self.lists += 1
        return super().list_objects_v2(**request)

    def get_object(self, **request: Any) -> dict[str, Any]:
        self.gets += 1
        return super().get_object(**request)

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803 - as above
        found: dict[str, list[dict[str, Any]]] = {}
        for table, asked in RequestItems.items():
            rows = [
                {name: TypeSerializer().serialize(value) for name, value in row.items()}
                for row in self._items[table]
                if not any(isinstance(value, float) for value in row.values())
            ]
            found[table] = [row for row in rows if any(key.items() <= row.items() for key in asked["Keys"])]
        return {"Responses": found, "UnprocessedKeys": {}}


@dataclass
class Month:
    """What a shard's log costs, from an hour of it."""

    pipeline: Pipeline
    bucket: Bucket
    batches: int
    reads: list[int] = field(default_factory=list)

    @property
    def dollars(self) -> float:
        puts = sum(self.bucket.puts.values()) + self.bucket.lists
        return HOURS * (PRICES["written"].of(puts) + PRICES["fetched"].of(self.bucket.gets))

    @property
    def reckoned(self) -> float:
        return PRICES["written"].of(
            Flow(self.pipeline, 1).at_most_each(self.pipeline.latency.total_seconds())
            * (1 + 1 / ENTRIES_A_BASE)
        )

    def __str__(self) -> str:
        puts, size = self.bucket.puts, self.bucket.bytes
        each = ", ".join(
            f"{puts[kind] * 24:,} {kind} of {size[kind] / puts[kind]:,.0f} bytes"
            for kind in KINDS
            if puts[kind]
        )
        return (
            f"{self.pipeline.name}, a day: {self.batches * 24:,} batches; {each}; "
            f"{puts['taken'] * 24:,} others.\n"
            f"  ${self.dollars:.2f} a month; freshet costs reckons ${self.reckoned:.2f}. "
            f"A cold start reads {min(self.reads)} to {max(self.reads)} objects."
        )


def played(name: str) -> Month:
    pipeline = discovery.load(name)
    traffic = import_module(f"pipelines.{name}.traffic")
    items = dict(traffic.references(1)) if hasattr(traffic, "references") else {}
    os.environ["FRESHET_REFERENCE_TABLES"] = str({name: name for name in items}).replace("'", '"')
    container = Container(pipeline)
    container.services = bucket = Bucket(items)
    month = Month(pipeline, bucket, 0)
    for batch in batches_of(
        traffic.traffic(seed=1, start=START, seconds=HOUR), pipeline.latency.total_seconds()
    ):
        container.handle(batch)
        month.batches += 1
        if month.batches % 10 == 0:
            month.reads.append(reads_of_a_cold_start(bucket))
    return month


def reads_of_a_cold_start(bucket: Bucket) -> int:
    """A base and the entries after it, and the listing that names them."""
    names = sorted(key.rpartition("/")[2] for key in bucket.objects if key.startswith("state/"))
    newest_base = next((name for name in names if name.endswith(".base")), "~")
    return sum(name.endswith(".entry") and name < newest_base for name in names) + (newest_base != "~") + 1


def batches_of(sent: Iterator[Sent], latency: float) -> Iterator[Batch]:
    """A batch is handed over when its first record has waited for so long, or when it is full."""
    records: list[dict[str, Any]] = []
    until = 0.0
    for place, each in enumerate(sent):
        if records and (each.at >= until or len(records) == BATCH):
            yield {"Records": records}
            records = []
        if not records:
            until = each.at + latency
        records.append(record(FIRST_SEQUENCE + place, each.at, each.data))
    yield {"Records": records}


if __name__ == "__main__":
    for named in sys.argv[1:] or discovery.names():
        print(played(named))
