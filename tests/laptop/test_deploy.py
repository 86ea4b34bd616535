"""Deploying a cloud assembly: every resource really exists afterwards, or the deploy stops and names it."""

import json
import os
import re
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pytest
from moto.cloudformation import parsing

from laptop.clock import Clock
from laptop.cloud import Cloud
from laptop.resources import TYPES, DeployError
from tests.laptop.assembly import ASSETS, arn, function, ref, role, write_assembly

QUEUE = {"Type": "AWS::SQS::Queue"}
BUCKET = {"Type": "AWS::S3::Bucket"}
STREAM = {"Type": "AWS::Kinesis::Stream", "Properties": {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}}


def deployed(cloud: Cloud, stack: str, logical_id: str) -> Any:
    return cloud.resources[stack, logical_id]


def refusal(folder: Path, resources: dict[str, Any]) -> str:
    with Cloud(Clock(0)) as cloud, pytest.raises(DeployError) as error:
        cloud.deploy(write_assembly(folder, {"Lake": resources}))
    return str(error.value)


@pytest.mark.fidelity(
    service="CloudFormation",
    behaviour="a stack imports what another exports",
    source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html",
)
def test_stacks_deploy_in_order_of_dependency_and_import_each_other(tmp_path: Path) -> None:
    # given a stack that imports what a later one in the manifest exports
    properties = {"Name": "/lake", "Type": "String", "Value": {"Fn::ImportValue": "lake:name"}}
    uses = {"Type": "AWS::SSM::Parameter", "Properties": properties}
    lake = {
        "Resources": {"Bucket": BUCKET},
        "Outputs": {"Name": {"Value": ref("Bucket"), "Export": {"Name": "lake:name"}}},
    }
    # when both are deployed
    with Cloud(Clock(0)) as cloud:
        cloud.deploy(
            write_assembly(tmp_path, {"Uses": {"Same": uses}, "Lake": lake}, needs={"Uses": ["Lake"]})
        )
        # then the import is resolved
        assert (
            deployed(cloud, "Uses", "Same").properties["Value"]
            == deployed(cloud, "Lake", "Bucket").physical_id
        )


def test_two_stacks_may_use_one_logical_id(tmp_path: Path) -> None:
    with Cloud(Clock(0)) as cloud:
        cloud.deploy(write_assembly(tmp_path, {"One": {"Queue": QUEUE}, "Two": {"Queue": QUEUE}}))
        assert {resource.stack for resource in cloud.of_type("AWS::SQS::Queue")} == {"One", "Two"}
        assert len(cloud.client("sqs").list_queues()["QueueUrls"]) == 2


