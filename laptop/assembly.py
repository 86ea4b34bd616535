"""What the app synthesizes to, kept by what it was made from, so that a second run need not wait for it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any  # a context is as mixed as JSON

from laptop.run_folder import HOUSE

ASSEMBLIES = HOUSE / ".freshet" / "assemblies"
MADE_FROM = ("app.py", "cdk.json", "requirements.txt", "glue_jobs", "lambdas", "pipelines", "sql", "stacks")
KEPT = 6


class SynthError(RuntimeError):
    """The app could not be synthesized; the message is what it said."""


def assembly(context: Mapping[str, Any]) -> Path:
    """The cloud assembly of the app as it stands, with this context; raises `SynthError`.

    The app runs as `cdk deploy` runs it, but without fetching the functions' layer.
    """
    folder = ASSEMBLIES / fingerprint(context)
    if not folder.is_dir():
        unfinished = ASSEMBLIES / f".{folder.name}-{os.getpid()}"
        synthesize(unfinished, context)
        try:
            unfinished.rename(folder)
        except OSError:  # another run made the same in the meantime
            shutil.rmtree(unfinished)
        forget_old()
    os.utime(folder)
    return folder


def fingerprint(context: Mapping[str, Any]) -> str:
    """Of everything that the app is made from."""
    digest = hashlib.sha256(json.dumps([dict(context), sys.version], sort_keys=True).encode())
    for path in sources():
        digest.update(f"{path.relative_to(HOUSE)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:20]


def sources() -> Iterator[Path]:
    for name in MADE_FROM:
        path = HOUSE / name
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (each for each in found if each.is_file() and "__pycache__" not in each.parts)


def synthesize(folder: Path, context: Mapping[str, Any]) -> None:
    environment = os.environ | {
        "CDK_OUTDIR": str(folder),
        "CDK_CONTEXT_JSON": json.dumps(dict(context)),
        "PYTHONPATH": str(HOUSE),
    }
    command = [sys.executable, str(HOUSE / "app.py")]
    done = subprocess.run(command, cwd=HOUSE, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own app
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        said = done.stderr.strip() or f"app.py ended with {done.returncode}"
        if "Traceback" in said:  # no refusal, but a fault of the app
            raise RuntimeError(said.splitlines()[-1]) from SynthError(said)
        raise SynthError(said)


def forget_old() -> None:
    """Removes what was not used for longest, and what a killed run left unfinished."""
    folders = sorted(ASSEMBLIES.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in folders[KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)
