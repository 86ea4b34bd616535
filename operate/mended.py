"""`freshet redrive --quarantine`: what was quarantined and can be read by now goes back as new events.

A record is sent, then a mark of it is written: whoever is cut off in between leaves at most one call's
records, 500, to be sent again, and those have the same ids. A lock keeps two runs apart.
"""

from __future__ import annotations

import gzip
import json
import os
import time
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any  # what stands in quarantine is as mixed as JSON
from uuid import uuid4

from botocore.exceptions import ClientError

from lambdas.effects.sending import PATIENT_TRIES, attempts, batches, refused_of
from lambdas.formats.decode import Decoder, Unreadable
from lambdas.model import Pipeline, Row
from lambdas.tables import PARTS
from operate.deployment import Refused, Terminal
from operate.redrive import Deployed, counted

MOST_RECORDS, MOST_BYTES, MOST_RECORD = 500, 4_500_000, 1024 * 1024  # of a call; of a record with its key
LOCKED = 900.0  # seconds after its last sign for which a run is taken to be under way
EXISTS = 412


@dataclass
class Quarantined:
    """A record in quarantine: its place in the stream, its bytes, which of its parts could not be read."""

    place: str
    data: bytes = b""
    partition_key: str = ""
    arrived_at: str = ""
    parts: int | None = None  # of the record; what an older version wrote does not say it
    bad: dict[int, tuple[str, str]] = field(default_factory=dict)  # by their place in it: reason and column

    @property
    def reason(self) -> str:
        return next(iter(self.bad.values()))[0]

    @property
    def is_mixed(self) -> bool | None:
        """Whether other parts of it were read; `None` where nobody knows."""
        return None if self.parts is None else self.parts > len(self.bad)


class Unmended(ValueError):
    """Why a record stays in quarantine, in a sentence."""


class Mender:
    """What goes back of a record: its own bytes, or of one whose other parts were read the bad ones alone."""

    def __init__(self, pipeline: Pipeline, now: float) -> None:
        self._formats = pipeline.formats
        self._decoder = Decoder(pipeline)
        self._now_ms = round(now * 1000)

    def mended(self, record: Quarantined) -> bytes:
        """The bytes to send; raises `Unmended`."""
        parts = self._readable(record.data)
        if record.is_mixed is False:
            return record.data
        if any(not column for _, column in record.bad.values()):
            # What was no part then has become one or several: their places are others.
            if record.is_mixed is None:
                raise Unmended(
                    "Whether other parts of the record were read is not known; send what is missing by "
                    "--mended."
                )
            raise Unmended(
                "Other parts of the record were read, and which are the bad ones cannot be told; send those "
                "by --mended."
            )
        if len(parts) == len(record.bad):
            return record.data
        return self._alone(record, parts)

    def checked(self, data: bytes) -> bytes:
        """Bytes that a person has mended; raises `Unmended` where they cannot be read."""
        self._readable(data)
        return data

    def _readable(self, data: bytes) -> list[Row]:
        rows: list[Row] = []
        for part in self._decoder.decode(data, self._now_ms):
            if isinstance(part, Unreadable):
                raise Unmended(part.reason)
            rows.append(part)
        return rows

    def _alone(self, record: Quarantined, rows: list[Row]) -> bytes:
        """The bad parts as JSON, a line each, if they read the same as in their record."""
        format = next((each for each in self._formats if each.recognises(record.data)), self._formats[0])
        given = list(format.read(record.data))
        wanted = sorted(record.bad)
        if wanted[-1] >= len(rows):
            raise Unmended("The record has fewer parts than it had; send what is missing by --mended.")
        lines = [json.dumps(given[place], ensure_ascii=False).encode() for place in wanted]
        alone = b"\n".join(lines)
        try:
            is_same = [row.values for row in self._readable(alone)] == [rows[each].values for each in wanted]
        except Unmended:
            is_same = False
        if not is_same:
            raise Unmended(
                "Other parts of the record were read, and its format does not write the bad ones alone; send "
                "those by --mended."
            )
        return alone


def quarantined(lines: Iterable[bytes]) -> Iterator[Quarantined]:
    """The records that rows of the quarantine tell of, in their order."""
    found: dict[str, Quarantined] = {}
    for line in lines:
        row = json.loads(line)
        part, index = divmod(int(row["record_index"]), PARTS)
        place = f"{row['shard_id']}:{row['sequence_number']}:{part}"
        record = found.setdefault(place, Quarantined(place))
        record.bad[index] = row["reason"], row["field"]
        if row["data"] is not None:
            record.data = b64decode(row["data"])
            record.partition_key, record.arrived_at = row["partition_key"], row["arrived_at"]
            record.parts = row.get("record_parts")
    yield from found.values()


