"""What the exercise proves of each grant, and what cannot be proven on a laptop, with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from botocore.exceptions import ClientError

from laptop.cloud import Cloud
from laptop.policies import Policies, Request, Statement
from laptop.resources import ACCOUNT, Resource
from laptop.run import pipeline_of

FIREHOSE = "https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html"
LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg"
# Whose names are made up when they are deployed.
NAMELESS = {
    "AWS::DynamoDB::Table",
    "AWS::KMS::Key",
    "AWS::Kinesis::Stream",
    "AWS::KinesisFirehose::DeliveryStream",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Logs::LogGroup",
    "AWS::Logs::LogStream",
    "AWS::S3::Bucket",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
    "AWS::StepFunctions::StateMachine",
}


@dataclass(frozen=True, kw_only=True)
class Unproven:
    """Grants that AWS's documentation asks for and nothing here needs, and the reason."""

    roles: str
    actions: str
    on: str = "*"
    why: str
    source: str

    def names(self, grant: Grant) -> bool:
        is_its = fnmatchcase(grant.role_name, self.roles) and fnmatchcase(grant.on, self.on)
        return is_its and grant.action in self.actions.split()


UNPROVEN = [
    Unproven(
        roles="*Delivery",
        actions="""s3:AbortMultipartUpload s3:GetBucketLocation s3:GetObject s3:ListBucket
            s3:ListBucketMultipartUploads""",
        why="Firehose asks for it, to write a large file in parts. The laptop's writes a file by one put.",
        source=f"{FIREHOSE}#using-iam-s3",
    ),
    Unproven(
        roles="freshet-lake/*Delivery",
        actions="kms:Decrypt",
        why="Firehose asks for it: S3 reads a file's parts when it joins them. The laptop makes no parts.",
        source=f"{FIREHOSE}#using-iam-s3",
    ),
    Unproven(
        roles="*Delivery",
        actions="glue:GetTableVersion glue:GetTableVersions",
        why="Firehose asks for it, to convert by a version of a table. The laptop reads the table as it is.",
        source=f"{FIREHOSE}#using-iam-glue",
    ),
    Unproven(
        roles="*/EventsDelivery",
        actions="lambda:GetFunctionConfiguration",
        why="Firehose asks for it beside the right to invoke the transform. The laptop has no such call.",
        source=f"{FIREHOSE}#using-iam-s3",
    ),
    Unproven(
        roles="*/Detect",
        actions="kinesis:DescribeStreamSummary",
        why="Lambda asks for it to read a stream. The laptop has no such call.",
        source=f"{LAMBDA}/services-kinesis-create.html",
    ),
]


# Policies that nobody has until somebody attaches them, and the tests that run under each of them.
UNATTACHED = {
    "RedrivePolicy": "tests/operate/test_redrive.py",
    "SmokePolicy": "tests/operate/test_smoke.py",
}


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One action on one resource that one role is allowed.

    `requests` are those of the exercise that it allows; `denials` what they are told without it. `on` names
    what is deployed by its logical id.
    """

    role: Resource
    role_name: str
    service: str
    on: str
    statement: Statement
    requests: list[Request]
    denials: list[str]

    def __str__(self) -> str:
        return f"{self.role_name}: {self.action} on {self.on} ({self.statement})"

    @property
    def action(self) -> str:
        return str(self.statement.document["Action"])

    @property
    def is_proven(self) -> bool:
        return any(f"to perform {self.action} on " in denial for denial in self.denials)

    @property
    def is_called(self) -> bool:
        """Whether a call through boto3 shows it, not only what a service does in the role's name."""
        return any(not request.is_implied for request in self.requests)


class Proof:
    """All grants of a deployment whose policies have been exercised."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    @cached_property
    def grants(self) -> list[Grant]:
        return [grant for role in self._cloud.of_type("AWS::IAM::Role") for grant in self._of(role)]

    def _of(self, role: Resource) -> Iterator[Grant]:
        policies, arn = self._cloud.policies, f"arn:aws:iam::{ACCOUNT}:role/{role.name}"
        statements = policies.grants(arn)
        [service] = [each.document["Resource"] for each in statements if each.is_trust]
        for statement in statements:
            requests = [request for request, by in policies.journal.items() if statement in by]
            document = statement.document
            yield Grant(
                role=role,
                role_name=f"{role.stack}/{plain(role.logical_id)}",
                service=service,
                on=self.described(document["Resource"])
                if "Resource" in document
                else f"all but {document['NotResource']}",
                statement=statement,
                requests=requests,
                denials=list(denials(policies.without(arn, statement), requests)),
            )

    def described(self, arn: str) -> str:
        """An ARN's own part with logical ids for names that were made up."""
        tokens = re.split(r"([:/])", arn.split(":", 5)[-1])
        named = "".join(self._logical.get(token, token) for token in tokens)
        return re.sub("[0-9a-f]{64}", "…", named.replace(ACCOUNT, "{account}"))

    @cached_property
    def _logical(self) -> dict[str, str]:
        return {
            each.name: plain(each.logical_id)
            for each in self._cloud.resources.values()
            if each.type in NAMELESS
        }

    @property
    def unattached(self) -> set[str]:
        """The policies that no role has."""
        policies = self._cloud.of_type("AWS::IAM::ManagedPolicy")
        return {plain(one.logical_id) for one in policies if not one.properties.get("Roles")}

    @cached_property
    def pipelines(self) -> dict[str, str]:
        """Each pipeline by its stack."""
        functions = self._cloud.of_type("AWS::Lambda::Function")
        return {one.stack: name for one in functions if (name := pipeline_of(one))}


def denials(policies: Policies, requests: list[Request]) -> Iterator[str]:
    for request in requests:
        try:
            policies.demand(request)
        except ClientError as denial:
            yield str(denial)


def plain(logical_id: str) -> str:
    """A logical id without the hash that the CDK adds; a role's also without Role, as DetectRole0844D58E."""
    return re.sub(r"[0-9A-F]{8}$", "", logical_id).removesuffix("Role")
