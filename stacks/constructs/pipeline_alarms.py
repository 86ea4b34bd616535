"""What can keep a pipeline from its work, as its metrics tell it."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_sns as sns
from constructs import Construct

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
LATE_CHANGE = cdk.Duration.minutes(10)  # one try of alert and the wait for the next are six of them


class PipelineAlarms(Alarms):
    """The alarms of one pipeline, in the order of an event's way: read, detected, told; and into the lake."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        pipeline: str,
        stream: EventStream,
        records: ShardReader,
        detect: Handler,
        tick: Handler,
        changes: ChangeQueue,
        transform: Handler,
        delivery: ParquetDelivery,
        topic: sns.ITopic,
    ) -> None:
        incoming = stream.stream.metric_incoming_records(statistic="Sum")
        watches = [
            Watch(
                name="Behind",
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
                happened="Events were given up undetected after all tries.",
                do_first="Read why in the log of detect, and look for them in the bucket of failed batches; "
                "what is not there is in the stream until it forgets it.",
                expression="FILL(kept, 0) + FILL(lost, 0) + FILL(refused, 0)",
                metrics={
                    "kept": records.metric("OnFailureDestinationDeliveredEventCount"),
                    "lost": records.metric("DroppedEventCount"),
                    "refused": detect.function.metric("DestinationDeliveryFailures", statistic="Sum"),
                },
                period=PERIOD,
            ),
            Watch(
                name="Clock",
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
                happened="Alerts are held up: one has waited for over 10 minutes.",
                do_first="Look in the log of alert, then whether its event source mapping is enabled.",
                expression=f"IF(FILL(age, 0) > {LATE_CHANGE.to_seconds():.0f}, 1, 0)",
                metrics={"age": changes.queue.metric_approximate_age_of_oldest_message()},
                period=PERIOD,
            ),
            Watch(
                name="Undelivered",
                happened="An alert was not delivered.",
                do_first="Read why in the log of alert, then redrive it from the queue of undelivered ones.",
                expression="FILL(waiting, 0)",
                metrics={"waiting": changes.undelivered.metric_approximate_number_of_messages_visible()},
                period=PERIOD,
            ),
            Watch(
                name="Stale",
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
            ),
        ]
        super().__init__(scope, id, whose=pipeline, topic=topic, watches=watches)
