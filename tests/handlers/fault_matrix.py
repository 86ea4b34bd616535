"""Every effect of the functions that process events, made to fail in every way at each of its turns.

A row is one effect in a scene; a scene is what the functions are invoked with, one after the other. What a
cell came to is measured, and docs/faults.md shows it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, cast

import pytest

from lambdas.columns import lake_time
from lambdas.effects import recovery, session
from lambdas.effects.state_log import unpacked
from lambdas.model import Detector
from pipelines.casino.pipeline import Play
from pipelines.casino.pipeline import pipeline as casino
from tests.effects.support import (
    BUCKET,
    Faults,
    account,
    body,
    keys,
    make_table,
    objects,
    real,
    refusal,
    silence,
)
from tests.handlers.support import (
    NOON,
    ROW_IDS,
    SHARD,
    Sent,
    World,
    deploy,
    detect_event,
    numbered,
    put,
    reading,
    transform_event,
)

Step = tuple[str, dict[str, Any]]  # a function and what it is invoked with
SECOND = "casino-second-stream"
CHILD = "shardId-000000000001"
MOST_TRIES = 9


class CutOff(BaseException):
    """A container's end: by a crash, or because its time is over. Nothing catches it."""


def heat(_world: World) -> Iterator[Step]:
    """A sensor gets hot, hotter, and cool again; another one, too."""
    heats = [20, 31, 32, 46, 25, 33, 20, 20]
    sent = numbered([reading(f"sensor-{at % 2}", each, NOON + at) for at, each in enumerate(heats)])
    for batch in (sent[:2], sent[2:4], sent[4:5], sent[5:]):
        yield "lambdas.detect", detect_event(batch)


def split_shard(_world: World) -> Iterator[Step]:
    """A hot sensor's shard is split, and the child goes on with it."""
    sent = numbered([reading("sensor-1", 31 + at, NOON + at) for at in range(4)])
    yield "lambdas.detect", detect_event(sent[:2])
    stream = "temperature-stream"
    real("kinesis").split_shard(StreamName=stream, ShardToSplit=SHARD, NewStartingHashKey=str(2**127))
    for record in sent[2:]:
        event = detect_event([record])
        event["Records"][0]["eventID"] = f"{CHILD}:{record.sequence}"
        yield "lambdas.detect", event


def damaged_log(world: World) -> Iterator[Step]:
    """The newest entry cannot be read any more when the next batch comes."""
    for heats in ([31, 32], [46], [20]):
        prefix = f"state/{world.pipeline}/"
        for key in keys(prefix=prefix):
            if key.partition(".")[0] == keys(prefix=prefix)[0].partition(".")[0]:
                real("s3").put_object(Bucket=BUCKET, Key=key, Body=body(key)[:-1])
        yield "lambdas.detect", detect_event(put(world, [reading("sensor-1", each, NOON) for each in heats]))


def unreadable(_world: World) -> Iterator[Step]:
    """Records of which one in each batch cannot be read."""
    sent = numbered([reading("sensor-1", 20, NOON), Sent(NOON, b"neither JSON"), Sent(NOON, b"\xff")])
    for batch in (sent[:2], sent[2:], sent):
        yield "lambdas.transform", transform_event(batch)


