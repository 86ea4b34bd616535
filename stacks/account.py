"""The AWS account that the environment's credentials are of, and what of Freshet stands in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any  # boto3's clients have no types, and a template is as mixed as JSON

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    InvalidRegionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import ConnectionError as NotConnected

PREFIX = "freshet-"
ABOUT = "Freshet: "  # begins the description of each stack
# Nothing has stood there yet, and the next deploy begins anew.
NEVER_STOOD = ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
TOOLKIT = "CDKToolkit"
OLD_CREDENTIALS = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
WRONG_CREDENTIALS = ("InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException")


class Refused(RuntimeError):
    """Nothing was changed; the message says why and what to do."""


def sentence(error: Exception) -> str:
    """What AWS, or the way to it, refused, and what to do."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return "There are no AWS credentials; sign in (aws sso login, aws configure) or set AWS_PROFILE."
    if isinstance(error, ProfileNotFound):
        return f"{error}; set AWS_PROFILE to one of ~/.aws/config."
    if isinstance(error, InvalidRegionError):
        return f"{str(error).rstrip('.')}; say a Region such as AWS_REGION=eu-central-1."
    if isinstance(error, NotConnected | HTTPClientError):
        reason = str(error).rstrip(".")
        return f"AWS cannot be reached: {reason}; see whether the network and the Region are right."
    if not isinstance(error, ClientError):
        return f"The AWS credentials cannot be used: {str(error).rstrip('.')}; sign in again (aws sso login)."
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"].rstrip(".")
    if code in OLD_CREDENTIALS:
        return "The AWS credentials have expired; sign in again (aws sso login) or fetch new ones."
    if code in WRONG_CREDENTIALS:
        return "AWS does not know these credentials; see AWS_PROFILE, AWS_ACCESS_KEY_ID and the others."
    return f"AWS refused {error.operation_name} ({code}: {message}); use credentials that may do it."


@dataclass(frozen=True)
class Stack:
    """A stack: its resources as its template says, their physical ids, its outputs; one that has never stood
    has none of these.
    """

    name: str
    resources: Mapping[str, Mapping[str, Any]]
    ids: Mapping[str, str]
    outputs: Mapping[str, str]

    def of_type(self, kind: str) -> list[str]:
        """The physical ids of the resources of a type."""
        return [
            self.ids[name]
            for name, each in self.resources.items()
            if each["Type"] == kind and name in self.ids
        ]


@dataclass(frozen=True)
class Account:
    number: str
    region: str
    who: str

    @classmethod
    def signed_in(cls) -> Account:
        """Raises `Refused` where the credentials are missing, wrong or of no Region."""
        try:
            region = os.environ.get("AWS_REGION") or boto3.Session().region_name
            if not region:
                raise Refused("No Region is set; say AWS_REGION=eu-central-1, or region= in the AWS profile.")
            identity = boto3.client("sts", region_name=region).get_caller_identity()
        except (BotoCoreError, ClientError) as error:
            raise Refused(sentence(error)) from None
        return cls(identity["Account"], region, identity["Arn"])

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=self.region)

    @property
    def words(self) -> str:
        return f"account {self.number}, Region {self.region}, as {self.who}"

    @cached_property
    def stacks(self) -> dict[str, Stack]:
        """The stacks of Freshet by name. Raises `Refused` while one of them is being changed."""
        cloudformation, found = self.client("cloudformation"), {}
        for page in cloudformation.get_paginator("describe_stacks").paginate():
            for each in page["Stacks"]:
                name, status = each["StackName"], each["StackStatus"]
                if not (name.startswith(PREFIX) and each.get("Description", "").startswith(ABOUT)):
                    continue
                if status in NEVER_STOOD:
                    found[name] = Stack(name, {}, {}, {})
                    continue
                if status.endswith("_IN_PROGRESS"):
                    raise Refused(
                        f"The stack {name} is being changed ({status}); wait for its end, then again."
                    )
                outputs = {one["OutputKey"]: one["OutputValue"] for one in each.get("Outputs", [])}
                found[name] = Stack(name, *self._parts(name), outputs)
        return found

    def _parts(self, stack: str) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        cloudformation = self.client("cloudformation")
        template = cloudformation.get_template(StackName=stack)["TemplateBody"]
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
        ids = {
            each["LogicalResourceId"]: each.get("PhysicalResourceId", "")
            for page in pages
            for each in page["StackResourceSummaries"]
            if each["ResourceStatus"] != "DELETE_COMPLETE"
        }
        return template["Resources"], ids

    def bootstrapped(self, parameter: str) -> int:
        """The version of what `cdk bootstrap` has made here; 0 where it has made nothing."""
        ssm = self.client("ssm")
        try:
            return int(ssm.get_parameter(Name=parameter)["Parameter"]["Value"])
        except ssm.exceptions.ParameterNotFound:
            return 0

    def unconfirmed(self) -> list[str]:
        """The addresses whose owners have not confirmed yet that they want to be told."""
        sns, found = self.client("sns"), []
        for stack in self.stacks.values():
            for topic in stack.of_type("AWS::SNS::Topic"):
                pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
                found += [
                    each["Endpoint"]
                    for page in pages
                    for each in page["Subscriptions"]
                    if each["SubscriptionArn"] in ("PendingConfirmation", "pending confirmation")
                ]
        return list(dict.fromkeys(found))

    def sandboxed(self) -> list[str] | None:
        """The numbers that SMS go to while the account is in the sandbox; none where it is out of it."""
        sns = self.client("sns")
        if not sns.get_sms_sandbox_account_status()["IsInSandbox"]:
            return None
        pages = sns.get_paginator("list_sms_sandbox_phone_numbers").paginate()
        numbers = (each for page in pages for each in page["PhoneNumbers"])
        return [each["PhoneNumber"] for each in numbers if each["Status"] == "Verified"]
