"""The detect handler under millions of events of many keys, with a split and a merge of shards on the way.

    PYTHONPATH=. .venv/bin/python benchmarks/soak.py [--events 10000000] [--keys 100000] [--seed 1]

Records come to the handler as Lambda hands them over, two hours of them by their own clock, which is the
state log's, too. The log lies in a folder and is restored from there now and then. What Firehose and SQS were
given is compared with one query of DuckDB over the same events, which DuckDB makes up itself. Prints a table;
ends with 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import csv
import io
import resource
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import orjson
from botocore.exceptions import ClientError

from benchmarks.container import NAME, Container, Services, record
from lambdas.columns import Double, Text, Timestamp, count, total
from lambdas.detectors.threshold import Threshold
from lambdas.detectors.window import Window
from lambdas.effects import session
from lambdas.formats.json_objects import Json
from lambdas.incidents import RESOLVED
from lambdas.lineage import PLACES, place
from lambdas.model import HIGH, Event, Kinesis, Pipeline, minutes, seconds

START = 1_769_853_600_000  # 2026-01-31 10:00:00 UTC, ms since 1970
LASTING = 7_200_000  # ms
BATCH = 1_000
CHUNK = 200_000  # events asked of DuckDB at a time
LEAST_KEYS = 50  # of a shard, below which its bytes a key say little
COLD_EVERY = 400  # batches
REMEMBER, LATENESS, EVERY = 60, 10, 300  # s
HIGHEST = 9_990  # a value above it is found
PARTS = 16  # of all places; a key's is the first hex digit of its MD5
# Which parts a shard has, and which shards follow it when: a third into the run the first is split, after two
# thirds the second and third are merged.
FIRST = {0: range(4), 1: range(4, 8), 2: range(8, 12), 3: range(12, 16)}
SPLIT = {4: range(2), 5: range(2, 4)}, {4: [0], 5: [0]}
MERGE = {6: range(4, 12)}, {6: [1, 2]}
LOOKS = (
    0.001,
    0.003,
    0.01,
    0.03,
    0.1,
    0.25,
    0.5,
    0.75,
)  # parts of the run after which the states are weighed
# Bars.
MOST_GROWTH = 1.15  # of memory, from the run's second quarter to its last
MOST_SPREAD = 1.15  # of the bytes a live key, from the smallest state to the largest


class Reading(Event, key="device", time="at", id="reading_id"):
    reading_id = Text("one for each reading")
    device = Text("which device")
    value = Double("what it read")
    at = Timestamp("when")


PIPELINE = Pipeline(
    about="a soak's",
    event=Reading,
    sources=[Kinesis(provisioned=len(FIRST))],
    formats=[Json()],
    lateness=seconds(LATENESS),
    remember=seconds(REMEMBER),
    detectors=[
        Window(
            name="summed",
            every=seconds(EVERY),
            also=[count(), total(Reading.value)],
            severity=HIGH,
            do_first="Look.",
            max_keys=70_000,
        ),
        Threshold(
            name="high",
            when=Reading.value > HIGHEST,
            severity=HIGH,
            do_first="Look.",
            quiet=minutes(10),
            settle=seconds(30),
            max_keys=20_000,
        ),
    ],
    name=NAME,
)

# One row per event as it arrives: of 500 one came before, of 1,000 one is late.
EVENTS = """
create macro chance(id, what, below) as (hash(id, what, getvariable('seed')) % below)::bigint;
create macro sent(id) as getvariable('start') + id * getvariable('lasting') // getvariable('events');
create macro events(first, last) as table
    with chosen as (
        select
            i,
            i - if(chance(i, 'again', 500) = 0 and i >= getvariable('back'), getvariable('back'), 0) as id
        from range(first, last) as numbers(i)
    )
    select
        i,
        id,
        sent(i) as arrived,
        'device-' || chance(id, 'device', getvariable('keys')) as device,
        chance(id, 'value', 10000) as value,
        sent(id) - chance(id, 'jitter', 8000)
            - if(chance(id, 'late', 1000) = 0, 20000 + chance(id, 'by', 20000), 0) as happened
    from chosen;
