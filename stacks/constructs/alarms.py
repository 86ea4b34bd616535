"""What the platform's engineers are told when Freshet itself does not do its work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct


@dataclass(frozen=True, kw_only=True)
class Watch:
    """One thing that a person can act on: something is wrong where `expression`, metric math, is above zero.

    A metric without data is no time series to metric math, so an expression fills each of its metrics.
    `periods` are how many periods in a row it has to be wrong. Nothing reported at all is good news, unless
    `silence_is_bad`.
    """

    name: str
    happened: str
    do_first: str
    expression: str
    metrics: Mapping[str, cloudwatch.IMetric]
    period: cdk.Duration
    periods: int = 1
    silence_is_bad: bool = False


class Alarms(Construct):
    """An alarm for each watch; its description says whose it is, what happened and what to do first."""

    def __init__(
        self, scope: Construct, id: str, *, whose: str, topic: sns.ITopic, watches: Iterable[Watch]
    ) -> None:
        super().__init__(scope, id)
        missing = cloudwatch.TreatMissingData
        for watch in watches:
            alarm = cloudwatch.Alarm(
                self,
                watch.name,
                alarm_description=f"{whose}: {watch.happened} {watch.do_first}",
                metric=cloudwatch.MathExpression(
                    expression=watch.expression, using_metrics=watch.metrics, period=watch.period
                ),
                threshold=0,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
                evaluation_periods=watch.periods,
                treat_missing_data=missing.BREACHING if watch.silence_is_bad else missing.NOT_BREACHING,
            )
            alarm.add_alarm_action(actions.SnsAction(topic))
