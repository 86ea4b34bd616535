"""What a role may do, judged by its synthesized policies at each call made through boto3 while it acts.

A call that laptop/actions.py does not know, or a policy that this file cannot read, raises PolicyError:
nothing is allowed for want of knowledge. What the policy of a bucket, queue, topic or key denies is denied.
Not honoured: what such a policy allows beyond the role's own policies, session policies, policy variables.
"""

import contextlib
import functools
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple  # parameters and policies are as mixed as JSON; botocore has no types
from unittest import mock

from botocore import handlers
from botocore.exceptions import ClientError
from moto.iam.aws_managed_policies import aws_managed_policies_data

from laptop.actions import ACTIONS, Parameters, asked
from laptop.resources import ACCOUNT, Resource

Context = Mapping[str, str | None]  # a condition key in lower case → its value; None where the call has none
ASSUME_ROLE = "sts:AssumeRole"


class PolicyError(BaseException):
    """What cannot be judged: a call, a role or a condition; and what to do.

    No Exception, so that a handler which goes on after any of those cannot hide it.
    """


# By service: whose properties name the key that encrypts, and where.
_KEYS = {
    "dynamodb": ("AWS::DynamoDB::Table", "SSESpecification.KMSMasterKeyId"),
    "kinesis": ("AWS::Kinesis::Stream", "StreamEncryption.KeyId"),
    "s3": (
        "AWS::S3::Bucket",
        "BucketEncryption.ServerSideEncryptionConfiguration.0.ServerSideEncryptionByDefault.KMSMasterKeyID",
    ),
    "sns": ("AWS::SNS::Topic", "KmsMasterKeyId"),
    "sqs": ("AWS::SQS::Queue", "KmsMasterKeyId"),
}
# What an action on something encrypted asks of the key, in the caller's name.
_KEY_ACTIONS = {
    "kinesis:GetRecords": "Decrypt",
    "kinesis:PutRecord": "GenerateDataKey",
    "kinesis:PutRecords": "GenerateDataKey",
    "s3:GetObject": "Decrypt",
    "s3:PutObject": "GenerateDataKey",
    "sns:Publish": "GenerateDataKey Decrypt",
    "sqs:ReceiveMessage": "Decrypt",
    "sqs:SendMessage": "GenerateDataKey Decrypt",
    **{f"dynamodb:{action}": "Decrypt" for action in ACTIONS["dynamodb"] if action != "DescribeTable"},
    "dynamodb:ConditionCheckItem": "Decrypt",
}
# The code of a denial, and of a denial of the key, where it is not AccessDeniedException.
_CODES = {
    "cloudwatch": ("AccessDenied", ""),
    "kinesis": ("", "KMSAccessDeniedException"),
    "s3": ("AccessDenied", "AccessDenied"),
    "sns": ("AuthorizationError", "KMSAccessDenied"),
    "sqs": ("AccessDenied", "KMS.AccessDeniedException"),
}
_RESOURCE_POLICIES = {
    "AWS::KMS::Key": "KeyPolicy",
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SNS::TopicPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
}
# Every condition key that the laptop knows; those that a call does not have are None.
_CONTEXT: Context = {
    "aws:principalaccount": ACCOUNT,
    "aws:principalisawsservice": "false",
    "aws:resourceaccount": ACCOUNT,
    "aws:securetransport": "true",
    "aws:sourceaccount": None,
    "aws:sourcearn": None,
    "cloudwatch:namespace": None,
    "kms:calleraccount": None,
    "kms:viaservice": None,
    "s3:prefix": None,
    "s3:tlsversion": "1.3",
    "s3:x-amz-server-side-encryption": None,
}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@functools.cache
def _pattern(pattern: str) -> re.Pattern[str]:
    letters = ({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.compile("".join(letters), re.DOTALL)


def _like(pattern: str, value: str) -> bool:
    return _pattern(pattern).fullmatch(value) is not None


def _arn_like(pattern: str, arn: str) -> bool:
    """A wildcard stays within its part of the ARN; an action that has no resource is matched by `*` alone."""
    if pattern in ("*", arn) or arn == "*":
        return pattern in ("*", arn)
    parts = list(zip(pattern.split(":", 5), arn.split(":", 5), strict=False))
    return len(parts) == 6 and all(_like(wanted, part) for wanted, part in parts)


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda wanted, value: wanted == value,
    "StringLike": _like,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": lambda wanted, value: wanted.lower() == value,
    "NumericLessThan": lambda wanted, value: float(value) < float(wanted),
}


class Request(NamedTuple):
    """What a role asked for, with those condition keys that are the call's own.

    Where it `is_implied`, a service does it in the role's name, and no call through boto3 shows it.
    """

    role_arn: str
    action: str
    resource: str
    own: tuple[tuple[str, str | None], ...] = ()
    is_implied: bool = False


@dataclass(frozen=True, eq=False)
class Statement:
    """One statement of a policy, and where it stands. What a role trusts is read as a resource."""

    policy: str
    number: int
    document: Mapping[str, Any]
    is_trust: bool = False

    def __str__(self) -> str:
        return f"{self.policy}, statement {self.number}"

    def split(self) -> Iterator["Statement"]:
        """One grant for each action on each resource: the CDK joins what was granted apart."""
        elements = ("Action", "Resource")
        parts = [[{name: each} for each in _listed(self.document.get(name, []))] for name in elements]
        for action, resource in itertools.product(*(part or [{}] for part in parts)):
            yield replace(self, document={**self.document, **action, **resource})

    def covers(self, action: str) -> bool:
        return self._names("Action", lambda pattern: _like(pattern.lower(), action.lower()))

    def applies(self, resource: str, context: Context) -> bool:
        return self._names("Resource", lambda pattern: _arn_like(pattern, resource)) and all(
            self._holds(operator, key, _listed(values), context)
            for operator, keys in self.document.get("Condition", {}).items()
            for key, values in keys.items()
        )

    def concerns(self, role_arn: str) -> bool:
        """Whether a resource's policy speaks of this role."""
        if "NotPrincipal" in self.document:
            raise PolicyError(f"{self}: the laptop knows no NotPrincipal. Name the principals instead.")
        principal = self.document["Principal"]
        named = [principal] if principal == "*" else _listed(principal.get("AWS", []))
        return bool({"*", role_arn, ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root"} & set(named))

    def _names(self, element: str, matches: Callable[[str], bool]) -> bool:
        """Action and Resource, each of which may be turned round into NotAction and NotResource."""
        named = element if element in self.document else f"Not{element}"
        patterns = _listed(self.document[named])
        if any("${" in pattern for pattern in patterns):
            raise PolicyError(f"{self}: the laptop knows no policy variables. Name the resources instead.")
        return any(matches(pattern) for pattern in patterns) == (named == element)

    def _holds(self, operator: str, key: str, values: list[Any], context: Context) -> bool:
        positive = operator.removesuffix("IfExists").replace("Not", "", 1)
        negated = operator.removesuffix("IfExists") != positive
        if key.lower() not in context or not (positive in _OPERATORS or operator == "Null"):
            raise PolicyError(
                f"{self}: the laptop cannot judge the condition {operator} on {key}. Teach it to "
                "laptop/policies.py, or write the statement without it."
            )
        value = context[key.lower()]
        if operator == "Null":
            return (value is None) == (str(values[0]).lower() == "true")
        if value is None:
            return negated or operator.endswith("IfExists")
        return any(_OPERATORS[positive](str(wanted), value) for wanted in values) != negated


class Policies:
    """The policies as deployed.

    `journal`: each distinct request, with the grants that allow it; none where it is denied. `denied`: each
    denial. A role's trust is a request, too: sts:AssumeRole by a service.
    """

    def __init__(self, resources: Mapping[tuple[str, str], Resource]) -> None:
        self.region = "us-east-1"
        self.journal: dict[Request, list[Statement]] = {}
        self.denied: list[str] = []
        self._resources = resources
        self._statements: dict[str, list[Statement]] = {}  # by role name
        self._covering: dict[tuple[str, str], list[Statement]] = {}  # those of a role about an action
        self._roles: dict[str, Resource] = {}
        self._keys: dict[tuple[str, str], str] = {}  # by type and name of what a key encrypts
        self._acting: list[str] = []

    @contextlib.contextmanager
    def enforced(self) -> Iterator[None]:
        """Each boto3 session made while this lasts asks here before a call is sent."""
        hooks = [("provide-client-params.*.*", self._before), ("after-call.s3.*", self._after)]
        with mock.patch.object(handlers, "BUILTIN_HANDLERS", [*handlers.BUILTIN_HANDLERS, *hooks]):
            yield

    @contextlib.contextmanager
    def acting_as(self, role_arn: str, *, service: str = "", source_arn: str | None = None) -> Iterator[None]:
        """Every call is the role's while this lasts.

        Where `service` (such as firehose.amazonaws.com) is given, the role must trust it, acting for
        `source_arn` where the trust policy asks.
        """
        self._role(role_arn)
        own = ("aws:sourceaccount", ACCOUNT), ("aws:sourcearn", source_arn)
        if service and not self.judge(Request(role_arn, ASSUME_ROLE, service, own)):
            raise PolicyError(f"The role {role_arn} does not let {service} assume it. Mend its trust policy.")
        self._acting.append(role_arn)
        try:
            yield
        finally:
            self._acting.pop()

    @contextlib.contextmanager
    def acting_as_nobody(self) -> Iterator[str | None]:
        """No call is anybody's while this lasts: a service works by itself; gives whose calls there were."""
        acting, self._acting = self._acting, []
        try:
            yield acting[-1] if acting else None
        finally:
            self._acting = acting

    def require(self, role_arn: str, action: str, resource: str) -> None:
        """Stop unless a role may do what a service does with it without a call, such as reading a stream."""
        code = _code(action.split(":")[0], 0)
        self.demand(Request(role_arn, action, resource, is_implied=True), code)
        self._demand_key(role_arn, action, resource, {}, [])

    def grants(self, role_arn: str) -> list[Statement]:
        """What the role is allowed, one action on one resource each, its trust included."""
        return [statement for statement in self._of(role_arn) if statement.document["Effect"] == "Allow"]

    def without(self, role_arn: str, grant: Statement) -> "Policies":
        """The same policies but for one grant of a role, with an empty journal."""
        others = Policies(self._resources)
        others.region = self.region
        others._statements[_name(role_arn)] = [each for each in self._of(role_arn) if each is not grant]
        return others

    def judge(self, request: Request) -> list[Statement]:
        """The grants that allow what is asked; none where it is denied."""
        if request not in self.journal:
            role_arn, action, resource, own, _ = request
            if (role_arn, action) not in self._covering:
                about = [s for s in self._of(role_arn) if s.is_trust == (action == ASSUME_ROLE)]
                self._covering[role_arn, action] = [s for s in about if s.covers(action)]
            keys = {**_CONTEXT, "aws:principalarn": role_arn, "aws:requestedregion": self.region, **dict(own)}
            applying = [s for s in self._covering[role_arn, action] if s.applies(resource, keys)]
            is_denied = any(statement.document["Effect"] == "Deny" for statement in applying)
            self.journal[request] = [] if is_denied else applying
        return self.journal[request]

    def demand(self, request: Request, code: str = "AccessDenied") -> None:
        """Stop with a denial that names action and resource, unless some grant allows the request."""
        if not self.judge(request):
            role_arn, action, resource = request[:3]
            message = f"{role_arn} is not authorized to perform {action} on {resource}"
            self.denied.append(message)
            answer = {
                "Error": {"Code": code, "Message": message},
                "ResponseMetadata": {"HTTPStatusCode": 403},
            }
            raise ClientError(answer, action.split(":")[1])

    def _before(self, params: Parameters, model: Any, context: dict[str, Any], **_: Any) -> None:
        """What botocore calls before it builds a request."""
        if not self._acting:
            return
        role_arn, service, operation = self._acting[-1], model.service_model.service_name, model.name
        try:
            needed = asked(service, operation, params, self.region)
        except LookupError as error:
            raise PolicyError(
                f"{role_arn} calls {operation} of {service}, and the laptop cannot tell which actions that "
                f"needs ({error}). Teach it to laptop/actions.py."
            ) from error
        context["object"] = params.get("Bucket"), params.get("Key")
        own = (
            ("cloudwatch:namespace", params.get("Namespace")),
            ("s3:prefix", params.get("Prefix", "") if operation.startswith("ListObjects") else None),
            ("s3:x-amz-server-side-encryption", params.get("ServerSideEncryption")),
        )
        # S3 answers a head without a body, hence without a code of its own.
        code = "403" if operation.startswith("Head") else _code(service, 0)
        for action, resource in needed:
            self.demand(Request(role_arn, action, resource, own), code)
            if operation != "HeadObject":
                # A multipart upload reads back what it has encrypted.
                more = ["Decrypt"] if "Upload" in operation else []
                self._demand_key(role_arn, action, resource, params, more)

    def _after(self, http_response: Any, parsed: Any, model: Any, context: Any, **_: Any) -> None:
        """Who may not list a bucket is not told that a key is missing."""
        if (
            http_response.status_code != 404
            or not self._acting
            or model.name not in {"GetObject", "HeadObject"}
        ):
            return
        role_arn, (name, key) = self._acting[-1], context["object"]
        bucket = f"arn:aws:s3:::{name}"
        if not self.judge(Request(role_arn, "s3:ListBucket", bucket, (("s3:prefix", key),), is_implied=True)):
            message = (
                f"{role_arn} may not s3:ListBucket on {bucket}, so it is not told that the key is missing"
            )
            code = "403" if model.name == "HeadObject" else "AccessDenied"
            parsed["Error"] = {"Code": code, "Message": message}
            parsed["ResponseMetadata"]["HTTPStatusCode"] = 403

    def _demand_key(
        self, role_arn: str, action: str, resource: str, params: Parameters, more: list[str]
    ) -> None:
        """What a service does in the caller's name with the key that encrypts the resource."""
        wanted, service = _KEY_ACTIONS.get(action, "").split(), action.split(":")[0]
        if not wanted or resource == "*" or params.get("ServerSideEncryption") == "AES256":
            return
        key = self._key_arn(params.get("SSEKMSKeyId", "")) or self._key_of(service, resource)
        own = ("kms:calleraccount", ACCOUNT), ("kms:viaservice", f"{service}.{self.region}.amazonaws.com")
        for verb in [*wanted, *more] if key else []:
            self.demand(Request(role_arn, f"kms:{verb}", key, own, is_implied=True), _code(service, 1))

    def _key_of(self, service: str, resource: str) -> str:
        """The key that encrypts a stream, bucket, table, topic or queue; none where it is AWS's own."""
        kind, path = _KEYS[service]
        name = resource.split(":", 5)[5].removeprefix("stream/").removeprefix("table/").split("/")[0]
        if (kind, name) not in self._keys:
            owners = [r for r in self._resources.values() if r.type == kind and r.name == name]
            found: Any = owners[0].properties if owners else {}
            for part in path.split("."):
                found = (found[int(part)] if part.isdigit() else found.get(part)) if found else None
            self._keys[kind, name] = self._key_arn(found or "")
        return self._keys[kind, name]

    def _key_arn(self, key: str) -> str:
        if "alias/aws/" in key:
            return ""
        if "alias/" in key:
            name = key[key.index("alias/") :]
            aliases = [r for r in self._resources.values() if r.physical_id == name]
            if not aliases:
                raise PolicyError(f"The key {name} is not among what was deployed. Let a template create it.")
            return self._key_arn(aliases[0].properties["TargetKeyId"])
        return key if key.startswith("arn:") or not key else f"arn:aws:kms:{self.region}:{ACCOUNT}:key/{key}"

    def _role(self, arn: str) -> Resource:
        name = _name(arn)
        if name not in self._roles:
            self._roles = {r.name: r for r in self._resources.values() if r.type == "AWS::IAM::Role"}
        if name not in self._roles:
            raise PolicyError(f"The role {arn} is not among what was deployed. Let a template create it.")
        return self._roles[name]

    def _of(self, role_arn: str) -> list[Statement]:
        """Whom the role trusts, what its own policies say, and what the policies of resources deny it."""
        name = _name(role_arn)
        if name in self._statements:
            return self._statements[name]
        role = self._role(role_arn)
        if "PermissionsBoundary" in role.properties:
            raise PolicyError(f"{role.stack}/{role.logical_id} has a permissions boundary. Leave it out.")
        found = [
            replace(statement, document={**statement.document, "Resource": service}, is_trust=True)
            for statement in _read(role, role.properties["AssumeRolePolicyDocument"])
            for service in _listed(statement.document.get("Principal", {}).get("Service", []))
        ]
        for policy in role.properties.get("Policies", []):
            found += _read(role, policy["PolicyDocument"])
        attached = role.properties.get("ManagedPolicyArns", [])
        for resource in self._resources.values():
            properties = resource.properties
            if resource.type in {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"}:
                if name in properties.get("Roles", []) or resource.physical_id in attached:
                    found += _read(resource, properties["PolicyDocument"])
            elif element := _RESOURCE_POLICIES.get(resource.type):
                itself = {"Resource": self._key_arn(resource.physical_id)} if element == "KeyPolicy" else {}
                about = _read(resource, properties[element], **itself)
                found += [s for s in about if s.document["Effect"] == "Deny" and s.concerns(role_arn)]
        for arn in attached:
            if arn.startswith("arn:aws:iam::aws:policy/"):
                found += _read(arn, _aws_managed()[arn.split("/")[-1]]["Document"])
        self._statements[name] = [grant for statement in found for grant in statement.split()]
        return self._statements[name]


def _name(role_arn: str) -> str:
    return role_arn.split("/")[-1]


def _code(service: str, of_key: int) -> str:
    return _CODES.get(service, ("", ""))[of_key] or "AccessDeniedException"


@functools.cache
def _aws_managed() -> dict[str, Any]:
    policies: dict[str, Any] = json.loads(aws_managed_policies_data)
    return policies


def _read(where: Resource | str, policy: Mapping[str, Any], **own: str) -> list[Statement]:
    place = where if isinstance(where, str) else f"{where.stack}/{where.logical_id}"
    return [Statement(place, n, {**s, **own}) for n, s in enumerate(_listed(policy["Statement"]), start=1)]