"""
RECORDS = """
select
    arrived,
    device,
    to_json({
        reading_id: id::varchar, device: device, value: value,
        'at': strftime(make_timestamp(happened * 1000), '%Y-%m-%dT%H:%M:%S.%gZ')
    })::varchar
from events(?, ?)
"""
# A shard's watermark is the newest time among its distinct events less the lateness. A child's begins where
# its parents' had come to; what a key's own parent had closed stays closed.
ORACLE = """
create table judged as
with placed as (
    select *, ('0x' || md5(device)[1])::integer as part from events(0, getvariable('events'))
),
sharded as (
    select
        *,
        part // 4 as parent,
        case
            when i >= getvariable('split') and part < 2 then 4
            when i >= getvariable('split') and part < 4 then 5
            when i >= getvariable('merge') and part between 4 and 11 then 6
            else part // 4
        end as shard
    from placed
),
distinct_events as (
    select * from sharded qualify row_number() over (partition by id order by i) = 1
),
finals as (
    select shard as parent, max(happened) as final from distinct_events group by shard
),
newest as (
    select
        *,
        max(happened)
            over (partition by shard order by i rows between unbounded preceding and 1 preceding) as newest
    from distinct_events
)
select
    i, device, value, happened,
    happened >= greatest(coalesce(newest, 0), if(shard > 3, final, 0)) - getvariable('lateness') as is_on_time
from newest join finals using (parent);

create view expected as
select
    'window_result' as kind, device as key, since as moment, count(*) as events, sum(value)::bigint as total
