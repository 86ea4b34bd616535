"""What can keep a pipeline from its work, as its metrics tell it."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sns as sns
from constructs import Construct

from lambdas.effects.metrics import NAMESPACE
from stacks.constructs.alarms import Alarms, Watch
from stacks.constructs.change_queue import ChangeQueue
from stacks.constructs.event_stream import EventStream
from stacks.constructs.handler import Handler
from stacks.constructs.parquet_delivery import ParquetDelivery
from stacks.constructs.shard_reader import ShardReader

PERIOD = cdk.Duration.minutes(5)
# Three times what rows may wait to share a file: what came in one such period is delivered by the end of the
# next, however few events there are.
LATE_DELIVERY = cdk.Duration.minutes(15)
LATE_READING = cdk.Duration.minutes(10)
SPELL = cdk.Duration.minutes(15)
# A quiet pipeline's one bad record, or one bad device of many, wakes nobody: either is in the quarantine for
# whoever looks. A producer that sends something else than it did is past both numbers within minutes. Where
# fewer records come, Stale hears of it if none of them can be read.
MANY = 10  # records
SHARE = 0.05  # of all records
LATE_CHANGE = cdk.Duration.minutes(10)  # one try of alert and the wait for the next are six of them


def counted(pipeline: str, name: str) -> cloudwatch.Metric:
    """What the pipeline's handlers count, summed."""
    return cloudwatch.Metric(
        namespace=NAMESPACE, metric_name=name, dimensions_map={"pipeline": pipeline}, statistic="Sum"
    )


