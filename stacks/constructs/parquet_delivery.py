"""Firehose into a table of the lake: what is put, or what a stream brings through a transform, as Parquet."""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesisfirehose as firehose
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.constructs.bucket import PrivateBucket
from stacks.constructs.event_stream import READ_STREAM, EventStream
from stacks.constructs.glue_table import HOUR, GlueTable

# Conversion wants at least 64 MB; a larger buffer makes fewer, larger files, and only busy streams fill it.
BUFFER_MEGABYTES = 128
# A request and its answer hold 6 MB each. Around an event of a few bytes they carry some hundred: record id,
# metadata and provenance, in base64. So this is the least that Firehose can be told to hand over at once.
TRANSFORM_MEGABYTES = "0.2"
TRANSFORM_SECONDS = "60"


@dataclass(frozen=True, kw_only=True)
class Feed:
    """A stream and the function that makes rows of its records."""

    stream: EventStream
    transform: lambda_.IFunction


class ParquetDelivery(Construct):
    """One delivery stream. What cannot be delivered lands under `errors/<name>/<kind of error>/`.

    `patience` is how long rows may wait for more to share a file with.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        table: GlueTable,
        database: str,
        bucket: PrivateBucket,
        prefix: str,
        errors: str,
        patience: cdk.Duration,
        log_group: logs.ILogGroup,
        feed: Feed | None = None,
    ) -> None:
        super().__init__(scope, id)
        stack = cdk.Stack.of(self)
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("firehose.amazonaws.com"),
            description=f"Firehose writes the table {table.name}",
        )
        for under in (prefix, errors):
            bucket.grant(role, "s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject", under=under)
        iam.Grant.add_to_principal(
            grantee=role,
            actions=["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
            resource_arns=[bucket.arn],
        )
        iam.Grant.add_to_principal(
            grantee=role,
            actions=["glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions"],
            resource_arns=[
                stack.format_arn(service="glue", resource="catalog"),
                stack.format_arn(service="glue", resource="database", resource_name=database),
                stack.format_arn(service="glue", resource="table", resource_name=f"{database}/{table.name}"),
            ],
        )
        log_stream = logs.LogStream(
            self, "Log", log_group=log_group, removal_policy=cdk.RemovalPolicy.DESTROY
        )
        iam.Grant.add_to_principal(
            grantee=role,
            actions=["logs:PutLogEvents"],
            resource_arns=[
                stack.format_arn(
                    service="logs",
                    resource="log-group",
                    resource_name=f"{log_group.log_group_name}:log-stream:{log_stream.log_stream_name}",
                    arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
                )
            ],
        )
        if feed is not None:
            feed.stream.grant_read(role, *READ_STREAM)
            # By hand: `grant_invoke` adds every version of the function, and Firehose is given one of them.
            iam.Grant.add_to_principal(
                grantee=role,
                actions=["lambda:InvokeFunction", "lambda:GetFunctionConfiguration"],
                resource_arns=[_latest(feed.transform)],
            )
        destination = firehose.CfnDeliveryStream
        self.delivery_stream = firehose.CfnDeliveryStream(
            self,
            "Stream",
            delivery_stream_type="DirectPut" if feed is None else "KinesisStreamAsSource",
            # A Kinesis source is encrypted by its own stream and takes no setting here.
            delivery_stream_encryption_configuration_input=destination.DeliveryStreamEncryptionConfigurationInputProperty(
                key_type="AWS_OWNED_CMK"
            )
            if feed is None
            else None,
            kinesis_stream_source_configuration=None
            if feed is None
            else destination.KinesisStreamSourceConfigurationProperty(
                kinesis_stream_arn=feed.stream.stream.stream_arn, role_arn=role.role_arn
            ),
            extended_s3_destination_configuration=destination.ExtendedS3DestinationConfigurationProperty(
                bucket_arn=bucket.arn,
                role_arn=role.role_arn,
                prefix=f"{prefix}dt=!{{timestamp:{HOUR}}}/",
                error_output_prefix=f"{errors}!{{firehose:error-output-type}}/dt=!{{timestamp:{HOUR}}}/",
                compression_format="UNCOMPRESSED",
                buffering_hints=destination.BufferingHintsProperty(
                    size_in_m_bs=BUFFER_MEGABYTES, interval_in_seconds=patience.to_seconds()
                ),
                encryption_configuration=destination.EncryptionConfigurationProperty(
                    kms_encryption_config=destination.KMSEncryptionConfigProperty(
                        awskms_key_arn=bucket.key.key_arn
                    )
                ),
                cloud_watch_logging_options=destination.CloudWatchLoggingOptionsProperty(
                    enabled=True,
                    log_group_name=log_group.log_group_name,
                    log_stream_name=log_stream.log_stream_name,
                ),
                data_format_conversion_configuration=destination.DataFormatConversionConfigurationProperty(
                    enabled=True,
                    input_format_configuration=destination.InputFormatConfigurationProperty(
                        deserializer=destination.DeserializerProperty(
                            open_x_json_ser_de=destination.OpenXJsonSerDeProperty()
                        )
                    ),
                    output_format_configuration=destination.OutputFormatConfigurationProperty(
                        serializer=destination.SerializerProperty(
                            parquet_ser_de=destination.ParquetSerDeProperty(compression="SNAPPY")
                        )
                    ),
                    schema_configuration=destination.SchemaConfigurationProperty(
                        role_arn=role.role_arn,
                        catalog_id=stack.account,
                        region=stack.region,
                        database_name=database,
                        table_name=table.table.ref,
                        version_id="LATEST",
                    ),
                ),
                processing_configuration=None if feed is None else _processing(feed.transform, role),
            ),
        )
        self.delivery_stream.node.add_dependency(role)
        if feed is not None:
            cdk.Validations.of(self.delivery_stream).acknowledge(
                cdk.Acknowledgment(
                    id="AwsSolutions-KDF1",
                    reason="With a Kinesis source Firehose takes no such setting: the stream's own holds.",
                )
            )

    @property
    def name(self) -> str:
        return self.delivery_stream.ref

    def metric(self, name: str, *, statistic: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/Firehose",
            metric_name=name,
            dimensions_map={"DeliveryStreamName": self.name},
            statistic=statistic,
        )

    def grant_put(self, grantee: iam.IGrantable) -> None:
        iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["firehose:PutRecordBatch"],
            resource_arns=[self.delivery_stream.attr_arn],
        )


def _latest(function: lambda_.IFunction) -> str:
    return f"{function.function_arn}:$LATEST"


def _processing(
    transform: lambda_.IFunction, role: iam.IRole
) -> firehose.CfnDeliveryStream.ProcessingConfigurationProperty:
    parameters = {
        "LambdaArn": _latest(transform),
        "RoleArn": role.role_arn,
        "BufferSizeInMBs": TRANSFORM_MEGABYTES,
        "BufferIntervalInSeconds": TRANSFORM_SECONDS,
        "NumberOfRetries": "3",
    }
    return firehose.CfnDeliveryStream.ProcessingConfigurationProperty(
        enabled=True,
        processors=[
            firehose.CfnDeliveryStream.ProcessorProperty(
                type="Lambda",
                parameters=[
                    firehose.CfnDeliveryStream.ProcessorParameterProperty(
                        parameter_name=name, parameter_value=value
                    )
                    for name, value in parameters.items()
                ],
            )
        ],
    )
