"""The soak at a thousandth of its length: every bar that does not need the length holds."""

import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]


@pytest.mark.semantics(line=6, clause="each")
@pytest.mark.semantics(line=3, clause="cold")
def test_short_soak_tells_what_the_query_expects() -> None:
    asked = ["--events", "12000", "--keys", "150"]

    done = subprocess.run(
        [sys.executable, "benchmarks/soak.py", *asked],
        cwd=HOUSE,
        env={"PYTHONPATH": str(HOUSE)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "MISSED" not in done.stdout
    assert "told beside them" in done.stdout
