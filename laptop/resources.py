"""The CloudFormation types that moto does not create, or creates with less than the template says.

Each row of TYPES calls one operation of moto's own API with the template's properties, fitted to its
parameters. A property that the operation does not know stops the deploy.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any  # a template's properties are as deep and as mixed as JSON

import boto3
from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel

ACCOUNT = "123456789012"
Properties = dict[str, Any]


class DeployError(Exception):
    """The templates cannot be deployed on the laptop: where, why, and what to do about it."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource as it was deployed."""

    stack: str
    logical_id: str
    type: str
    physical_id: str
    properties: Properties  # with every intrinsic function resolved

    @property
    def name(self) -> str:
        """The last part of the physical id: a queue's name from its URL, a topic's from its ARN."""
        return self.physical_id.rstrip("/").replace(":", "/").split("/")[-1]


def _subscription(properties: Properties) -> Properties:
    """What is no parameter of Subscribe is an attribute of the subscription."""
    parameters = {key: properties[key] for key in ("TopicArn", "Protocol", "Endpoint") if key in properties}
    attributes = {key: value for key, value in properties.items() if key not in parameters}
    return parameters | {"Attributes": attributes, "ReturnSubscriptionArn": True}


def _crawler(properties: Properties) -> Properties:
    schedule = properties.get("Schedule")
    return properties | ({"Schedule": schedule["ScheduleExpression"]} if schedule else {})


@dataclass(frozen=True)
class Type:
    """How one type is created: by one operation, once for each item of the list `each`, if that is named.

    `ref` and `attributes` are formats over the request, the response, `region`, `account` and `generated`,
    the name that CloudFormation would give. `without_effect` has properties that change nothing, and why.
    """

    service: str
    operation: str
    ref: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    name: str = ""  # the property that names the resource, where it has one
    renamed: Mapping[str, str] = field(default_factory=dict)
    without_effect: Mapping[str, str] = field(default_factory=dict)
    each: str = ""
    request: Callable[[Properties], Properties] = dict


TYPES = {
    "AWS::Athena::NamedQuery": Type(
        "athena", "create_named_query", "{NamedQueryId}", {"NamedQueryId": "{NamedQueryId}"}, name="Name"
    ),
    "AWS::Athena::WorkGroup": Type(
        "athena",
        "create_work_group",
        "{Name}",
        name="Name",
        renamed={"WorkGroupConfiguration": "Configuration"},
        without_effect={"RecursiveDeleteOption": "nothing is deleted", "State": "each is enabled"},
    ),
    "AWS::CloudWatch::Alarm": Type(
        "cloudwatch",
        "put_metric_alarm",
        "{AlarmName}",
        {"Arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{AlarmName}"},
        name="AlarmName",
    ),
    "AWS::Glue::Crawler": Type("glue", "create_crawler", "{Name}", name="Name", request=_crawler),
    "AWS::Glue::Database": Type("glue", "create_database", "{DatabaseInput[Name]}"),
    "AWS::Glue::Job": Type("glue", "create_job", "{Name}", name="Name"),
    "AWS::Glue::SecurityConfiguration": Type(
        "glue",
        "create_security_configuration",
        "{Name}",
        name="Name",
        request=lambda given: json.loads(json.dumps(given).replace('"S3Encryptions"', '"S3Encryption"')),
    ),
    "AWS::Glue::Table": Type("glue", "create_table", "{TableInput[Name]}"),
    "AWS::Glue::Trigger": Type("glue", "create_trigger", "{Name}", name="Name"),
    "AWS::IoT::TopicRule": Type(
        "iot",
        "create_topic_rule",
        "{ruleName}",
        {"Arn": "arn:aws:iot:{region}:{account}:rule/{ruleName}"},
        name="RuleName",
        without_effect={"Tags": "a tag changes nothing that happens"},
        request=lambda rule: rule | {"RuleName": rule["RuleName"].replace("-", "_")},  # IoT knows no hyphen
    ),
    "AWS::Kinesis::Stream": Type(  # moto's own gives an on-demand stream one shard
        "kinesis",
        "create_stream",
        "{StreamName}",
        {"Arn": "arn:aws:kinesis:{region}:{account}:stream/{StreamName}"},
        name="Name",
        renamed={"Name": "StreamName"},
        without_effect={
            "StreamEncryption": "nothing is encrypted; the right to its key is judged all the same",
        },
        # laptop.kinesis sets it: no parameter of CreateStream does.
        request=lambda stream: {k: v for k, v in stream.items() if k != "RetentionPeriodHours"},
    ),
    "AWS::Kinesis::StreamConsumer": Type(
        "kinesis",
        "register_stream_consumer",
        "{Consumer[ConsumerARN]}",
        {"ConsumerARN": "{Consumer[ConsumerARN]}"},
    ),
    "AWS::KinesisFirehose::DeliveryStream": Type(
        "firehose",
        "create_delivery_stream",
        "{DeliveryStreamName}",
        {"Arn": "{DeliveryStreamARN}"},
        name="DeliveryStreamName",
    ),
    "AWS::Lambda::Alias": Type("lambda", "create_alias", "{AliasArn}"),
    "AWS::Lambda::EventInvokeConfig": Type("lambda", "put_function_event_invoke_config", "{generated}"),
    "AWS::Logs::LogStream": Type("logs", "create_log_stream", "{logStreamName}", name="LogStreamName"),
    "AWS::Logs::MetricFilter": Type("logs", "put_metric_filter", "{filterName}", name="FilterName"),
    "AWS::Logs::SubscriptionFilter": Type(
        "logs", "put_subscription_filter", "{filterName}", name="FilterName"
    ),
    "AWS::S3::BucketPolicy": Type(
        "s3", "put_bucket_policy", "{Bucket}", renamed={"PolicyDocument": "Policy"}
    ),
    "AWS::SNS::Subscription": Type(
        "sns", "subscribe", "{SubscriptionArn}", {"Arn": "{SubscriptionArn}"}, request=_subscription
    ),
    "AWS::SNS::TopicPolicy": Type(
        "sns",
        "set_topic_attributes",
        "{generated}",
        renamed={"Topics": "TopicArn", "PolicyDocument": "AttributeValue"},
        each="Topics",
        request=lambda policy: policy | {"AttributeName": "Policy"},
    ),
    "AWS::SQS::QueuePolicy": Type(
        "sqs",
        "set_queue_attributes",
        "{generated}",
        renamed={"Queues": "QueueUrl"},
        each="Queues",
        request=lambda policy: {
            "Queues": policy["Queues"],
            "Attributes": {"Policy": policy["PolicyDocument"]},
        },
    ),
    "AWS::Scheduler::Schedule": Type(
        "scheduler", "create_schedule", "{Name}", {"Arn": "{ScheduleArn}"}, name="Name"
    ),
    "AWS::Scheduler::ScheduleGroup": Type(
        "scheduler", "create_schedule_group", "{Name}", {"Arn": "{ScheduleGroupArn}"}, name="Name"
    ),
}


