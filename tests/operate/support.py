"""Deployed pipelines on the laptop's AWS as a person finds them, and a role that has one policy of theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from laptop.athena import Athena
from laptop.clock import Clock as SimulatedClock
from laptop.cloud import Cloud
from laptop.resources import ACCOUNT, Resource
from laptop.run import Progress, Run
from laptop.run_folder import RunFolder
from operate.smoke import Clock, smoke

START = 1_767_261_647.3  # 2026-01-01 10:00:47 UTC


@dataclass
class World:
    """A deployed account in which time goes on while somebody sleeps."""

    cloud: Cloud
    run: Run
    folder: Path
    said: list[str] = field(default_factory=list)

    def sleep(self, seconds: float, step: float = 5.0) -> None:
        until = self.cloud.clock.now + seconds
        with self.cloud.policies.acting_as_nobody():
            while self.cloud.clock.now < until:
                self.cloud.clock.advance_to(min(until, self.cloud.clock.now + step))
                self.run.pump()

    def smoke(self, pipeline: str, **more: Any) -> int:
        clock = Clock(now=lambda: self.cloud.clock.now, sleep=self.sleep)
        return smoke(pipeline, say=self.said.append, clock=clock, **more)

    @property
    def stages(self) -> list[str]:
        """The stages that were reached, and whether it stuck."""
        lines = [re.match(r" +\d+ s  (STUCK|sent|.+)", line) for line in self.said]
        return [match[1] for match in lines if match]

    def alert_mapping(self, pipeline: str) -> Any:
        """Lambda's reading of a pipeline's changes."""
        function = self.of_pipeline("AWS::Lambda::Function", pipeline, "Alert").physical_id
        mappings = self.run.mappings._mappings.values()
        (found,) = [each for each in mappings if each._function.endswith(f":{function}")]
        return found

    @property
    def text(self) -> str:
        return "\n".join(self.said)

    def of_pipeline(self, type: str, pipeline: str, starting: str) -> Resource:
        stack = f"freshet-{pipeline.replace('_', '-')}"
        (found,) = [
            each
            for each in self.cloud.of_type(type)
            if each.stack == stack and each.logical_id.startswith(starting)
        ]
        return found


@contextmanager
def deployed(cdk_out: Path, folder: Path) -> Iterator[World]:
    with Cloud(SimulatedClock(START)) as cloud:
        cloud.deploy(cdk_out)
        kept = RunFolder(folder)
        with closing(Run(cloud, kept, Progress())) as run, Athena(cloud, kept, run.keep).answering():
            yield World(cloud, run, folder)


def attached(world: World, pipeline: str, policy_of: str) -> str:
    """A role that has the policy which the stack names, and no other."""
    policy = world.of_pipeline("AWS::IAM::ManagedPolicy", pipeline, policy_of)
    name = f"runs-{policy_of.lower()}-{pipeline}"
    world.cloud.resources["Test", name] = Resource(
        stack="Test",
        logical_id=name,
        type="AWS::IAM::Role",
        physical_id=name,
        properties={
            "AssumeRolePolicyDocument": {"Statement": []},
            "Policies": [{"PolicyName": "own", "PolicyDocument": policy.properties["PolicyDocument"]}],
        },
    )
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


@contextmanager
def broken(owner: Any, name: str, value: Any) -> Iterator[None]:
    with mock.patch.object(owner, name, value):
        yield
