"""What the platform's engineers are told when Freshet itself does not do a pipeline's work."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.constructs.handler import Handler
from stacks.constructs.parquet_delivery import ParquetDelivery

PERIOD = cdk.Duration.minutes(5)
LATE_READING = cdk.Duration.minutes(10)
LATE_DELIVERY = cdk.Duration.minutes(30)  # six times what rows may wait to share a file


class PipelineAlarms(Construct):
    """Four alarms of a pipeline, each with what to do first. No data is good news: nothing went through."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        pipeline: str,
        undelivered: sqs.IQueue,
        functions: Mapping[str, Handler],
        delivery: ParquetDelivery,
        topic: sns.ITopic,
    ) -> None:
        super().__init__(scope, id)
        self._pipeline, self._topic = pipeline, topic
        self._alarm(
            "Undelivered",
            undelivered.metric_approximate_number_of_messages_visible(period=PERIOD),
            do_first="An alert was not delivered. Read why in the log of alert, then redrive it.",
        )
        errors = {name: each.function.metric_errors(period=PERIOD) for name, each in functions.items()}
        self._alarm(
            "Failing",
            cloudwatch.MathExpression(
                expression=" + ".join(f"FILL({name}, 0)" for name in functions),
                using_metrics=errors,
                period=PERIOD,
            ),
            periods=3,
            do_first=f"{', '.join(functions)}: one of them has failed for 15 minutes. Look in their logs.",
        )
        self._alarm(
            "Behind",
            functions["detect"].function.metric("IteratorAge", statistic="max", period=PERIOD),
            above=LATE_READING.to_milliseconds(),
            periods=2,
            do_first="A shard is read over 10 minutes late. Look in the log of detect, then at the load.",
        )
        self._alarm(
            "Stale",
            cloudwatch.Metric(
                namespace="AWS/Firehose",
                metric_name="DeliveryToS3.DataFreshness",
                dimensions_map={"DeliveryStreamName": delivery.name},
                statistic="max",
                period=PERIOD,
            ),
            above=LATE_DELIVERY.to_seconds(),
            do_first="Events reach the lake over 30 minutes late. Look in the log of the deliveries.",
        )

    def _alarm(
        self, id: str, metric: cloudwatch.IMetric, *, do_first: str, above: float = 0, periods: int = 1
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            id,
            alarm_description=f"{self._pipeline}: {do_first}",
            metric=metric,
            threshold=above,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=periods,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self._topic))
