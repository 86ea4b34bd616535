"""The curating job over the last run's lake, on a local Spark: what a night would do on AWS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any  # a catalog's entries are as mixed as JSON

from laptop.assembly import SynthError, assembly
from laptop.clock import Clock
from laptop.cloud import Cloud
from laptop.glue import Glue, JobFailed, start_spark
from laptop.perform import RECIPIENTS
from laptop.policies import PolicyError
from laptop.resources import DeployError
from laptop.run import catalog_entry
from laptop.run_folder import NoRun, RunFolder
from laptop.services import NotHonoured

HOUR = 3_600.0
# What ends it with its own sentence.
REFUSALS = (DeployError, JobFailed, NoRun, NotHonoured, PolicyError, SynthError)


def curate(
    wanted: Sequence[str] = (), *, folder: RunFolder | None = None, say: Callable[[str], None] = print
) -> None:
    """Curate the pipelines (by default all) of a run (by default the last) once its hours have settled.

    The run's folder then has the lake and the catalog as the jobs left them; raises one of REFUSALS.
    """
    folder = folder or RunFolder.latest()
    summary = folder.read_json("summary.json")
    names = [one["pipeline"] for one in summary["pipelines"]]
    if unknown := [name for name in wanted if name not in names]:
        raise NoRun(f"The last run has no pipeline {unknown[0]}; it has {', '.join(names)}.")
    start_spark()
    numbers = {
        f"{name}.{path}": n for name, own in summary.get("overrides", {}).items() for path, n in own.items()
    }
    context = {"pipelines": names, "recipients": RECIPIENTS, "set": numbers}
    with Cloud(Clock(summary["ended"])) as cloud:
        cloud.deploy(assembly({"freshet": context}))
        for name in wanted or names:
            job = f"freshet-curate-{name.replace('_', '-')}"
            (deployed,) = (one for one in cloud.of_type("AWS::Glue::Job") if one.physical_id == job)
            given = deployed.properties["DefaultArguments"]
            restore(cloud, folder, given["--bucket"], given["--database"], name)
            cloud.clock.advance_to(summary["ended"] + (int(given["--settled-after-hours"]) + 1) * HOUR)
            # A replayed file may be older than any lake is projected to be.
            hours = sorted(path.name[3:] for path in (folder.lake / "events" / name).glob("dt=*"))
            first = next(t for t in cloud.catalog() if t["Name"] == f"{name}_uncurated")["Parameters"]
            is_older = hours and hours[0] < first["projection.dt.range"]
            Glue(cloud).run_job(job, {"--from": hours[0]} if is_older else {})
            keep(cloud, folder, given["--bucket"], name)
            say(
                f"{name}: {sum(1 for _ in (folder.lake / 'curated' / name).rglob('*.parquet'))} curated files"
            )


def restore(cloud: Cloud, folder: RunFolder, bucket: str, database: str, name: str) -> None:
    """The pipeline's objects and registered days as the run's folder has them."""
    for part in ("events", "curated"):
        for path in (folder.lake / part / name).rglob("*"):
            if path.is_file():
                key = str(path.relative_to(folder.lake))
                cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    glue, table = cloud.client("glue"), f"{name}_curated"
    storage = glue.get_table(DatabaseName=database, Name=table)["Table"]["StorageDescriptor"]
    for entry in folder.read_json("catalog.json"):
        for one in entry.get("partitions", ()) if entry["name"] == table else ():
            place = {**storage, "Location": f"s3://{bucket}/{one['location']}/"}
            given = {"Values": one["values"], "StorageDescriptor": place}
            glue.create_partition(DatabaseName=database, TableName=table, PartitionInput=given)


def keep(cloud: Cloud, folder: RunFolder, bucket: str, name: str) -> None:
    """What the job has left: first new objects, then the catalog that names them, last what is removed."""
    s3, prefix = cloud.client("s3"), f"curated/{name}/"
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    kept = {folder.lake / each["Key"]: each["Key"] for page in pages for each in page.get("Contents", ())}
    for path, key in kept.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    changed = {f"{name}_curated", f"{name}_uncurated"}
    now: dict[str, Any] = {t["Name"]: catalog_entry(t) for t in cloud.catalog() if t["Name"] in changed}
    entries = [one for one in folder.read_json("catalog.json") if one["name"] not in changed]
    folder.write_json("catalog.json", [*entries, *now.values()])
    for path in (folder.lake / prefix).rglob("*"):
        if path.is_file() and path not in kept:
            path.unlink()
