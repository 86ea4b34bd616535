"""What the platform's engineers are told when Freshet itself does not do its work."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct


class PlatformAlarm(Construct):
    """Sounds when a metric is over its limit in `periods` periods one after another; no data is good news."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        metric: cloudwatch.Metric,
        above: float,
        periods: int,
        do_first: str,
        topic: sns.ITopic,
    ) -> None:
        super().__init__(scope, id)
        alarm = cloudwatch.Alarm(
            self,
            "Alarm",
            alarm_description=do_first,
            metric=metric,
            threshold=above,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=periods,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(topic))


PERIOD = cdk.Duration.minutes(5)
