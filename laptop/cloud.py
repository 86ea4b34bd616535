"""A laptop's AWS: deploys a cloud assembly (cdk.out), the very templates, into moto in this process.

Not honoured: encryption, lifecycle rules, alarms that change state, what spreads only after a while, updates,
deletion.
"""

import contextlib
import io
import json
import os
import zipfile
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from types import TracebackType
from typing import Any, Self  # boto3's clients and moto's parser have no types
from unittest import mock

import boto3
import botocore.loaders
import botocore.session
from moto import mock_aws
from moto.cloudformation import parsing
from moto.cloudformation.models import cloudformation_backends

from laptop import repairs
from laptop.clock import Clock
from laptop.policies import Policies
from laptop.resources import ACCOUNT, DeployError, Properties, Resource

# No credential, profile, endpoint or metadata service of the user's is ever read.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "laptop",
    "AWS_SECRET_ACCESS_KEY": "laptop",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    # moto knows no endpoint that has an account's number in it: DynamoDB Streams would answer 404.
    "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled",
}

_SERVICE_MODELS = (
    botocore.loaders.create_loader()
)  # megabytes of JSON, which a second account need not read again


class Cloud:
    """An account that lives as long as the `with` block.

    `resources` holds everything deployed, with resolved properties, by stack and logical id (the stacks of
    two pipelines share logical ids). `policies` enforces what roles may do. `assets` names the folder or file
    in the cloud assembly behind each uploaded bucket and key.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.region = "us-east-1"
        self.resources: dict[tuple[str, str], Resource] = {}
        self.assets: dict[tuple[str, str], Path] = {}
        self.policies = Policies(self.resources)
        self._clients: dict[str, Any] = {}
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opening:
            kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
            opening.enter_context(mock.patch.dict(os.environ, kept | ENVIRONMENT, clear=True))
            opening.enter_context(mock_aws(config={"lambda": {"use_docker": False}}))
            opening.enter_context(repairs.simulated_time(self.clock))
            opening.enter_context(self.policies.enforced())
            # After that, since a session knows the hooks that were there when it was made.
            session = botocore.session.Session()
            session.register_component("data_loader", _SERVICE_MODELS)
            boto3_session = boto3.Session(botocore_session=session)
            opening.enter_context(mock.patch("boto3.DEFAULT_SESSION", boto3_session))
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def client(self, service: str) -> Any:
        """A boto3 client of this account, made once."""
        if service not in self._clients:
            self._clients[service] = boto3.client(service, region_name=self.region)
        return self._clients[service]

    def of_type(self, type_name: str) -> list[Resource]:
        return [resource for resource in self.resources.values() if resource.type == type_name]

    def catalog(self) -> list[Properties]:
        """Glue's tables and views: each Glue's own structure, with its DatabaseName and its Partitions."""
        glue = self.client("glue")
        databases = [database["Name"] for database in glue.get_databases()["DatabaseList"]]
        found = [t for name in databases for t in glue.get_tables(DatabaseName=name)["TableList"]]
        for table in found:
            where = {"DatabaseName": table["DatabaseName"], "TableName": table["Name"]}
            table["Partitions"] = glue.get_partitions(**where)["Partitions"]
        return found

    def deploy(self, cdk_out: Path) -> None:
        """Create every resource of every stack of a cloud assembly, or stop and say which one cannot be."""
        manifest = cdk_out / "manifest.json"
        if not manifest.exists():
            raise DeployError(
                f"{cdk_out} holds no cloud assembly. Synthesize the app into it first: python app.py"
            )
        artifacts: dict[str, Any] = json.loads(manifest.read_text())["artifacts"]
        by_type: dict[str, dict[str, Any]] = {}
        for name, artifact in artifacts.items():
            by_type.setdefault(artifact["type"], {})[name] = artifact
        if nested := by_type.get("cdk:cloud-assembly"):
            raise DeployError(
                f"{manifest} holds a nested cloud assembly, {next(iter(nested))}. Deploy its folder instead, "
                "or put the stacks into the app itself."
            )
        stacks = by_type.get("aws:cloudformation:stack", {})
        self.region = self.policies.region = self._region(stacks)
        os.environ["AWS_DEFAULT_REGION"] = self.region
        for artifact in by_type.get("cdk:asset-manifest", {}).values():
            self._upload(cdk_out, json.loads((cdk_out / artifact["properties"]["file"]).read_text()))
        needs = {name: [n for n in a.get("dependencies", []) if n in stacks] for name, a in stacks.items()}
        for name in TopologicalSorter(needs).static_order():
            properties = stacks[name]["properties"]
            template = (cdk_out / properties["templateFile"]).read_text()
            self._create(properties.get("stackName", name), template, properties.get("parameters", {}))

    def _region(self, stacks: dict[str, Any]) -> str:
        places = {stack["environment"].removeprefix("aws://") for stack in stacks.values()}
        accounts = {place.split("/")[0] for place in places} - {"unknown-account", ACCOUNT}
        regions = {place.split("/")[1] for place in places} - {"unknown-region"}
        if accounts or len(regions) > 1:
            raise DeployError(
                f"The stacks are bound to {' and '.join(sorted(places))}, but a laptop's AWS is one Region "
                f"of the account {ACCOUNT}. Synthesize them without an account and for one Region."
            )
        return regions.pop() if regions else self.region

    def _upload(self, cdk_out: Path, manifest: dict[str, Any]) -> None:
        if manifest.get("dockerImages"):
            raise DeployError(
                f"{cdk_out} names a Docker image; a laptop's functions run from file assets only."
            )
        s3 = self.client("s3")
        place = {"AWS::AccountId": ACCOUNT, "AWS::Region": self.region, "AWS::Partition": "aws"}
        for asset in manifest.get("files", {}).values():
            path = cdk_out / asset["source"]["path"]
            for destination in asset["destinations"].values():
                bucket, key = destination["bucketName"], destination["objectKey"]
                for name, value in place.items():
                    bucket = bucket.replace(f"${{{name}}}", value)
                if (bucket, key) in self.assets:
                    continue
                if bucket not in {bucket for bucket, _ in self.assets}:
                    elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
                    s3.create_bucket(Bucket=bucket, **(elsewhere if self.region != "us-east-1" else {}))
                s3.put_object(
                    Bucket=bucket, Key=key, Body=_zipped(path) if path.is_dir() else path.read_bytes()
                )
                self.assets[bucket, key] = path

    def _create(self, stack: str, template: str, parameters: dict[str, str]) -> None:
        document: dict[str, Any] = json.loads(template)
        wanted = {k: r for k, r in document["Resources"].items() if r["Type"] != "AWS::CDK::Metadata"}
        for parameter in document.get("Parameters", {}).values():
            # The version of the bootstrap stack, which every template asks for.
            if str(parameter.get("Default", "")).startswith("/cdk-bootstrap/"):
                self.client("ssm").put_parameter(
                    Name=parameter["Default"], Value="30", Type="String", Overwrite=True
                )
        with self._recorded(stack):
            try:
                created = cloudformation_backends[ACCOUNT][self.region].create_stack(
                    stack, json.dumps(document | {"Resources": wanted}), parameters
                )
            except DeployError:
                raise
            except Exception as error:
                raise DeployError(
                    f"Stack {stack} was refused: {_reason(error)}. Mend its template."
                ) from error
        conditions = created.resource_map.lazy_condition_map
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
        there = {r["LogicalResourceId"] for page in pages for r in page["StackResourceSummaries"]}
        for logical_id, resource in wanted.items():
            if logical_id not in there and conditions.get(resource.get("Condition"), True):
                raise DeployError(
                    f"Stack {stack}, resource {logical_id} ({resource['Type']}) does not exist after the "
                    "deploy, though nothing reported an error. Give its type a row in laptop/resources.py."
                )

    @contextlib.contextmanager
    def _recorded(self, stack: str) -> Iterator[None]:
        """moto's way to create one resource says what was wrong and leaves a record of what was created."""
        create = parsing.parse_and_create_resource
        name = parsing.parse_resource_and_generate_name
        resolved: dict[str, Properties] = {}

        def named(logical_id: str, *arguments: Any) -> Any:
            model, document, physical_name = name(logical_id, *arguments)
            properties = document["Properties"]
            # A copy, as moto writes into what it is given; as JSON, as a Ref may answer with a model.
            resolved[logical_id] = json.loads(json.dumps(properties))
            if properties.get("FifoQueue") and not physical_name.endswith(".fifo"):
                physical_name = f"{physical_name[:75]}.fifo"  # CloudFormation knows, moto does not
            return model, document, physical_name

        def recorded(logical_id: str, resource: dict[str, Any], *arguments: Any, **more: Any) -> Any:
            kind = resource["Type"]
            where = f"Stack {stack}, resource {logical_id} ({kind})"
            if kind not in parsing.get_model_map():
                raise DeployError(
                    f"{where}: nothing on the laptop creates this type. Give it a row in laptop/resources.py."
                )
            try:
                created = create(logical_id, resource, *arguments, **more)
            except DeployError:
                raise  # it names the resource that this one needs
            except Exception as error:
                raise DeployError(
                    f"{where} was refused: {_reason(error)}. Mend the template, or the type's row in "
                    "laptop/resources.py."
                ) from error
            if created is not None:
                self.resources[stack, logical_id] = Resource(
                    stack=stack,
                    logical_id=logical_id,
                    type=kind,
                    physical_id=str(getattr(created, "physical_resource_id", logical_id)),
                    properties=resolved[logical_id],
                )
            return created

        with (
            mock.patch.object(parsing, "parse_and_create_resource", recorded),
            mock.patch.object(parsing, "parse_resource_and_generate_name", named),
        ):
            yield


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).rstrip('.')}"


def _zipped(folder: Path) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder))
    return archive.getvalue()