def plays(_world: World) -> Iterator[Step]:
    """A high roller sits down, a table runs out of chips, a guest wins too often; then the second stream's
    records, which the tables' detectors get.
    """
    at = [
        [("rich", "door", "enter", 0), ("rich", "t1", "sit", 0)],
        [("rich", "t1", "bet", 900), ("poor", "t1", "bet", 800), ("rich", "t1", "bet", 700)],
        [("rich", "t1", "bet", 10), ("rich", "t1", "bet", 10), ("rich", "t1", "bet", 10)],
        [("poor", "door", "leave", 0)],
    ]
    made: list[list[Sent]] = []
    for minute, batch in enumerate(at):
        made.append([])
        for second, (who, table, action, won) in enumerate(batch):
            time = NOON + 60 * minute + second
            event = {
                "play_id": f"{minute}.{second}",
                "customer_id": who,
                "table_id": table,
                "action": action,
                "gaming_event": won,
                "played_at": lake_time(time),
            }
            made[-1].append(Sent(time + 0.5, json.dumps(event).encode()))
    sent = iter(numbered([record for batch in made for record in batch]))
    for together in made:
        yield "lambdas.detect", of_stream("casino-stream", [next(sent) for _ in together])
    iterator = real("kinesis").get_shard_iterator(
        StreamName=SECOND, ShardId=SHARD, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    for record in real("kinesis").get_records(ShardIterator=iterator)["Records"]:
        number = int(record["SequenceNumber"])
        yield "lambdas.detect", of_stream(SECOND, [Sent(NOON + 300, record["Data"], number)])


def of_stream(name: str, records: list[Sent]) -> dict[str, Any]:
    event = detect_event(records)
    for record in event["Records"]:
        record["eventSourceARN"] = f"arn:aws:kinesis:eu-central-1:123456789012:stream/{name}"
    return event


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One effect: the call by which it is done, and what is in the key of it. `no_conflict` says why nobody
    else can be in its way; empty where somebody can. It fails from the step `since` on.
    """

    name: str
    call: str
    part: str = ""
    scene: Callable[[World], Iterator[Step]] = heat
    pipeline: str = "temperature"
    no_conflict: str = ""
    since: int = 0

    def is_meant(self, request: dict[str, Any]) -> bool:
        return self.part in str(request.get("Key", ""))


READS = "it only reads"
SAME = "unconditional: who writes it writes the same"
NO_CONDITION = "the service has no conditional send"
EFFECTS = [
    Effect(name="load: list the log", call="list_objects_v2", no_conflict=READS),
    Effect(name="load: an entry", call="get_object", part=".entry", no_conflict=READS),
    Effect(name="load: a base", call="get_object", part=".base", no_conflict=READS),
    Effect(name="load: the stream again", call="get_records", scene=damaged_log, since=1, no_conflict=READS),
    Effect(name="claim a range", call="put_object", part=f"{SHARD}/9", scene=split_shard, since=1),
    Effect(name="enrich", call="batch_get_item", scene=plays, pipeline="casino", no_conflict=READS),
    Effect(name="quarantine", call="put_object", scene=unreadable, no_conflict=SAME),
    Effect(name="commit", call="put_object", part=".entry"),
    Effect(name="send a change", call="send_message_batch", no_conflict=NO_CONDITION),
    Effect(
        name="send re-keyed events",
        call="put_records",
        scene=plays,
        pipeline="casino",
        no_conflict=NO_CONDITION,
    ),
    Effect(name="send results", call="put_record_batch", no_conflict=NO_CONDITION),
    Effect(name="mark as sent", call="put_object", part=".sent", no_conflict=SAME),
    Effect(name="keep what was taken in", call="put_object", part="taken/", no_conflict=SAME),
    Effect(name="write a base", call="put_object", part=".base", no_conflict=SAME),
]
THROTTLES = {
    "batch_get_item": ("ProvisionedThroughputExceededException", 400),
    "get_records": ("ProvisionedThroughputExceededException", 400),
    "put_records": ("ProvisionedThroughputExceededException", 400),
    "put_record_batch": ("ServiceUnavailableException", 503),
    "send_message_batch": ("RequestThrottled", 403),
}
SLOW_DOWN = ("SlowDown", 503)  # of S3
FAILURES = {
    "fails before": "refused with an error 500; nothing was done",
    "fails after": "done, and answered with an error 500",
    "times out": "no answer; in turn it was done and it was not",
    "throttled": "the service's own code for too much",
    "conflicts": "in turn 409 and 412: another container does the same",
    "is cut off": "the container ends there, in turn before the call and after it",
}


@dataclass
class Cell:
    """What came of an effect that fails in one way at each of its turns."""

    invocations: int = 0
    needed: int = 0  # without a fault
    failed: int = 0  # of the steps
    how: list[str] = field(default_factory=list)
    twice: int = 0
    visible: dict[Any, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """
        >>> str(Cell(invocations=6, needed=4, how=["batch again"], twice=1))
        'batch again; 6 for 4; 1 twice'
        """
        return f"{', '.join(self.how)}; {self.invocations} for {self.needed}; {self.twice or 'none'} twice"


class Stage:
    """A scene's world, and the functions' containers as they come and go."""

    def __init__(self, effect: Effect, aws: Faults, world: World) -> None:
        self.effect, self.aws, self.world = effect, aws, world
        self.cell = Cell()
        self._committed: set[tuple[str, str]] = set()
        self._containers: dict[str, Any] = {}

    def play(self, failure: str) -> Cell:
        for number, (function, event) in enumerate(self.effect.scene(self.world)):
            self.cell.needed += 1
            if number % 2:
                self._containers.clear()
            is_struck = self._arm(failure, number, function, event) if number >= self.effect.since else bool
            self._until_done(function, event, is_struck)
            self.aws.coming.clear()
            self.aws.answers.clear()
        self.cell.visible = self._visible()
        self.cell.twice = self._twice()
        self._check_the_queue()
        return self.cell

    def container(self, function: str) -> Any:
        if function not in self._containers:
            self._containers[function] = self.world.container(function)
        return self._containers[function]

    def _until_done(self, function: str, event: dict[str, Any], is_struck: Callable[[], bool]) -> None:
        entries = len(self._entries())
        was_struck = False
        for _ in range(MOST_TRIES):
            self.cell.invocations += 1
            try:
                answer = self.container(function).handler(event, None)
            except (Exception, CutOff) as error:
                is_committed = len(self._entries()) > entries
                self._came("next goes on" if is_committed else "batch again")
                failure = error
                if isinstance(error, CutOff):
                    self._containers.clear()
            else:
                assert not answer.get("batchItemFailures")
                if is_struck() and not was_struck:
                    self._came("retried")
                self.cell.failed += is_struck()
                return
            finally:
                was_struck = is_struck()
                self._check_nothing_rash()
        raise failure

    def _came(self, how: str) -> None:
        if how not in self.cell.how:
            self.cell.how.append(how)

    def _arm(self, failure: str, number: int, function: str, event: dict[str, Any]) -> Callable[[], bool]:
        """Lets the step's first such call fail; returns what tells whether it has."""
        call, is_even = self.effect.call, number % 2 == 0
        code, status = THROTTLES.get(call, SLOW_DOWN)
        fault = {
            "fails before": (self.aws.before, refusal(call, "InternalError", 500)),
            "fails after": (self.aws.after, refusal(call, "InternalError", 500)),
            "times out": (self.aws.after if is_even else self.aws.before, silence()),
            "throttled": (self.aws.before, refusal(call, code, status)),
            "is cut off": (self.aws.before if is_even else self.aws.after, CutOff()),
            "conflicts": (self.aws.before, refusal(call, "ConditionalRequestConflict", 409)),
        }
        if failure == "conflicts" and not is_even:
            return self._race(function, event)
        if not failure:
            return bool
        turn, error = fault[failure]
        turn(call, error, when=self.effect.is_meant)
        armed = self.aws.coming[-1]
        return lambda: armed.times == 0

    def _race(self, function: str, event: dict[str, Any]) -> Callable[[], bool]:
        """Another container does the whole step just before the call."""
        raced: list[bool] = []

        def answer(call: Any, request: dict[str, Any]) -> Any:
            if not raced and self.effect.is_meant(request):
                raced.append(True)
                self.world.container(function).handler(event, None)
            return call(**request)

        self.aws.answering(self.effect.call, answer)
        return lambda: bool(raced)

    def _entries(self) -> list[str]:
        return [key for key in keys(prefix="state/") if key.endswith(".entry")]

    def _visible(self) -> dict[Any, Any]:
        """All that anybody can see, by kind and id."""
        lines = {("quarantine", key): content for key, content in objects("quarantine/")}
        return self.world.seen() | lines

    def _check_nothing_rash(self) -> None:
        entries = (unpacked(written) or {} for key, written in objects("state/") if key.endswith(".entry"))
        owed = (item for entry in entries for item in entry.get("outbox", ()))
        self._committed |= {(kind, id) for kind, id, _ in owed}
        assert {one for one in self._visible() if one[0] in ROW_IDS} <= self._committed

    def _check_the_queue(self) -> None:
        """It knows a message that comes again; alert would know the change by its version."""
        changes = [row["change_id"] for row in self.world.messages()]
        assert len(changes) == len(set(changes))
        assert set(changes) == {id for kind, id in self.cell.visible if kind == "incident_change"}

    def _twice(self) -> int:
        """How often something came to where it had come before, and is recognised by its id or its key."""
        sent: Counter[Any] = Counter()
        for operation, request in self.aws.done:
            if operation == "send_message_batch":
                sent.update(each["MessageDeduplicationId"] for each in request["Entries"])
            elif operation == "put_record_batch":
                rows = (line for each in request["Records"] for line in each["Data"].splitlines())
                sent.update((request["DeliveryStreamName"], line) for line in rows)
            elif operation == "put_records":
                sent.update((each["PartitionKey"], each["Data"]) for each in request["Records"])
            elif request.get("Key", "").startswith("quarantine/"):
                sent[request["Key"]] += 1
        return sent.total() - len(sent)


def measured(effect: Effect, failure: str) -> Cell:
    """Plays the effect's scene with this failure at each turn; an empty one is none."""
    with pytest.MonkeyPatch.context() as patch, account(patch) as aws:
        patch.setattr(session, "ENTRIES_A_BASE", 2)
        patch.setattr(recovery, "PAUSE", 0)
        return Stage(effect, aws, deployed(patch, effect)).play(failure)


def deployed(patch: pytest.MonkeyPatch, effect: Effect) -> World:
    if effect.pipeline != "casino":
        return deploy(patch, effect.pipeline)
    detectors = [
        replace(cast(Any, each), rekey=True, max_keys=1_000) if each.key is Play.table_id else each
        for each in cast(list[Detector], casino.detectors)
    ]
    patch.setattr("pipelines.casino.pipeline.pipeline", replace(casino, detectors=tuple(detectors)))
    real("kinesis").create_stream(StreamName=SECOND, ShardCount=1)
    guests = make_table("guests-table", "customer_id")
    rich = {"customer_id": {"S": "rich"}, "spent": {"N": "90000"}, "tier": {"S": "gold"}}
    real("dynamodb").put_item(TableName=guests, Item=rich)
    tables = json.dumps(dict.fromkeys(casino.references, guests))
    return deploy(patch, "casino", FRESHET_SECOND_STREAM=SECOND, FRESHET_REFERENCE_TABLES=tables)


@cache
def undisturbed(scene: Callable[[World], Iterator[Step]], pipeline: str) -> Cell:
    return measured(Effect(name="", call="", scene=scene, pipeline=pipeline), "")


def text(effect: Effect, failure: str) -> str:
    """A cell as the page shows it; raises where anything was lost, or seen that should not have been."""
    if failure == "conflicts" and effect.no_conflict:
        return f"({effect.no_conflict})"
    cell = measured(effect, failure)
    assert cell.failed, f"{effect.name} never happened in its scene"
    assert cell.visible == undisturbed(effect.scene, effect.pipeline).visible
    return str(cell)
