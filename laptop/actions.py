"""Which actions a call made through boto3 needs, and on which resources."""

from collections.abc import Mapping
from typing import Any  # a call's parameters are as mixed as JSON

from moto.athena.models import athena_backends
from moto.kinesis.utils import decompose_shard_iterator

from laptop.resources import ACCOUNT

Parameters = Mapping[str, Any]

# Each operation that handlers and services call, and its action where that has another name.
ACTIONS = {
    service: dict((text.split("=") * 2)[:2] for text in operations.split())
    for service, operations in {
        "athena": "GetQueryExecution GetQueryResults StartQueryExecution StopQueryExecution",
        "cloudformation": "DescribeStacks",
        "cloudwatch": "PutMetricData",
        "dynamodb": """BatchGetItem BatchWriteItem DeleteItem DescribeTable GetItem PutItem Query Scan
            TransactGetItems TransactWriteItems UpdateItem""",
        "firehose": "DescribeDeliveryStream PutRecord PutRecordBatch",
        "glue": """BatchCreatePartition BatchGetPartition CreatePartition GetDatabase GetPartition
            GetPartitions GetTable GetTableVersion GetTableVersions UpdatePartition UpdateTable""",
        "kinesis": """DescribeStream DescribeStreamSummary GetRecords GetShardIterator ListShards PutRecord
            PutRecords""",
        "kms": "Decrypt DescribeKey Encrypt GenerateDataKey",
        "lambda": "GetFunctionConfiguration Invoke=InvokeFunction",
        "logs": "CreateLogGroup CreateLogStream DescribeLogStreams PutLogEvents",
        "s3": """AbortMultipartUpload CompleteMultipartUpload=PutObject CopyObject=PutObject DeleteObject
            CreateMultipartUpload=PutObject DeleteObjects=DeleteObject GetBucketLocation GetObject PutObject
            HeadBucket=ListBucket HeadObject=GetObject ListObjects=ListBucket ListObjectsV2=ListBucket
            UploadPart=PutObject""",
        "sns": "GetSubscriptionAttributes ListSubscriptionsByTopic Publish PublishBatch=Publish",
        "sqs": """ChangeMessageVisibility ChangeMessageVisibilityBatch=ChangeMessageVisibility DeleteMessage
            DeleteMessageBatch=DeleteMessage GetQueueAttributes GetQueueUrl ReceiveMessage SendMessage
            SendMessageBatch=SendMessage""",
        "ssm": "GetParameter GetParameters GetParametersByPath PutParameter",
        "stepfunctions": "DescribeExecution StartExecution StartSyncExecution StopExecution",
    }.items()
}
_PREFIX = {"stepfunctions": "states"}
_TRANSACTION = {"Get": "GetItem", "Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem",
                "ConditionCheck": "ConditionCheckItem"}  # fmt: skip


def asked(service: str, operation: str, parameters: Parameters, region: str) -> list[tuple[str, str]]:
    """Actions, each with the ARN that it acts on; `*` for an action that has no resource.

    Raises LookupError for a call that is not known here.
    """
    p = parameters
    match service, operation:
        case "sts", "GetCallerIdentity":
            return []
        case "lambda", "GetEventSourceMapping":
            mapping = f"arn:aws:lambda:{region}:{ACCOUNT}:event-source-mapping:{p['UUID']}"
            return [(f"lambda:{operation}", mapping)]
        case "dynamodb", "TransactGetItems" | "TransactWriteItems":
            return [
                (f"dynamodb:{_TRANSACTION[kind]}", _table(item["TableName"], region))
                for entry in p["TransactItems"]
                for kind, item in entry.items()
            ]
        case "s3", "CopyObject":
            source = p["CopySource"]
            name = (
                f"{source['Bucket']}/{source['Key']}" if isinstance(source, Mapping) else source.lstrip("/")
            )
            return [
                ("s3:GetObject", f"arn:aws:s3:::{name}"),
                ("s3:PutObject", _object(p["Bucket"], p["Key"])),
            ]
    action = f"{_PREFIX.get(service, service)}:{ACTIONS[service][operation]}"
    if service == "s3" and (extra := {"ACL", "Tagging", "VersionId", "CopySourceVersionId"} & set(p)):
        raise LookupError(f"{operation} with {extra.pop()}")
    if service == "s3" and "IfMatch" in p and operation == "PutObject":
        return [(action, _object(p["Bucket"], p["Key"])), ("s3:GetObject", _object(p["Bucket"], p["Key"]))]
    return [(action, resource) for resource in _resources(service, p, region)]


def _object(bucket: str, key: str) -> str:
    return f"arn:aws:s3:::{bucket}/{key}"


def _table(name: str, region: str) -> str:
    return name if name.startswith("arn:") else f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/{name}"


def _resources(service: str, p: Parameters, region: str) -> list[str]:
    """What a call acts on, from its parameters."""

    def arn(kind: str, name: str, of: str = service) -> str:
        return name if name.startswith("arn:") else f"arn:aws:{of}:{region}:{ACCOUNT}:{kind}{name}"

    match service:
        case "athena":
            if "QueryExecutionId" in p:
                executions = athena_backends[ACCOUNT][region].executions
                workgroup = executions[p["QueryExecutionId"]].workgroup
                return [arn("workgroup/", workgroup.name if workgroup else "primary")]
            return [arn("workgroup/", p.get("WorkGroup", "primary"))]
        case "cloudformation":
            return [arn("stack/", f"{p['StackName']}/id")]
        case "cloudwatch":
            return ["*"]
        case "dynamodb":
            tables = [_table(name, region) for name in p.get("RequestItems", [p.get("TableName")])]
            return [f"{tables[0]}/index/{p['IndexName']}"] if "IndexName" in p else tables
        case "firehose":
            return [arn("deliverystream/", p["DeliveryStreamName"])]
        case "glue":
            database = p.get("DatabaseName", p.get("Name"))
            named = p.get("TableInput", p).get("Name") if "DatabaseName" in p else None
            table = p.get("TableName", named)
            resources = [arn("", "catalog"), arn("database/", str(database))]
            return [*resources, arn("table/", f"{database}/{table}")] if table else resources
        case "kinesis":
            if "StreamARN" in p or "StreamName" in p:
                return [p.get("StreamARN") or arn("stream/", p["StreamName"])]
            return [arn("stream/", decompose_shard_iterator(p["ShardIterator"])[0])]
        case "kms":
            return [arn("key/", p["KeyId"])]
        case "lambda":
            return [arn("function:", p["FunctionName"])]
        case "logs":
            stream = f":log-stream:{p['logStreamName']}" if "logStreamName" in p else ""
            return [arn("log-group:", p["logGroupName"]) + stream]
        case "s3":
            keys = (
                [p["Key"]]
                if "Key" in p
                else [entry["Key"] for entry in p.get("Delete", {}).get("Objects", [])]
            )
            return [_object(p["Bucket"], key) for key in keys] or [f"arn:aws:s3:::{p['Bucket']}"]
        case "sns":
            return [p.get("TopicArn") or p.get("TargetArn") or "*"]  # a phone number is no resource
        case "sqs":
            return [arn("", p["QueueName"] if "QueueName" in p else p["QueueUrl"].split("/")[-1])]
        case "ssm":
            names = p.get("Names") or [p.get("Name") or p["Path"]]
            return [arn("parameter/", name.lstrip("/")) for name in names]
        case "stepfunctions":
            return [p.get("stateMachineArn") or p["executionArn"]]
    raise LookupError(service)
