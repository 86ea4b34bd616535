"""All that the deployed app may do, done once on the laptop's AWS: an hour of traffic, then what is rare.

Nothing is called in a role's name from here. The world around the app changes (producers, devices, time, what
somebody deleted or damaged), and functions and services do the rest.
"""

from __future__ import annotations

import importlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from lambdas.effects.session import ENTRIES_A_BASE, KEPT_FOR
from lambdas.effects.state_log import COUNT_DOWN_FROM, packed, unpacked
from laptop.clock import Clock
from laptop.cloud import Cloud
from laptop.firehose import Firehose
from laptop.functions import FunctionError
from laptop.glue import Glue
from laptop.mapping import EventSourceMappings
from laptop.resources import Resource
from laptop.run import QUIET, Progress, Run, pipeline_of
from laptop.run_folder import RunFolder
from pipelines.traffic import HOUR, Sent

START = 1_767_261_600.0  # 2026-01-01 10:00 UTC
STEP = 600.0
DAY = 24 * HOUR


@contextmanager
def exercised(cdk_out: Path, folder: Path) -> Iterator[Cloud]:
    """The account in which the assembly was deployed and has done everything."""
    with Cloud(Clock(START)) as cloud:
        cloud.deploy(cdk_out)
        with closing(Run(cloud, RunFolder.new(folder), Progress())) as run:
            Exercise(cloud, run).do()
        yield cloud


