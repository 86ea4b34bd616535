"""One pipeline: its stream, its table in the lake, its functions, and its incident changes' way to people."""

from __future__ import annotations

import json
import math
from collections import Counter
from importlib import import_module
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from lambdas.columns import Column
from lambdas.model import Pipeline, Source, snake
from lambdas.tables import PROVENANCE, TableColumn
from sql.distinct import distinct_view
from stacks.constructs.change_queue import ChangeQueue
from stacks.constructs.curation import Curation
from stacks.constructs.event_stream import EventStream
from stacks.constructs.every_minute import EveryMinute
from stacks.constructs.glue_table import GlueTable
from stacks.constructs.handler import Handler, handler_code
from stacks.constructs.metered import publish
from stacks.constructs.packages_layer import ROOT, PackagesLayer
from stacks.constructs.parquet_delivery import Feed, ParquetDelivery
from stacks.constructs.pipeline_alarms import PipelineAlarms
from stacks.constructs.queue_reader import QueueReader
from stacks.constructs.redrive import Redrive
from stacks.constructs.reference_table import ReferenceTable
from stacks.constructs.saved_queries import SavedQueries
from stacks.constructs.shard_reader import ShardReader
from stacks.constructs.smoke_policy import SmokePolicy
from stacks.constructs.views import Views
from stacks.lake import LATER, LakeStack
from stacks.operators import OperatorsStack
from stacks.settings import Settings

SHARD_RESULTS = ("finding", "window_result", "late_event", "incident_change")


