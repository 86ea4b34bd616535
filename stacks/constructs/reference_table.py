"""A reference: what is known about the entities of a pipeline, by their key."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from lambdas.columns import Integer
from lambdas.model import Reference


class ReferenceTable(Construct):
    """A table under the lake's key, since a reference is where names and numbers of people are."""

    def __init__(self, scope: Construct, id: str, *, reference: type[Reference], key: kms.IKey) -> None:
        super().__init__(scope, id)
        is_number = isinstance(reference.key, Integer)
        self._key = key
        self.table = dynamodb.Table(
            self,
            "Table",
            partition_key=dynamodb.Attribute(
                name=reference.key.name,
                type=dynamodb.AttributeType.NUMBER if is_number else dynamodb.AttributeType.STRING,
            ),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )

    def grant_lookup(self, role: iam.Role, action: str) -> None:
        """Allow one way of reading items by their keys; a scan of everybody is none."""
        self.table.grant(role, action)
        self._key.grant_decrypt(role)
