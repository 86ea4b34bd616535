"""What templates say and no run on a laptop shows: encryption, keeping, limits, retries, rights, names."""

from __future__ import annotations

import base64
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lambdas.effects.settings import (
    AlertSettings,
    CommitSettings,
    Settings,
    TransformSettings,
)
from lambdas.tables import PROVENANCE, QUARANTINE, RESULT_TABLES
from pipelines import discovery
from sql.distinct import distinct_view
from sql.types import from_hive
from sql.view import View
from tests.stacks.template import Resource, only, resources, statements

ROOT = Path(__file__).parents[2]
PIPELINES = discovery.discover()
STACKS = {name: f"freshet-{name.replace('_', '-')}" for name in PIPELINES}
HANDLERS: dict[str, type[Settings]] = {
    "alert": AlertSettings,
    "detect": CommitSettings,
    "tick": CommitSettings,
    "transform": TransformSettings,
}
KEY = "<freshet-lake:ExportsOutputFnGetAttKey961B73FDArn5A860C43>"

# What holds data, a place in a stream, somebody's confirmation, or a name that only one resource may have. A
# changed logical id is another resource: what the old one held is left behind or deleted.
STATEFUL = {
    "AWS::Athena::WorkGroup",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::DynamoDB::Table",
    "AWS::Glue::Database",
    "AWS::Glue::Table",
    "AWS::KMS::Key",
    "AWS::Kinesis::Stream",
    "AWS::Kinesis::StreamConsumer",
    "AWS::KinesisFirehose::DeliveryStream",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
    "AWS::SSM::Parameter",
}
STATELESS = {
    "AWS::Athena::NamedQuery",
    "AWS::CDK::Metadata",
    "AWS::Glue::Crawler",
    "AWS::Glue::Job",
    "AWS::Glue::SecurityConfiguration",
    "AWS::Glue::Trigger",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::IoT::TopicRule",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Function",
    "AWS::Lambda::LayerVersion",
    "AWS::Logs::LogStream",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::Scheduler::Schedule",
    "AWS::StepFunctions::StateMachine",
}
MAPPING, DELIVERY = "<DetectRecordsMapping8E0415CE>", "<EventsDeliveryStream65A0AE3A>"
PIPELINE = "<the pipeline>"
LOGICAL_IDS = Path(__file__).with_name("logical_ids.json")
EACH_PIPELINE = "each pipeline"


def stateful(cdk_out: Path) -> dict[str, dict[str, str]]:
    """By stack the logical ids of what is stateful, with their types; a view is as good made anew."""
    found: dict[str, dict[str, str]] = {}
    for each in resources(cdk_out):
        if each.type in STATEFUL and each.properties.get("TableInput", {}).get("TableType") != "VIRTUAL_VIEW":
            found.setdefault(each.stack, {})[each.logical_id] = each.type
    return found


def test_every_type_is_known_to_hold_something_or_nothing(cdk_out: Path) -> None:
    unknown = {each.type for each in resources(cdk_out)} - STATEFUL - STATELESS

    assert not unknown, f"Say of {sorted(unknown)} whether a new one in place of an old one loses anything."


def test_logical_ids_of_what_holds_data_never_change(cdk_out: Path) -> None:
    pinned: dict[str, dict[str, str]] = json.loads(LOGICAL_IDS.read_text())
    shared = pinned.pop(EACH_PIPELINE)
    found = stateful(cdk_out)
    for name, stack in STACKS.items():
        # A pipeline that somebody adds has what all have; what is its own is pinned with the house's.
        pinned[stack] = shared | pinned.get(stack, found[stack])
        assert shared.items() <= found[stack].items(), name

    assert found == pinned, (
        "A logical id that is gone takes with it, or leaves behind, what its resource held. If it is meant, "
        f"write what there is now into {LOGICAL_IDS.name}, and into the CHANGELOG what users have to do."
    )


@pytest.mark.parametrize(
    "type", ["AWS::KMS::Key", "AWS::S3::Bucket", "AWS::Kinesis::Stream", "AWS::DynamoDB::Table"]
)
def test_data_stays_when_its_stack_goes_and_nothing_when_it_never_stood(cdk_out: Path, type: str) -> None:
    assert {each.deletion_policy for each in resources(cdk_out, type)} == {"RetainExceptOnCreate"}


def test_no_stack_comes_near_the_most_resources_that_it_may_have(cdk_out: Path) -> None:
    counts = {stack: len(resources(cdk_out, stack=stack)) for stack in {e.stack for e in resources(cdk_out)}}

    assert max(counts.values()) < 200, counts


# --- encryption and keeping


def test_the_key_rotates(cdk_out: Path) -> None:
    assert only(cdk_out, "AWS::KMS::Key", stack="freshet-lake").properties["EnableKeyRotation"] is True