class PipelineStack(cdk.Stack):
    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        pipeline: Pipeline,
        settings: Settings,
        lake: LakeStack,
        operators: OperatorsStack,
    ) -> None:
        super().__init__(
            scope,
            id,
            description=f"Freshet: {pipeline.about}"[:1024],
            # Costs are told apart by it.
            tags={"freshet": pipeline.name},
        )
        self._pipeline, self._settings, self._lake, self._operators = pipeline, settings, lake, operators
        self._code, self._layer = handler_code(pipeline.name), PackagesLayer(self, "Packages").layer
        existing = settings.existing_streams.get(pipeline.name)
        self.stream = EventStream(self, "Events", pipeline=pipeline, key=lake.key, existing=existing)
        self.second = self._second_stream()
        kinds = Counter[str]()
        for source in pipeline.sources:
            kind = type(source).__name__
            kinds[kind] += 1
            self._connect(source, f"From{kind}{kinds[kind] if kinds[kind] > 1 else ''}")
        # Apart, so that a reference may be called like any other part.
        references = Construct(self, "References")
        self.references = {
            name: ReferenceTable(references, _id(name), reference=reference, key=lake.key)
            for name, reference in pipeline.references.items()
        }
        alert_time = cdk.Duration.seconds(60)
        self.changes = ChangeQueue(self, "Changes", handling=alert_time)
        transform = self._transform()
        self.delivery = self._deliver_events(transform)
        self._curate()
        self.detect = self._detect()
        self.tick = self._tick()
        self.alert = self._alert(alert_time)
        self.alarm_names = PipelineAlarms(
            self,
            "Alarms",
            pipeline=pipeline.name,
            stream=self.stream,
            readers=list(self.readers.values()),
            detect=self.detect,
            tick=self.tick,
            changes=self.changes,
            transform=transform,
            delivery=self.delivery,
            sends_sms=bool(_sms_references(pipeline)),
            topic=operators.alarms,
        ).names
        publish(
            self,
            "Metered",
            pipeline=pipeline.name,
            names={
                "stream": self.stream.stream.stream_name,
                "detect": self.detect.function.function_name,
                "records": self.records.mapping.ref,
                "tick": self.tick.function.function_name,
                "alert": self.alert.function.function_name,
                "changes": self.changes.queue.queue_name,
                "undelivered": self.changes.undelivered.queue_name,
                "transform": transform.function.function_name,
                "delivery": self.delivery.name,
            },
        )
        self._save_sql(ROOT / "pipelines" / pipeline.name)
        self._say_names()

    def _say_names(self) -> None:
        """What `freshet smoke` asks for, and a person who looks at the stack."""
        lake, operators = self._lake, self._operators
        smoke = SmokePolicy(
            self,
            "Smoke",
            stacks=[self.stack_name, operators.stack_name],
            stream=self.stream,
            detect=self.detect,
            records=self.records,
            changes=self.changes,
            incidents=operators.incidents.table_arn,
            topic=operators.alerts.topic_arn,
            workgroup=lake.workgroup.name,
            database=lake.database.ref,
            tables={self._pipeline.table: f"events/{self._pipeline.name}/", "alerts": "results/alerts/"},
            lake=lake.lake,
            results=lake.results,
            key=lake.key,
        )
        redrive = Redrive(
            self,
            "Redrive",
            pipeline=self._pipeline.name,
            stacks=[self.stack_name, lake.stack_name],
            stream=self.stream,
            detect=self.detect,
            readers=list(self.readers.values()),
            failed=lake.failed,
            lake=lake.lake,
            key=lake.key,
        )
        for id, value, about in (
            (
                "StreamName",
                self.stream.stream.stream_name,
                f"Producers put records here, partitioned by {self._pipeline.event.key.source}",
            ),
            ("DetectFunction", self.detect.function.function_name, "Reads the stream and detects"),
            *(
                (f"{which}Mapping", reader.mapping.ref, "The event source mapping by which it reads")
                for which, reader in self.readers.items()
            ),
            ("DetectLog", self.detect.function.log_group.log_group_name, "What it logs"),
            ("AlertFunction", self.alert.function.function_name, "Tells people of incidents"),
            ("AlertLog", self.alert.function.log_group.log_group_name, "What it logs"),
            ("ChangesQueue", self.changes.queue.queue_url, "Incident changes on their way to alert"),
            ("UndeliveredQueue", self.changes.undelivered.queue_url, "Those that wait for a person"),
            ("SmokePolicy", smoke.policy.managed_policy_arn, "Attach it to who runs `freshet smoke`"),
            ("RedrivePolicy", redrive.policy.managed_policy_arn, "Attach it to who runs `freshet redrive`"),
        ):
            cdk.CfnOutput(self, id, value=value, description=about)

    def _second_stream(self) -> EventStream | None:
        """Where events come by the keys that detectors are re-keyed by, if any is."""
        pipeline = self._pipeline
        if not pipeline.rekeyed:
            return None
        return EventStream(
            self, "Rekeyed", pipeline=pipeline, key=self._lake.key, copies=len(pipeline.rekeyed)
        )

    def _connect(self, source: Source, id: str) -> None:
        """A source's AWS side is the module of `stacks.sources` that has its name."""
        import_module(f"stacks.sources.{snake(type(source).__name__)}").Source(
            self,
            id,
            source=source,
            pipeline=self._pipeline,
            stream=self.stream,
            lake=self._lake.lake,
        )

    def _transform(self) -> Handler:
        pipeline, lake = self._pipeline, self._lake.lake
        handler = self._handler(
            "transform",
            about=f"makes rows of the records of {pipeline.name}, and quarantines what cannot be read",
            timeout=cdk.Duration.seconds(60),
            FRESHET_QUARANTINE_BUCKET=lake.name,
        )
        lake.grant(handler.role, "s3:PutObject", under=f"quarantine/pipeline={pipeline.name}/")
        return handler

    def _deliver_events(self, transform: Handler) -> ParquetDelivery:
        pipeline, lake = self._pipeline, self._lake
        self._columns = [*(_table_column(column) for column in pipeline.event.columns.values()), *PROVENANCE]
        table = GlueTable(
            self,
            "EventsTable",
            database=lake.database.ref,
            name=pipeline.table,
            about=pipeline.about,
            columns=self._columns,
            bucket_name=lake.lake.name,
            prefix=f"events/{pipeline.name}/",
        )
        return ParquetDelivery(
            self,
            "EventsDelivery",
            table=table,
            database=lake.database.ref,
            bucket=lake.lake,
            prefix=f"events/{pipeline.name}/",
            errors=f"errors/{pipeline.name}/",
            patience=LATER,
            log_group=lake.delivery_logs,
            feed=Feed(stream=self.stream, transform=transform.function),
        )

    def _curate(self) -> None:
        self.curation = Curation(
            self,
            "Curation",
            pipeline=self._pipeline,
            columns=self._columns,
            database=self._lake.database.ref,
            bucket=self._lake.lake,
            # As late as Firehose still delivers what it could not before. How long somebody else's stream
            # keeps that is not known: a week is more than most do, and later hours are read all the same.
            settled_after=self.stream.retention or cdk.Duration.days(7),
        )

    def _detect(self) -> Handler:
        pipeline = self._pipeline
        handler = self._handler(
            "detect",
            about=f"detects what is strange in {pipeline.name}",
            # A container may have to read a shard's log and send what the last one left before it starts.
            timeout=cdk.Duration.minutes(2),
            memory=_state_memory(pipeline),
            **self._commit_environment(),
        )
        self._grant_commit(handler.role)
        taken = f"taken/{pipeline.name}/"
        self._lake.state.grant(handler.role, "s3:GetObject", under=taken)
        self._lake.state.grant_listing(handler.role, under=taken)
        self.records = ShardReader(
            self,
            "DetectRecords",
            stream=self.stream,
            handler=handler,
            failed=self._lake.failed,
            latency=pipeline.latency,
            consumer=f"freshet-{pipeline.name}" if self.stream.fan_out else "",
        )
        self.readers = {"Detect": self.records}
        if self.second is not None:
            self.readers["Rekeyed"] = ShardReader(
                self,
                "RekeyedRecords",
                stream=self.second,
                handler=handler,
                failed=self._lake.failed,
                latency=pipeline.latency,
            )
        return handler

    def _tick(self) -> Handler:
        pipeline = self._pipeline
        handler = self._handler(
            "tick",
            about=f"moves the clock of the shards of {pipeline.name} that are quiet",
            timeout=cdk.Duration.seconds(55),  # over before the next one
            memory=_state_memory(pipeline),
            **self._commit_environment(),
        )
        self._grant_commit(handler.role)
        self.stream.grant_read(
            handler.role, "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"
        )
        if self.second is not None:
            self.second.grant_read(
                handler.role, "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"
            )
        EveryMinute(self, "EveryMinute", handler=handler, tick=pipeline.tick)
        return handler

    def _alert(self, timeout: cdk.Duration) -> Handler:
        pipeline, operators = self._pipeline, self._operators
        handler = self._handler(
            "alert",
            about=f"tells people of the incidents of {pipeline.name}",
            timeout=timeout,
            FRESHET_RESULT_STREAMS=self._result_names("alert"),
            FRESHET_REFERENCE_TABLES=self._reference_names(*_sms_references(pipeline)),
            FRESHET_INCIDENTS_TABLE=operators.incidents.table_name,
            FRESHET_ALERTS_TOPIC_ARN=operators.alerts.topic_arn,
            FRESHET_TIME_ZONE=self._settings.time_zone,
        )
        QueueReader(self, "AlertChanges", queue=self.changes.queue, handler=handler)
        operators.grant_incidents(handler.role)
        operators.grant_publish(handler.role)
        self._lake.deliveries["alert"].grant_put(handler.role)
        for name in _sms_references(pipeline):
            self.references[name].grant_lookup(handler.role, "dynamodb:GetItem")
        if _sms_references(pipeline):
            handler.role.add_to_policy(
                iam.PolicyStatement(
                    actions=["sns:Publish"],
                    # A mobile number has no ARN: with all that have one left out, numbers are what remains.
                    not_resources=[self.format_arn(service="sns", region="*", account="*", resource="*")],
                )
            )
        return handler

    def _handler(
        self, entry_point: str, *, about: str, timeout: cdk.Duration, memory: int = 512, **environment: str
    ) -> Handler:
        """512 MB is some third of a processor: enough for a thousand events in a fraction of a second."""
        pipeline = self._pipeline.name
        return Handler(
            self,
            _id(entry_point),
            entry_point=entry_point,
            about=about,
            code=self._code,
            layers=[self._layer],
            environment={
                "FRESHET_PIPELINE": pipeline,
                "FRESHET_OVERRIDES": json.dumps(self._settings.overrides.get(pipeline, {})),
                "POWERTOOLS_SERVICE_NAME": pipeline,
                "POWERTOOLS_METRICS_NAMESPACE": "Freshet",
                "POWERTOOLS_TRACE_DISABLED": "true",
                "POWERTOOLS_LOG_LEVEL": "INFO",
                **environment,
            },
            memory=memory,
            timeout=timeout,
        )

    def _commit_environment(self) -> dict[str, str]:
        return {
            "FRESHET_STATE_BUCKET": self._lake.state.name,
            "FRESHET_RESULT_STREAMS": self._result_names(*SHARD_RESULTS),
            "FRESHET_CHANGES_QUEUE_URL": self.changes.queue.queue_url,
            "FRESHET_STREAM_NAME": self.stream.stream.stream_name,
            "FRESHET_REFERENCE_TABLES": self._reference_names(*self.references),
            **({"FRESHET_SECOND_STREAM": self.second.stream.stream_name} if self.second else {}),
        }

    def _grant_commit(self, role: iam.Role) -> None:
        """What committing to a shard's log and sending its outbox take, and enriching events, which tick does
        where it makes an entry of the log again that cannot be read.
        """
        state = f"state/{self._pipeline.name}/"
        self._lake.state.grant(role, "s3:GetObject", "s3:PutObject", "s3:DeleteObject", under=state)
        self._lake.state.grant_listing(role, under=state)
        self._lake.state.grant(role, "s3:PutObject", under=f"taken/{self._pipeline.name}/")
        self.changes.queue.grant(role, "sqs:SendMessage")
        for kind in SHARD_RESULTS:
            self._lake.deliveries[kind].grant_put(role)
        if self.second is not None:
            self.second.grant_put(role, "kinesis:PutRecords")
        for reference in self.references.values():
            reference.grant_lookup(role, "dynamodb:BatchGetItem")

    def _result_names(self, *kinds: str) -> str:
        return self.to_json_string({kind: self._lake.deliveries[kind].name for kind in kinds})

    def _reference_names(self, *names: str) -> str:
        return self.to_json_string({name: self.references[name].table.table_name for name in names})

    def _save_sql(self, folder: Path) -> None:
        prefix = f"{self._pipeline.name}_"
        database = self._lake.database.ref
        Views(
            self,
            "Views",
            folder=folder / "views",
            database=database,
            tables=[self._pipeline.table, *self.curation.tables, *self._lake.tables],
            prefix=prefix,
            generated=[distinct_view(self._pipeline)],
        )
        SavedQueries(
            self,
            "Queries",
            folder=folder / "queries",
            database=database,
            workgroup=self._lake.workgroup.name,
            prefix=prefix,
        )


def _id(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def _table_column(column: Column) -> TableColumn:
    unit = f" ({column.unit})" if column.unit else ""
    return TableColumn(
        column.name, column.hive, f"{column.about}{unit}{'; private' if column.private else ''}"
    )


def _sms_references(pipeline: Pipeline) -> list[str]:
    """The references in which a detector looks up whom to tell by SMS."""
    return sorted({detector.sms.reference for detector in pipeline.detectors if detector.sms is not None})


def _state_memory(pipeline: Pipeline) -> int:
    """Megabytes: a function's own, and what a shard's state may grow to, ten bytes for each of the log's."""
    state = sum(map(pipeline.bytes_of, pipeline.detectors))
    return 512 + 128 * math.ceil(state * 10 / 128e6)