EVERYBODY = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
POLICY = {"PolicyDocument": {"Version": "2012-10-17", "Statement": [EVERYBODY]}}
COLUMNS = [{"Name": "sensor_id", "Type": "string", "Comment": "which"}]
TO_STREAM = {"Kinesis": {"StreamName": ref("Stream"), "PartitionKey": "${device}", "RoleArn": arn("Role")}}
ONE_OF_EACH: dict[str, tuple[str, dict[str, Any]]] = {
    "Bucket": ("S3::Bucket", {}),
    "Queue": ("SQS::Queue", {}),
    "Stream": ("Kinesis::Stream", {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
    "Line": ("Kinesis::StreamConsumer", {"StreamARN": arn("Stream"), "ConsumerName": "detect"}),
    "Topic": ("SNS::Topic", {}),
    "Log": ("Logs::LogGroup", {}),
    "Database": ("Glue::Database", {
        "CatalogId": ref("AWS::AccountId"),
        "DatabaseInput": {"Name": "freshet"},
    }),
    "Table": ("Glue::Table", {
        "CatalogId": ref("AWS::AccountId"),
        "DatabaseName": ref("Database"),
        "TableInput": {
            "Name": "readings",
            "Parameters": {"projection.enabled": True},
            "StorageDescriptor": {"Columns": COLUMNS},
        },
    }),
    "Crawler": ("Glue::Crawler", {
        "Role": arn("Role"),
        "DatabaseName": "freshet",
        "Targets": {"S3Targets": [{"Path": "s3://a/b"}]},
        "Schedule": {"ScheduleExpression": "cron(0 1 * * ? *)"},
    }),
    "Job": ("Glue::Job", {"Role": arn("Role"), "Command": {"Name": "glueetl", "ScriptLocation": "s3://a/b.py"}}),
    "Trigger": ("Glue::Trigger", {"Type": "ON_DEMAND", "Actions": [{"JobName": ref("Job")}]}),
    "Security": ("Glue::SecurityConfiguration", {
        "Name": "by-the-key",
        "EncryptionConfiguration": {"S3Encryptions": [{"S3EncryptionMode": "SSE-KMS", "KmsKeyArn": "key"}]},
    }),
    "Workgroup": ("Athena::WorkGroup", {
        "Name": "freshet",
        "RecursiveDeleteOption": True,
        "WorkGroupConfiguration": {"BytesScannedCutoffPerQuery": 10_000_000},
    }),
    "Saved": ("Athena::NamedQuery", {"Name": "hot", "Database": "freshet", "QueryString": "select 1"}),
    "Delivery": ("KinesisFirehose::DeliveryStream", {
        "ExtendedS3DestinationConfiguration": {
            "BucketARN": arn("Bucket"),
            "RoleARN": arn("Role"),
            "BufferingHints": {"SizeInMBs": "64", "IntervalInSeconds": 60},
        },
    }),
    "Mail": ("SNS::Subscription", {
        "TopicArn": ref("Topic"),
        "Protocol": "email",
        "Endpoint": "a@b.c",
        "FilterPolicy": {"audience": ["operators"]},
    }),
    "TopicPolicy": ("SNS::TopicPolicy", {"Topics": [ref("Topic")], **POLICY}),
    "QueuePolicy": ("SQS::QueuePolicy", {"Queues": [ref("Queue")], **POLICY}),
    "BucketPolicy": ("S3::BucketPolicy", {"Bucket": ref("Bucket"), **POLICY}),
    "Group": ("Scheduler::ScheduleGroup", {"Name": "ticks"}),
    "Tick": ("Scheduler::Schedule", {
        "ScheduleExpression": "rate(1 minute)",
        "GroupName": ref("Group"),
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": arn("Queue"), "RoleArn": arn("Role")},
    }),
    "Rule": ("IoT::TopicRule", {
        "TopicRulePayload": {
            "Sql": "select * from 'iot/x'",
            "AwsIotSqlVersion": "2016-03-23",
            "Actions": [TO_STREAM],
        },
    }),
    "Alarm": ("CloudWatch::Alarm", {
        "MetricName": "Errors",
        "Namespace": "AWS/Lambda",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 1,
        "EvaluationPeriods": 1,
        "Period": 60,
        "Statistic": "Sum",
    }),
    "LogStream": ("Logs::LogStream", {"LogGroupName": ref("Log"), "LogStreamName": "delivery"}),
    "Count": ("Logs::MetricFilter", {
        "LogGroupName": ref("Log"),
        "FilterPattern": "ERROR",
        "MetricTransformations": [{"MetricName": "m", "MetricNamespace": "n", "MetricValue": "1"}],
    }),
    "Forward": ("Logs::SubscriptionFilter", {
        "LogGroupName": ref("Log"),
        "FilterPattern": "",
        "DestinationArn": arn("Stream"),
        "RoleArn": arn("Role"),
    }),
    "Live": ("Lambda::Alias", {"FunctionName": ref("Work"), "FunctionVersion": "$LATEST", "Name": "live"}),
    "Retries": ("Lambda::EventInvokeConfig", {
        "FunctionName": ref("Work"),
        "Qualifier": "$LATEST",
        "MaximumRetryAttempts": 0,
    }),
}  # fmt: skip


@pytest.mark.fidelity(
    service="CloudFormation",
    behaviour="a resource is made of its properties by its service's API",
    source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-template-resource-type-ref.html",
    falls_short=(
        "Ref and Fn::GetAtt answer what laptop/resources.py lists and moto knows; any other attribute "
        "stops the deployment"
    ),
)
@pytest.mark.fidelity(
    service="Kinesis",
    behaviour="an on-demand stream begins with four shards",
    source="recorded by the project, no public source found",
    falls_short="it never has more",
)
def test_types_that_moto_lacks_are_created_with_what_the_template_says(tmp_path: Path) -> None:
    # given one resource of every type that is created here
    resources = {
        name: {"Type": f"AWS::{kind}", "Properties": more} for name, (kind, more) in ONE_OF_EACH.items()
    }
    assert set(TYPES) <= {resource["Type"] for resource in resources.values()}
    resources |= {"Role": role(), "Work": function()}
    with Cloud(Clock(0)) as cloud:
        # when they are deployed
        cloud.deploy(write_assembly(tmp_path, {"Lake": resources}, code={"work.py": ""}))
        # then moto's own API answers with each of them
        made = {logical_id: resource.physical_id for (_, logical_id), resource in cloud.resources.items()}
        assert set(made) == set(resources)
        [table] = cloud.catalog()
        assert (table["DatabaseName"], table["Name"]) == ("freshet", "readings")
        assert table["Parameters"] == {"projection.enabled": "true"}
        assert table["StorageDescriptor"]["Columns"] == COLUMNS
        glue, logs, athena = (cloud.client(service) for service in ("glue", "logs", "athena"))
        consumer = cloud.client("kinesis").describe_stream_consumer(ConsumerARN=made["Line"])
        assert consumer["ConsumerDescription"]["ConsumerName"] == "detect"
        crawler = glue.get_crawler(Name=made["Crawler"])["Crawler"]
        assert crawler["Schedule"]["ScheduleExpression"] == "cron(0 1 * * ? *)"
        assert glue.get_job(JobName=made["Job"])["Job"]["Command"]["Name"] == "glueetl"
        trigger = glue.get_trigger(Name=made["Trigger"])["Trigger"]
        assert [action["JobName"] for action in trigger["Actions"]] == [made["Job"]]
        security = glue.get_security_configuration(Name="by-the-key")["SecurityConfiguration"]
        assert security["EncryptionConfiguration"]["S3Encryption"][0]["KmsKeyArn"] == "key"
        group = athena.get_work_group(WorkGroup="freshet")["WorkGroup"]
        assert group["Configuration"]["BytesScannedCutoffPerQuery"] == 10_000_000
        assert athena.get_named_query(NamedQueryId=made["Saved"])["NamedQuery"]["QueryString"] == "select 1"
        described = cloud.client("firehose").describe_delivery_stream(DeliveryStreamName=made["Delivery"])
        [destination] = described["DeliveryStreamDescription"]["Destinations"]
        assert destination["ExtendedS3DestinationDescription"]["BufferingHints"]["SizeInMBs"] == 64
        sns, sqs, document = cloud.client("sns"), cloud.client("sqs"), POLICY["PolicyDocument"]
        mail = sns.get_subscription_attributes(SubscriptionArn=made["Mail"])["Attributes"]
        assert json.loads(mail["FilterPolicy"]) == {"audience": ["operators"]}
        topic = sns.get_topic_attributes(TopicArn=made["Topic"])["Attributes"]
        queue = sqs.get_queue_attributes(QueueUrl=made["Queue"], AttributeNames=["Policy"])["Attributes"]
        bucket = cloud.client("s3").get_bucket_policy(Bucket=made["Bucket"])
        assert [json.loads(has["Policy"]) for has in (topic, queue, bucket)] == [document] * 3
        tick = cloud.client("scheduler").get_schedule(Name=made["Tick"], GroupName="ticks")
        assert tick["Target"]["Arn"].endswith(made["Queue"].split("/")[-1])
        rule = cloud.client("iot").get_topic_rule(ruleName=made["Rule"])["rule"]
        assert rule["actions"][0]["kinesis"]["streamName"] == made["Stream"]
        [alarm] = cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]
        assert (alarm["AlarmName"], alarm["Threshold"]) == (made["Alarm"], 1.0)
        of_log = {"logGroupName": made["Log"]}
        assert logs.describe_log_streams(**of_log)["logStreams"][0]["logStreamName"] == "delivery"
        assert logs.describe_metric_filters(**of_log)["metricFilters"][0]["filterPattern"] == "ERROR"
        assert len(logs.describe_subscription_filters(**of_log)["subscriptionFilters"]) == 1
        assert len(cloud.client("kinesis").list_shards(StreamName=made["Stream"])["Shards"]) == 4
        of_work = {"FunctionName": made["Work"]}
        assert cloud.client("lambda").get_alias(**of_work, Name="live")["FunctionVersion"] == "$LATEST"
        config = cloud.client("lambda").get_function_event_invoke_config(**of_work, Qualifier="$LATEST")
        assert config["MaximumRetryAttempts"] == 0


def test_a_type_that_nothing_creates_stops_the_deploy(tmp_path: Path) -> None:
    sentence = refusal(tmp_path, {"Broker": {"Type": "AWS::MSK::Cluster", "Properties": {}}})
    assert sentence == (
        "Stack Lake, resource Broker (AWS::MSK::Cluster): nothing on the laptop creates this type. "
        "Give it a row in laptop/resources.py."
    )


def test_a_property_that_the_api_does_not_know_stops_the_deploy(tmp_path: Path) -> None:
    wrong = {"DatabaseInput": {"Name": "freshet", "Colour": "blue"}}
    sentence = refusal(tmp_path, {"Database": {"Type": "AWS::Glue::Database", "Properties": wrong}})
    assert "resource Database (AWS::Glue::Database) was refused" in sentence
    assert "DatabaseInput.Colour" in sentence


def test_what_moto_refuses_stops_the_deploy(tmp_path: Path) -> None:
    table = {"DatabaseName": "nowhere", "TableInput": {"Name": "t"}}
    sentence = refusal(tmp_path, {"Table": {"Type": "AWS::Glue::Table", "Properties": table}})
    assert "resource Table (AWS::Glue::Table) was refused" in sentence
    assert "nowhere" in sentence


def test_an_attribute_that_moto_does_not_know_stops_the_deploy(tmp_path: Path) -> None:
    uses = {"Name": "/topic", "Type": "String", "Value": {"Fn::GetAtt": ["Topic", "Colour"]}}
    topic = {"Type": "AWS::SNS::Topic"}
    sentence = refusal(
        tmp_path, {"Topic": topic, "Name": {"Type": "AWS::SSM::Parameter", "Properties": uses}}
    )
    assert "resource Name (AWS::SSM::Parameter) was refused" in sentence
    assert "Colour" in sentence


def test_a_resource_that_does_not_exist_afterwards_stops_the_deploy(tmp_path: Path) -> None:
    # given that moto reports success and creates nothing
    with mock.patch.object(parsing, "parse_and_create_resource", return_value=None):
        sentence = refusal(tmp_path, {"Topic": {"Type": "AWS::SNS::Topic"}})
    assert "resource Topic (AWS::SNS::Topic) does not exist after the deploy" in sentence


@pytest.mark.fidelity(
    service="CloudFormation",
    behaviour="a resource whose condition is false is not made",
    source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/conditions-section-structure.html",
)
def test_what_a_false_condition_or_the_cdk_leaves_out_need_not_exist(tmp_path: Path) -> None:
    template = {
        "Conditions": {"Never": {"Fn::Equals": [ref("AWS::Region"), "eu-central-1"]}},
        "Resources": {
            "Queue": {**QUEUE, "Condition": "Never"},
            "CDKMetadata": {"Type": "AWS::CDK::Metadata", "Properties": {"Analytics": "v2"}},
        },
    }
    with Cloud(Clock(0)) as cloud:
        cloud.deploy(write_assembly(tmp_path, {"Lake": template}))
        assert cloud.resources == {}


@pytest.mark.fidelity(
    service="CloudFormation",
    behaviour="a FIFO queue's generated name ends in `.fifo`",
    source="https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues.html",
)
def test_a_fifo_queue_without_a_name_gets_one_that_ends_in_fifo(tmp_path: Path) -> None:
    with Cloud(Clock(0)) as cloud:
        changes = {"Type": "AWS::SQS::Queue", "Properties": {"FifoQueue": True}}
        cloud.deploy(write_assembly(tmp_path, {"Pipeline": {"Changes": changes}}))
        assert deployed(cloud, "Pipeline", "Changes").physical_id.endswith(".fifo")


@pytest.mark.fidelity(
    service="CloudFormation",
    behaviour="a log group's Arn ends in `:*`",
    source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-logs-loggroup.html",
)
@pytest.mark.fidelity(
    service="CloudFormation",
    behaviour="a layer's Ref is the ARN of its version",
    source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-lambda-layerversion.html",
    falls_short="its name is generated, whatever LayerName says",
)
def test_references_answer_as_cloudformation_does(tmp_path: Path) -> None:
    # given a log group whose Arn and a layer whose Ref is kept in a parameter
    content = {"S3Bucket": {"Fn::Sub": ASSETS}, "S3Key": "code.zip"}
    answers = {"LogArn": arn("Log"), "LayerRef": ref("Layer")}
    resources = {
        "Log": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "readings"}},
        "Layer": {
            "Type": "AWS::Lambda::LayerVersion",
            "Properties": {"Content": content},
        },
        **{
            name: {
                "Type": "AWS::SSM::Parameter",
                "Properties": {"Name": f"/{name}", "Type": "String", "Value": value},
            }
            for name, value in answers.items()
        },
    }
    with Cloud(Clock(0)) as cloud:
        cloud.deploy(write_assembly(tmp_path, {"Lake": resources}, code={"a.py": ""}))
        kept = {name: deployed(cloud, "Lake", name).properties["Value"] for name in answers}
    assert kept["LogArn"] == "arn:aws:logs:us-east-1:123456789012:log-group:readings:*"
    assert re.fullmatch(r"arn:aws:lambda:us-east-1:123456789012:layer:[\w-]+:1", kept["LayerRef"])


