"""Schedules invoke their functions as simulated minutes pass."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from laptop.policies import PolicyError
from laptop.schedule import Scheduler
from laptop.services import NotHonoured
from tests.laptop.small_cloud import SmallCloud, small_cloud

INPUT = '{"scheduled_time": "<aws.scheduler.scheduled-time>"}'


@pytest.fixture
def cloud() -> Iterator[SmallCloud]:
    with small_cloud() as cloud:
        yield cloud


class Ticks:
    """A handler that remembers its payloads and fails a number of times first."""

    def __init__(self, fails: int = 0) -> None:
        self.seen: list[Any] = []
        self._fails = fails

    def __call__(self, event: Any) -> None:
        self.seen.append(event)
        if len(self.seen) <= self._fails:
            raise ConnectionError("away")

    @property
    def times(self) -> list[str]:
        return [event["scheduled_time"] for event in self.seen]


def scheduled(
    cloud: SmallCloud,
    handler: Callable[[Any], Any],
    *,
    rate: str = "rate(1 minute)",
    role: dict[str, Any] | None = None,
    target: dict[str, Any] | None = None,
    retries: int | None = 0,
    **properties: Any,
) -> Scheduler:
    function = cloud.function("tick", handler)
    role_arn = cloud.role("schedule-role", **role or {})
    deployed = {
        "ScheduleExpression": rate,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": function, "RoleArn": role_arn, "Input": INPUT, **(target or {})},
        **properties,
    }
    cloud.add("AWS::Scheduler::Schedule", "Schedule", deployed)
    if retries is not None:
        config = {"FunctionName": "tick", "Qualifier": "$LATEST", "MaximumRetryAttempts": retries}
        cloud.add("AWS::Lambda::EventInvokeConfig", "NoRetry", config)
    return Scheduler(cloud, cloud.invoke)


@pytest.mark.fidelity(
    service="EventBridge Scheduler",
    behaviour="`<aws.scheduler.scheduled-time>` is the time that a call was due, in whole seconds with Z",
    source="https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html",
    falls_short="other attributes are refused",
)
def test_each_minute_is_told_its_own_time(cloud: SmallCloud) -> None:
    # given
    ticks = Ticks()
    cloud.wait(30)
    scheduler = scheduled(cloud, ticks)
    # when, then: 10:00:59, then 10:01:00
    assert scheduler.pump(cloud.wait(29)) == 0
    assert scheduler.pump(cloud.wait(1)) == 1
    assert scheduler.pump(cloud.wait(1)) == 0
    # a jump over minutes leaves none out
    assert scheduler.pump(cloud.wait(120)) == 2
    assert ticks.times == ["2026-01-05T10:01:00Z", "2026-01-05T10:02:00Z", "2026-01-05T10:03:00Z"]


@pytest.mark.fidelity(
    service="EventBridge Scheduler",
    behaviour="rate(n minutes) calls each n minutes",
    source="https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html",
    falls_short="at whole multiples of the rate; AWS counts from the creation, with the first call at once",
)
def test_rate_of_several_minutes(cloud: SmallCloud) -> None:
    # given
    ticks = Ticks()
    scheduler = scheduled(cloud, ticks, rate="rate(5 minutes)")
    # when
    for _ in range(11):
        scheduler.pump(cloud.wait(60))
    # then
    assert ticks.times == ["2026-01-05T10:05:00Z", "2026-01-05T10:10:00Z"]


@pytest.mark.fidelity(
    service="EventBridge Scheduler",
    behaviour="a disabled schedule calls nothing",
    source="https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html",
)
def test_disabled_schedule_invokes_nothing(cloud: SmallCloud) -> None:
    # given
    ticks = Ticks()
    # when
    scheduled(cloud, ticks, State="DISABLED").pump(cloud.wait(60))
    # then
    assert ticks.seen == []


@pytest.mark.fidelity(
    service="EventBridge Scheduler",
    behaviour="a call older than MaximumEventAgeInSeconds is not made",
    source="https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html",
)
def test_call_that_is_too_old_is_left_out(cloud: SmallCloud) -> None:
    # given
    ticks = Ticks()
    policy = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    scheduler = scheduled(cloud, ticks, target={"RetryPolicy": policy})
    # when
    scheduler.pump(cloud.wait(190))
    # then
    assert ticks.times == ["2026-01-05T10:03:00Z"]


@pytest.mark.fidelity(
    service="Lambda",
    behaviour=(
        "a function that fails without a caller who waits is tried twice more, or as its "
        "EventInvokeConfig says"
    ),
    source="https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html",
    falls_short="at once; AWS waits one minute, then two",
)
@pytest.mark.parametrize(("retries", "calls"), [(0, 1), (1, 2), (None, 3)])
def test_failing_function_is_tried_again_as_its_configuration_says(
    cloud: SmallCloud, retries: int | None, calls: int
) -> None:
    # given
    ticks = Ticks(fails=10)
    # when
    done = scheduled(cloud, ticks, retries=retries).pump(cloud.wait(60))
    # then
    assert done == 0
    assert ticks.times == ["2026-01-05T10:01:00Z"] * calls


def test_retry_that_works_is_the_last(cloud: SmallCloud) -> None:
    # given
    ticks = Ticks(fails=1)
    # when
    done = scheduled(cloud, ticks, retries=2).pump(cloud.wait(60))
    # then
    assert (done, len(ticks.seen)) == (1, 2)


@pytest.mark.fidelity(
    service="EventBridge Scheduler",
    behaviour="the function is called with the schedule's role",
    source="https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Target.html",
    falls_short="judged once, at the deployment",
)
def test_role_that_may_not_invoke_the_function_stops_the_schedule(cloud: SmallCloud) -> None:
    with pytest.raises(ClientError, match="lambda:InvokeFunction"):
        scheduled(cloud, Ticks(), role={"denied": "lambda:InvokeFunction"})


@pytest.mark.fidelity(
    service="EventBridge Scheduler",
    behaviour="the schedule's role has to trust the scheduler",
    source="https://github.com/radkawar/stackd/blob/9dc356f5e5cc49d2d334178a09c1398dd1c62617/docs/scheduler.md",
)
def test_role_that_does_not_trust_the_scheduler_stops_the_schedule(cloud: SmallCloud) -> None:
    with pytest.raises(PolicyError, match=r"scheduler\.amazonaws\.com"):
        scheduled(cloud, Ticks(), role={"trusts": ["lambda.amazonaws.com"]})


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"rate": "rate(1 hour)"}, "rate"),
        ({"rate": "cron(0 * * * ? *)"}, "cron"),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5}}, "FlexibleTimeWindow"),
        ({"StartDate": "2026-01-01T00:00:00Z"}, "StartDate"),
        ({"target": {"DeadLetterConfig": {}}}, "DeadLetterConfig"),
        ({"target": {"Arn": "arn:aws:sqs:us-east-1:123456789012:q"}}, "functions and machines"),
        ({"target": {"Input": '"<aws.scheduler.execution-id>"'}}, "execution-id"),
    ],
)
def test_property_that_is_not_imitated_is_named(
    cloud: SmallCloud, changed: dict[str, Any], named: str
) -> None:
    with pytest.raises(NotHonoured, match=named):
        scheduled(cloud, Ticks(), **changed)
