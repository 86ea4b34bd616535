"""Writes faults.md: what becomes of each effect that fails in each way, as the tests' matrix measures it."""

import logging
import os
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

from tests.handlers.fault_matrix import EFFECTS, FAILURES, Effect, text

PAGE = Path(__file__).parent / "faults.md"


def page(cell: Callable[[Effect, str], str]) -> str:
    """The page, with what `cell` says of an effect that fails in one way."""
    rows = [[effect.name, *(cell(effect, failure) for failure in FAILURES)] for effect in EFFECTS]
    lines = ["effect", *FAILURES], ["---"] * (len(FAILURES) + 1), *rows
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    ways = "\n".join(f"- **{failure}**: {how}." for failure, how in FAILURES.items())
    return f"""\
# What becomes of a fault

Each row is one effect of the functions that process events. In each column it fails in one way, in every
batch of a short scene in which it happens; every second batch comes to a container that has just started. In
every cell the world has seen in the end what it sees without a fault, nothing more and nothing less; at no
time has it seen what no commit holds; and the queue has handed each incident change to alert once. A test
fails where that is not so, and where a cell is not as it stands here; `make docs` measures and writes this
page. boto3's own retries come before all this, and are not in it.

{ways}

A cell says what happened then, how many invocations it took for how many that were needed, and how many
messages, rows and objects went out a second time, with the same id, and were recognised by it:

- *retried*: within the invocation.
- *batch again*: nothing was committed; Lambda, or Firehose, hands the whole batch over again.
- *next goes on*: it was committed; the next invocation, of whatever batch or tick, does what was left to do.

{table}

Where the stream is read again, all that is newest in the log is damaged before each batch, so that what had
been sent goes out again with or without a fault. Records that come twice to the second stream are
invocations more, and needed.
"""


def shown() -> dict[tuple[str, str], str]:
    """The cells of the page as it is."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return {(row[0], failure): said for row in rows for failure, said in zip(FAILURES, row[1:], strict=True)}


if __name__ == "__main__":
    logging.disable()
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):  # what the functions say
        measured = page(text)
    PAGE.write_text(measured)