def test_the_region_is_the_one_that_the_stacks_are_bound_to(tmp_path: Path) -> None:
    folder = write_assembly(
        tmp_path, {"Lake": {"Bucket": BUCKET, "Queue": QUEUE}}, code={"a.py": ""},
        environment="aws://unknown-account/eu-central-1",
    )  # fmt: skip
    with Cloud(Clock(0)) as cloud:
        cloud.deploy(folder)
        assert deployed(cloud, "Lake", "Queue").physical_id.startswith("https://sqs.eu-central-1.")
        assert [bucket for bucket, _ in cloud.assets] == ["cdk-hnb659fds-assets-123456789012-eu-central-1"]


def test_stacks_of_another_account_are_refused(tmp_path: Path) -> None:
    folder = write_assembly(tmp_path, {"Lake": {"Queue": QUEUE}}, environment="aws://999999999999/us-east-1")
    with Cloud(Clock(0)) as cloud, pytest.raises(DeployError, match=r"999999999999.*Synthesize them without"):
        cloud.deploy(folder)


def test_a_folder_without_a_cloud_assembly_is_refused(tmp_path: Path) -> None:
    with Cloud(Clock(0)) as cloud, pytest.raises(DeployError, match="holds no cloud assembly"):
        cloud.deploy(tmp_path)