class PipelineAlarms(Alarms):
    """The alarms of one pipeline, in the order of an event's way: read, detected, told; and into the lake."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        pipeline: str,
        stream: EventStream,
        readers: Sequence[ShardReader],
        detect: Handler,
        tick: Handler,
        changes: ChangeQueue,
        transform: Handler,
        delivery: ParquetDelivery,
        sends_sms: bool,
        topic: sns.ITopic,
    ) -> None:
        incoming = stream.stream.metric_incoming_records(statistic="Sum")
        given_up: dict[str, cloudwatch.IMetric] = {}
        for place, reader in enumerate(readers):
            which = "rekeyed_" * place
            given_up[f"{which}kept"] = reader.metric("OnFailureDestinationDeliveredEventCount")
            given_up[f"{which}lost"] = reader.metric("DroppedEventCount")
        given_up["refused"] = detect.function.metric("DestinationDeliveryFailures", statistic="Sum")
        given_up["faults"] = counted(pipeline, "faults")
        watches = [
            Watch(
                name="Behind",
                title="events are not detected",
                happened="Events are not detected: for 10 minutes detect has failed, has read them over "
                "10 minutes late, or has not been called though events come.",
                do_first="Look in the log of detect, then whether its event source mapping is enabled.",
                expression="IF(FILL(errors, 0) > 0 OR "
                f"FILL(age, 0) > {LATE_READING.to_milliseconds():.0f} OR "
                "(FILL(incoming, 0) > 0 AND FILL(calls, 0) == 0), 1, 0)",
                metrics={
                    "errors": detect.function.metric_errors(),
                    "age": detect.function.metric("IteratorAge", statistic="Maximum"),
                    "incoming": incoming,
                    "calls": detect.function.metric_invocations(),
                },
                period=PERIOD,
                periods=2,
            ),
            Watch(
                name="GivenUp",
                title="events were given up",
                happened="Events were given up undetected: all tries failed, or a detector did on them.",
                do_first="Read why in the log of detect and mend it, then say freshet redrive; what that "
                "does not find is in the stream until it forgets it.",
                expression=" + ".join(f"FILL({name}, 0)" for name in given_up),
                metrics=given_up,
                period=PERIOD,
                ends=False,
            ),
            Watch(
                name="Clock",
                title="the clock stands",
                happened="The clock has stood for 15 minutes: tick fails or is not called, so silence goes "
                "unnoticed and quiet incidents stay open.",
                do_first="Look in the log of tick, then whether its schedule is enabled.",
                expression="IF(FILL(calls, 0) < 1 OR FILL(errors, 0) > 0, 1, 0)",
                metrics={
                    "calls": tick.function.metric_invocations(),
                    "errors": tick.function.metric_errors(),
                },
                period=PERIOD,
                periods=3,
                silence_is_bad=True,
            ),
            Watch(
                name="HeldUp",
                title="alerts are held up",
                happened="Alerts are held up: one has waited for over 10 minutes.",
                do_first="Look in the log of alert, then whether its event source mapping is enabled.",
                expression=f"IF(FILL(age, 0) > {LATE_CHANGE.to_seconds():.0f}, 1, 0)",
                metrics={"age": changes.queue.metric_approximate_age_of_oldest_message()},
                period=PERIOD,
            ),
            Watch(
                name="Undelivered",
                title="an alert was not delivered",
                happened="An alert was not delivered.",
                do_first="Read why in the log of alert, then redrive it from the queue of undelivered ones.",
                expression="FILL(waiting, 0)",
                metrics={"waiting": changes.undelivered.metric_approximate_number_of_messages_visible()},
                period=PERIOD,
            ),
            Watch(
                name="Stale",
                title="events do not reach the lake",
                happened="Events do not reach the lake: for 30 minutes they have come and none was delivered "
                "or the oldest has waited for over 15.",
                do_first="Look in the log of the deliveries, then whether every event is quarantined.",
                expression=f"IF(FILL(age, 0) > {LATE_DELIVERY.to_seconds():.0f} OR "
                "(FILL(incoming, 0) > 0 AND FILL(delivered, 0) == 0), 1, 0)",
                metrics={
                    "age": delivery.metric("DeliveryToS3.DataFreshness", statistic="Maximum"),
                    "incoming": incoming,
                    "delivered": delivery.metric("DeliveryToS3.Records", statistic="Sum"),
                },
                period=LATE_DELIVERY,
                periods=2,
            ),
            Watch(
                name="LeftOut",
                title="events may be missing in the lake",
                happened="Events may be missing in the lake: transform failed, or a row does not fit it.",
                do_first=f"Look under errors/{pipeline}/ in the lake's bucket, then in the log of transform.",
                # Of the calls of transform, Firehose reports the share that succeeded.
                expression="FILL(errors, 0) + IF(FILL(succeeded, 1) < 1, 1, 0) + FILL(unconverted, 0)",
                metrics={
                    "errors": transform.function.metric_errors(),
                    "succeeded": delivery.metric("ExecuteProcessing.Success", statistic="Average"),
                    "unconverted": delivery.metric("FailedConversion.Records", statistic="Sum"),
                },
                period=PERIOD,
                ends=False,
            ),
            Watch(
                name="Quarantined",
                title="many records are quarantined",
                happened=f"Of 15 minutes' records {MANY} or more, and over {SHARE:.0%} of all, could not be "
                "read in full; what could not be is not detected.",
                do_first="Look in the view quarantine_reasons what they have in common, then tell their "
                "producer.",
                expression=f"IF(FILL(bad, 0) >= {MANY} AND FILL(bad, 0) > {SHARE} * FILL(all, 0), 1, 0)",
                metrics={
                    "bad": counted(pipeline, "quarantined_records"),
                    "all": delivery.metric("SucceedProcessing.Records", statistic="Sum"),
                },
                period=SPELL,
            ),
        ]
        if sends_sms:
            watches.append(
                Watch(
                    name="SmsGivenUp",
                    title="an SMS was given up",
                    happened="An SMS was given up: the operators were told, the person concerned was not.",
                    do_first="Read in the log of alert which change and why, tell the person, then look at "
                    "the account's SMS limits.",
                    expression="FILL(given_up, 0)",
                    metrics={"given_up": counted(pipeline, "sms_given_up")},
                    period=PERIOD,
                    ends=False,
                )
            )
        super().__init__(scope, id, whose=pipeline, topic=topic, watches=watches)
