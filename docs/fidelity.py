"""Writes fidelity.md: what the laptop copies of AWS, as the tests that prove it declare it.

Reads tests and laptop as text, so that neither has to run: `python docs/fidelity.py`.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

HOUSE = Path(__file__).parents[1]
PAGE = HOUSE / "docs" / "fidelity.md"
DOCUMENTED = "https://docs.aws.amazon.com/"
NO_SOURCE = "recorded by the project, no public source found"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One behaviour of AWS: what a test says of itself by `pytest.mark.fidelity`, and which test that is."""

    service: str
    behaviour: str
    source: str
    falls_short: str = ""
    path: Path
    name: str

    def __str__(self) -> str:
        source, path = self.source, self.path.relative_to(HOUSE)
        if source != NO_SOURCE:
            page = source.partition("#")[0].rstrip("/").rpartition("/")[2].removesuffix(".html")
            source = f"[{page}]({source})"
        test = f"[{path.relative_to('tests')}::{self.name}](../{path})"
        return f"| {self.behaviour} | {source} | {test} | {self.falls_short} |"


def rows() -> list[Row]:
    """Every row, by service, then as the tests stand in their files."""
    found = []
    for path in sorted((HOUSE / "tests").rglob("test_*.py")):
        tests = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
        for test in tests:
            for mark in test.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fidelity":
                    try:
                        said = {str(each.arg): ast.literal_eval(each.value) for each in mark.keywords}
                        found.append(Row(**said, path=path, name=test.name))
                    except (TypeError, ValueError) as error:
                        where = f"{path.relative_to(HOUSE)}::{test.name}"
                        error.add_note(
                            f"Give {where} service, behaviour, source and falls_short, as plain texts."
                        )
                        raise
    return sorted(found, key=lambda row: row.service.lower())


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((HOUSE / "laptop").glob("*.py")):
        yield path.relative_to(HOUSE).as_posix(), ast.parse(path.read_text())


def ignored() -> Iterator[tuple[str, str, str]]:
    """What a template may say to no effect: where, the property, and why nothing comes of it."""
    for path, module in modules():
        for node in ast.walk(module):
            found: list[tuple[str, ast.expr]] = []
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=reasons) if name.endswith("IGNORED"):
                    found = [(path, reasons)]
                case ast.Dict(keys=kinds, values=types):
                    for kind, call in zip(kinds, types, strict=True):
                        keywords = call.keywords if isinstance(call, ast.Call) else []
                        found += [
                            (ast.unparse(kind), k.value)
                            for k in keywords
                            if kind and k.arg == "without_effect"
                        ]
            for where, reasons in found:
                for name, why in ast.literal_eval(reasons).items():
                    yield where.strip("'"), name, why


def not_honoured() -> Iterator[tuple[str, str]]:
    """What a module says of itself after the words "Not honoured:", up to the end of the sentence."""
    for path, module in modules():
        for said in re.findall(r"Not honoured:\s(.+?\.)(?:\s|$)", ast.get_docstring(module) or "", re.DOTALL):
            yield path, " ".join(said.split())


def refused() -> Iterator[tuple[str, str]]:
    """The sentences with which a deployment or a run stops; … stands for what they are told."""
    for path, module in modules():
        for node in ast.walk(module):
            match node:
                case ast.Raise(exc=ast.Call(func=ast.Name(id="NotHonoured" | "PolicyError"), args=[said])):
                    parts = said.values if isinstance(said, ast.JoinedStr) else [said]
                    yield path, "".join(str(p.value) if isinstance(p, ast.Constant) else "…" for p in parts)


def table(*columns: str) -> list[str]:
    return ["", f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]


def page() -> str:
    found = rows()
    documented = sum(row.source.startswith(DOCUMENTED) for row in found)
    unsourced = sum(row.source == NO_SOURCE for row in found)
    others = len(found) - documented - unsourced
    short = sum(bool(row.falls_short) for row in found)
    lines = f"""\
# What the laptop copies of AWS

A row is one behaviour of AWS: the source that says so, the test that fails when the laptop does otherwise,
and where the laptop falls short of it. Rows are declared on the tests (`@pytest.mark.fidelity`), so that none
outlives its test; `make docs` writes this page. Of {len(found)} rows {documented} are in AWS's documentation,
{others} in what others published, mostly recorded from AWS, {unsourced} in neither; {short} fall short.
None was tried against a real account. What the laptop does not do at all is listed at the end.
""".splitlines()
    for service, group in groupby(found, key=lambda row: row.service):
        lines += ["", f"## {service}", *table("behaviour", "source", "test", "falls short"), *map(str, group)]
    lines += ["", "## What AWS does that the laptop does not show", ""]
    lines += [f"- {said} (`{path}`)" for path, said in not_honoured()]
    lines += ["", "What a template may say there, to no effect:", *table("where", "property", "why")]
    lines += [f"| `{where}` | {name} | {why} |" for where, name, why in ignored()]
    lines += ["", "Any other property that is not imitated stops the run, as does each of these:", ""]
    lines += [f"- {said} (`{path}`)" for path, said in refused()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