def test_no_credential_of_the_user_is_there_and_all_are_back_afterwards() -> None:
    mine = {
        "AWS_PROFILE": "production",
        "AWS_SECRET_ACCESS_KEY": "real",
        "AWS_ENDPOINT_URL": "https://example.org",
    }
    with mock.patch.dict(os.environ, mine):
        with Cloud(Clock(0)):
            assert not {"AWS_PROFILE", "AWS_ENDPOINT_URL"} & set(os.environ)
            assert boto3.Session().get_credentials().secret_key != "real"
        assert {key: os.environ[key] for key in mine} == mine


@pytest.mark.fidelity(
    service="Kinesis",
    behaviour="a record carries the time at which the stream took it",
    source="https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Record.html",
    falls_short="exactly, where AWS says approximately",
)
def test_time_in_the_cloud_is_the_clocks(tmp_path: Path) -> None:
    clock = Clock(1_700_000_000.0)
    with Cloud(clock) as cloud:
        cloud.deploy(write_assembly(tmp_path, {"Lake": {"Stream": STREAM, "Bucket": BUCKET}}))
        stream, kinesis = deployed(cloud, "Lake", "Stream").physical_id, cloud.client("kinesis")
        clock.advance_to(1_700_000_060.5)
        clock.advance_to(1_600_000_000.0)  # has passed
        shard = kinesis.put_record(StreamName=stream, Data=b"x", PartitionKey="a")["ShardId"]
        where = {"StreamName": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        iterator = kinesis.get_shard_iterator(**where)["ShardIterator"]
        [record] = kinesis.get_records(ShardIterator=iterator)["Records"]
        assert record["ApproximateArrivalTimestamp"].timestamp() == 1_700_000_060.5


@pytest.mark.fidelity(
    service="Kinesis",
    behaviour="a split shard keeps its records, its children take the new ones",
    source="https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html",
)
@pytest.mark.fidelity(
    service="Kinesis",
    behaviour="a closed shard that was read to its end has no next iterator",
    source="https://docs.aws.amazon.com/streams/latest/dev/developing-consumers-with-sdk.html",
)
def test_a_split_shard_keeps_its_records_and_ends(tmp_path: Path) -> None:
    one = {"Type": "AWS::Kinesis::Stream", "Properties": {"ShardCount": 1}}
    with Cloud(Clock(0)) as cloud:
        cloud.deploy(write_assembly(tmp_path, {"Lake": {"Stream": one}}))
        stream, kinesis = deployed(cloud, "Lake", "Stream").physical_id, cloud.client("kinesis")
        records = [{"Data": b"before", "PartitionKey": str(number)} for number in range(10)]
        kinesis.put_records(StreamName=stream, Records=records)
        # when the shard is split and more is put
        parent = kinesis.list_shards(StreamName=stream)["Shards"][0]["ShardId"]
        kinesis.split_shard(StreamName=stream, ShardToSplit=parent, NewStartingHashKey=str(2**127))
        answer = kinesis.put_records(StreamName=stream, Records=records)
        # then the children take it, the parent keeps what it had, and its iterator ends
        children = {record["ShardId"] for record in answer["Records"]}
        assert len(children) == 2
        assert parent not in children
        where = {"StreamName": stream, "ShardId": parent, "ShardIteratorType": "TRIM_HORIZON"}
        first = kinesis.get_records(
            ShardIterator=kinesis.get_shard_iterator(**where)["ShardIterator"], Limit=4
        )
        rest = kinesis.get_records(ShardIterator=first["NextShardIterator"])
        assert (len(first["Records"]), len(rest["Records"])) == (4, 6)
        assert "NextShardIterator" not in rest
