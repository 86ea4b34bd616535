"""Writes semantics.md: what Freshet promises of a stream, clause by clause of semantics.yaml, each with
the tests that fail when it is broken.

Reads tests as text, so that none has to run: `python -m docs.semantics`.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HOUSE = Path(__file__).parents[1]
PAGE = HOUSE / "docs" / "semantics.md"
MARK = "pytest.mark.semantics"


@dataclass(frozen=True)
class Promise:
    """A title, and the clauses by the names that the tests' marks give."""

    title: str
    clauses: dict[str, str]


@dataclass(frozen=True)
class Proof:
    """A test that says by its mark which clause it holds."""

    line: int
    clause: str
    path: Path
    name: str

    def __str__(self) -> str:
        path = self.path.relative_to(HOUSE)
        return f"[{path.relative_to('tests')}::{self.name}](../{path})"


def proofs() -> Iterator[Proof]:
    for path in sorted((HOUSE / "tests").rglob("test_*.py")):
        text = path.read_text()
        if MARK not in text:
            continue
        for test in ast.walk(ast.parse(text)):
            if not isinstance(test, ast.FunctionDef):
                continue
            for mark in test.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == MARK:
                    said = {str(each.arg): ast.literal_eval(each.value) for each in mark.keywords}
                    yield Proof(**said, path=path, name=test.name)


def promises() -> dict[int, Promise]:
    said: dict[int, Any] = yaml.safe_load((HOUSE / "docs" / "semantics.yaml").read_text())
    return {number: Promise(**each) for number, each in said.items()}


def page() -> str:
    found, promised = list(proofs()), promises()
    clauses = sum(len(promise.clauses) for promise in promised.values())
    lines = f"""\
# What is promised of a stream

Eleven promises hold for every pipeline. Each is taken apart into clauses; beneath a clause stand the tests
that fail when it is broken. They say so themselves (`@pytest.mark.semantics`), so that no row outlives its
test; `make docs` writes this page. {len(found)} marks hold {clauses} clauses.

Most of it is proven at once by an oracle. However a stream lives (disorder, repeats, shards, batches, replay,
cold starts, ticks), what detectors say and when they say it is the answer of one SQL query over the distinct
events. `make test` draws a thousand such lives and sends twenty thousand mutated records through both readers
of a stream. `make soak` draws a hundred thousand, sends a million, then ten million events of 100,000 keys
through a split and a merge. No detector of the house learns yet, so nothing is promised of learning.
""".splitlines()
    for number, promise in promised.items():
        lines += ["", f"## {number}. {promise.title}"]
        for name, sentence in promise.clauses.items():
            held = [proof for proof in found if (proof.line, proof.clause) == (number, name)]
            lines += ["", f"**{sentence}**", "", *(f"- {proof}" for proof in held)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