class Lock:
    """Keeps two runs for a pipeline apart; one that died is followed after a while."""

    def __init__(self, deployed: Deployed, key: str, now: Callable[[], float]) -> None:
        self._s3, self._now = deployed.session.client("s3"), now
        self._place = {"Bucket": deployed.outputs["LakeBucket"], "Key": key}

    def take(self) -> None:
        try:
            self._s3.put_object(**self._place, Body=self._until(LOCKED), IfNoneMatch="*")
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != EXISTS:
                raise
            there = self._s3.get_object(**self._place)
            until = float(there["Body"].read())
            if until > self._now():
                raise Refused(
                    "Another run for this pipeline is under way, or died less than "
                    f"{LOCKED / 60:.0f} minutes ago: try again in {until - self._now():.0f} s."
                ) from None
            self._s3.put_object(**self._place, Body=self._until(LOCKED), IfMatch=there["ETag"])

    def refresh(self) -> None:
        self._s3.put_object(**self._place, Body=self._until(LOCKED))

    def release(self) -> None:
        self._s3.put_object(**self._place, Body=self._until(0))

    def _until(self, seconds: float) -> bytes:
        return str(self._now() + seconds).encode()


class Records:
    """The records in a pipeline's quarantine. `mended` is a file of records that a person has mended; `to`
    one into which those are written that cannot be read.
    """

    def __init__(
        self,
        deployed: Deployed,
        terminal: Terminal,
        *,
        mended: Path | None = None,
        to: Path | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.begun = ""
        self._deployed, self._say, self._agree = deployed, terminal.say, terminal.agree
        self._bucket, self._name = deployed.outputs["LakeBucket"], deployed.pipeline.name
        self._marks = f"redriven/pipeline={self._name}/"
        self._by_hand = None if mended is None else by_hand(mended)
        self._to, self._now = to, now
        self._done: set[str] = set()  # places that went back before
        self._run = f"{self._marks}{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now()))}-{uuid4().hex[:8]}"

    def run(self, *, yes: bool) -> int:
        lock = Lock(self._deployed, f"{self._marks}lock", self._now)
        lock.take()
        try:
            return self._redrive(lock, yes=yes)
        finally:
            lock.release()

    def _redrive(self, lock: Lock, *, yes: bool) -> int:
        waiting = self._waiting()
        if not waiting:
            self._say(f"{self._deployed.where}: nothing in quarantine waits.")
            return 0
        ready, left = self._sorted_out(waiting)
        where = f"{self._deployed.where}: {counted(len(waiting), 'record')} in quarantine"
        self._say(f"{where}, {len(ready):,} of them can be read now.")
        tell(self._say, "ready", Counter(record.reason for record, _ in ready))
        tell(self._say, "left", Counter(reason for _, reason in left))
        if self._to is not None:
            write(self._to, [record for record, _ in left])
            self._say(
                f"{self._to} has the {counted(len(left), 'record')} that cannot be read, private values "
                'among them. Mend what stands after "record", then say --mended and the file.'
            )
        if not ready:
            return 0
        self._say(
            "They go into the stream as new events, which arrive now: an old one reaches the lake and the "
            "list of late events, and nobody is told of it. Deploy first what you have mended in "
            f"pipelines/{self._name}: by that they are read there."
        )
        self._agree("Send them?", yes=yes)
        refused = self._send(ready, lock)
        self._say(f"{counted(len(ready) - len(refused), 'record')} sent.")
        if refused:
            self._say(
                f"The stream refused {counted(len(refused), 'record')}, the last with {refused[-1][1]}: look "
                "on the dashboard whether it is full, and say it again."
            )
        return 1 if refused else 0

    def _waiting(self) -> list[Quarantined]:
        """What is in quarantine and was not sent back."""
        keys, done = self._deployed.keys, self._done
        for key in keys(self._bucket, self._marks):
            if key.endswith(".json"):
                done.update(json.loads(self._deployed.body(self._bucket, key)))
        lines = (
            line
            for key in keys(self._bucket, f"quarantine/pipeline={self._name}/")
            for line in gzip.decompress(self._deployed.body(self._bucket, key)).splitlines()
        )
        return [record for record in quarantined(lines) if record.place not in done]

    def _sorted_out(
        self, waiting: list[Quarantined]
    ) -> tuple[list[tuple[Quarantined, bytes]], list[tuple[Quarantined, str]]]:
        """What can be sent, with its bytes, and what stays, with the reason."""
        mender = Mender(self._deployed.pipeline, self._now())
        ready: list[tuple[Quarantined, bytes]] = []
        left: list[tuple[Quarantined, str]] = []
        if self._by_hand is not None:
            known = {record.place for record in waiting} | self._done
            if unknown := self._by_hand.keys() - known:
                raise Refused(
                    f"The file has {counted(len(unknown), 'record')} that nobody quarantined, as "
                    f"{min(unknown)}: keep each place as --to wrote it."
                )
            waiting = [record for record in waiting if record.place in self._by_hand]
        for record in waiting:
            try:
                if self._by_hand is None:
                    data = mender.mended(record)
                else:
                    data = mender.checked(self._by_hand[record.place])
                if len(data) + len(record.partition_key.encode()) > MOST_RECORD:
                    raise Unmended("It is longer than the stream takes, 1 MiB with its key.")
                ready.append((record, data))
            except Unmended as reason:
                left.append((record, str(reason)))
        return ready, left

    def _send(self, ready: list[tuple[Quarantined, bytes]], lock: Lock) -> list[tuple[Any, str]]:
        """Sends records and marks those that the stream took, after each call; returns what it refused."""
        numbers = iter(range(len(ready) * PATIENT_TRIES))
        refused: list[tuple[Any, str]] = []

        def put(batch: list[tuple[Quarantined, bytes]]) -> list[tuple[tuple[Quarantined, bytes], str]]:
            answer = self._deployed.session.client("kinesis").put_records(
                StreamName=self._deployed.outputs["StreamName"],
                Records=[{"Data": data, "PartitionKey": record.partition_key} for record, data in batch],
            )["Records"]
            self.begun = "What was sent is marked, but for up to 500 records; say it again for the rest."
            pairs = list(zip(batch, answer, strict=True))
            taken = [record.place for (record, _), said in pairs if "ErrorCode" not in said]
            if taken:
                self._deployed.session.client("s3").put_object(
                    Bucket=self._bucket,
                    Key=f"{self._run}-{next(numbers):06d}.json",
                    Body=json.dumps(taken).encode(),
                )
            return [(one, said["ErrorCode"]) for one, said in pairs if "ErrorCode" in said]

        for batch in batches(ready, weight, most=MOST_RECORDS, most_bytes=MOST_BYTES):
            left = batch
            for _ in attempts(PATIENT_TRIES):
                again = refused_of(left, put)
                left = [one for one, _ in again]
                if not left:
                    break
            refused += again
            lock.refresh()
            if len(ready) > MOST_RECORDS:
                self._say(f"  {counted(len(batch) - len(left), 'record')} sent")
        return refused


def weight(each: tuple[Quarantined, bytes]) -> int:
    return len(each[1]) + len(each[0].partition_key.encode())


def tell(say: Callable[[str], None], what: str, reasons: Mapping[str, int]) -> None:
    for reason, number in sorted(reasons.items(), key=lambda each: -each[1])[:20]:
        say(f"  {what}: {counted(number, 'record')}: {reason}")


def write(to: Path, records: list[Quarantined]) -> None:
    """A line of JSON a record, for a person to mend; nobody else may read it."""
    try:
        made = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Refused(f"{to} cannot be written: {error.strerror}. Name a new file.") from error
    with os.fdopen(made, "w") as file:
        for record in records:
            try:
                content = {"record": record.data.decode()}
            except UnicodeDecodeError:
                content = {"base64": b64encode(record.data).decode()}
            good = None if record.parts is None else record.parts - len(record.bad)
            about = {"place": record.place, "reason": record.reason, "good_parts": good}
            file.write(json.dumps({**about, **content}, ensure_ascii=False) + "\n")


def by_hand(file: Path) -> dict[str, bytes]:
    """The records of such a file by their places; raises `Refused`."""
    found: dict[str, bytes] = {}
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{file} cannot be read: {error}.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            given = json.loads(line)
            data = (
                given["record"].encode() if "record" in given else b64decode(given["base64"], validate=True)
            )
            found[str(given["place"])] = data
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Refused(
                f"{file}, line {number}: no JSON object with place and record (or base64) as --to writes it "
                f"({type(error).__name__}); mend or leave out the line."
            ) from error
    return found
