"""Tables of the lake in the Glue catalog, their partitions computed from the hour or, by day, registered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_glue as glue
from constructs import Construct

from lambdas.tables import TableColumn

PARQUET = {
    "input_format": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "output_format": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "library": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
}
JSON_LINES = {
    "input_format": "org.apache.hadoop.mapred.TextInputFormat",
    "output_format": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    "library": "org.openx.data.jsonserde.JsonSerDe",
}
FORMATS = {"parquet": PARQUET, "json": JSON_LINES}
HOUR = "yyyy-MM-dd-HH"
# No event can have reached a lake before there was one, and Athena lists an hour whether it is empty or not.
FIRST_HOUR = "2026-01-01-00"
HOUR_COMMENT = "the hour in which the record arrived, UTC, as 2026-01-31-10"
DAY_COMMENT = "the day on which the event happened, UTC, as 2026-01-31"


class GlueTable(Construct):
    """A table over `location`, by the hour and, before it, by the enumerated `partitions` (name → values).

    Out of the projected range there are no rows and no error, so the range ends at NOW. With `by_day` nothing
    is projected: a day lies where the partition says that somebody has registered in the catalog.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        database: str,
        name: str,
        about: str,
        columns: Sequence[TableColumn],
        bucket_name: str,
        prefix: str,
        form: str = "parquet",
        partitions: Mapping[str, tuple[Sequence[str], str]] | None = None,
        by_day: bool = False,
    ) -> None:
        super().__init__(scope, id)
        partitions = partitions or {}
        location = f"s3://{bucket_name}/{prefix}"
        template = location + "".join(f"{each}=${{{each}}}/" for each in [*partitions, "dt"])
        projection = {
            "projection.enabled": "true",
            "projection.dt.type": "date",
            "projection.dt.format": HOUR,
            "projection.dt.range": f"{FIRST_HOUR},NOW",
            "projection.dt.interval": "1",
            "projection.dt.interval.unit": "HOURS",
            "storage.location.template": template,
        }
        for partition, (values, _) in partitions.items():
            projection[f"projection.{partition}.type"] = "enum"
            projection[f"projection.{partition}.values"] = ",".join(values)
        time_key = (
            {"name": "day", "comment": DAY_COMMENT} if by_day else {"name": "dt", "comment": HOUR_COMMENT}
        )
        layout = FORMATS[form]
        self.name = name
        self.table = glue.CfnTable(
            self,
            "Table",
            catalog_id=cdk.Aws.ACCOUNT_ID,
            database_name=database,
            table_input=glue.CfnTable.TableInputProperty(
                name=name,
                description=about,
                table_type="EXTERNAL_TABLE",
                parameters={"EXTERNAL": "TRUE", "classification": form, **({} if by_day else projection)},
                partition_keys=[
                    *(
                        glue.CfnTable.ColumnProperty(name=partition, type="string", comment=comment)
                        for partition, (_, comment) in partitions.items()
                    ),
                    glue.CfnTable.ColumnProperty(type="string", **time_key),
                ],
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    columns=[
                        glue.CfnTable.ColumnProperty(
                            name=column.name, type=column.type, comment=column.comment
                        )
                        for column in columns
                    ],
                    location=location,
                    input_format=layout["input_format"],
                    output_format=layout["output_format"],
                    serde_info=glue.CfnTable.SerdeInfoProperty(serialization_library=layout["library"]),
                ),
            ),
        )
