"""`freshet smoke`: a marked event through a deployed pipeline, until it has been told and is in the lake."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any  # what AWS answers is as mixed as JSON

import boto3

from lambdas.alerting.routing import TOPIC, attributes
from lambdas.alerting.saved_query import DATABASE, WORKGROUP
from lambdas.columns import DeclarationError, Text
from lambdas.incidents import OPENED, IncidentChange
from lambdas.model import Pipeline
from operate.deployment import Refused, Stuck, asking, needed, outputs_of, stack_of
from operate.marked import MARK, NUMBERS, Marked, choose, foretold
from pipelines import cases, discovery
from pipelines.cases import CaseError

TIMEOUT = 900.0  # s; files of the lake are written every five minutes, after a minute in the transform
LOOK, ASK, ANSWER = 5.0, 30.0, 2.0  # s between two looks, two questions to Athena, two looks for its answer
DONE = "done_"  # an attribute of an incident: the versions for which a step was taken
NEEDED = {
    "AlertLog",
    "AlertsTopic",
    "ChangesQueue",
    "DetectFunction",
    "DetectLog",
    "DetectMapping",
    "IncidentsTable",
    "StreamName",
}


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Time, so that a test can let simulated time go on."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


def smoke(
    name: str,
    *,
    timeout: float = TIMEOUT,
    region: str | None = None,
    profile: str | None = None,
    say: Callable[[str], None] = print,
    clock: Clock | None = None,
) -> int:
    """Sends the event and waits: 0 when it has come through, 1 when it has not, which is said with the stage.

    Raises `Refused` for what the user can mend.
    """
    if not timeout > 0:
        raise Refused(f"There is no waiting for {timeout:g} s; say --timeout {TIMEOUT:.0f}.")
    under_way: Smoke | None = None

    def begun() -> str:
        has_sent = under_way is not None and under_way.has_sent
        return "What was sent goes its way, and nobody follows it any longer; try again." if has_sent else ""

    try:
        with asking(name, "SmokePolicy", begun, "Nothing was sent; try again."):
            pipeline, given = discovery.load(name), cases.read(name)
            # boto3 reads AWS_DEFAULT_REGION alone.
            region = region or os.environ.get("AWS_REGION")
            deployed = Deployed.find(boto3.Session(profile_name=profile, region_name=region), pipeline)
            under_way = Smoke(deployed, given, say, clock or Clock(), timeout)
            under_way.run()
    except (DeclarationError, CaseError) as error:
        raise Refused(str(error)) from error
    except Stuck as stuck:
        say(str(stuck))
        return 1
    except KeyboardInterrupt:
        say("Nobody waits any longer; what was sent goes its way all the same.")
        raise
    return 0


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What was found of a pipeline in an account."""

    session: Any
    pipeline: Pipeline
    outputs: Mapping[str, str]

    @classmethod
    def find(cls, session: Any, pipeline: Pipeline) -> Deployed:
        outputs = {
            **outputs_of(session, "freshet-operators", pipeline.name),
            **outputs_of(session, stack_of(pipeline.name), pipeline.name),
        }
        needed(outputs, NEEDED, pipeline.name)
        detect = session.client("lambda").get_function_configuration(FunctionName=outputs["DetectFunction"])
        numbers = detect["Environment"]["Variables"].get("FRESHET_OVERRIDES", "{}")
        return cls(session=session, pipeline=pipeline.overridden(json.loads(numbers)), outputs=outputs)


