"""What tests of several rooms share: the app, synthesized once a run however many processes test."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import pytest

RECIPIENTS = [
    {"email": "everything@example.com"},
    {"email": "heat@example.com", "pipelines": ["temperature"], "severities": ["high", "critical"]},
    {"email": "hosts@example.com", "audience": "hosts"},
    {"sms": "+491701234567", "pipelines": ["heart_rate"]},
    {"email": "engineers@example.com", "audience": "platform"},
]
NUMBERS = {"temperature.too_hot.above": 31}

# The Node of the wheel, as `make` says it, for those who call pytest by itself.
os.environ.setdefault("JSII_NODE", str(Path(sys.prefix, "node")))


@pytest.fixture(scope="session")
def cdk_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cloud assembly of every pipeline, with recipients and cdk-nag's report; not to be written into."""
    from pipelines import discovery
    from stacks.check import REPORT, synthesize

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "cdk.out"
    with (shared / "cdk.out.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / REPORT).exists():
            context = {
                "nag": True,
                "freshet": {"pipelines": discovery.names(), "recipients": RECIPIENTS, "set": NUMBERS},
            }
            done = synthesize(folder, context)
            # cdk-nag's findings fail a test of their own: the templates are there all the same.
            assert (folder / REPORT).exists(), done.stderr
    return folder
