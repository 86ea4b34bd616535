"""Writes policies.md: what each role of the deployment may do, and how that is proven.

Deploys the app of all pipelines into the laptop's AWS and runs the exercise of tests/policies there.
"""

import re
import tempfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any  # a policy is as mixed as JSON

from laptop.assembly import assembly
from laptop.cloud import Cloud
from laptop.policies import ASSUME_ROLE
from pipelines import discovery
from tests.policies.exercise import exercised
from tests.policies.proof import UNATTACHED, UNPROVEN, Grant, Proof, plain

PAGE = Path(__file__).parent / "policies.md"
POLICIES = {
    "AWS::KMS::Key": "KeyPolicy",
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SNS::TopicPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
}
JUDGED = {
    "Deny": "at each call of a role",
    "Service": "no: the service acts in its own name, which the laptop's does not",
    "AWS": "no: it lets the policies of roles count, and the laptop counts these alone",
}
# Whose grants are the same but for a name: what stands for the name.
PIPELINE, TABLE = "{pipeline}", "{table}"


def general(text: str, names: dict[str, str]) -> str:
    for name, placeholder in names.items():
        text = re.sub(rf"(?<![a-z]){name.replace('_', '[_-]')}(?![a-z])", placeholder, text)
    return text


def names_of(grant: Grant, proof: Proof) -> dict[str, str]:
    """What of the grant is the name of its pipeline, or of the table that a delivery writes."""
    if pipeline := proof.pipelines.get(grant.role.stack):
        return {pipeline: PIPELINE}
    name = grant.role_name.rpartition("/")[2].removesuffix("Delivery")
    return {re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower(): TABLE, name: TABLE}


def how(grant: Grant) -> str:
    if not grant.is_proven:
        return "not here: below"
    return "by a call" if grant.is_called else "in its name"


def rows(grants: Iterable[Grant], proof: Proof) -> Iterator[tuple[str, str, str, str, str, str]]:
    """Role, its service, action, resource, how it is proven, and which of the pipelines or tables has it."""
    for grant in grants:
        names = names_of(grant, proof)
        condition = grant.statement.document.get("Condition", {})
        where = [f"{key} {value}" for keys in condition.values() for key, value in sorted(keys.items())]
        on = general(" where ".join([grant.on, *where[:1]]), names)
        yield general(grant.role_name, names), grant.service, grant.action, on, how(grant), next(iter(names))


def table(*columns: str) -> list[str]:
    return ["", f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]


def of_roles(found: list[tuple[str, str, str, str, str, str]]) -> Iterator[str]:
    for (role, service), group in groupby(sorted(found), key=lambda row: row[:2]):
        having: dict[tuple[str, str, str], set[str]] = {}
        for _, _, action, on, proven, whose in group:
            having.setdefault((on, proven, action), set()).add(whose)
        everybody = set().union(*having.values())
        merged: dict[tuple[str, str, str], list[str]] = {}
        for (on, proven, action), some in sorted(having.items()):
            only = "" if some == everybody else ", ".join(sorted(some))
            if action != ASSUME_ROLE:
                merged.setdefault((on, proven, only), []).append(action)
        yield from ("", f"### {role}")
        yield from ("", f"Trusted to {service} alone.")
        yield from table("may", "on", "proven")
        alike: dict[tuple[str, str], list[str]] = {}
        for (on, proven, only), actions in merged.items():
            alike.setdefault((", ".join(actions), proven), []).append(f"{on} ({only})" if only else on)
        for (may, proven), where in alike.items():
            yield f"| {may} | {', '.join(where)} | {proven} |"


def of_resources(cloud: Cloud) -> Iterator[str]:
    """A row for each statement of a bucket, key, queue or topic; alike ones share one."""
    found: dict[tuple[str, str, str, str], set[str]] = {}
    for resource in cloud.resources.values():
        for statement in resource.properties.get(POLICIES.get(resource.type, ""), {}).get("Statement", []):
            found.setdefault(said(statement), set()).add(plain(resource.logical_id))
    for (effect, who, what, judged), where in sorted(found.items()):
        yield f"| {', '.join(sorted(where))} | {effect} {who} | {what} | {judged} |"


def said(statement: dict[str, Any]) -> tuple[str, str, str, str]:
    principal = statement["Principal"]
    [(kind, who)] = principal.items() if isinstance(principal, dict) else [("AWS", principal)]
    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    conditions = statement.get("Condition", {}).items()
    where = [
        f"{key} {'below ' if operator == 'NumericLessThan' else ''}{value}"
        for operator, keys in conditions
        for key, value in keys.items()
        if not str(value).startswith("arn:")
    ]
    what = ", ".join(actions) + (f" where {' and '.join(where)}" if where else "")
    who = {"*": "everybody"}.get(who, "the account" if who.endswith(":root") else who)
    effect = statement["Effect"]
    return effect, who, what, JUDGED["Deny" if effect == "Deny" else kind]


def page(cloud: Cloud) -> str:
    proof = Proof(cloud)
    found = list(rows(proof.grants, proof))
    proven, roles = sum(grant.is_proven for grant in proof.grants), cloud.of_type("AWS::IAM::Role")
    lines = f"""\
# What each role may do

Every function, delivery, mapping, schedule, rule and job runs on the laptop under its own role's policies as
they were synthesized. `make docs` writes this page from one exercise of everything they do.

A grant is one action on one resource. {proven} of {len(proof.grants)} grants to {len(roles)} roles are
proven: the exercise needs each, and without it the same requests are denied with that action's name. Tests
fail where that is not so, and where a grant is neither used nor listed below with its reason
(`tests/policies`).

- *by a call*: the role calls it through boto3, or the laptop's service does in the role's name.
- *in its name*: AWS does it in the role's name without a call that could be seen here: what encryption asks
  of a key, what polls a stream or a queue, what writes a log, what invokes a function.

{PIPELINE} stands for each pipeline, {TABLE} for each table of results; a name in brackets says that one only
has the grant. Names that CloudFormation makes up are given as logical ids.

## By role""".splitlines()
    lines += of_roles(found)
    lines += ["", "## What cannot be proven on a laptop"]
    lines += table("role", "may", "on", "why", "who asks for it")
    for entry in UNPROVEN:
        named = [row for grant, row in zip(proof.grants, found, strict=True) if entry.names(grant)]
        roles_of, on = ({row[place] for row in named} for place in (0, 3))
        said_by = entry.source.partition("#")[0].rpartition("/")[2].removesuffix(".html")
        lines.append(
            f"| {', '.join(sorted(roles_of))} | {', '.join(entry.actions.split())} | {', '.join(sorted(on))} "
            f"| {entry.why} | [{said_by}]({entry.source}) |"
        )
    lines += ["", "## What no role has until somebody attaches it", ""]
    lines += [f"- {name}: run under by [{path}](../{path})" for name, path in UNATTACHED.items()]
    lines += ["", "## What the policies of resources say, and what of it the laptop judges"]
    lines += table("policy", "whom", "what", "judged")
    lines += of_resources(cloud)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        synthesized = assembly({"freshet": {"pipelines": discovery.names()}})
        with exercised(synthesized, Path(folder)) as account:
            PAGE.write_text(page(account))
