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

    `title` is in the subject of the mail that tells of it. A metric without data is no time series to metric
    math, so an expression fills each of its metrics. `periods` are how many periods in a row it has to be
    wrong. Nothing reported at all is good news, unless `silence_is_bad`. Where something `ends` by being
    mended, that is told too; what has happened stays so, however quiet it is afterwards.
    """

    name: str
    title: str
    happened: str
    do_first: str
    expression: str
    metrics: Mapping[str, cloudwatch.IMetric]
    period: cdk.Duration
    periods: int = 1
    silence_is_bad: bool = False
    ends: bool = True


class Alarms(Construct):
    """An alarm for each watch; its description says whose it is, what happened and what to do first."""

    def __init__(
        self, scope: Construct, id: str, *, whose: str, topic: sns.ITopic, watches: Iterable[Watch]
    ) -> None:
        super().__init__(scope, id)
        watches = list(watches)
        # A mail's subject is the alarm's name, so that says what is wrong, and where.
        self.names = [f"Freshet {whose} - {watch.title}" for watch in watches]
        missing = cloudwatch.TreatMissingData
        for watch, name in zip(watches, self.names, strict=True):
            alarm = cloudwatch.Alarm(
                self,
                watch.name,
                alarm_name=name,
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
            if watch.ends:
                alarm.add_ok_action(actions.SnsAction(topic))
