"""EventBridge schedules at a rate of minutes, on the simulated clock.

Not honoured: the wait before a call is tried again, and Lambda's queue of calls that nobody waits for.
"""

import json
import re
from collections.abc import Mapping

from laptop.cloud import Cloud
from laptop.functions import FunctionError
from laptop.machines import StateMachine
from laptop.resources import ACCOUNT, Resource
from laptop.services import Invoke, NotHonoured, honour, iso, only

SERVICE = "scheduler.amazonaws.com"
SCHEDULE = ("FlexibleTimeWindow", "GroupName", "Name", "ScheduleExpression", "State", "Target")
IGNORED = {
    "Description": "it is for who reads the template",
    "ScheduleExpressionTimezone": "a rate is the same in every zone",
}
SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"


class Scheduler:
    """Every schedule of the deployment, counted from now, and every state machine that one may start."""

    def __init__(self, cloud: Cloud, invoke: Invoke) -> None:
        machines = cloud.of_type("AWS::StepFunctions::StateMachine")
        self._machines = {each.physical_id: StateMachine(each, cloud, invoke) for each in machines}
        resources = cloud.of_type("AWS::Scheduler::Schedule")
        self._schedules = [Schedule(resource, cloud, invoke, self._machines) for resource in resources]

    def pump(self, now: float) -> int:
        """Invoke what has become due and return how many invocations succeeded."""
        done = sum(schedule.pump(now) for schedule in self._schedules)
        return done + sum(machine.pump(now) for machine in self._machines.values())


class Schedule:
    """One schedule, due at each whole multiple of its rate, of a function or of a state machine.

    Its retry policy says how old a call may be. What a function fails at is tried again as often as its
    EventInvokeConfig says, for a schedule only hands the call to Lambda, which never refuses it here.
    """

    def __init__(
        self, resource: Resource, cloud: Cloud, invoke: Invoke, machines: Mapping[str, StateMachine]
    ) -> None:
        where, properties = f"The schedule {resource.logical_id}", resource.properties
        honour(where, properties, SCHEDULE, IGNORED)
        only(where, properties, "FlexibleTimeWindow", {"Mode": "OFF"})
        only(where, properties, "State", None, "ENABLED", "DISABLED")
        target = properties["Target"]
        honour(where, target, ("Arn", "Input", "RetryPolicy", "RoleArn"))
        policy = target.get("RetryPolicy", {})
        honour(where, policy, ("MaximumEventAgeInSeconds", "MaximumRetryAttempts"))
        rate = re.fullmatch(r"rate\((\d+) minutes?\)", properties["ScheduleExpression"])
        self._input = target.get("Input", "{}")
        if not rate or "<aws.scheduler." in self._input.replace(SCHEDULED_TIME, ""):
            raise NotHonoured(
                f"{where} is {properties['ScheduleExpression']} with {self._input}. The laptop's AWS knows "
                f"rate(n minutes) and {SCHEDULED_TIME}: use these."
            )
        self._invoke, self._target, self._seconds = invoke, target["Arn"], 60 * int(rate[1])
        self._machine = machines.get(self._target)
        if not self._machine and ":lambda:" not in self._target:
            raise NotHonoured(f"{where} calls {self._target}. The laptop's AWS knows functions and machines.")
        self._oldest = policy.get("MaximumEventAgeInSeconds", 86_400)
        name = self._target.split(":")[6]
        configs = cloud.of_type("AWS::Lambda::EventInvokeConfig")
        own = [one.properties for one in configs if one.properties["FunctionName"] == name]
        self._tries = 1 + int(own[0].get("MaximumRetryAttempts", 2) if own else 2)
        self._is_enabled = properties.get("State") != "DISABLED"
        self._passed = int(cloud.clock.now) // self._seconds
        group = f"schedule-group/{properties.get('GroupName', 'default')}"
        source = f"arn:aws:scheduler:{cloud.region}:{ACCOUNT}:{group}"
        with cloud.policies.acting_as(target["RoleArn"], service=SERVICE, source_arn=source):
            action = "states:StartExecution" if self._machine else "lambda:InvokeFunction"
            cloud.policies.require(target["RoleArn"], action, self._target)

    def pump(self, now: float) -> int:
        first, self._passed = self._passed + 1, int(now) // self._seconds
        due = [number * self._seconds for number in range(first, self._passed + 1)]
        return sum(self._succeeds(at) for at in due if self._is_enabled and now - at < self._oldest)

    def _succeeds(self, at: float) -> bool:
        payload = json.loads(self._input.replace(SCHEDULED_TIME, iso(at, "seconds")))
        if self._machine:
            self._machine.start(at, payload)
            return False  # it has invoked nothing yet
        for _ in range(self._tries):
            try:
                self._invoke(self._target, payload)
                return True
            except FunctionError:
                continue
        return False