from (select *, happened // getvariable('every') * getvariable('every') as since from judged)
where is_on_time
group by device, since
union all
select 'finding', device, happened, 1, 0 from judged where is_on_time and value > getvariable('highest')
union all
select 'late_event', device, i + 1, 1, 0 from judged where not is_on_time;
"""
DIFFERENCES = """
select
    (select count(*) from expected),
    (select count(*) from (select * from expected except all select * from told)),
    (select count(*) from (select * from told except all select * from expected))
"""
TOLD = """
create view told as
select *
from read_csv(
    getvariable('told'), auto_detect = false, header = false, delim = ',',
    columns = {'kind': 'varchar', 'key': 'varchar', 'moment': 'bigint', 'events': 'bigint', 'total': 'bigint'}
)
where kind <> 'incident_change';
"""


@dataclass
class Clock:
    """The records' arrival as the state log's time, s since 1970."""

    now: float = START / 1000

    def time(self) -> float:
        return self.now


class World(Services):
    """What is outside the function: a folder for the state log, the stream's shards, and what is told."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.clock = Clock()
        self.shards: list[dict[str, Any]] = []
        self.written: Counter[str] = Counter()  # bytes by kind of object
        self.lives: dict[str, tuple[int, str]] = {}  # of incidents: version and state
        self.batches = 0
        self.disorder = 0  # changes that did not follow the one before them
        self.told = folder / "told.csv"
        self._folder = folder
        self._written: dict[str, tuple[float, int]] = {}  # when (s since 1970) and how many bytes, by key
        self._file = self.told.open("w", newline="")
        self._rows = csv.writer(self._file)

    def put_object(self, **asked: Any) -> dict[str, Any]:
        key, body = asked["Key"], asked["Body"]
        if asked.get("IfNoneMatch") and key in self._written:
            code = {"Error": {"Code": "PreconditionFailed"}, "ResponseMetadata": {"HTTPStatusCode": 412}}
            raise ClientError(code, "PutObject")
        self._path(key).write_bytes(body)
        self._written[key] = self.clock.now, len(body)
        self.written[key.rpartition(".")[2] if "." in key else "list of records"] += len(body)
        return {}

    def get_object(self, **asked: Any) -> dict[str, Any]:
        return {"Body": io.BytesIO(self._path(asked["Key"]).read_bytes())}

    def delete_objects(self, **asked: Any) -> dict[str, Any]:
        for each in asked["Delete"]["Objects"]:
            self._path(each["Key"]).unlink()
            del self._written[each["Key"]]
        return {}

    def list_objects_v2(self, **asked: Any) -> dict[str, Any]:
        after = asked.get("ContinuationToken") or asked.get("StartAfter", "")
        keys = sorted(key for key in self._written if key.startswith(asked["Prefix"]) and key > after)
        page = keys[: asked["MaxKeys"]]
        listed = [
            {"Key": key, "LastModified": moment(self._written[key][0]), "Size": self._written[key][1]}
            for key in page
        ]
        more = {"IsTruncated": True, "NextContinuationToken": page[-1]} if len(page) < len(keys) else {}
        return {"Contents": listed} | more

    def get_paginator(self, operation: str) -> World:
        assert operation == "list_shards", operation
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Shards": self.shards}]

    def put_record_batch(self, **asked: Any) -> dict[str, Any]:
        for given in asked["Records"]:
            for line in given["Data"].splitlines():
                self._rows.writerow(told(orjson.loads(line)))
        return {"RequestResponses": [{} for _ in asked["Records"]]}

    def send_message_batch(self, **asked: Any) -> dict[str, Any]:
        for entry in asked["Entries"]:
            change = orjson.loads(entry["MessageBody"])
            version, state = self.lives.get(change["incident_id"], (0, ""))
            self.disorder += change["version"] != version + 1 or state == RESOLVED
            self.lives[change["incident_id"]] = change["version"], change["state"]
        return {}

    @property
    def kept(self) -> int:
        """Bytes of the log's objects that are still there."""
        return sum(size for _, size in self._written.values())

    def close(self) -> None:
        self._file.close()

    def _path(self, key: str) -> Path:
        return self._folder / key.replace("/", "~")


def told(row: Mapping[str, Any]) -> list[Any]:
    """What a row of the lake says: what, of whom, of when, how many and how much."""
    if "result_id" in row:
        aggregates = row["aggregates"]
        if isinstance(aggregates, str):
            aggregates = orjson.loads(aggregates)
        since = milliseconds(row["window_start"])
        return ["window_result", row["key"], since, aggregates["count()"], int(aggregates["total(value)"])]
    if "finding_id" in row:
        return ["finding", row["key"], milliseconds(row["found_at"]), 1, 0]
    if "watermark" in row:
        return ["late_event", row["key"], int(row["sequence_number"]), 1, 0]
    return ["incident_change", row["key"], 0, 1, 0]


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(f"{text}+00:00").timestamp() * 1000)


