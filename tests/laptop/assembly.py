"""Hand-written cloud assemblies: what the CDK would write into cdk.out, as small as a test needs it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ASSETS = "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"


def write_assembly(
    folder: Path,
    stacks: Mapping[str, Mapping[str, Any]],
    *,
    code: Mapping[str, str] | None = None,
    needs: Mapping[str, list[str]] | None = None,
    environment: str = "aws://unknown-account/unknown-region",
) -> Path:
    """Write one template a stack (its Resources, or a whole template) and one asset, `code`, by file name."""
    asset = folder / "asset.code"
    for name, text in (code or {}).items():
        file = asset / name
        file.parent.mkdir(parents=True, exist_ok=True)
        (file.parent / "__init__.py").touch()
        file.write_text(text)
    artifacts: dict[str, Any] = {}
    for name, resources in stacks.items():
        template = resources if "Resources" in resources else {"Resources": resources}
        version = {
            "Type": "AWS::SSM::Parameter::Value<String>",
            "Default": "/cdk-bootstrap/hnb659fds/version",
        }
        (folder / f"{name}.template.json").write_text(
            json.dumps({"Parameters": {"BootstrapVersion": version}, **template})
        )
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": environment,
            "properties": {"templateFile": f"{name}.template.json"},
            "dependencies": [*(needs or {}).get(name, []), f"{name}.assets"],
        }
    if code:
        destination = {"here": {"bucketName": ASSETS, "objectKey": "code.zip"}}
        files = {"code": {"source": {"path": "asset.code", "packaging": "zip"}, "destinations": destination}}
        (folder / "app.assets.json").write_text(json.dumps({"files": files}))
        artifacts["app.assets"] = {"type": "cdk:asset-manifest", "properties": {"file": "app.assets.json"}}
    (folder / "manifest.json").write_text(json.dumps({"version": "40.0.0", "artifacts": artifacts}))
    return folder


def role(*statements: Mapping[str, Any], service: str = "lambda.amazonaws.com") -> dict[str, Any]:
    """A role that a service may assume, with an inline policy; a function's may write its log, too."""
    log = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [
                {
                    "PolicyName": "does",
                    "PolicyDocument": {"Version": "2012-10-17", "Statement": [log, *statements]},
                }
            ],
        },
    }


def function(*, role: str = "Role", handler: str = "work.handler", **more: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Code": {"S3Bucket": {"Fn::Sub": ASSETS}, "S3Key": "code.zip"},
            "Handler": handler,
            "Role": arn(role),
            "Runtime": "python3.13",
            **more,
        },
    }


def arn(logical_id: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [logical_id, "Arn"]}


def ref(logical_id: str) -> dict[str, Any]:
    return {"Ref": logical_id}


def allow(*actions: str, on: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": on, **more}
