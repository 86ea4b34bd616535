"""What `freshet check` asks of every pipeline's templates and SQL: cdk-nag, cfn-lint and the SQL gate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any  # a manifest is as mixed as JSON

from pipelines import discovery
from sql import gate

ROOT = Path(__file__).parents[1]
SQL_FILES = ("stacks/views/*.sql", "pipelines/*/views/*.sql", "pipelines/*/queries/*.sql")
REPORT = "validation-report.json"  # of every gate that the app has run, whether it found anything or not
WRITTEN = {".css", ".html", ".j2", ".js", ".py", ".sql"}
MOST_LAPTOP = (
    0.5  # what imitates must stay a fraction of what it imitates for, or it is what has to be proven
)
# "Dependency already enforced": CDK makes a function wait for its role's policy by naming the role once more.
ALLOWED_BY_LINT = ["W3005"]


def run() -> list[str]:
    """Every finding as a sentence; none is good."""
    with tempfile.TemporaryDirectory() as folder:
        cdk_out = Path(folder)
        done = synthesize(cdk_out, {"pipelines": ",".join(discovery.names()), "nag": True})
        found = list(nag_findings(cdk_out))
        if done.returncode and not found:
            return [done.stderr.strip()]
        return [*found, *lint_findings(cdk_out), *sql_findings(cdk_out)]


def lines_of(room: str) -> int:
    """Lines of everything that somebody wrote in a room."""
    files = [path for path in (ROOT / room).rglob("*") if path.suffix in WRITTEN]
    return sum(len(path.read_text().splitlines()) for path in files)


def size() -> tuple[str, bool]:
    """How large the laptop's AWS is beside what it proves, in words, and whether that is below half."""
    laptop, proven = lines_of("laptop"), lines_of("stacks") + lines_of("lambdas")
    share = laptop / proven
    words = f"laptop/ has {laptop:,} lines, {share:.0%} of the {proven:,} in stacks/ and lambdas/"
    return words, share < MOST_LAPTOP


def synthesize(cdk_out: Path, context: Mapping[str, object]) -> subprocess.CompletedProcess[str]:
    """Run the app as the CLI would, with this context, into a folder."""
    environment = {
        "JSII_NODE": str(Path(sys.prefix, "node")),
        **os.environ,
        "CDK_OUTDIR": str(cdk_out),
        "CDK_CONTEXT_JSON": json.dumps(context),
    }
    return subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def stack_manifest(assembly: Path) -> dict[str, Any]:
    """The stacks of a cloud assembly in the order of their deployment. Its folder may hold templates of
    earlier ones too.
    """
    artifacts = json.loads((assembly / "manifest.json").read_text())["artifacts"]
    return {
        name: each["properties"]
        for name, each in artifacts.items()
        if each["type"] == "aws:cloudformation:stack"
    }


def nag_findings(cdk_out: Path) -> Iterator[str]:
    """What cdk-nag found and nobody acknowledged."""
    report = cdk_out / REPORT
    if not report.exists():
        return
    for plugin in json.loads(report.read_text())["pluginReports"]:
        for violation in plugin["violations"]:
            for construct in violation["violatingConstructs"]:
                yield (
                    f"{construct['constructPath']}: {violation['ruleName']}: {violation['description']} "
                    "Mend it, or acknowledge it there with the reason."
                )


def lint_findings(cdk_out: Path) -> Iterator[str]:
    """What cfn-lint finds in the templates."""
    # Here, since it takes three seconds, which is not for those to wait who only synthesize.
    from cfnlint.api import ManualArgs, lint_by_config

    templates = [str(template) for template in sorted(cdk_out.glob("*.template.json"))]
    for match in lint_by_config(ManualArgs(templates=templates, ignore_checks=ALLOWED_BY_LINT)):
        where = "/".join([Path(match.filename).name, *(str(part) for part in match.path or ())])
        yield f"{where}: {match.rule.id}: {match.message}. Mend the construct that makes it."


def sql_findings(cdk_out: Path) -> list[str]:
    """What the SQL gate finds in the views and saved queries, over the tables of the templates."""
    schemas: dict[str, dict[str, str]] = {}
    for template in cdk_out.glob("*.template.json"):
        for resource in json.loads(template.read_text())["Resources"].values():
            if resource["Type"] == "AWS::Glue::Table":
                table = resource["Properties"]["TableInput"]
                columns = [*table["StorageDescriptor"]["Columns"], *table.get("PartitionKeys", ())]
                schemas[table["Name"]] = {column["Name"]: column["Type"] for column in columns}
    return gate.check((path for files in SQL_FILES for path in ROOT.glob(files)), schemas)
