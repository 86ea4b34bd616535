"""A role may do what its synthesized policies say, call by call, and nothing for want of knowledge."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from laptop.clock import Clock
from laptop.cloud import Cloud
from laptop.policies import PolicyError
from tests.laptop.assembly import allow, arn, ref, role, write_assembly

DENY_PLAIN_HTTP = {
    "Effect": "Deny",
    "Principal": {"AWS": "*"},
    "Action": "s3:*",
    "Resource": "*",
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
DENY_DELETING = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": "*"}


def key_of(kind: str) -> dict[str, Any]:
    """How a resource of this type names the key that encrypts it."""
    rule = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": arn("Key")}}
    return {
        "S3::Bucket": {"BucketEncryption": {"ServerSideEncryptionConfiguration": [rule]}},
        "SQS::Queue": {"KmsMasterKeyId": ref("Alias")},
        "SNS::Topic": {"KmsMasterKeyId": arn("Key")},
        "Kinesis::Stream": {"StreamEncryption": {"EncryptionType": "KMS", "KeyId": ref("Key")}},
        "DynamoDB::Table": {
            "SSESpecification": {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": arn("Key")}
        },
    }[kind]


def resources(*, encrypted: bool) -> dict[str, Any]:
    table = {
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    plain: dict[str, tuple[str, dict[str, Any]]] = {
        "Bucket": ("S3::Bucket", {}),
        "Queue": ("SQS::Queue", {}),
        "Topic": ("SNS::Topic", {}),
        "Stream": ("Kinesis::Stream", {"ShardCount": 1}),
        "Table": ("DynamoDB::Table", table),
    }
    key = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Version": "2012-10-17", "Statement": []}}}
    alias = {"Type": "AWS::KMS::Alias", "Properties": {"AliasName": "alias/lake", "TargetKeyId": ref("Key")}}
    return {"Key": key, "Alias": alias} | {
        name: {"Type": f"AWS::{kind}", "Properties": properties | (key_of(kind) if encrypted else {})}
        for name, (kind, properties) in plain.items()
    }


class Account:
    """A deployed stack, and one role in it to act as."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.id = {logical_id: resource.physical_id for (_, logical_id), resource in cloud.resources.items()}
        self.act_as("Role")

    def act_as(self, logical_id: str) -> None:
        self.role = f"arn:aws:iam::123456789012:role/{self.id[logical_id]}"

    def call(self, service: str, operation: str, **parameters: Any) -> Any:
        with self.cloud.policies.acting_as(self.role):
            return getattr(boto3.client(service), operation)(**parameters)

    def refusal(self, service: str, operation: str, **parameters: Any) -> tuple[str, str]:
        with pytest.raises(ClientError) as error:
            self.call(service, operation, **parameters)
        answer = error.value.response["Error"]
        return answer["Code"], answer["Message"].removeprefix(f"{self.role} is not authorized to perform ")


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[Callable[..., Account]]:
    with ExitStack() as opened:

        def deployed(
            *statements: Any, encrypted: bool = False, more: dict[str, Any] | None = None
        ) -> Account:
            opened.close()
            cloud = opened.enter_context(Cloud(Clock(0)))
            stack = resources(encrypted=encrypted) | {"Role": role(*statements)} | (more or {})
            cloud.deploy(write_assembly(tmp_path, {"Lake": stack}))
            return Account(cloud)

        yield deployed


def objects(prefix: str = "") -> dict[str, Any]:
    return {"Fn::Sub": f"${{Bucket.Arn}}/{prefix}*"}


