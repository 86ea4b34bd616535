"""Who is told, and what they have been told: the topics, their subscriptions and the table of incidents."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.constructs.alarms import Alarms, Watch
from stacks.constructs.subscriptions import Subscriptions
from stacks.lake import LakeStack
from stacks.settings import PLATFORM, Settings


class OperatorsStack(cdk.Stack):
    def __init__(self, scope: Construct, id: str, *, settings: Settings, lake: LakeStack) -> None:
        super().__init__(
            scope,
            id,
            description="Freshet: topics, recipients and incidents",
            tags={"freshet": "operators"},
        )
        key = lake.key
        # The display name stands before every SMS.
        self.alerts = sns.Topic(self, "Alerts", display_name="Freshet", master_key=key, enforce_ssl=True)
        self.alarms = sns.Topic(
            self, "Alarms", display_name="Freshet platform", master_key=key, enforce_ssl=True
        )
        self.alarms.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.alarms.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        Subscriptions(
            self,
            "AlertRecipients",
            topic=self.alerts,
            recipients=[recipient for recipient in settings.recipients if recipient.audience != PLATFORM],
        )
        Subscriptions(
            self,
            "AlarmRecipients",
            topic=self.alarms,
            recipients=settings.alarmed,
        )
        self.alarm_names = self._alarm_of_lake(lake).names
        self._key = key
        self.incidents = dynamodb.Table(
            self,
            "Incidents",
            partition_key=dynamodb.Attribute(name="incident_id", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            # Under DynamoDB's own key: nothing private is in it, and whoever reads it needs no other right.
            encryption=dynamodb.TableEncryption.DEFAULT,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )

        cdk.CfnOutput(
            self, "AlertsTopic", value=self.alerts.topic_arn, description="Whom Freshet tells subscribe here"
        )
        cdk.CfnOutput(
            self,
            "IncidentsTable",
            value=self.incidents.table_name,
            description="Each incident as it stands, and what has been done about it",
        )

    def _alarm_of_lake(self, lake: LakeStack) -> Alarms:
        """Here, since the topic is under the lake's key and so is made after the lake."""
        unconverted = {
            kind: delivery.metric("FailedConversion.Records", statistic="Sum")
            for kind, delivery in lake.deliveries.items()
        }
        watch = Watch(
            name="LeftOut",
            title="results are missing",
            happened="Results are missing in the lake: a row did not fit its table.",
            do_first="Look under errors/_<table>/ in the lake's bucket which, and why.",
            expression=" + ".join(f"FILL({kind}, 0)" for kind in unconverted),
            metrics=unconverted,
            period=cdk.Duration.minutes(5),
            ends=False,
        )
        return Alarms(self, "LakeAlarms", whose="lake", topic=self.alarms, watches=[watch])

    def grant_publish(self, role: iam.Role) -> None:
        """Allow publishing alerts. The topic's own grant allows every action of the key that begins alike."""
        iam.Grant.add_to_principal(
            grantee=role, actions=["sns:Publish"], resource_arns=[self.alerts.topic_arn]
        )
        self._key.grant(role, "kms:Decrypt", "kms:GenerateDataKey")

    def grant_incidents(self, role: iam.Role) -> None:
        """Allow writing an incident as its change says, unless the table knows a newer one."""
        self.incidents.grant(role, "dynamodb:GetItem", "dynamodb:UpdateItem")