class Soak:
    """One run: the handler, the world around it, and what is measured on the way."""

    def __init__(self, folder: Path, *, events: int, keys: int, seed: int) -> None:
        self.events, self.keys = events, keys
        self.split, self.merge = events // 3, events * 2 // 3
        self.world = World(folder)
        self.samples: list[Sample] = []
        self.memory: list[float] = []  # MB, at each hundredth of the run
        self.seconds = 0.0
        self.database = duckdb.connect(str(folder / "oracle.duckdb"))
        self.database.execute(EVENTS)
        numbers = {"start": START, "lasting": LASTING, "events": events, "keys": keys, "seed": seed}
        numbers["back"] = min(500, events * 10_000 // LASTING)  # a repeat comes at most ten seconds later
        numbers |= {"split": self.split, "merge": self.merge, "highest": HIGHEST}
        for name, number in (numbers | {"every": EVERY * 1000, "lateness": LATENESS * 1000}).items():
            self.database.execute(f"set variable {name} = {number}")
        self._container = Container(PIPELINE)
        self._container.services = self.world
        # One container does here what several do for so many shards: each keeps the states of its own.
        vars(session)["WARM_SHARDS"] = 2 * len(FIRST)
        vars(session)["time"] = self.world.clock  # it asks for nothing but the time
        self._waiting: dict[int, list[dict[str, Any]]] = defaultdict(list)
        self._shard_of: dict[int, int] = {}  # by part
        self._follow(FIRST, {})

    def run(self, say: Callable[[str], None]) -> None:
        began = time.perf_counter()
        looks = {int(self.events * share) for share in LOOKS}
        part_of = cache(lambda device: place(device) * PARTS // PLACES)
        for number, (arrived, device, data) in enumerate(self._records()):
            if number in (self.split, self.merge):
                self._deliver()
                self._follow(*(SPLIT if number == self.split else MERGE))
            shard = self._shard_of[part_of(device)]
            self._waiting[shard].append(record(number + 1, arrived / 1000, data.encode()))
            if len(self._waiting[shard]) == BATCH:
                self._handle(shard)
            if number in looks:
                self.samples += self._looked(number)
            if number % (self.events // 100) == 0:
                self.memory.append(resident())
                if number % (self.events // 20) == 0:
                    passed = time.perf_counter() - began
                    say(f"{number:>12,} events  {passed:6.0f} s  {self.memory[-1]:6.0f} MB")
        self._deliver()
        self.memory.append(resident())
        self.samples += self._looked(self.events)
        self._fall_silent()
        self.seconds = time.perf_counter() - began
        self.world.close()

    def differences(self) -> tuple[int, int, int]:
        """Rows that the query expects, and of them and of those told how many the other does not have."""
        self.database.execute(ORACLE)
        self.database.execute("set variable told = ?", [str(self.world.told)])
        self.database.execute(TOLD)
        expected, missing, more = self.database.execute(DIFFERENCES).fetchall()[0]
        return expected, missing, more

    def _records(self) -> Iterator[tuple[int, str, str]]:
        for first in range(0, self.events, CHUNK):
            yield from self.database.execute(RECORDS, [first, min(first + CHUNK, self.events)]).fetchall()

    def _follow(self, parts: Mapping[int, range], parents: Mapping[int, Sequence[int]]) -> None:
        """Lists new shards of some parts, the first ones or those that follow others."""
        for shard, its in parts.items():
            self._shard_of |= dict.fromkeys(its, shard)
            first, stop = its.start * PLACES // PARTS, its.stop * PLACES // PARTS
            listed: dict[str, Any] = {"ShardId": shard_id(shard)}
            listed["HashKeyRange"] = {"StartingHashKey": str(first), "EndingHashKey": str(stop - 1)}
            for name, parent in zip(
                ("ParentShardId", "AdjacentParentShardId"), parents.get(shard, ()), strict=False
            ):
                listed[name] = shard_id(parent)
            self.world.shards.append(listed)

    def _deliver(self) -> None:
        for shard in [shard for shard, records in self._waiting.items() if records]:
            self._handle(shard)

    def _handle(self, shard: int) -> None:
        records = self._waiting.pop(shard)
        records[0]["eventID"] = f"{shard_id(shard)}:{records[0]['kinesis']['sequenceNumber']}"
        self.world.clock.now = records[-1]["kinesis"]["approximateArrivalTimestamp"]
        self.world.batches += 1
        if self.world.batches % COLD_EVERY == 0:
            self._session._warm.clear()
        self._container.handle({"Records": records})

    @property
    def _session(self) -> Any:
        return self._container.module.session

    def _looked(self, number: int) -> Iterator[Sample]:
        for shard, warm in self._session._warm.items():
            keys = warm.shard.snapshot()["keys"]
            yield Sample(number, shard, sum(map(len, keys.values())), len(orjson.dumps(keys)))

    def _fall_silent(self) -> None:
        """A tick in every shard long after the last event."""
        now = (START + LASTING) / 1000 + 7_200
        for shard in sorted(set(self._shard_of.values())):
            with redirect_stdout(io.StringIO()):  # as the container does: metrics are lines of the log
                self._session.run(shard_id(shard), lambda state: state.advance(now))
        self.left = [
            sample
            for sample in self._looked(self.events)
            if int(sample.shard[-3:]) in self._shard_of.values()
        ]


@dataclass(frozen=True)
class Sample:
    """What a shard held after so many events: keys with a state, and the bytes of these states."""

    events: int
    shard: str
    keys: int
    bytes: int


def resident() -> float:
    """The process's memory now, MB; where the system does not say, the most that it had."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return pages * resource.getpagesize() / 1e6


def shard_id(number: int) -> str:
    return f"shardId-{number:012d}"


@dataclass(frozen=True)
class Row:
    """A line of the table: what was measured, how it came out, and whether that is within its bar."""

    what: str
    measured: str
    bar: str = ""
    holds: bool = True


def rows(soak: Soak) -> Iterator[Row]:
    world = soak.world
    yield Row(
        "events", f"{soak.events:,} in {soak.seconds:,.0f} s, {soak.events / soak.seconds:,.0f} a second"
    )
    expected, missing, more = soak.differences()
    yield Row("rows that the query expects", f"{expected:,}", "some", expected > 0)
    yield Row("of them not told", f"{missing:,}", "none", missing == 0)
    yield Row("told beside them", f"{more:,}", "none", more == 0)
    open_ = sum(state != RESOLVED for _, state in world.lives.values())
    yield Row("incidents", f"{len(world.lives):,}", "some", len(world.lives) > 0)
    yield Row(
        "of them open at the end, or out of order",
        f"{open_:,}, {world.disorder:,}",
        "none",
        open_ + world.disorder == 0,
    )
    held = [sample for sample in soak.samples if sample.keys >= LEAST_KEYS]
    each = sorted(sample.bytes / sample.keys for sample in held)
    few, many = min(sample.keys for sample in held), max(sample.keys for sample in held)
    yield Row(
        f"bytes a live key, of {few:,} to {many:,} keys a shard",
        f"{each[0]:.0f} to {each[-1]:.0f}",
        f"{MOST_SPREAD:g} times",
        each[-1] <= MOST_SPREAD * each[0],
    )
    # A key whose last event was strange waits for one that is not, until others take its place.
    left = sum(sample.keys for sample in soak.left)
    yield Row(
        "keys with a state after silence", f"{left:,}", f"{soak.keys // 100:,}", left <= soak.keys // 100
    )
    quarter = len(soak.memory) // 4
    second, last = median(soak.memory[quarter : 2 * quarter]), median(soak.memory[-quarter:])
    yield Row(
        "memory, in the second quarter of the run and in the last",
        f"{second:,.0f} and {last:,.0f} MB, {max(soak.memory):,.0f} at most",
        f"{MOST_GROWTH:g} times",
        last <= MOST_GROWTH * second,
    )
    kinds = ", ".join(f"{kind} {size / 1e6:,.0f} MB" for kind, size in sorted(world.written.items()))
    yield Row("state log, written in all", kinds)
    yield Row("of it kept at the end", f"{world.kept / 1e6:,.0f} MB")
    yield Row("cold starts, shards", f"{world.batches // COLD_EVERY:,}, {len(world.shards)}")


def soak(say: Callable[[str], None], *, events: int, keys: int, seed: int = 1) -> bool:
    """Runs and says what came of it; whether every bar holds."""
    with tempfile.TemporaryDirectory() as folder:
        run = Soak(Path(folder), events=events, keys=keys, seed=seed)
        run.run(say)
        table = list(rows(run))
    width = max(len(row.what) for row in table)
    for row in table:
        bar = f"  (bar: {row.bar})" if row.bar else ""
        say(f"{'' if row.holds else 'MISSED  '}{row.what:<{width}}  {row.measured}{bar}")
    return all(row.holds for row in table)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    return 0 if soak(partial(print, flush=True), **vars(asked)) else 1


if __name__ == "__main__":
    sys.exit(main())