def hour(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d-%H")


@dataclass(frozen=True)
class Deployed:
    """What was deployed of one pipeline."""

    cloud: Cloud
    name: str

    def function(self, entry_point: str) -> Resource:
        [found] = [
            one
            for one in self.cloud.of_type("AWS::Lambda::Function")
            if pipeline_of(one) == self.name and one.properties["Handler"] == f"lambdas.{entry_point}.handler"
        ]
        return found

    def setting(self, name: str) -> str:
        variables = self.function("detect").properties["Environment"]["Variables"]
        return str(variables[f"FRESHET_{name}"])

    @cached_property
    def stream(self) -> str:
        stack = self.function("detect").stack
        [stream] = [one for one in self.cloud.of_type("AWS::Kinesis::Stream") if one.stack == stack]
        return stream.physical_id

    @cached_property
    def topic(self) -> str:
        """The IoT topic of its devices; empty where it has none."""
        stack = self.function("detect").stack
        rules = [one for one in self.cloud.of_type("AWS::IoT::TopicRule") if one.stack == stack]
        return rules[0].properties["TopicRulePayload"]["Sql"].split("'")[1] if rules else ""

    @cached_property
    def _producers(self) -> ModuleType:
        return importlib.import_module(f"pipelines.{self.name}.traffic")

    @property
    def references(self) -> dict[str, list[dict[str, Any]]]:
        return dict(self._producers.references(1)) if hasattr(self._producers, "references") else {}

    def traffic(self, start: float, seed: int = 1) -> list[Sent]:
        """An hour of it up to the middle of the last anomaly, so that an incident is open at its end."""
        sent = list(self._producers.traffic(seed=seed, start=start, seconds=HOUR))
        return sent[: max(place for place, each in enumerate(sent) if each.label) + 1]

    def newest(self) -> tuple[int, str]:
        """The number and the key of the newest entry of the shard's log."""
        s3, bucket = self.cloud.client("s3"), self.setting("STATE_BUCKET")
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"state/{self.name}/", MaxKeys=5).get(
            "Contents", []
        )
        keys = [one["Key"] for one in listed if one["Key"].endswith(".entry")]
        return (
            (COUNT_DOWN_FROM - int(keys[0].rpartition("/")[2].removesuffix(".entry")), keys[0])
            if keys
            else (0, "")
        )

    def owe(self) -> None:
        """Add an entry that owes rows, as a function leaves it that a deployment cut off: also such as the
        pipeline as it is declared now never makes.
        """
        s3, bucket = self.cloud.client("s3"), self.setting("STATE_BUCKET")
        number, key = self.newest()
        entry = unpacked(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        assert entry is not None
        kinds = set(json.loads(self.setting("RESULT_STREAMS"))) - {"incident_change"}
        owing = entry | {"n": number + 1, "outbox": [[kind, "1", {"pipeline": self.name}] for kind in kinds]}
        name = f"{COUNT_DOWN_FROM - number - 1:012d}.entry"
        s3.put_object(Bucket=bucket, Key=f"{key.rpartition('/')[0]}/{name}", Body=packed(owing))

    def damage(self) -> None:
        """Break the newest entry of the log, and what else says how far it came."""
        s3, bucket, key = self.cloud.client("s3"), self.setting("STATE_BUCKET"), self.newest()[1]
        s3.put_object(Bucket=bucket, Key=key, Body=b"damaged")
        for kind in ("sent", "base"):
            s3.delete_object(Bucket=bucket, Key=key.replace("entry", kind))


class Exercise:
    """The world of the deployed app."""

    def __init__(self, cloud: Cloud, run: Run) -> None:
        self._cloud, self._run = cloud, run
        self._pipelines = [Deployed(cloud, name) for name in run.pipelines]
        self._gives_up = False
        # What reads a queue is invoked at least once for each message: here twice.
        run.mappings = EventSourceMappings(cloud, self._invoke, run.kinesis)

    def _invoke(self, function: str, payload: Any) -> Any:
        if self._gives_up and payload["Records"][0].get("eventSource") == "aws:kinesis":
            raise FunctionError("TooManyRequestsException", "Rate Exceeded.")
        if payload["Records"][0].get("eventSource") == "aws:sqs":
            self._run.functions.invoke(function, payload)
        return self._run.functions.invoke(function, payload)

    def do(self) -> None:
        for pipeline in self._pipelines:
            self._run.seed_references(pipeline.name, pipeline.references)
            # One after the other: what one waits for would make another's events late.
            now = self._cloud.clock.now
            traffic = pipeline.traffic(now + -now % HOUR)
            self._hour(pipeline, traffic[: -2 * ENTRIES_A_BASE])
            self._bases_of_the_log(pipeline, traffic[-2 * ENTRIES_A_BASE :])
            self._deployments_between_commit_and_sending(pipeline, traffic[0])
        self._curation()
        self._rows_that_are_none()
        self._logs_that_are_damaged()
        self._streams_that_are_gone()

    def _hour(self, pipeline: Deployed, sent: Iterable[Sent]) -> None:
        for _, batch in itertools.groupby(sent, key=lambda each: each.at // STEP):
            self._send(pipeline, batch)
            self._wait(-self._cloud.clock.now % STEP)

    def _bases_of_the_log(self, pipeline: Deployed, sent: Sequence[Sent]) -> None:
        """Both who write a shard's log write a base late enough for older entries to be deleted: a tick, when
        the producer has fallen silent in the middle of an anomaly; then `detect`, when it is back.
        """
        singly = iter(sent)
        while pipeline.newest()[0] % ENTRIES_A_BASE:
            self._send(pipeline, [next(singly)])
        self._cloud.clock.advance_to(self._cloud.clock.now + KEPT_FOR)
        while pipeline.newest()[0] % ENTRIES_A_BASE < ENTRIES_A_BASE - 2:
            self._send(pipeline, [next(singly)])
        self._send(pipeline, singly)
        self._wait(QUIET)
        for place, repeated in enumerate(sent[: ENTRIES_A_BASE + 1]):
            self._gives_up = place == 1
            self._send(pipeline, [repeated])
        self._redrive(pipeline)

    def _redrive(self, pipeline: Deployed) -> None:
        """What was given up is handed to `detect` by its place, after the log has forgotten that time."""
        detect = pipeline.function("detect")
        for mapping in self._cloud.of_type("AWS::Lambda::EventSourceMapping"):
            if not mapping.properties["FunctionName"].endswith(detect.physical_id):
                continue
            bucket = mapping.properties["DestinationConfig"]["OnFailure"]["Destination"].rpartition(":")[2]
            prefix = f"aws/lambda/{mapping.physical_id}/"
            listed = self._cloud.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
            for given_up in listed.get("Contents", ()):
                place = {"bucket": bucket, "key": given_up["Key"]}
                self._run.functions.invoke(detect.physical_id, {"redrive": place})

    def _deployments_between_commit_and_sending(self, pipeline: Deployed, sent: Sent) -> None:
        """Whoever comes first sends what an older container owes: a tick, then one that detects."""
        pipeline.owe()
        self._wait(STEP)
        pipeline.owe()
        self._run.functions.forget(pipeline.function("detect").physical_id)
        self._send(pipeline, [sent])

    def _curation(self) -> None:
        """After a run that died, days are curated; again, when more has come; and one is restored by hand."""
        glue, first, day = Glue(self._cloud), hour(START), 2 * DAY
        for job in self._cloud.of_type("AWS::Glue::Job"):
            given = job.properties["DefaultArguments"]
            left = f"curated/{given['--pipeline']}/runs/20251201T000000Z-died/day={first[:10]}/part.parquet"
            self._cloud.client("s3").put_object(Bucket=given["--bucket"], Key=left, Body=b"")
        for seed in (2, 3):
            for pipeline in self._pipelines:
                self._send(pipeline, pipeline.traffic(START, seed)[:5])
            self._wait(STEP)
            self._cloud.clock.advance_to(self._cloud.clock.now + day)
            hours = {"--from": first, "--to": hour(self._cloud.clock.now - day)} if seed == 3 else {}
            for job in self._cloud.of_type("AWS::Glue::Job"):
                glue.run_job(job.physical_id, hours)
        for crawler in self._cloud.of_type("AWS::Glue::Crawler"):
            self._restore_day(crawler.properties["Targets"]["CatalogTargets"][0])
            assert glue.run_crawler(crawler.physical_id)

    def _restore_day(self, target: dict[str, Any]) -> None:
        """Put a day's file where the table is, as the day before."""
        where = {"DatabaseName": target["DatabaseName"], "TableName": target["Tables"][0]}
        glue, s3 = self._cloud.client("glue"), self._cloud.client("s3")
        table = glue.get_table(DatabaseName=target["DatabaseName"], Name=target["Tables"][0])["Table"]
        place = urlsplit(table["StorageDescriptor"]["Location"])
        curated = urlsplit(glue.get_partitions(**where)["Partitions"][0]["StorageDescriptor"]["Location"])
        listed = s3.list_objects_v2(Bucket=place.netloc, Prefix=curated.path[1:])["Contents"]
        s3.copy_object(
            Bucket=place.netloc,
            Key=f"{place.path[1:]}day={hour(START - DAY)[:10]}/restored.parquet",
            CopySource={"Bucket": place.netloc, "Key": listed[0]["Key"]},
        )

    def _rows_that_are_none(self) -> None:
        """What fits no table, or was not transformed since Lambda was too busy, goes under errors/."""

        def refused(_function: str, _payload: Any) -> Any:
            raise FunctionError("TooManyRequestsException", "Rate Exceeded.")

        self._run.firehose = Firehose(self._cloud, refused, self._run.kinesis)
        for pipeline in self._pipelines:
            self._send(pipeline, pipeline.traffic(START)[:1])
        for delivery in self._cloud.of_type("AWS::KinesisFirehose::DeliveryStream"):
            if delivery.properties["DeliveryStreamType"] == "DirectPut":
                self._cloud.client("firehose").put_record(
                    DeliveryStreamName=delivery.physical_id, Record={"Data": b"no row"}
                )
        self._wait(STEP)

    def _logs_that_are_damaged(self) -> None:
        """Whoever comes first makes it again from the stream: one that detects, then a tick."""
        for pipeline in self._pipelines:
            for entry_point in ("detect", "tick"):
                self._send(pipeline, pipeline.traffic(self._cloud.clock.now)[:1])
                pipeline.damage()
                self._run.functions.forget(pipeline.function(entry_point).physical_id)
                if entry_point == "detect":
                    self._send(pipeline, pipeline.traffic(self._cloud.clock.now)[:1])
                else:
                    self._wait(STEP)

    def _streams_that_are_gone(self) -> None:
        """A device's message cannot be put anywhere, so it becomes an object under errors/."""
        for pipeline in self._pipelines:
            if pipeline.topic:
                self._cloud.client("kinesis").delete_stream(StreamName=pipeline.stream)
                self._run.iot.publish(pipeline.topic, b"{}", "device")

    def _send(self, pipeline: Deployed, sent: Iterable[Sent]) -> None:
        """One batch, handed over at once; Firehose waits from when it has read."""
        for each in sent:
            self._cloud.clock.advance_to(each.at)
            if each.via == "iot":
                self._run.iot.publish(pipeline.topic, each.data, each.partition_key)
            else:
                self._run.kinesis.put(pipeline.stream, [(each.partition_key, each.data)])
        self._run.mappings.drain()
        self._run.firehose.pump(self._cloud.clock.now)

    def _wait(self, seconds: float) -> None:
        """Let time pass, with all that services do by the clock."""
        end = self._cloud.clock.now + seconds
        while self._cloud.clock.now < end:
            self._cloud.clock.advance_to(min(end, self._cloud.clock.now + STEP))
            now = self._cloud.clock.now
            self._run.scheduler.pump(now)
            self._run.mappings.drain()
            self._run.firehose.pump(now)