def test_buckets_are_private_encrypted_and_reached_by_tls_alone(cdk_out: Path) -> None:
    buckets = resources(cdk_out, "AWS::S3::Bucket")
    policies = {each.properties["Bucket"]: each for each in resources(cdk_out, "AWS::S3::BucketPolicy")}

    assert len(buckets) == 5
    for bucket in buckets:
        encryption = bucket.properties["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]
        assert set(bucket.properties["PublicAccessBlockConfiguration"].values()) == {True}
        denials = [
            statement["Condition"]
            for statement in policies[f"<{bucket.logical_id}>"].properties["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Deny"
        ]
        assert {"Bool": {"aws:SecureTransport": "false"}} in denials
        if bucket.logical_id.startswith("AccessLogs"):
            assert encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
        else:
            assert encryption["BucketKeyEnabled"] is True
            assert encryption["ServerSideEncryptionByDefault"] == {
                "SSEAlgorithm": "aws:kms",
                "KMSMasterKeyID": "<Key961B73FD.Arn>",
            }
            assert (
                bucket.properties["LoggingConfiguration"]["DestinationBucketName"] == "<AccessLogs8B620ECA>"
            )


def lifecycle(cdk_out: Path, bucket: str) -> dict[str, Any]:
    found = only(cdk_out, "AWS::S3::Bucket", stack="freshet-lake", starting=bucket)
    return {rule["Id"]: rule for rule in found.properties["LifecycleConfiguration"]["Rules"]}


def test_neither_an_event_nor_a_shards_state_ever_expires(cdk_out: Path) -> None:
    assert lifecycle(cdk_out, "State").keys() == {"abandoned-uploads", "taken"}
    taken, failed = lifecycle(cdk_out, "State")["taken"], lifecycle(cdk_out, "Failed")["forget"]
    assert taken["Prefix"] == "taken/"
    assert taken["ExpirationInDays"] >= failed["ExpirationInDays"] + 7
    expiring = {id: rule for id, rule in lifecycle(cdk_out, "Lake").items() if "ExpirationInDays" in rule}
    assert {rule["Prefix"] for rule in expiring.values()} == {"errors/"}
    assert lifecycle(cdk_out, "Lake")["deleted"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}


def test_what_queries_and_failures_leave_is_forgotten(cdk_out: Path) -> None:
    assert lifecycle(cdk_out, "Results")["forget"]["ExpirationInDays"] == 30
    assert lifecycle(cdk_out, "Failed")["forget"]["ExpirationInDays"] == 90
    for bucket in ("Lake", "State", "Failed", "Results"):
        rule = lifecycle(cdk_out, bucket)["abandoned-uploads"]
        assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


def test_streams_are_encrypted_and_as_large_as_declared(cdk_out: Path) -> None:
    for name in PIPELINES:
        stream = only(cdk_out, "AWS::Kinesis::Stream", stack=STACKS[name]).properties
        assert stream["StreamEncryption"] == {"EncryptionType": "KMS", "KeyId": KEY}
        assert (stream["ShardCount"], stream["RetentionPeriodHours"]) == (1, 24)


def test_tables_of_items_are_restorable_and_references_under_the_lakes_key(cdk_out: Path) -> None:
    for table in resources(cdk_out, "AWS::DynamoDB::Table"):
        assert table.properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert table.properties["BillingMode"] == "PAY_PER_REQUEST"
        assert "TimeToLiveSpecification" not in table.properties
        if table.stack == "freshet-operators":
            assert table.properties["KeySchema"] == [{"AttributeName": "incident_id", "KeyType": "HASH"}]
        else:
            encryption = {"KMSMasterKeyId": KEY, "SSEEnabled": True, "SSEType": "KMS"}
            assert table.properties["SSESpecification"] == encryption


def test_a_references_key_has_its_columns_type(cdk_out: Path) -> None:
    registrations = only(cdk_out, "AWS::DynamoDB::Table", stack="freshet-heart-rate")
    guests = only(cdk_out, "AWS::DynamoDB::Table", stack="freshet-casino")

    assert registrations.properties["AttributeDefinitions"] == [
        {"AttributeName": "device_id", "AttributeType": "N"}
    ]
    assert guests.properties["AttributeDefinitions"] == [
        {"AttributeName": "customer_id", "AttributeType": "S"}
    ]


# --- messages


@pytest.mark.semantics(line=10, clause="told")
@pytest.mark.semantics(line=10, clause="queue")
def test_changes_keep_their_order_and_wait_for_a_person_when_nobody_could_be_told(cdk_out: Path) -> None:
    for name in PIPELINES:
        queue = only(cdk_out, "AWS::SQS::Queue", stack=STACKS[name], starting="ChangesQueue").properties
        undelivered = only(cdk_out, "AWS::SQS::Queue", stack=STACKS[name], starting="ChangesUndelivered")
        alert = only(cdk_out, "AWS::Lambda::Function", stack=STACKS[name], starting="Alert").properties
        for each in (queue, undelivered.properties):
            assert each["FifoQueue"] is True
            assert each["ContentBasedDeduplication"] is False
            assert each["SqsManagedSseEnabled"] is True
            assert each["MessageRetentionPeriod"] == 14 * 86_400
        assert queue["VisibilityTimeout"] == 6 * alert["Timeout"]
        assert queue["RedrivePolicy"]["deadLetterTargetArn"] == f"<{undelivered.logical_id}.Arn>"


def test_recipients_get_what_their_filters_let_through(cdk_out: Path) -> None:
    found = {
        each.properties["Endpoint"]: (
            each.properties["Protocol"],
            each.properties["TopicArn"],
            each.properties.get("FilterPolicy"),
        )
        for each in resources(cdk_out, "AWS::SNS::Subscription")
    }

    alerts, alarms = "<Alerts91F83244>", "<Alarms04B5A0BF>"
    assert found == {
        "everything@example.com": ("email", alerts, None),
        "heat@example.com": (
            "email",
            alerts,
            {"pipeline": ["temperature"], "severity": ["high", "critical"]},
        ),
        "hosts@example.com": ("email", alerts, {"audience": ["hosts"]}),
        "+491701234567": ("sms", alerts, {"pipeline": ["heart_rate"]}),
        "engineers@example.com": ("email", alarms, None),
    }


def test_topics_are_encrypted_and_an_alarm_may_publish(cdk_out: Path) -> None:
    for topic in resources(cdk_out, "AWS::SNS::Topic"):
        assert topic.properties["KmsMasterKeyId"] == KEY
        assert topic.properties["DisplayName"].startswith("Freshet")
    allowed = [
        statement
        for policy in resources(cdk_out, "AWS::SNS::TopicPolicy")
        for statement in policy.properties["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]
    assert [(each["Principal"], each["Action"], each["Resource"]) for each in allowed] == [
        ({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish", "<Alarms04B5A0BF>")
    ]
    key = only(cdk_out, "AWS::KMS::Key", stack="freshet-lake").properties["KeyPolicy"]["Statement"]
    services = {s["Principal"]["Service"]: set(s["Action"]) for s in key if "Service" in s["Principal"]}
    assert services == {
        "cloudwatch.amazonaws.com": {"kms:Decrypt", "kms:GenerateDataKey"},
        "logs.<AWS::Region>.amazonaws.com": {
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:Encrypt",
            "kms:GenerateDataKey",
        },
    }


def test_alarms_tell_the_engineers_what_to_do_first(cdk_out: Path) -> None:
    alarms = resources(cdk_out, "AWS::CloudWatch::Alarm")

    assert len(alarms) == len(WATCHED) * len(PIPELINES) + len(TELLING_BY_SMS) + 1
    for alarm in alarms:
        whose = next((name for name, stack in STACKS.items() if stack == alarm.stack), "lake")
        happened, do_first = re.fullmatch(
            rf"{whose}: (.+?\.) ((?:Look|Read) .+\.)", alarm.properties["AlarmDescription"]
        ).groups()  # type: ignore[union-attr]  # that it matches is what is tested
        assert happened
        assert do_first
        assert [action for action in alarm.properties["AlarmActions"] if "Alarms04B5A0BF" in action]
        assert alarm.properties["AlarmName"].startswith(f"Freshet {whose} - ")
        assert (alarm.properties["Threshold"], alarm.properties["ComparisonOperator"]) == (
            0,
            "GreaterThanThreshold",
        )


TELLING_BY_SMS = [name for name, each in PIPELINES.items() if any(d.sms is not None for d in each.detectors)]


def test_the_end_of_what_can_end_is_told_and_nobody_is_calmed_about_what_was_lost(cdk_out: Path) -> None:
    for alarm in resources(cdk_out, "AWS::CloudWatch::Alarm"):
        lost = re.search("GivenUp|LeftOut", alarm.logical_id)
        ended = [] if lost else alarm.properties["AlarmActions"]
        assert alarm.properties.get("OKActions", []) == ended, alarm.logical_id


def test_an_sms_that_is_given_up_is_heard_of_where_any_is_sent(cdk_out: Path) -> None:
    found = [each for each in resources(cdk_out, "AWS::CloudWatch::Alarm") if "Sms" in each.logical_id]

    assert [each.stack for each in found] == [STACKS[name] for name in TELLING_BY_SMS]
    for alarm, name in zip(found, TELLING_BY_SMS, strict=True):
        given_up = {"given_up": ("Freshet", "sms_given_up", "Sum", name)}
        assert watched(alarm) == ("FILL(given_up, 0)", 300, given_up)


def test_every_alarm_is_explained_to_whom_it_wakes(cdk_out: Path) -> None:
    page = (ROOT / "docs" / "operate.md").read_text()
    titles = {
        alarm.properties["AlarmName"].partition(" - ")[2]
        for alarm in resources(cdk_out, "AWS::CloudWatch::Alarm")
    }

    assert titles == {title for title in titles if f"\n- **{title}**" in page}


def test_alarms_watch_as_many_metrics_as_their_price_is_given_for(cdk_out: Path) -> None:
    """At $0.10 a month each."""
    watched_by = dict.fromkeys([*STACKS.values(), "freshet-operators"], 0)
    for alarm in resources(cdk_out, "AWS::CloudWatch::Alarm"):
        watched_by[alarm.stack] += sum("MetricStat" in each for each in alarm.properties["Metrics"])

    assert watched_by == {
        **{stack: 20 + (name in TELLING_BY_SMS) for name, stack in STACKS.items()},
        "freshet-operators": 5,
    }


# What each alarm says is wrong, and for how many seconds it has to be.
WATCHED = {
    "Behind": (
        "IF(FILL(errors, 0) > 0 OR FILL(age, 0) > 600000 OR "
        "(FILL(incoming, 0) > 0 AND FILL(calls, 0) == 0), 1, 0)",
        2 * 300,
        {
            "errors": ("AWS/Lambda", "Errors", "Sum", "<DetectFunction5E3C9172>"),
            "age": ("AWS/Lambda", "IteratorAge", "Maximum", "<DetectFunction5E3C9172>"),
            "incoming": ("AWS/Kinesis", "IncomingRecords", "Sum", "<EventsStreamA348795C>"),
            "calls": ("AWS/Lambda", "Invocations", "Sum", "<DetectFunction5E3C9172>"),
        },
    ),
    "GivenUp": (
        "FILL(kept, 0) + FILL(lost, 0) + FILL(refused, 0) + FILL(faults, 0)",
        300,
        {
            "kept": ("AWS/Lambda", "OnFailureDestinationDeliveredEventCount", "Sum", MAPPING),
            "lost": ("AWS/Lambda", "DroppedEventCount", "Sum", MAPPING),
            "refused": ("AWS/Lambda", "DestinationDeliveryFailures", "Sum", "<DetectFunction5E3C9172>"),
            "faults": ("Freshet", "faults", "Sum", PIPELINE),
        },
    ),
    "Clock": (
        "IF(FILL(calls, 0) < 1 OR FILL(errors, 0) > 0, 1, 0)",
        3 * 300,
        {
            "calls": ("AWS/Lambda", "Invocations", "Sum", "<TickFunction412909D5>"),
            "errors": ("AWS/Lambda", "Errors", "Sum", "<TickFunction412909D5>"),
        },
    ),
    "HeldUp": (
        "IF(FILL(age, 0) > 600, 1, 0)",
        300,
        {
            "age": (
                "AWS/SQS",
                "ApproximateAgeOfOldestMessage",
                "Maximum",
                "<ChangesQueueD86756A9.QueueName>",
            )
        },
    ),
    "Undelivered": (
        "FILL(waiting, 0)",
        300,
        {
            "waiting": (
                "AWS/SQS",
                "ApproximateNumberOfMessagesVisible",
                "Maximum",
                "<ChangesUndeliveredDB325D87.QueueName>",
            )
        },
    ),
    "Stale": (
        "IF(FILL(age, 0) > 900 OR (FILL(incoming, 0) > 0 AND FILL(delivered, 0) == 0), 1, 0)",
        2 * 900,
        {
            "age": ("AWS/Firehose", "DeliveryToS3.DataFreshness", "Maximum", DELIVERY),
            "incoming": ("AWS/Kinesis", "IncomingRecords", "Sum", "<EventsStreamA348795C>"),
            "delivered": ("AWS/Firehose", "DeliveryToS3.Records", "Sum", DELIVERY),
        },
    ),
    "LeftOut": (
        "FILL(errors, 0) + IF(FILL(succeeded, 1) < 1, 1, 0) + FILL(unconverted, 0)",
        300,
        {
            "errors": ("AWS/Lambda", "Errors", "Sum", "<TransformFunction58095C87>"),
            "succeeded": ("AWS/Firehose", "ExecuteProcessing.Success", "Average", DELIVERY),
            "unconverted": ("AWS/Firehose", "FailedConversion.Records", "Sum", DELIVERY),
        },
    ),
    "Quarantined": (
        "IF(FILL(bad, 0) >= 10 AND FILL(bad, 0) > 0.05 * FILL(all, 0), 1, 0)",
        900,
        {
            "bad": ("Freshet", "quarantined_records", "Sum", PIPELINE),
            "all": ("AWS/Firehose", "SucceedProcessing.Records", "Sum", DELIVERY),
        },
    ),
}


def watched(alarm: Resource) -> tuple[str, int, dict[str, tuple[str, str, str, str]]]:
    """An alarm's expression, for how many seconds it must hold, and its metrics, each with its dimension."""
    (expression,) = [each["Expression"] for each in alarm.properties["Metrics"] if "Expression" in each]
    metrics = {}
    periods = set()
    for each in alarm.properties["Metrics"]:
        if stat := each.get("MetricStat"):
            periods.add(stat["Period"])
            (dimension,) = stat["Metric"]["Dimensions"]
            metrics[each["Id"]] = (
                stat["Metric"]["Namespace"],
                stat["Metric"]["MetricName"],
                stat["Stat"],
                dimension["Value"],
            )
    (period,) = periods
    return expression, period * alarm.properties["EvaluationPeriods"], metrics


@pytest.mark.parametrize("name", WATCHED)
def test_an_alarm_hears_of_what_fails_and_of_what_no_longer_happens(cdk_out: Path, name: str) -> None:
    expression, seconds, metrics = WATCHED[name]
    for pipeline, stack in STACKS.items():
        alarm = only(cdk_out, "AWS::CloudWatch::Alarm", stack=stack, starting=f"Alarms{name}")
        own = {id: tuple(pipeline if e is PIPELINE else e for e in each) for id, each in metrics.items()}

        assert watched(alarm) == (expression, seconds, own)
        silence = "breaching" if name == "Clock" else "notBreaching"
        assert alarm.properties["TreatMissingData"] == silence


def test_an_alarm_hears_of_every_result_that_does_not_fit_its_table(cdk_out: Path) -> None:
    alarm = only(cdk_out, "AWS::CloudWatch::Alarm", stack="freshet-operators")
    deliveries = resources(cdk_out, "AWS::KinesisFirehose::DeliveryStream", stack="freshet-lake")

    expression, _, metrics = watched(alarm)
    assert expression.split(" + ") == [f"FILL({kind}, 0)" for kind in RESULT_TABLES]
    assert {metric[:3] for metric in metrics.values()} == {
        ("AWS/Firehose", "FailedConversion.Records", "Sum")
    }
    assert len({metric[3] for metric in metrics.values()}) == len(deliveries)


# --- functions


def functions(cdk_out: Path) -> list[Resource]:
    return resources(cdk_out, "AWS::Lambda::Function")


def test_every_function_runs_python_on_arm_and_logs_for_a_month(cdk_out: Path) -> None:
    logs = {f"{e.stack}<{e.logical_id}>": e for e in resources(cdk_out, "AWS::Logs::LogGroup")}

    assert len(functions(cdk_out)) == len(HANDLERS) * len(PIPELINES)
    for function in functions(cdk_out):
        assert function.properties["Runtime"] == "python3.13"
        assert function.properties["Architectures"] == ["arm64"]
        group = logs[function.stack + function.properties["LoggingConfig"]["LogGroup"]]
        assert group.properties["RetentionInDays"] == 30


@pytest.mark.parametrize("entry_point", HANDLERS)
def test_every_function_is_told_what_its_handler_reads(cdk_out: Path, entry_point: str) -> None:
    for name in PIPELINES:
        function = next(
            each
            for each in resources(cdk_out, "AWS::Lambda::Function", stack=STACKS[name])
            if each.properties["Handler"] == f"lambdas.{entry_point}.handler"
        )
        environment = function.properties["Environment"]["Variables"]
        settings = HANDLERS[entry_point].of_environment(environment)

        assert settings.pipeline == name
        unread = {
            key
            for key in environment
            if key.startswith("FRESHET_") and key.removeprefix("FRESHET_").lower() not in vars(settings)
        }
        assert unread == set()


def test_results_and_references_are_named_by_kind_and_reference(cdk_out: Path) -> None:
    detect = only(cdk_out, "AWS::Lambda::Function", stack="freshet-heart-rate", starting="Detect")
    environment = CommitSettings.of_environment(detect.properties["Environment"]["Variables"])
    alert = only(cdk_out, "AWS::Lambda::Function", stack="freshet-heart-rate", starting="Alert")
    told = AlertSettings.of_environment(alert.properties["Environment"]["Variables"])

    assert environment.result_streams.keys() | told.result_streams.keys() == RESULT_TABLES.keys()
    assert environment.reference_tables == {"registrations": "<ReferencesRegistrationsTableFD82E3E7>"}
    assert told.reference_tables == environment.reference_tables


def test_only_who_sends_sms_may_look_a_reference_up_to_alert(cdk_out: Path) -> None:
    alert = only(cdk_out, "AWS::Lambda::Function", stack="freshet-casino", starting="Alert")

    assert AlertSettings.of_environment(alert.properties["Environment"]["Variables"]).reference_tables == {}


def test_the_users_numbers_reach_every_handler(cdk_out: Path) -> None:
    for function in resources(cdk_out, "AWS::Lambda::Function", stack="freshet-temperature"):
        overrides = json.loads(function.properties["Environment"]["Variables"]["FRESHET_OVERRIDES"])
        assert overrides == {"too_hot.above": 31}


def asset(cdk_out: Path, function: Resource) -> set[str]:
    folder = cdk_out / f"asset.{function.properties['Code']['S3Key'].removesuffix('.zip')}"
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_functions_code_is_the_handlers_and_its_own_pipelines_declaration(cdk_out: Path, name: str) -> None:
    for function in resources(cdk_out, "AWS::Lambda::Function", stack=STACKS[name]):
        files = asset(cdk_out, function)
        declarations = {file for file in files if file.startswith("pipelines/")}
        handlers = {path.relative_to(ROOT).as_posix() for path in (ROOT / "lambdas").rglob("*.py")}

        assert declarations == {"pipelines/__init__.py", f"pipelines/{name}/pipeline.py"}
        assert files - declarations == handlers


def test_the_layer_is_not_fetched_for_a_test(cdk_out: Path) -> None:
    for layer in resources(cdk_out, "AWS::Lambda::LayerVersion"):
        folder = cdk_out / f"asset.{layer.properties['Content']['S3Key'].removesuffix('.zip')}"
        assert [path.name for path in folder.rglob("*")] == ["requirements.txt"]
        assert layer.properties["CompatibleArchitectures"] == ["arm64"]


# --- who reads what, and how often it is tried


@pytest.mark.semantics(line=5, clause="given up")
@pytest.mark.semantics(line=7, clause="one")
@pytest.mark.parametrize("name", PIPELINES)
def test_records_are_read_in_order_and_given_up_after_bounded_tries(cdk_out: Path, name: str) -> None:
    mapping = only(cdk_out, "AWS::Lambda::EventSourceMapping", stack=STACKS[name], starting="Detect")

    assert mapping.properties == {
        "BatchSize": 1000,
        "BisectBatchOnFunctionError": True,
        "DestinationConfig": {
            "OnFailure": {
                "Destination": "<freshet-lake:ExportsOutputFnGetAttFailedBucketF49D5B70ArnBEF5B174>"
            }
        },
        "EventSourceArn": "<EventsStreamA348795C.Arn>",
        "FunctionName": "<DetectFunction5E3C9172.Arn>",
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "MaximumBatchingWindowInSeconds": PIPELINES[name].latency.total_seconds(),
        "MaximumRecordAgeInSeconds": 23 * 3600,
        "MaximumRetryAttempts": 30,
        "MetricsConfig": {"Metrics": ["EventCount"]},
        "ParallelizationFactor": 1,
        "StartingPosition": "TRIM_HORIZON",
    }
    assert [each for each in mapping.depends_on if "DefaultPolicy" in each]


def test_changes_are_told_one_by_one_and_a_storm_not_at_once(cdk_out: Path) -> None:
    mapping = only(cdk_out, "AWS::Lambda::EventSourceMapping", stack="freshet-casino", starting="Alert")

    assert mapping.properties["BatchSize"] == 10
    assert mapping.properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping.properties["ScalingConfig"] == {"MaximumConcurrency": 2}


@pytest.mark.semantics(line=2, clause="clock")
def test_a_tick_comes_each_minute_and_is_never_tried_again(cdk_out: Path) -> None:
    for name in PIPELINES:
        schedule = only(cdk_out, "AWS::Scheduler::Schedule", stack=STACKS[name]).properties
        tick = only(cdk_out, "AWS::Lambda::Function", stack=STACKS[name], starting="Tick")

        assert schedule["ScheduleExpression"] == "rate(1 minute)"
        assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
        assert schedule["Target"]["RetryPolicy"] == {
            "MaximumEventAgeInSeconds": 60,
            "MaximumRetryAttempts": 0,
        }
        assert tick.properties["Timeout"] < 60
        if PIPELINES[name].tick < timedelta(minutes=1):
            continue  # the loop that it starts has a test of its own
        own_queue = only(cdk_out, "AWS::Lambda::EventInvokeConfig", stack=STACKS[name]).properties
        assert schedule["Target"]["Arn"] == f"<{tick.logical_id}.Arn>"
        given = json.loads(schedule["Target"]["Input"])
        assert given == {"scheduled_time": "<aws.scheduler.scheduled-time>"}
        assert (own_queue["MaximumRetryAttempts"], own_queue["MaximumEventAgeInSeconds"]) == (0, 60)
        assert own_queue["FunctionName"] == f"<{tick.logical_id}>"


@pytest.mark.semantics(line=2, clause="clock")
def test_a_tick_below_a_minute_comes_by_a_loop_that_ends_when_nothing_is_awaited(cdk_out: Path) -> None:
    stack, tick = STACKS["casino"], PIPELINES["casino"].tick.total_seconds()
    machine = only(cdk_out, "AWS::StepFunctions::StateMachine", stack=stack)
    schedule = only(cdk_out, "AWS::Scheduler::Schedule", stack=stack).properties
    function = only(cdk_out, "AWS::Lambda::Function", stack=stack, starting="Tick")

    assert schedule["Target"]["Arn"] == f"<{machine.logical_id}>"
    assert machine.properties["StateMachineType"] == "EXPRESS"
    assert json.loads(machine.properties["DefinitionString"]) == {
        "StartAt": "Tick",
        "TimeoutSeconds": 120,
        "States": {
            "Tick": {
                "Type": "Task",
                "Resource": f"<{function.logical_id}.Arn>",
                "Parameters": {
                    "scheduled_time.$": "$$.State.EnteredTime",
                    "loop_began.$": "$$.Execution.StartTime",
                    "pause": tick,
                },
                "Next": "IsWantedAgain",
            },
            "IsWantedAgain": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.again", "BooleanEquals": True, "Next": "Pause"}],
                "Default": "Over",
            },
            "Pause": {"Type": "Wait", "Seconds": tick, "Next": "Tick"},
            "Over": {"Type": "Succeed"},
        },
    }
    assert resources(cdk_out, "AWS::Lambda::EventInvokeConfig", stack=stack) == []


def test_an_iot_rule_passes_any_payload_on_by_its_device(cdk_out: Path) -> None:
    rule = only(cdk_out, "AWS::IoT::TopicRule", stack="freshet-heart-rate").properties["TopicRulePayload"]

    assert rule["Sql"] == "SELECT * FROM 'iot/heartrate'"
    assert rule["AwsIotSqlVersion"] == "2016-03-23"
    assert rule["Actions"][0]["Kinesis"]["PartitionKey"] == "${clientid()}"
    assert rule["ErrorAction"]["S3"]["Key"].startswith("errors/heart_rate/iot/")


# --- rights


def test_roles_have_no_managed_policy_and_are_assumed_by_one_service(cdk_out: Path) -> None:
    for role in resources(cdk_out, "AWS::IAM::Role"):
        assert "ManagedPolicyArns" not in role.properties, role.logical_id
        (trust,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
        service = trust["Principal"]["Service"]
        assert isinstance(service, str)
        # These say for whom they act; Lambda and Firehose take a role of their own account only.
        if service in ("iot.amazonaws.com", "scheduler.amazonaws.com", "states.amazonaws.com"):
            assert trust["Condition"]["StringEquals"]["aws:SourceAccount"] == "<AWS::AccountId>"


def test_no_action_has_a_wildcard_and_a_resource_only_below_a_prefix(cdk_out: Path) -> None:
    for policy, statement in statements(cdk_out):
        assert [action for action in statement["Action"] if "*" in action] == [], policy
        for resource in statement.get("Resource", []):
            assert re.fullmatch(
                r"[^*]*|<[^*>]+>/([a-z_=/]+|aws/lambda/<[^*>]+>)/\*|[^*]+:log-group:/aws-glue/[a-z/]+\*",
                resource,
            ), f"{policy}: {resource}"


def test_only_a_pipeline_that_sends_sms_may_publish_to_numbers_and_to_nothing_else(cdk_out: Path) -> None:
    found = [
        (policy.split("/")[0], statement["Action"], statement["NotResource"])
        for policy, statement in statements(cdk_out)
        if "NotResource" in statement
    ]

    senders = [STACKS[n] for n, p in PIPELINES.items() if any(d.sms is not None for d in p.detectors)]
    assert found == [(stack, ["sns:Publish"], "arn:<AWS::Partition>:sns:*:*:*") for stack in sorted(senders)]


def actions(cdk_out: Path, policy: str) -> set[str]:
    return {
        action
        for where, statement in statements(cdk_out)
        if where.startswith(policy)
        for action in statement["Action"]
    }


def test_a_handler_may_do_what_it_does_and_no_more(cdk_out: Path) -> None:
    own_log = {"logs:CreateLogStream", "logs:PutLogEvents"}
    state = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"}
    commit = {*state, "sqs:SendMessage", "firehose:PutRecordBatch"}
    keys = {"kms:Decrypt", "kms:GenerateDataKey"}

    assert actions(cdk_out, "freshet-heart-rate/Transform") == own_log | {
        "s3:PutObject",
        "kms:GenerateDataKey",
    }
    detect = actions(cdk_out, "freshet-heart-rate/Detect") - own_log - commit - keys
    assert {each for each in detect if not each.startswith("kinesis:")} == {"dynamodb:BatchGetItem"}
    assert "kinesis:PutRecord" not in detect
    assert actions(cdk_out, "freshet-heart-rate/CurationJobRole") - own_log - state - keys == {
        "glue:CreatePartition",
        "glue:GetPartitions",
        "glue:GetTable",
        "glue:UpdatePartition",
        "glue:UpdateTable",
        "logs:AssociateKmsKey",
        "logs:CreateLogGroup",
    }
    assert actions(cdk_out, "freshet-heart-rate/CurationCrawlerRole") - own_log - keys == {
        "glue:BatchCreatePartition",
        "glue:BatchGetPartition",
        "glue:GetDatabase",
        "glue:GetPartitions",
        "glue:GetTable",
        "glue:UpdateTable",
        "logs:AssociateKmsKey",
        "logs:CreateLogGroup",
        "s3:GetObject",
        "s3:ListBucket",
    }
    assert actions(cdk_out, "freshet-heart-rate/Tick") - own_log - commit - keys == {
        "dynamodb:BatchGetItem",  # what is lost of the log is made again from the stream
        "kinesis:GetRecords",
        "kinesis:GetShardIterator",
        "kinesis:ListShards",
    }
    assert actions(cdk_out, "freshet-heart-rate/Alert") - own_log - keys == {
        "dynamodb:GetItem",
        "dynamodb:UpdateItem",
        "firehose:PutRecordBatch",
        "sns:Publish",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
    }


def test_a_pipeline_writes_only_its_own_part_of_the_shared_buckets(cdk_out: Path) -> None:
    for name, stack in STACKS.items():
        below = {
            resource.partition(">/")[2]
            for policy, statement in statements(cdk_out)
            if policy.startswith(f"{stack}/") and "s3:PutObject" in statement["Action"]
            for resource in statement["Resource"]
        }
        assert below - {f"errors/{name}/iot/*"} == {
            "aws/lambda/*",
            f"curated/{name}/*",
            f"errors/{name}/*",
            f"events/{name}/*",
            f"quarantine/pipeline={name}/*",
            f"state/{name}/*",
            f"taken/{name}/*",
        }


def test_what_a_pipeline_may_list_is_its_own(cdk_out: Path) -> None:
    for name, stack in STACKS.items():
        prefixes = sorted(
            statement["Condition"]["StringLike"]["s3:prefix"]
            for policy, statement in statements(cdk_out)
            if policy.startswith(f"{stack}/") and "Condition" in statement
        )
        assert prefixes == [
            f"curated/{name}/*",
            f"curated/{name}/days/*",
            f"events/{name}/*",
            f"state/{name}/*",
            f"state/{name}/*",
            f"taken/{name}/*",
        ]


# --- the lake


def tables(cdk_out: Path) -> dict[str, Any]:
    return {
        each.properties["TableInput"]["Name"]: each.properties["TableInput"]
        for each in resources(cdk_out, "AWS::Glue::Table")
    }


def external(cdk_out: Path) -> dict[str, Any]:
    return {name: table for name, table in tables(cdk_out).items() if table["TableType"] == "EXTERNAL_TABLE"}


def test_every_table_of_the_lake_is_in_the_catalog(cdk_out: Path) -> None:
    expected = {shape.name for shape in RESULT_TABLES.values()} | {QUARANTINE.name}
    expected |= {pipeline.table for pipeline in PIPELINES.values()}
    expected |= {f"{name}_{part}" for name in PIPELINES for part in ("curated", "uncurated")}

    assert external(cdk_out).keys() == expected


def test_partitions_are_computed_by_the_hour_or_registered_by_day(cdk_out: Path) -> None:
    for name, table in external(cdk_out).items():
        if name.endswith("_curated"):
            # Athena looks for registered partitions only where nothing is projected.
            assert table["Parameters"] == {"EXTERNAL": "TRUE", "classification": "parquet"}
            assert [key["Name"] for key in table["PartitionKeys"]] == ["day"]
            continue
        parameters = {
            key: value for key, value in table["Parameters"].items() if key.startswith("projection.")
        }
        extra = {"pipeline": ",".join(PIPELINES)} if name == "quarantine" else {}
        assert parameters == {
            "projection.enabled": "true",
            "projection.dt.type": "date",
            "projection.dt.format": "yyyy-MM-dd-HH",
            "projection.dt.range": "2026-01-01-00,NOW",
            "projection.dt.interval": "1",
            "projection.dt.interval.unit": "HOURS",
            **{f"projection.{key}.type": "enum" for key in extra},
            **{f"projection.{key}.values": values for key, values in extra.items()},
        }
        location = table["StorageDescriptor"]["Location"]
        below = "pipeline=${pipeline}/dt=${dt}/" if extra else "dt=${dt}/"
        assert table["Parameters"]["storage.location.template"] == location + below
        assert [key["Name"] for key in table["PartitionKeys"]] == [*extra, "dt"]


def test_every_column_has_a_comment_and_a_type_that_athena_reads(cdk_out: Path) -> None:
    for name, table in external(cdk_out).items():
        assert table["Description"], name
        for column in [*table["StorageDescriptor"]["Columns"], *table["PartitionKeys"]]:
            assert 0 < len(column["Comment"].encode()) <= 255, f"{name}.{column['Name']}"
            assert from_hive(column["Type"]).hive == column["Type"]


def test_a_raw_table_has_the_events_columns_then_where_each_came_from(cdk_out: Path) -> None:
    for pipeline in PIPELINES.values():
        columns = tables(cdk_out)[pipeline.table]["StorageDescriptor"]["Columns"]
        assert [(column["Name"], column["Type"]) for column in columns] == [
            *((name, column.hive) for name, column in pipeline.event.columns.items()),
            *((column.name, column.type) for column in PROVENANCE),
        ]


def test_roles_may_read_new_tables_where_lake_formation_rules(cdk_out: Path) -> None:
    database = only(cdk_out, "AWS::Glue::Database", stack="freshet-lake").properties["DatabaseInput"]

    assert database["CreateTableDefaultPermissions"] == [
        {
            "Permissions": ["ALL"],
            "Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"},
        }
    ]


@pytest.mark.parametrize("shape", [*RESULT_TABLES.values(), QUARANTINE], ids=lambda shape: shape.name)
def test_a_shared_table_has_the_columns_that_handlers_write(cdk_out: Path, shape: Any) -> None:
    table = tables(cdk_out)[shape.name]

    assert [tuple(column.values()) for column in table["StorageDescriptor"]["Columns"]] == [
        (column.comment, column.name, column.type) for column in shape.columns
    ]


def test_deliveries_convert_to_parquet_where_their_table_looks(cdk_out: Path) -> None:
    catalog = {(e.stack, f"<{e.logical_id}>"): e for e in resources(cdk_out, "AWS::Glue::Table")}
    deliveries = resources(cdk_out, "AWS::KinesisFirehose::DeliveryStream")

    assert len(deliveries) == len(RESULT_TABLES) + len(PIPELINES)
    for delivery in deliveries:
        target = delivery.properties["ExtendedS3DestinationConfiguration"]
        conversion = target["DataFormatConversionConfiguration"]
        table = catalog[delivery.stack, conversion["SchemaConfiguration"]["TableName"]].properties[
            "TableInput"
        ]
        prefix = table["StorageDescriptor"]["Location"].partition(">/")[2]

        assert target["Prefix"] == f"{prefix}dt=!{{timestamp:yyyy-MM-dd-HH}}/"
        assert re.fullmatch(
            r"errors/\w+/!\{firehose:error-output-type\}/dt=!\{timestamp:yyyy-MM-dd-HH\}/",
            target["ErrorOutputPrefix"],
        )
        assert conversion["OutputFormatConfiguration"]["Serializer"] == {
            "ParquetSerDe": {"Compression": "SNAPPY"}
        }
        assert target["CompressionFormat"] == "UNCOMPRESSED"
        assert target["BufferingHints"]["SizeInMBs"] >= 64
        assert "AWSKMSKeyARN" in target["EncryptionConfiguration"]["KMSEncryptionConfig"]
        assert [each for each in delivery.depends_on if "DefaultPolicy" in each]


def test_result_deliveries_are_encrypted_on_their_way(cdk_out: Path) -> None:
    for delivery in resources(cdk_out, "AWS::KinesisFirehose::DeliveryStream", stack="freshet-lake"):
        assert delivery.properties["DeliveryStreamType"] == "DirectPut"
        assert delivery.properties["DeliveryStreamEncryptionConfigurationInput"] == {
            "KeyType": "AWS_OWNED_CMK"
        }


def test_events_pass_the_transform_in_small_batches(cdk_out: Path) -> None:
    for stack in STACKS.values():
        delivery = only(cdk_out, "AWS::KinesisFirehose::DeliveryStream", stack=stack).properties
        (processor,) = delivery["ExtendedS3DestinationConfiguration"]["ProcessingConfiguration"]["Processors"]
        given = {each["ParameterName"]: each["ParameterValue"] for each in processor["Parameters"]}
        assert given["LambdaArn"] == "<TransformFunction58095C87.Arn>:$LATEST"
        assert given["BufferSizeInMBs"] == "0.2"


def test_a_query_cannot_read_more_than_the_workgroup_allows(cdk_out: Path) -> None:
    workgroup = only(cdk_out, "AWS::Athena::WorkGroup", stack="freshet-lake").properties
    configuration = workgroup["WorkGroupConfiguration"]

    assert workgroup["Name"] == "freshet"
    assert workgroup["RecursiveDeleteOption"] is True
    assert configuration["BytesScannedCutoffPerQuery"] == 10_000_000_000
    assert configuration["EnforceWorkGroupConfiguration"] is True
    assert configuration["ResultConfiguration"]["EncryptionConfiguration"] == {
        "EncryptionOption": "SSE_KMS",
        "KmsKey": "<Key961B73FD.Arn>",
    }


# --- SQL


def view_files() -> list[Path]:
    return sorted([*ROOT.glob("stacks/views/*.sql"), *ROOT.glob("pipelines/*/views/*.sql")])


@pytest.mark.parametrize("path", view_files(), ids=lambda path: path.stem)
def test_athena_reads_back_the_view_that_its_file_says(cdk_out: Path, path: Path) -> None:
    table, view = tables(cdk_out)[path.stem], View.read(path)

    encoded = re.fullmatch(r"/\* Presto View: ([A-Za-z0-9+/=]+) \*/", table["ViewOriginalText"])
    assert encoded
    text = json.loads(base64.b64decode(encoded[1]))
    assert text["originalSql"] == view.sql
    assert (text["catalog"], text["schema"]) == ("awsdatacatalog", "freshet")
    assert table["Parameters"] == {"presto_view": "true", "comment": "Presto View"}
    assert table["ViewExpandedText"] == "/* Presto View */"
    assert table["PartitionKeys"] == []
    hive = [(column["Name"], column["Type"]) for column in table["StorageDescriptor"]["Columns"]]
    assert [(column["name"], column["type"]) for column in text["columns"]] == [
        (name, from_hive(type).trino) for name, type in hive
    ]


def test_a_job_takes_the_least_and_starts_only_when_somebody_starts_it(cdk_out: Path) -> None:
    for name, stack in STACKS.items():
        job = only(cdk_out, "AWS::Glue::Job", stack=stack)
        trigger = only(cdk_out, "AWS::Glue::Trigger", stack=stack).properties
        crawler = only(cdk_out, "AWS::Glue::Crawler", stack=stack).properties

        assert job.properties["Name"] == f"freshet-curate-{name.replace('_', '-')}"
        assert (job.properties["NumberOfWorkers"], job.properties["WorkerType"]) == (2, "G.1X")
        assert job.properties["ExecutionProperty"] == {"MaxConcurrentRuns": 1}
        assert trigger["Actions"] == [{"JobName": f"<{job.logical_id}>"}]
        assert (trigger["Type"], trigger["StartOnCreation"]) == ("SCHEDULED", False)
        assert "Schedule" not in crawler


def test_a_job_waits_for_files_as_long_as_the_stream_keeps_their_records(cdk_out: Path) -> None:
    for stack in STACKS.values():
        kept = only(cdk_out, "AWS::Kinesis::Stream", stack=stack).properties["RetentionPeriodHours"]
        arguments = only(cdk_out, "AWS::Glue::Job", stack=stack).properties["DefaultArguments"]

        assert int(arguments["--settled-after-hours"]) > kept


def test_a_crawler_can_only_add_to_the_curated_table(cdk_out: Path) -> None:
    for name, stack in STACKS.items():
        crawler = only(cdk_out, "AWS::Glue::Crawler", stack=stack).properties
        table = tables(cdk_out)[f"{name}_curated"]

        assert crawler["Targets"]["CatalogTargets"][0]["Tables"] == [f"{name}_curated"]
        assert crawler["SchemaChangePolicy"] == {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"}
        assert json.loads(crawler["Configuration"])["CrawlerOutput"] == {
            "Partitions": {"AddOrUpdateBehavior": "InheritFromTable"}
        }
        # beside the folder into which the job writes its runs
        assert table["StorageDescriptor"]["Location"].endswith(f"/curated/{name}/days/")


def test_what_jobs_and_crawlers_log_is_encrypted(cdk_out: Path) -> None:
    for stack in STACKS.values():
        encryption = only(cdk_out, "AWS::Glue::SecurityConfiguration", stack=stack)
        logs = encryption.properties["EncryptionConfiguration"]["CloudWatchEncryption"]
        job = only(cdk_out, "AWS::Glue::Job", stack=stack).properties
        crawler = only(cdk_out, "AWS::Glue::Crawler", stack=stack).properties

        assert logs == {"CloudWatchEncryptionMode": "SSE-KMS", "KmsKeyArn": KEY}
        assert job["SecurityConfiguration"] == f"<{encryption.logical_id}>"
        assert crawler["CrawlerSecurityConfiguration"] == f"<{encryption.logical_id}>"


def test_every_view_is_made_after_what_it_reads(cdk_out: Path) -> None:
    made = {e.properties["TableInput"]["Name"]: e for e in resources(cdk_out, "AWS::Glue::Table")}
    written = [View.read(path) for path in view_files()]
    for view in [*written, *map(distinct_view, PIPELINES.values())]:
        before = {made[name].logical_id for name in view.reads if made[name].stack == made[view.name].stack}
        views = {
            e.logical_id for e in made.values() if e.properties["TableInput"]["TableType"] == "VIRTUAL_VIEW"
        }
        assert set(made[view.name].depends_on) == before & views


def test_every_saved_query_says_what_it_answers(cdk_out: Path) -> None:
    found = {e.properties["Name"]: e.properties for e in resources(cdk_out, "AWS::Athena::NamedQuery")}
    files = {f"{path.parents[1].name}_{path.stem}": path for path in ROOT.glob("pipelines/*/queries/*.sql")}

    assert found.keys() == files.keys()
    for name, query in found.items():
        assert query["QueryString"] == files[name].read_text().strip()
        assert query["QueryString"].startswith(f"-- {query['Description']}")
        assert "Workgroup" in query["WorkGroup"]


def test_a_person_types_or_reads_few_names_and_no_other_is_fixed(cdk_out: Path) -> None:
    names = {
        "Name",
        "BucketName",
        "TableName",
        "QueueName",
        "TopicName",
        "FunctionName",
        "RoleName",
        "RuleName",
    }
    names |= {"DeliveryStreamName", "AlarmName", "LayerName", "PolicyName"}
    names |= {"DashboardName"}
    typed = {"AWS::Athena::WorkGroup", "AWS::Athena::NamedQuery"}
    typed |= {
        "AWS::Glue::Crawler",
        "AWS::Glue::Job",
        "AWS::Glue::SecurityConfiguration",
        "AWS::Glue::Trigger",
    }
    read = {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::SSM::Parameter"}
    references = {"AWS::Lambda::EventSourceMapping", "AWS::Lambda::EventInvokeConfig", "AWS::IAM::Policy"}

    fixed = [
        (each.stack, each.logical_id, name)
        for each in resources(cdk_out)
        if each.type not in typed | read | references
        for name in names & each.properties.keys()
    ]
    assert fixed == []
