"""`freshet redrive`: what a pipeline gave up is detected after all, and what was mended goes back to it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol  # what AWS answers is as mixed as JSON

import boto3
from botocore.config import Config

from lambdas.columns import DeclarationError
from lambdas.model import Pipeline
from operate.deployment import Refused, Stuck, Terminal, asking, needed, outputs_of, stack_of
from pipelines import discovery

LAKE = "freshet-lake"
NEEDED = {"DetectFunction", "DetectLog", "DetectMapping", "FailedBucket", "LakeBucket", "StreamName"}
# By which detect reads; what the first gave up may have more to say to the second.
MAPPINGS = ("DetectMapping", "RekeyedMapping")
# Detect has two minutes; a call that is made again while the first one works would only be in its way.
PATIENCE = Config(read_timeout=150, retries={"total_max_attempts": 1})


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What was found of a pipeline in an account."""

    pipeline: Pipeline
    session: Any
    outputs: Mapping[str, str]

    @classmethod
    def find(cls, name: str, session: Any) -> Deployed:
        pipeline = discovery.load(name)
        outputs = {**outputs_of(session, LAKE, name), **outputs_of(session, stack_of(name), name)}
        return cls(pipeline=pipeline, session=session, outputs=needed(outputs, NEEDED, name))

    @property
    def where(self) -> str:
        return f"{self.pipeline.name} in {self.session.region_name}"

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        listing = self.session.client("s3").get_paginator("list_objects_v2")
        for page in listing.paginate(Bucket=bucket, Prefix=prefix):
            yield from (each["Key"] for each in page.get("Contents", ()))

    def body(self, bucket: str, key: str) -> bytes:
        content: bytes = self.session.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return content


class Work(Protocol):
    """What a redrive does; `begun` says what became of it, for whoever it is cut off from."""

    begun: str

    def run(self, *, yes: bool) -> int: ...


