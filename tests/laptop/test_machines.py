"""State machines go from state to state as simulated seconds pass."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from laptop.policies import PolicyError
from laptop.schedule import Scheduler
from laptop.services import NotHonoured
from tests.laptop.small_cloud import SmallCloud, small_cloud

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:loop"


@pytest.fixture
def cloud() -> Iterator[SmallCloud]:
    with small_cloud() as cloud:
        yield cloud


class Rounds:
    """A handler that wants so many more rounds, and remembers what it was told."""

    def __init__(self, *again: Any) -> None:
        self.seen: list[Any] = []
        self._again = list(again)

    def __call__(self, event: Any) -> Any:
        self.seen.append(event)
        answer = self._again.pop(0) if self._again else "no"
        if isinstance(answer, Exception):
            raise answer
        return answer and {"again": answer}

    @property
    def times(self) -> list[str]:
        return [event["at"][14:] for event in self.seen]


def looping(
    cloud: SmallCloud,
    handler: Callable[[Any], Any],
    *,
    role: dict[str, Any] | None = None,
    states: dict[str, Any] | None = None,
    definition: dict[str, Any] | None = None,
    schedule: dict[str, Any] | None = None,
    **properties: Any,
) -> Scheduler:
    """A machine that a schedule starts each minute."""
    times = {"at.$": "$$.State.EnteredTime", "began.$": "$$.Execution.StartTime", "pause": 20}
    task = {"Type": "Task", "Resource": cloud.function("tick", handler), "Parameters": times, "Next": "More"}
    usual = {
        "Work": task,
        "More": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.again", "BooleanEquals": True, "Next": "Pause"}],
            "Default": "Over",
        },
        "Pause": {"Type": "Wait", "Seconds": 20, "Next": "Work"},
        "Over": {"Type": "Succeed"},
    }
    text = {"StartAt": "Work", "States": {**usual, **(states or {})}, **(definition or {})}
    deployed = {
        "DefinitionString": json.dumps(text),
        "RoleArn": cloud.role("machine-role", **role or {}),
        "StateMachineType": "EXPRESS",
        **properties,
    }
    cloud.add("AWS::StepFunctions::StateMachine", "Machine", deployed, MACHINE)
    target = {"Arn": MACHINE, "RoleArn": cloud.role("schedule-role", **schedule or {}), "Input": "{}"}
    rate = {"ScheduleExpression": "rate(1 minute)", "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": target}
    cloud.add("AWS::Scheduler::Schedule", "Schedule", rate)
    return Scheduler(cloud, cloud.invoke)


@pytest.mark.fidelity(
    service="Step Functions",
    behaviour="a task is told when its state and its execution began; a wait lasts its seconds",
    source="https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html",
    falls_short="nothing else of the context; states take no time",
)
def test_a_loop_works_waits_and_works_again(cloud: SmallCloud) -> None:
    # given
    rounds = Rounds(True, True)
    scheduler = looping(cloud, rounds)
    # when, then: each second of a minute and a half
    done = sum(scheduler.pump(cloud.wait(1)) for _ in range(150))
    assert done == len(rounds.seen) == 4
    assert rounds.times == ["01:00.000Z", "01:20.000Z", "01:40.000Z", "02:00.000Z"]
    assert {(event["began"][14:], event["pause"]) for event in rounds.seen} == {
        ("01:00.000Z", 20),
        ("02:00.000Z", 20),
    }


def test_a_jump_over_minutes_leaves_no_round_out_and_keeps_their_order(cloud: SmallCloud) -> None:
    # given
    rounds = Rounds(True, True, "no", True)
    scheduler = looping(cloud, rounds)
    # when
    scheduler.pump(cloud.wait(140))
    # then
    assert rounds.times == ["01:00.000Z", "01:20.000Z", "01:40.000Z", "02:00.000Z", "02:20.000Z"]


@pytest.mark.fidelity(
    service="Step Functions",
    behaviour="executions of one machine run beside each other",
    source="https://docs.aws.amazon.com/step-functions/latest/dg/concepts-statemachines.html",
    falls_short="each once; AWS may run one of Express more often than it was started",
)
def test_a_loop_that_outlasts_its_minute_runs_beside_the_next(cloud: SmallCloud) -> None:
    # given
    rounds = Rounds(*[True] * 9)
    scheduler = looping(cloud, rounds, states={"Pause": {"Type": "Wait", "Seconds": 45, "Next": "Work"}})
    # when
    for _ in range(150):
        scheduler.pump(cloud.wait(1))
    # then
    assert rounds.times == ["01:00.000Z", "01:45.000Z", "02:00.000Z", "02:30.000Z"]


@pytest.mark.fidelity(
    service="Step Functions",
    behaviour="a task that fails without Retry and Catch ends its execution",
    source="https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html",
)
@pytest.mark.fidelity(
    service="Step Functions",
    behaviour="a choice on what the state's input does not have ends its execution",
    source="https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html",
)
@pytest.mark.parametrize("answer", [ConnectionError("away"), None])
def test_a_loop_that_fails_is_over_and_the_next_minute_starts_another(cloud: SmallCloud, answer: Any) -> None:
    # given
    rounds = Rounds(answer, True)
    scheduler = looping(cloud, rounds)
    # when
    for _ in range(145):
        scheduler.pump(cloud.wait(1))
    # then
    assert rounds.times == ["01:00.000Z", "02:00.000Z", "02:20.000Z"]


@pytest.mark.fidelity(
    service="Step Functions",
    behaviour="an execution ends after TimeoutSeconds",
    source="https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html",
    falls_short="between states, not within a task",
)
def test_a_loop_is_over_after_its_longest_time(cloud: SmallCloud) -> None:
    # given
    rounds = Rounds(*[True] * 20)
    scheduler = looping(cloud, rounds, definition={"TimeoutSeconds": 30})
    # when
    for _ in range(119):
        scheduler.pump(cloud.wait(1))
    # then
    assert rounds.times == ["01:00.000Z", "01:20.000Z"]


@pytest.mark.fidelity(
    service="EventBridge Scheduler",
    behaviour="a state machine is started with the schedule's role",
    source="https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html",
    falls_short="judged once, at the deployment",
)
def test_role_that_may_not_start_the_machine_stops_the_schedule(cloud: SmallCloud) -> None:
    with pytest.raises(ClientError, match="states:StartExecution"):
        looping(cloud, Rounds(), schedule={"denied": "states:StartExecution"})


@pytest.mark.fidelity(
    service="Step Functions",
    behaviour="a function is invoked with the machine's role, which has to trust the service",
    source="https://docs.aws.amazon.com/step-functions/latest/dg/lambda-iam.html",
    falls_short="judged once, at the deployment",
)
def test_role_that_may_not_invoke_the_function_stops_the_machine(cloud: SmallCloud) -> None:
    with pytest.raises(ClientError, match="lambda:InvokeFunction"):
        looping(cloud, Rounds(), role={"denied": "lambda:InvokeFunction"})


def test_role_that_does_not_trust_the_service_stops_the_machine(cloud: SmallCloud) -> None:
    with pytest.raises(PolicyError, match=r"states\.amazonaws\.com"):
        looping(cloud, Rounds(), role={"trusts": ["lambda.amazonaws.com"]})


WORK = {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:tick", "Next": "Over"}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"StateMachineType": "STANDARD"}, "StateMachineType"),
        ({"LoggingConfiguration": {}}, "LoggingConfiguration"),
        ({"definition": {"QueryLanguage": "JSONata"}}, "QueryLanguage"),
        ({"states": {"Work": WORK | {"Retry": []}}}, "state Work, sets Retry"),
        ({"states": {"Work": WORK | {"Parameters": {"name.$": "$$.Execution.Name"}}}}, "Execution.Name"),
        ({"states": {"Many": {"Type": "Map"}}}, "Map"),
        (
            {"states": {"More": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 1}]}}},
            "NumericEquals",
        ),
    ],
)
def test_what_is_not_imitated_is_named(cloud: SmallCloud, changed: dict[str, Any], named: str) -> None:
    with pytest.raises(NotHonoured, match=named):
        looping(cloud, Rounds(), **changed)
