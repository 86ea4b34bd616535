"""A synthesized template as tests read it: resources by logical id, intrinsic functions as text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # a template's values are as deep and as mixed as JSON


@dataclass(frozen=True)
class Resource:
    stack: str
    logical_id: str
    type: str
    properties: Any
    deletion_policy: str
    depends_on: list[str]


def resources(cdk_out: Path, type: str = "", *, stack: str = "") -> list[Resource]:
    """Every resource of the assembly, or those of one type or stack."""
    found: list[Resource] = []
    for path in sorted(cdk_out.glob("*.template.json")):
        name = path.name.removesuffix(".template.json")
        for logical_id, each in json.loads(path.read_text())["Resources"].items():
            if type in ("", each["Type"]) and stack in ("", name):
                found.append(
                    Resource(
                        stack=name,
                        logical_id=logical_id,
                        type=each["Type"],
                        properties=text(each.get("Properties", {})),
                        deletion_policy=each.get("DeletionPolicy", ""),
                        depends_on=each.get("DependsOn", []),
                    )
                )
    return found


def only(cdk_out: Path, type: str, *, stack: str, starting: str = "") -> Resource:
    """The one resource of a type in a stack, or the one whose logical id begins so."""
    found = [each for each in resources(cdk_out, type, stack=stack) if each.logical_id.startswith(starting)]
    assert len(found) == 1, f"{len(found)} {type} in {stack} begin with {starting!r}"
    return found[0]


def text(value: Any) -> Any:
    """The value with references as `<id>`, attributes as `<id.attribute>`, imports as `<export>` and
    the items of a list as `<id>[0]`."""
    if isinstance(value, list):
        return [text(each) for each in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        name, inner = next(iter(value.items()))
        if name == "Ref":
            return f"<{inner}>"
        if name == "Fn::GetAtt":
            return f"<{inner[0]}.{inner[1]}>"
        if name == "Fn::ImportValue":
            return f"<{text(inner)}>"
        if name == "Fn::Join":
            return inner[0].join(text(each) for each in inner[1])
        if name == "Fn::Select":
            return f"{text(inner[1])}[{inner[0]}]"
        if name == "Fn::Sub":
            return inner
    return {name: text(inner) for name, inner in value.items()}


def statements(cdk_out: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement that allows a role something, its actions a list, with `stack/policy` before it."""
    for policy in resources(cdk_out, "AWS::IAM::Policy"):
        for statement in policy.properties["PolicyDocument"]["Statement"]:
            listed = {name: listing(statement[name]) for name in ("Action", "Resource") if name in statement}
            yield f"{policy.stack}/{policy.logical_id}", {**statement, **listed}


def listing(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