# Action, its resource, the call, the code of its refusal, and its parameters with {logical ids} in them.
CALLS: list[tuple[str, Any, str, str, str, dict[str, Any]]] = [
    ("s3:PutObject", objects(), "s3", "put_object", "AccessDenied",
     {"Bucket": "{Bucket}", "Key": "a", "Body": b""}),
    ("s3:DeleteObject", objects(), "s3", "delete_objects", "AccessDenied",
     {"Bucket": "{Bucket}", "Delete": {"Objects": [{"Key": "a"}]}}),
    ("s3:ListBucket", arn("Bucket"), "s3", "list_objects_v2", "AccessDenied", {"Bucket": "{Bucket}"}),
    ("s3:ListBucket", arn("Bucket"), "s3", "head_bucket", "403", {"Bucket": "{Bucket}"}),
    ("sqs:SendMessage", arn("Queue"), "sqs", "send_message_batch", "AccessDenied",
     {"QueueUrl": "{Queue}", "Entries": [{"Id": "1", "MessageBody": "x"}]}),
    ("sqs:ReceiveMessage", arn("Queue"), "sqs", "receive_message", "AccessDenied", {"QueueUrl": "{Queue}"}),
    ("sns:Publish", ref("Topic"), "sns", "publish", "AuthorizationError",
     {"TopicArn": "{Topic}", "Message": "x"}),
    ("sns:Publish", "*", "sns", "publish", "AuthorizationError",
     {"PhoneNumber": "+491701234567", "Message": "x"}),
    ("kinesis:PutRecords", arn("Stream"), "kinesis", "put_records", "AccessDeniedException",
     {"StreamName": "{Stream}", "Records": [{"Data": b"x", "PartitionKey": "a"}]}),
    ("kinesis:ListShards", arn("Stream"), "kinesis", "list_shards", "AccessDeniedException",
     {"StreamARN": "arn:aws:kinesis:us-east-1:123456789012:stream/{Stream}"}),
    ("dynamodb:PutItem", arn("Table"), "dynamodb", "put_item", "AccessDeniedException",
     {"TableName": "{Table}", "Item": {"id": {"S": "1"}}}),
    ("dynamodb:BatchGetItem", arn("Table"), "dynamodb", "batch_get_item", "AccessDeniedException",
     {"RequestItems": {"{Table}": {"Keys": [{"id": {"S": "1"}}]}}}),
    ("dynamodb:PutItem", arn("Table"), "dynamodb", "transact_write_items", "AccessDeniedException",
     {"TransactItems": [{"Put": {"TableName": "{Table}", "Item": {"id": {"S": "1"}}}}]}),
    ("cloudwatch:PutMetricData", "*", "cloudwatch", "put_metric_data", "AccessDenied",
     {"Namespace": "Freshet", "MetricData": [{"MetricName": "m", "Value": 1.0}]}),
]  # fmt: skip


def filled(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, str):
        for logical_id, physical_id in ids.items():
            value = value.replace(f"{{{logical_id}}}", physical_id)
        return value
    if isinstance(value, dict):
        return {filled(key, ids): filled(item, ids) for key, item in value.items()}
    return [filled(item, ids) for item in value] if isinstance(value, list) else value


@pytest.mark.fidelity(
    service="IAM",
    behaviour="what no statement allows is refused, with the service's own code",
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html",
    falls_short=(
        "the sentence is the laptop's, short of AWS's; calls that laptop/actions.py does not know stop "
        "the run"
    ),
)
def test_a_call_needs_its_action_on_its_resource(deploy: Callable[..., Account]) -> None:
    # given for each call a role with the action on that resource, and one with all others
    roles = {}
    for number, (action, on, *_) in enumerate(CALLS):
        others = {"Effect": "Allow", "NotAction": action, "Resource": on}
        roles[f"Without{number}"] = role(others, allow(action, on="arn:aws:s3:::another/*"))
        roles[f"With{number}"] = role(allow(action, on=on))
    account = deploy(more=roles)
    for number, (action, _, service, operation, code, parameters) in enumerate(CALLS):
        # then without it the call is refused as the service does it, and told what was missing
        account.act_as(f"Without{number}")
        answered, sentence = account.refusal(service, operation, **filled(parameters, account.id))
        assert (answered, sentence.split(" on ")[0]) == (code, action)
        assert account.cloud.policies.denied[-1] == f"{account.role} is not authorized to perform {sentence}"
        # and with it the call passes
        account.act_as(f"With{number}")
        account.call(service, operation, **filled(parameters, account.id))