def redrive(
    name: str,
    make: Callable[[Deployed, Terminal], Work] | None = None,
    *,
    yes: bool = False,
    region: str | None = None,
    profile: str | None = None,
    terminal: Terminal | None = None,
) -> int:
    """Does the work that `make` makes, by default with the batches that were given up: 0 when nothing is left
    to be done, 1 when something is, which is said with its reason.

    Raises `Refused` for what the user can mend.
    """
    terminal = terminal or Terminal()
    work: Work | None = None

    def begun() -> str:
        return "" if work is None else work.begun

    try:
        with asking(name, "RedrivePolicy", begun, "Nothing was done; try again."):
            # boto3 reads AWS_DEFAULT_REGION alone.
            session = boto3.Session(profile_name=profile, region_name=region or os.environ.get("AWS_REGION"))
            work = (make or Batches)(Deployed.find(name, session), terminal)
            return work.run(yes=yes)
    except DeclarationError as error:
        raise Refused(str(error)) from error
    except Stuck as stuck:
        terminal.say(str(stuck))
        return 1


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch that was given up, as its object tells of it; no `records`: there are none in the object.
    `stage` counts the streams from 0.
    """

    key: str
    stage: int
    shard_id: str
    first: int
    records: int
    since: str
    until: str
    why: str

    @property
    def whose(self) -> tuple[int, str]:
        return self.stage, self.shard_id

    @classmethod
    def of(cls, key: str, stage: int, body: bytes) -> Batch:
        try:
            document = json.loads(body)
            batch, response = document["KinesisBatchInfo"], document.get("responseContext") or {}
            failure = response.get("functionError")
            return cls(
                key=key,
                stage=stage,
                shard_id=str(batch["shardId"]),
                first=int(batch["startSequenceNumber"]),
                records=int(batch["batchSize"]) if document.get("payload") else 0,
                since=str(batch["approximateArrivalOfFirstRecord"]),
                until=str(batch["approximateArrivalOfLastRecord"]),
                why=document["requestContext"]["condition"] + (f" ({failure})" if failure else ""),
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            return cls(
                key=key, stage=stage, shard_id="", first=0, records=0, since="", until="", why="no batch"
            )


class Batches:
    """The batches that a pipeline's mappings gave up, each handed to detect by its place."""

    def __init__(self, deployed: Deployed, terminal: Terminal) -> None:
        self.begun = ""
        self._deployed, self._say, self._agree = deployed, terminal.say, terminal.agree
        self._bucket = deployed.outputs["FailedBucket"]

    def run(self, *, yes: bool) -> int:
        found = list(self._found())
        empty = [batch for batch in found if not batch.records]
        # A newer one first would make the older one's events late.
        waiting = sorted(
            (batch for batch in found if batch.records), key=lambda each: (each.whose, each.first)
        )
        for batch in empty:
            self._say(
                f"s3://{self._bucket}/{batch.key} has no records ({batch.why}), so detect can take none: its "
                "events are in the lake. Delete it when you have seen it."
            )
        if not waiting:
            self._say(f"{self._deployed.where}: no batch waits that was given up.")
            return 1 if empty else 0
        self._tell(waiting)
        self._agree("Let detect take them?", yes=yes)
        left = sum(self._shard(list(group)) for _, group in groupby(waiting, key=lambda each: each.whose))
        if left:
            self._say(
                f"{left} of {counted(len(waiting), 'batch')} still wait. Mend that and say it again: nothing "
                "is detected twice."
            )
        return 1 if left or empty else 0

    def _found(self) -> Iterator[Batch]:
        for stage, mapping in enumerate(MAPPINGS):
            if mapping in self._deployed.outputs:
                for key in self._deployed.keys(
                    self._bucket, f"aws/lambda/{self._deployed.outputs[mapping]}/"
                ):
                    yield Batch.of(key, stage, self._deployed.body(self._bucket, key))

    def _tell(self, waiting: list[Batch]) -> None:
        records = sum(batch.records for batch in waiting)
        self._say(
            f"{self._deployed.where}: {counted(len(waiting), 'batch')} with {counted(records, 'record')} "
            f"given up, the oldest of {min(batch.since for batch in waiting)}."
        )
        for (_, why), group in groupby(waiting, key=lambda each: (each.whose, each.why)):
            batches = list(group)
            total = sum(batch.records for batch in batches)
            self._say(
                f"  {batches[0].shard_id}: {counted(len(batches), 'batch')}, {counted(total, 'record')}, "
                f"{batches[0].since} to {batches[-1].until}: {why}"
            )
        self._say(
            "Each record is detected once, however often this is said. It does not go into the stream again; "
            "an event that is late by now is listed as late, and nobody is told of it."
        )

    def _shard(self, batches: list[Batch]) -> int:
        """Redrives one shard's batches up to the first that cannot be; says how many are left."""
        for place, batch in enumerate(batches):
            reason = self._batch(batch)
            if reason:
                self._say(f"  {batch.shard_id}, {batch.since}: not done. {reason}")
                if rest := len(batches) - place - 1:
                    self._say(
                        f"  {batch.shard_id}: {counted(rest, 'batch')} after it wait, since they would make "
                        "its events late."
                    )
                return len(batches) - place
        return 0

    def _batch(self, batch: Batch) -> str:
        """Redrives one batch and deletes its object; says why it could not."""
        outputs, session = self._deployed.outputs, self._deployed.session
        place = {"bucket": self._bucket, "key": batch.key}
        self.begun = "What detect has taken is not detected again: say it again for the rest."
        answer = session.client("lambda", config=PATIENCE).invoke(
            FunctionName=outputs["DetectFunction"], Payload=json.dumps({"redrive": place}).encode()
        )
        told = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            return (
                f"detect failed ({told.get('errorType', answer['FunctionError'])}): "
                f"{str(told.get('errorMessage', '')).rstrip('.')}. Its log is {outputs['DetectLog']}."
            )
        if told["failed"]:
            return (
                f"The record {told['failed'][0]} cannot be read even now; those before it are done. Mend the "
                f"format that reads it: the log {outputs['DetectLog']} says what it raised."
            )
        session.client("s3").delete_object(Bucket=self._bucket, Key=batch.key)
        self._say(f"  {batch.shard_id}, {batch.since}: {summary(told['counts'])}")
        return ""


def summary(counts: Mapping[str, int]) -> str:
    """What a batch came to.

    >>> summary({"redriven": 3, "events": 3, "late": 1})
    '3 taken: 2 events detected, 1 too late'
    >>> summary({"redriven": 1, "rekeyed": 40, "late": 1})
    '1 taken: 39 events detected, 1 too late'
    >>> summary({"replayed": 2})
    '2 were taken before'
    """
    parts = []
    if taken := counts.get("redriven", 0):
        late = counts.get("late", 0)
        # Those of the second stream are counted by another name, since the first one had them, too.
        events = counts.get("events", 0) + counts.get("rekeyed", 0)
        words = [f"{counted(events - late, 'event')} detected"]
        others = {
            "too late": late,
            "repeated": counts.get("duplicates"),
            "unreadable": counts.get("unreadable"),
        }
        words += [f"{number} {word}" for word, number in others.items() if number]
        parts.append(f"{taken} taken: {', '.join(words)}")
    if known := counts.get("replayed", 0):
        parts.append(f"{known} {'was' if known == 1 else 'were'} taken before")
    return "; ".join(parts)


def counted(number: int, noun: str) -> str:
    """
    >>> counted(1, "batch"), counted(1200, "batch"), counted(2, "record")
    ('1 batch', '1,200 batches', '2 records')
    """
    plural = "es" if noun.endswith(("ch", "s")) else "s"
    return f"{number:,} {noun}{'' if number == 1 else plural}"