class Smoke:
    """One run: send, then wait for each stage in turn."""

    def __init__(
        self,
        deployed: Deployed,
        given: list[cases.Case],
        say: Callable[[str], None],
        clock: Clock,
        timeout: float,
    ) -> None:
        self._deployed, self._pipeline = deployed, deployed.pipeline
        self._say, self._clock, self._timeout = say, clock, timeout
        self._given = given
        self.has_sent = False
        self._sent_at = 0.0
        self._asked_at = float("-inf")

    def run(self) -> None:
        marked = choose(self._pipeline, self._given, self._clock.now())
        self._announce(marked)
        opened = self._send(marked)
        took: list[tuple[str, float]] = []
        for stage, look, advice in (
            ("detected, and taken up to be told", lambda: bool(self._incident(opened)), self._undetected),
            ("told to the topic", lambda: self._is_told(opened), self._untold),
            ("in the lake", lambda: self._is_in_lake(marked), self._not_in_lake),
            ("its alert in the lake", lambda: self._is_alert_in_lake(opened), self._not_in_lake),
        ):
            self._await(stage, look, advice)
            took.append((stage, self._elapsed()))
        self._conclude(marked, opened, took)

    def _announce(self, marked: Marked) -> None:
        pipeline, change = self._pipeline, marked.change
        self._say(
            f"{pipeline.name} in {self._deployed.session.region_name}: the case {marked.case.name!r} of "
            f"{marked.case.detector}, as {', '.join(marked.keys)}."
        )
        self._say("Its alert goes, like any other, to:")
        for line in list(self._told(change)) or ["nobody, as nobody who would get it has subscribed"]:
            self._say(f"  {line}")
        if not isinstance(pipeline.event.columns[marked.column], Text):
            self._say(
                f"  They see a {marked.column} that nobody has, and no word of a test: tell them first."
            )
        self._say(
            "What waits for a window or a quiet shard takes minutes; the lake is written every five. "
            f"This waits {self._timeout / 60:g} min at most."
        )

    def _told(self, change: IncidentChange) -> Iterator[str]:
        """Each subscription that the alert passes, and those that nobody has confirmed."""
        sns, wanted = self._deployed.session.client("sns"), attributes(change, self._pipeline)
        topic = self._deployed.outputs["AlertsTopic"]
        for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic):
            for each in page["Subscriptions"]:
                who = f"{each['Endpoint']} by {each['Protocol']}"
                if not each["SubscriptionArn"].startswith("arn:"):
                    yield f"{who}: not confirmed, so nothing comes"
                    continue
                about = sns.get_subscription_attributes(SubscriptionArn=each["SubscriptionArn"])["Attributes"]
                if passes(json.loads(about.get("FilterPolicy") or "{}"), wanted):
                    yield who

    def _send(self, marked: Marked) -> IncidentChange:
        """Puts each event when it happens; gives the change that must come of them."""
        kinesis, stream = self._deployed.session.client("kinesis"), self._deployed.outputs["StreamName"]
        shards: dict[str, list[tuple[int, Any]]] = {}
        for each in marked.sent:
            self._clock.sleep(max(0.0, each.at - self._clock.now()))
            answer = kinesis.put_records(
                StreamName=stream, Records=[{"Data": each.data, "PartitionKey": each.partition_key}]
            )
            self.has_sent = True
            (record,) = answer["Records"]
            if "ErrorCode" in record:
                raise Stuck(
                    f"The stream {stream} did not take the event ({record['ErrorCode']}): look on the "
                    "dashboard whether it is full, and try again."
                )
            shards.setdefault(record["ShardId"], []).append((int(record["SequenceNumber"]), each))
        self._sent_at = self._clock.now()
        self._say(f"{self._elapsed():>6.0f} s  sent: {len(marked.sent)} to {', '.join(shards)}")
        changes = [
            change
            for shard_id, sent in shards.items()
            for change in foretold(
                self._pipeline, [each for _, each in sent], shard_id, [number for number, _ in sent]
            )
        ]
        return next(change for change in changes if change.state == OPENED)

    def _await(self, stage: str, look: Callable[[], bool], advice: Callable[[], str]) -> None:
        while not look():
            if self._elapsed() >= self._timeout:
                raise Stuck(f"{self._elapsed():>6.0f} s  STUCK, not yet {stage}. {advice()}")
            self._clock.sleep(LOOK)
        self._say(f"{self._elapsed():>6.0f} s  {stage}")

    def _elapsed(self) -> float:
        return self._clock.now() - self._sent_at

    def _incident(self, change: IncidentChange) -> dict[str, Any]:
        answer = self._deployed.session.client("dynamodb").get_item(
            TableName=self._deployed.outputs["IncidentsTable"],
            Key={"incident_id": {"S": change.incident_id}},
            ConsistentRead=True,
        )
        found: dict[str, Any] = answer.get("Item", {})
        return found

    def _is_told(self, change: IncidentChange) -> bool:
        return str(change.version) in self._incident(change).get(f"{DONE}{TOPIC}", {}).get("NS", ())

    def _is_in_lake(self, marked: Marked) -> bool:
        column = self._pipeline.event.columns[marked.column]
        keys = ", ".join(f"'{key}'" if isinstance(column, Text) else key for key in marked.keys)
        return self._count(self._pipeline.table, f"{marked.column} in ({keys})") >= len(marked.sent)

    def _is_alert_in_lake(self, change: IncidentChange) -> bool:
        return self._count("alerts", f"change_id = '{change.change_id}'") > 0

    def _count(self, table: str, condition: str) -> int:
        """How many such rows there are of about now; a question costs, so it is asked seldom."""
        if self._clock.now() - self._asked_at < ASK:
            return 0
        self._asked_at = self._clock.now()
        hours = ", ".join(f"'{hour(self._sent_at + spot * 3600)}'" for spot in (-1, 0, 1))
        return self._ask(f"select count(*) from {table} where dt in ({hours}) and {condition}")  # noqa: S608 - of names that are ours

    def _ask(self, sql: str) -> int:
        athena = self._deployed.session.client("athena")
        id = athena.start_query_execution(
            QueryString=sql, WorkGroup=WORKGROUP, QueryExecutionContext={"Database": DATABASE}
        )["QueryExecutionId"]
        while True:
            status = athena.get_query_execution(QueryExecutionId=id)["QueryExecution"]["Status"]
            if status["State"] == "SUCCEEDED":
                break
            if status["State"] in ("FAILED", "CANCELLED"):
                raise Stuck(
                    f"Athena did not answer {sql!r}: {status.get('StateChangeReason', status['State'])}"
                )
            self._clock.sleep(ANSWER)
        rows = athena.get_query_results(QueryExecutionId=id)["ResultSet"]["Rows"]
        return int(rows[1]["Data"][0]["VarCharValue"])

    def _undetected(self) -> str:
        """Whether detect does not read, does not find, or alert does not take up what it found."""
        session, outputs = self._deployed.session, self._deployed.outputs
        state = session.client("lambda").get_event_source_mapping(UUID=outputs["DetectMapping"])["State"]
        if state != "Enabled":
            return (
                f"The event source mapping {outputs['DetectMapping']} of {outputs['DetectFunction']} is "
                f"{state.lower()}: enable it."
            )
        counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = session.client("sqs").get_queue_attributes(
            QueueUrl=outputs["ChangesQueue"], AttributeNames=counts
        )["Attributes"]
        if any(int(answer[each]) for each in counts):
            return (
                "A change waits to be told, and alert does not finish it: look in the log "
                f"{outputs['AlertLog']}, then at the alarm {self._alarm('alerts are held up')}; if that is "
                f"another's change, in the log {outputs['DetectLog']}."
            )
        return (
            f"Look in the log {outputs['DetectLog']}, then at the alarm "
            f"{self._alarm('events are not detected')}. Is this clock right? Of an event that comes after "
            f"much newer ones nobody is told. Is what pipelines/{self._pipeline.name} declares the same as "
            "what is deployed?"
        )

    def _untold(self) -> str:
        return (
            "alert has the change and has not published it: look in the log "
            f"{self._deployed.outputs['AlertLog']}, then at the alarm {self._alarm('alerts are held up')}."
        )

    def _not_in_lake(self) -> str:
        return (
            f"Look at the alarms {self._alarm('events do not reach the lake')} and "
            f"{self._alarm('events may be missing in the lake')}, then in the view quarantine_reasons. Files "
            "are written every five minutes: was the time enough?"
        )

    def _alarm(self, title: str) -> str:
        return f"'Freshet {self._pipeline.name} - {title}'"

    def _conclude(self, marked: Marked, opened: IncidentChange, took: list[tuple[str, float]]) -> None:
        column = self._pipeline.event.columns[marked.column]
        strangers = f"not like '{MARK}%'" if isinstance(column, Text) else f"< {NUMBERS}"
        slowest = max(
            zip([0.0, *(at for _, at in took)], took, strict=False), key=lambda pair: pair[1][1] - pair[0]
        )
        self._say(
            f"{self._pipeline.name} works: {self._elapsed():.0f} s in all, most of it until it was "
            f"{slowest[1][0]} ({slowest[1][1] - slowest[0]:.0f} s)."
        )
        self._say(
            f"The incident {opened.incident_id} ends by itself when {opened.detector} has waited its time, "
            f"which is told too. Its rows stay; leave them out with: {marked.column} {strangers}"
        )


def passes(policy: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    """Whether a message of these attributes passes a subscription's filter of plain values."""
    return all(wanted.get(name) in values for name, values in policy.items())


def hour(at: float) -> str:
    return time.strftime("%Y-%m-%d-%H", time.gmtime(at))