def test_what_a_role_did_is_kept_with_what_granted_it(deploy: Callable[..., Account]) -> None:
    # given one statement that grants two actions on two topics
    topics = [ref("Topic"), ref("Another")]
    another = {"Another": {"Type": "AWS::SNS::Topic", "Properties": {}}}
    account = deploy(allow("sns:Publish", "sns:Subscribe", on=topics), more=another)
    policies = account.cloud.policies
    granted = {
        (grant.document["Action"], grant.document["Resource"]): grant
        for grant in policies.grants(account.role)
    }
    topic = account.id["Topic"]
    assert {("sns:Publish", topic), ("sns:Subscribe", account.id["Another"])} < granted.keys()
    assert ("sts:AssumeRole", "lambda.amazonaws.com") in granted
    # when the role does one of these to one of them, twice
    for _ in range(2):
        account.call("sns", "publish", TopicArn=topic, Message="x")
    # then one request is kept, with that grant alone
    [(request, by)] = policies.journal.items()
    assert request[:3] == (account.role, "sns:Publish", topic)
    assert by == [granted["sns:Publish", topic]]
    assert str(by[0]) == "Lake/Role, statement 2"
    # and it is denied by the same policies without the grant, by no other
    assert [
        what for what, grant in granted.items() if not policies.without(account.role, grant).judge(request)
    ] == [("sns:Publish", topic)]


def test_who_may_do_everything_is_not_trusted_by_everyone(deploy: Callable[..., Account]) -> None:
    account = deploy(allow("*", on="*"))
    with (
        pytest.raises(PolicyError, match=r"does not let glue.amazonaws.com assume it"),
        account.cloud.policies.acting_as(account.role, service="glue.amazonaws.com"),
    ):
        pass