def fitted(value: Any, shape: Any, where: str) -> Any:
    """A template's value as an operation wants it: letter case, numbers, JSON in a string."""
    kind = shape.type_name
    if kind == "structure":
        names = {name.lower(): name for name in shape.members}
        unknown = sorted(key for key in value if key.lower() not in names)
        if unknown:
            raise ValueError(f"the property {where}{unknown[0]} has no counterpart in {shape.name}")
        return {
            names[key.lower()]: fitted(item, shape.members[names[key.lower()]], f"{where}{key}.")
            for key, item in value.items()
        }
    if kind == "list":
        return [fitted(item, shape.member, where) for item in value]
    if kind == "map":
        pairs = {tag["Key"]: tag["Value"] for tag in value} if isinstance(value, list) else value
        return {key: fitted(item, shape.value, f"{where}{key}.") for key, item in pairs.items()}
    if kind in {"integer", "long"}:
        return int(value)
    if kind in {"float", "double"}:
        return float(value)
    if kind == "boolean":
        return value if isinstance(value, bool) else value == "true"
    if kind == "string" and not isinstance(value, str):
        return json.dumps(value)
    return value


def _create(kind: Type, properties: Properties, generated: str, region: str) -> tuple[str, dict[str, str]]:
    """Create one resource; what Ref and Fn::GetAtt answer for it."""
    client = boto3.client(kind.service, region_name=region)
    operation = client.meta.method_to_api_mapping[kind.operation]
    shape = client.meta.service_model.operation_model(operation).input_shape
    wanted = {key: value for key, value in properties.items() if key not in kind.without_effect}
    if kind.name:
        wanted.setdefault(kind.name, generated[-64:])  # what some services take at most
    answers: dict[str, Any] = {"region": region, "account": ACCOUNT, "generated": generated}
    for item in properties[kind.each] if kind.each else [None]:
        request = kind.request(wanted | ({kind.each: item} if kind.each else {}))
        parameters = fitted({kind.renamed.get(key, key): value for key, value in request.items()}, shape, "")
        answers |= parameters | getattr(client, kind.operation)(**parameters)
    return kind.ref.format(**answers), {key: text.format(**answers) for key, text in kind.attributes.items()}


def _model(type_name: str, kind: Type) -> type[CloudFormationModel]:
    """The class by which moto's CloudFormation finds the type."""

    class Created(CloudFormationModel):
        def __init__(self, ref: str, attributes: dict[str, str]) -> None:
            self.physical_resource_id = ref
            self.attributes = attributes

        @staticmethod
        def cloudformation_name_type() -> str:
            return kind.name

        @staticmethod
        def cloudformation_type() -> str:
            return type_name

        @classmethod
        def has_cfn_attr(cls, attr: str) -> bool:
            return attr in kind.attributes

        def get_cfn_attribute(self, attribute: str) -> str:
            return self.attributes[attribute]

        @classmethod
        def create_from_cloudformation_json(
            cls,
            resource_name: str,
            cloudformation_json: Properties,
            account_id: str,  # noqa: ARG003 - moto's own signature
            region_name: str,
            **_: Any,
        ) -> Any:
            return cls(*_create(kind, cloudformation_json.get("Properties", {}), resource_name, region_name))

    return Created


# moto finds them as long as somebody holds them.
_MODELS = [_model(type_name, kind) for type_name, kind in TYPES.items()]
for _listed in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
    _listed.cache_clear()
