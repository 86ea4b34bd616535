"""Step Functions' Express state machines, on the simulated clock: tasks of Lambda, choices, waits.

Not honoured: that an execution may run more than once, and what a state takes.
"""

import json
from dataclasses import dataclass
from typing import Any  # states are as mixed as JSON

from laptop.cloud import Cloud
from laptop.functions import FunctionError
from laptop.resources import Resource
from laptop.services import Invoke, NotHonoured, honour, iso, only

SERVICE = "states.amazonaws.com"
LONGEST = 300  # seconds that an Express execution may take
# What of each type of state is imitated.
STATES = {
    "Choice": ("Choices", "Default"),
    "Succeed": (),
    "Task": ("Next", "Parameters", "Resource"),
    "Wait": ("Next", "Seconds"),
}
ENTERED, BEGAN = "$$.State.EnteredTime", "$$.Execution.StartTime"


@dataclass
class Execution:
    """One run: the state that it enters next, when, with which input; and when it began."""

    state: str
    at: float
    began: float
    input: Any


class StateMachine:
    """One machine and its executions. One that fails is over, and nobody starts it again."""

    def __init__(self, resource: Resource, cloud: Cloud, invoke: Invoke) -> None:
        where, properties = f"The state machine {resource.logical_id}", resource.properties
        honour(where, properties, ("DefinitionString", "RoleArn", "StateMachineType"))
        only(where, properties, "StateMachineType", "EXPRESS")
        definition = json.loads(properties["DefinitionString"])
        honour(where, definition, ("StartAt", "States", "TimeoutSeconds"))
        self._first, self._states = definition["StartAt"], definition["States"]
        self._longest = min(definition.get("TimeoutSeconds", LONGEST), LONGEST)
        self._invoke = invoke
        self._running: list[Execution] = []
        for name, state in self._states.items():
            place = f"{where}, state {name},"
            only(place, state, "Type", *STATES)
            honour(place, state, ("Type", *STATES[state["Type"]]))
            for rule in state.get("Choices", []):
                honour(place, rule, ("BooleanEquals", "Next", "Variable"))
            asked = {key: value for key, value in state.get("Parameters", {}).items() if key.endswith(".$")}
            if unknown := [value for value in asked.values() if value not in (ENTERED, BEGAN)]:
                raise NotHonoured(
                    f"{place} asks for {unknown[0]}. The laptop's AWS has {ENTERED} and {BEGAN}."
                )
            if state["Type"] == "Task":
                with cloud.policies.acting_as(properties["RoleArn"], service=SERVICE):
                    cloud.policies.require(properties["RoleArn"], "lambda:InvokeFunction", state["Resource"])

    def start(self, at: float, given: Any) -> None:
        self._running.append(Execution(self._first, at, at, given))

    def pump(self, now: float) -> int:
        """Go on with what is no longer waiting, the earliest first; how many tasks have succeeded."""
        done = 0
        while due := [one for one in self._running if one.at <= now]:
            execution = min(due, key=lambda one: one.at)
            try:
                done += self._enter(execution)
            except (FunctionError, LookupError):
                self._running.remove(execution)
        return done

    def _enter(self, execution: Execution) -> int:
        """Enter a state; raises where AWS would let the execution fail."""
        state = self._states[execution.state]
        if state["Type"] == "Succeed" or execution.at - execution.began > self._longest:
            self._running.remove(execution)
        elif state["Type"] == "Task":
            execution.input = self._invoke(state["Resource"], self._payload(state, execution))
            execution.state = state["Next"]
            return 1
        elif state["Type"] == "Wait":
            execution.at, execution.state = execution.at + state["Seconds"], state["Next"]
        else:
            met = (rule["Next"] for rule in state["Choices"] if is_met(rule, execution.input))
            execution.state = next(met, state.get("Default", ""))
        return 0

    def _payload(self, state: dict[str, Any], execution: Execution) -> Any:
        times = {ENTERED: iso(execution.at), BEGAN: iso(execution.began)}
        if "Parameters" not in state:
            return execution.input
        return {
            key.removesuffix(".$"): times[value] if key.endswith(".$") else value
            for key, value in state["Parameters"].items()
        }


def is_met(rule: dict[str, Any], given: Any) -> bool:
    """Whether a choice's rule holds; raises LookupError where its variable is not there."""
    for name in rule["Variable"].split(".")[1:]:
        if not isinstance(given, dict):
            raise LookupError(rule["Variable"])
        given = given[name]
    return given is rule["BooleanEquals"]