def test_a_shard_iterator_belongs_to_its_stream(deploy: Callable[..., Account]) -> None:
    account = deploy(allow("kinesis:GetShardIterator", on="*"), allow("kinesis:GetRecords", on=arn("Stream")))
    where = {"ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
    got = account.call("kinesis", "get_shard_iterator", StreamName=account.id["Stream"], **where)
    account.call("kinesis", "get_records", ShardIterator=got["ShardIterator"])
    account = deploy(allow("kinesis:GetShardIterator", on="*"), allow("kinesis:GetRecords", on=arn("Queue")))
    got = account.call("kinesis", "get_shard_iterator", StreamName=account.id["Stream"], **where)
    _, sentence = account.refusal("kinesis", "get_records", ShardIterator=got["ShardIterator"])
    assert sentence.endswith(f"stream/{account.id['Stream']}")


ENCRYPTED: list[tuple[str, Any, str, str, dict[str, Any], str, list[str]]] = [
    ("s3:PutObject", objects(), "s3", "put_object", {"Bucket": "{Bucket}", "Key": "a", "Body": b""},
     "AccessDenied", ["GenerateDataKey"]),
    ("s3:GetObject", objects(), "s3", "get_object", {"Bucket": "{Bucket}", "Key": "a"},
     "AccessDenied", ["Decrypt"]),
    ("sqs:SendMessage", arn("Queue"), "sqs", "send_message", {"QueueUrl": "{Queue}", "MessageBody": "x"},
     "KMS.AccessDeniedException", ["GenerateDataKey", "Decrypt"]),
    ("sqs:ReceiveMessage", arn("Queue"), "sqs", "receive_message", {"QueueUrl": "{Queue}"},
     "KMS.AccessDeniedException", ["Decrypt"]),
    ("sns:Publish", ref("Topic"), "sns", "publish", {"TopicArn": "{Topic}", "Message": "x"},
     "KMSAccessDenied", ["GenerateDataKey", "Decrypt"]),
    ("kinesis:PutRecord", arn("Stream"), "kinesis", "put_record",
     {"StreamName": "{Stream}", "Data": b"x", "PartitionKey": "a"},
     "KMSAccessDeniedException", ["GenerateDataKey"]),
    ("dynamodb:GetItem", arn("Table"), "dynamodb", "get_item",
     {"TableName": "{Table}", "Key": {"id": {"S": "1"}}}, "AccessDeniedException", ["Decrypt"]),
]  # fmt: skip


@pytest.mark.fidelity(
    service="IAM",
    behaviour=(
        "who puts into an encrypted stream, queue, topic or bucket needs its key, as does who reads; "
        "kms:ViaService names the service"
    ),
    source="https://docs.aws.amazon.com/streams/latest/dev/permissions-user-key-KMS.html",
    falls_short=(
        "each call asks, where SQS, SNS and a bucket key use a data key again for a while; grants are unknown"
    ),
)
@pytest.mark.fidelity(
    service="IAM",
    behaviour="an encrypted queue asks for GenerateDataKey and Decrypt to send, Decrypt to receive",
    source="https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html",
)
@pytest.mark.fidelity(
    service="IAM",
    behaviour="an encrypted topic asks for GenerateDataKey and Decrypt to publish",
    source="https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html",
)
@pytest.mark.fidelity(
    service="IAM",
    behaviour="an encrypted object asks for GenerateDataKey to put and Decrypt to get",
    source="https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html",
)
@pytest.mark.fidelity(
    service="IAM",
    behaviour="an encrypted table asks its caller for Decrypt",
    source="https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html",
    falls_short="AWS asks for more while a table is made",
)
def test_a_call_on_something_encrypted_needs_the_key(deploy: Callable[..., Account]) -> None:
    # given for each call a role with the action and the key, and roles that lack one action on the key
    roles = {}
    for number, (action, on, service, _, _, _, verbs) in enumerate(ENCRYPTED):
        for missing in verbs:
            others = [f"kms:{verb}" for verb in verbs if verb != missing]
            of_key = allow("kms:Encrypt", *others, on=arn("Key"))
            roles[f"Lacks{missing}{number}"] = role(allow(action, f"kms:{missing}", on=on), of_key)
        through = {"StringEquals": {"kms:ViaService": f"{service}.us-east-1.amazonaws.com"}}
        of_key = allow(*(f"kms:{verb}*" for verb in verbs), on=arn("Key"), Condition=through)
        roles[f"Has{number}"] = role(allow(action, on=on), of_key)
    account = deploy(encrypted=True, more=roles)
    account.cloud.client("s3").put_object(Bucket=account.id["Bucket"], Key="a", Body=b"")
    key = f"arn:aws:kms:us-east-1:123456789012:key/{account.id['Key']}"
    for number, (_, _, service, operation, parameters, code, verbs) in enumerate(ENCRYPTED):
        # then the call is refused for the action that is missing
        for missing in verbs:
            account.act_as(f"Lacks{missing}{number}")
            refused = account.refusal(service, operation, **filled(parameters, account.id))
            assert refused == (code, f"kms:{missing} on {key}")
        # and passes with all of them
        account.act_as(f"Has{number}")
        account.call(service, operation, **filled(parameters, account.id))


@pytest.mark.fidelity(
    service="IAM",
    behaviour="who may not list a bucket gets 403 for a key that is missing, not 404",
    source="https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html",
)
def test_a_missing_key_is_told_only_to_who_may_list_the_bucket(deploy: Callable[..., Account]) -> None:
    # given roles that may not list, may list this prefix, may list another one
    get = allow("s3:GetObject", on=objects())
    roles = {"MayNot": role(get)}
    for name, prefix in {"May": "state/*", "MayElsewhere": "other/*"}.items():
        listed = {"StringLike": {"s3:prefix": prefix}}
        roles[name] = role(get, allow("s3:ListBucket", on=arn("Bucket"), Condition=listed))
    account = deploy(more=roles)
    for logical_id, codes in {
        "MayNot": ["AccessDenied", "403"],
        "May": ["NoSuchKey", "404"],
        "MayElsewhere": ["AccessDenied", "403"],
    }.items():
        account.act_as(logical_id)
        missing = {"Bucket": account.id["Bucket"], "Key": "state/7"}
        operations = ("get_object", "head_object")
        assert [account.refusal("s3", operation, **missing)[0] for operation in operations] == codes
        with pytest.raises(ClientError) as error:
            account.call("s3", "get_object", **missing)
        assert str(error.value.response["ResponseMetadata"]["HTTPStatusCode"]) == codes[1]


@pytest.mark.fidelity(
    service="IAM",
    behaviour="what a resource's policy denies is denied, whatever the role may do",
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html",
    falls_short="what it allows beyond the role's own policies is not counted",
)
def test_a_bucket_policys_denial_counts_where_its_condition_holds(deploy: Callable[..., Account]) -> None:
    document = {"Version": "2012-10-17", "Statement": [DENY_PLAIN_HTTP, DENY_DELETING]}
    policy = {"Bucket": ref("Bucket"), "PolicyDocument": document}
    more = {"Policy": {"Type": "AWS::S3::BucketPolicy", "Properties": policy}}
    account = deploy(allow("s3:*", on="*"), more=more)
    where = {"Bucket": account.id["Bucket"], "Key": "a"}
    account.call("s3", "put_object", **where, Body=b"")
    assert account.refusal("s3", "delete_object", **where)[1].startswith("s3:DeleteObject on ")


@pytest.mark.fidelity(
    service="IAM",
    behaviour="inline, attached, managed and AWS's own policies count together",
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html",
    falls_short="a permissions boundary stops the run; session and organisation policies are unknown",
)
def test_policies_of_all_kinds_count(deploy: Callable[..., Account]) -> None:
    def policy(*statements: Any) -> dict[str, Any]:
        return {
            "PolicyDocument": {"Version": "2012-10-17", "Statement": list(statements)},
            "Roles": [ref("Role")],
        }

    attached = policy(allow("sqs:SendMessage", on=arn("Queue"))) | {"PolicyName": "send"}
    managed = policy(allow("sns:Publish", on=ref("Topic")))
    with_aws_managed = role()
    with_aws_managed["Properties"]["ManagedPolicyArns"] = ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]
    account = deploy(
        more={
            "Role": with_aws_managed,
            "Attached": {"Type": "AWS::IAM::Policy", "Properties": attached},
            "Managed": {"Type": "AWS::IAM::ManagedPolicy", "Properties": managed},
        }
    )
    account.call("sqs", "send_message", QueueUrl=account.id["Queue"], MessageBody="x")
    account.call("sns", "publish", TopicArn=account.id["Topic"], Message="x")
    account.call("s3", "list_objects_v2", Bucket=account.id["Bucket"])
    assert "s3:PutObject" in account.refusal("s3", "put_object", Bucket=account.id["Bucket"], Key="a")[1]


