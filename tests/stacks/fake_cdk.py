"""What stands in for the CDK's command and for whoever deploys."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from pipelines import discovery
from stacks import command, deploy
from stacks.account import Account
from stacks.deploy import Terminal
from stacks.settings import Settings
from tests.conftest import RECIPIENTS

FAKE = """
import json, os, shutil, sys
arguments = sys.argv[1:]
with open({notes!r}, "a") as file:
    print(json.dumps([os.environ["AWS_REGION"], *arguments]), file=file)
if arguments[0] == "synth":
    target = arguments[arguments.index("--output") + 1]
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree({assembly!r}, target)
if arguments[0] == os.environ.get("FAILS"):
    print("the reason")
    sys.exit(1)
"""


class Cdk:
    """The CDK's command in its place."""

    def __init__(self, folder: Path, assembly: Path) -> None:
        self.script, self.notes = folder / "cdk.py", folder / "notes"
        self.script.write_text(FAKE.format(notes=str(self.notes), assembly=str(assembly)))

    @property
    def calls(self) -> list[list[str]]:
        """Each call's Region and arguments, without where the assembly is."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        places = (str(deploy.ASSEMBLY), str(deploy.ASSEMBLY.with_name("destroy")))
        return [[each for each in json.loads(line) if each not in places] for line in lines]


class Somebody:
    """Whoever deploys: hears what is said, and answers."""

    def __init__(self, answer: str = "", *, is_there: bool = True) -> None:
        self.heard: list[str] = []
        self.asked: list[str] = []
        self.answer, self.is_there = answer, is_there

    @property
    def terminal(self) -> Terminal:
        return Terminal(say=self.heard.append, ask=self._answer, is_there=lambda: self.is_there)

    def _answer(self, question: str) -> str:
        self.asked.append(question)
        return self.answer

    def heard_of(self, part: str) -> str:
        found = [line for line in self.heard if part in line]
        assert len(found) == 1, self.heard
        return found[0]


SYNTH = ["us-east-1", "synth", "--output", "--no-notices"]
DEPLOY = ["us-east-1", "deploy", "--all", "--app", "--require-approval", "never", "--no-notices"]
BOOTSTRAP = ["us-east-1", "bootstrap", "aws://123456789012/us-east-1", "--no-notices"]


def install(folder: Path, assembly: Path, monkeypatch: pytest.MonkeyPatch) -> Cdk:
    """A script in the place of the CDK's command, which notes its arguments and synthesizes this assembly."""
    fake = Cdk(folder, assembly)
    monkeypatch.setattr(command, "installed", lambda: [sys.executable, str(fake.script)])
    monkeypatch.setattr(deploy, "ASSEMBLY", folder / "deploy")
    monkeypatch.setattr(Account, "sandboxed", lambda _: ["+491701234567"])
    context = {"pipelines": discovery.names(), "recipients": RECIPIENTS}
    monkeypatch.setattr(deploy, "configured", lambda: Settings.read(context))
    return fake
