"""A crawler that registers days of a curated table which somebody has put beside those of the job."""

from __future__ import annotations

import json

from aws_cdk import aws_glue as glue
from constructs import Construct

from stacks.constructs.bucket import PrivateBucket
from stacks.constructs.glue_role import GlueRole
from stacks.constructs.glue_table import GlueTable

CONFIGURATION = {
    "Version": 1.0,
    "Grouping": {"TableGroupingPolicy": "CombineCompatibleSchemas"},
    # A day has the table's declared columns, whatever its files look like.
    "CrawlerOutput": {"Partitions": {"AddOrUpdateBehavior": "InheritFromTable"}},
}


class Crawler(Construct):
    """Looks below `prefix`, the table's own location, for folders `day=…/` that are no partitions yet.

    It changes no column and no partition that exists, removes none, makes no table, and has no schedule.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        name: str,
        database: str,
        table: GlueTable,
        bucket: PrivateBucket,
        prefix: str,
        encryption: str,
    ) -> None:
        super().__init__(scope, id)
        role = GlueRole(
            self, "Role", about=f"registers restored days of {table.name}", database=database, logs="crawlers"
        )
        bucket.grant(role.role, "s3:GetObject", under=prefix)
        bucket.grant_listing(role.role, under=prefix)
        role.grant_catalog(
            "glue:BatchCreatePartition",
            "glue:BatchGetPartition",
            "glue:GetPartitions",
            "glue:GetTable",
            # A crawler notes on the table that it was there.
            "glue:UpdateTable",
            tables=[table.name],
        )
        role.grant_catalog("glue:GetDatabase", tables=[])
        crawler = glue.CfnCrawler(
            self,
            "Crawler",
            name=name,
            description=f"Freshet: registers days that were put under {prefix} by hand"[:2048],
            role=role.role.role_arn,
            database_name=database,
            targets=glue.CfnCrawler.TargetsProperty(
                catalog_targets=[
                    glue.CfnCrawler.CatalogTargetProperty(database_name=database, tables=[table.name])
                ]
            ),
            schema_change_policy=glue.CfnCrawler.SchemaChangePolicyProperty(
                update_behavior="LOG", delete_behavior="LOG"
            ),
            recrawl_policy=glue.CfnCrawler.RecrawlPolicyProperty(recrawl_behavior="CRAWL_EVERYTHING"),
            configuration=json.dumps(CONFIGURATION),
            crawler_security_configuration=encryption,
        )
        crawler.node.add_dependency(role, table)