CONDITIONS: list[tuple[dict[str, Any], bool]] = [
    ({"StringEquals": {"cloudwatch:namespace": "Freshet"}}, True),
    ({"StringNotEquals": {"cloudwatch:namespace": "Freshet"}}, False),
    ({"StringNotLike": {"cloudwatch:namespace": ["AWS/*"]}}, True),
    ({"StringEqualsIfExists": {"aws:SourceAccount": "1"}}, True),
    ({"StringEquals": {"aws:SourceAccount": "1"}}, False),
    ({"StringNotEquals": {"aws:SourceAccount": "1"}}, True),
    ({"Null": {"aws:SourceAccount": "true"}}, True),
    ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/Lake-*"}}, True),
    ({"ArnLike": {"aws:PrincipalArn": "arn:aws:*:role/Lake-*"}}, False),
    ({"NumericLessThan": {"s3:TlsVersion": "1.2"}}, False),
]


@pytest.mark.fidelity(
    service="IAM",
    behaviour=(
        "a condition on a missing key is false, true where it is negated or IfExists; a wildcard stays "
        "within its part of an ARN"
    ),
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html",
    falls_short="operators on dates, addresses and sets, and keys that it does not know, stop the run",
)
def test_conditions_hold_as_iam_says(deploy: Callable[..., Account]) -> None:
    roles = {
        f"Role{number}": role(allow("cloudwatch:PutMetricData", on="*", Condition=condition))
        for number, (condition, _) in enumerate(CONDITIONS)
    }
    account = deploy(more=roles)
    metric = {"Namespace": "Freshet", "MetricData": [{"MetricName": "m", "Value": 1.0}]}
    for number, (_, passes) in enumerate(CONDITIONS):
        account.act_as(f"Role{number}")
        (account.call if passes else account.refusal)("cloudwatch", "put_metric_data", **metric)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (
            allow("sns:*", on="*", Condition={"DateLessThan": {"aws:CurrentTime": "2026"}}),
            "condition DateLessThan",
        ),
        (
            allow("sns:*", on="*", Condition={"StringEquals": {"aws:PrincipalTag/team": "a"}}),
            "aws:PrincipalTag/team",
        ),
        (allow("sns:*", on="arn:aws:sns:*:*:${aws:username}"), "no policy variables"),
    ],
)
def test_what_cannot_be_judged_stops_even_a_handler_that_catches_everything(
    deploy: Callable[..., Account], statement: dict[str, Any], sentence: str
) -> None:
    account = deploy(statement)
    with pytest.raises(PolicyError, match=sentence), suppress(Exception):
        account.call("sns", "publish", TopicArn=account.id["Topic"], Message="x")


def test_a_call_that_is_not_known_stops(deploy: Callable[..., Account]) -> None:
    account = deploy(allow("*", on="*"))
    with pytest.raises(PolicyError, match=r"calls ListBuckets of s3, .* Teach it to laptop/actions.py"):
        account.call("s3", "list_buckets")
    account.call("sts", "get_caller_identity")  # needs no permission


@pytest.mark.fidelity(
    service="IAM",
    behaviour="a service acts as a role only where the role trusts it",
    source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html",
)
def test_a_service_may_act_as_a_role_only_where_the_role_trusts_it(deploy: Callable[..., Account]) -> None:
    account = deploy()
    policies = account.cloud.policies
    with policies.acting_as(account.role, service="lambda.amazonaws.com"):
        pass
    with (
        pytest.raises(PolicyError, match=r"does not let firehose.amazonaws.com assume it"),
        policies.acting_as(account.role, service="firehose.amazonaws.com"),
    ):
        pass


def test_a_role_that_was_not_deployed_is_refused(deploy: Callable[..., Account]) -> None:
    with (
        pytest.raises(PolicyError, match="role/nobody is not among what was deployed"),
        deploy().cloud.policies.acting_as("arn:aws:iam::123456789012:role/nobody"),
    ):
        pass


def test_what_a_service_does_without_a_call_is_judged_too(deploy: Callable[..., Account]) -> None:
    account = deploy(allow("kinesis:GetRecords", on=arn("Stream")), encrypted=True)
    stream = f"arn:aws:kinesis:us-east-1:123456789012:stream/{account.id['Stream']}"
    with pytest.raises(ClientError, match="kms:Decrypt"):
        account.cloud.policies.require(account.role, "kinesis:GetRecords", stream)
    with pytest.raises(ClientError, match="kinesis:ListShards"):
        account.cloud.policies.require(account.role, "kinesis:ListShards", stream)
