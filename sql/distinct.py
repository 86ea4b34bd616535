"""The view of a pipeline's distinct events, made of its declaration: what is curated, and what is not yet."""

from __future__ import annotations

from lambdas.model import Pipeline
from lambdas.tables import PROVENANCE
from sql.types import from_hive
from sql.view import View


def curated_table(pipeline: str) -> str:
    """Each event once, up to the hour that the curating job has come to; a partition for each event day."""
    return f"{pipeline}_curated"


def uncurated_table(pipeline: str) -> str:
    """Raw rows of the arrival hours from there on."""
    return f"{pipeline}_uncurated"


def distinct_view(pipeline: Pipeline) -> View:
    """The view `<pipeline>_distinct`.

    The curated part is read as it is. A raw row is an event of its own unless it repeats another or the
    curated part has it: while a run switches its days, some hours are in both.
    """
    event, name = pipeline.event, pipeline.name
    types = {column: from_hive(each.hive).trino for column, each in event.columns.items()}
    types |= {column.name: from_hive(column.type).trino for column in PROVENANCE}
    types |= {"dt": "varchar", "day": "varchar"}
    raw = [column for column in types if column != "day"]
    happened = "arrived_at" if event.time is None else f"coalesce({event.time.name}, arrived_at)"
    place = "concat(shard_id, ':', sequence_number, ':', cast(record_index as varchar))"
    # A row from before the id was declared has none.
    # No declared column begins with _.
    which = place if event.id is None else f"coalesce(cast({event.id.name} as varchar), {place})"
    same = "place in the stream" if event.id is None else event.id.name
    sql = f"""
-- one row per event: the first to arrive of those with the same {same} on an event day (UTC)
with uncurated as (
    select
        {_listed(raw, 8)},
        date_format({happened}, '%Y-%m-%d') as day,
        {which} as _which
    from {uncurated_table(name)}
),

arrivals as (
    select
        {_listed([*types, "_which"], 8)},
        row_number() over (
            partition by day, _which order by dt, arrived_at, shard_id, sequence_number, record_index
        ) as _arrival
    from uncurated
),

curated as (
    select
        day,
        {which} as _which
    from {curated_table(name)}
)

select
    {_listed([_cast(column, column, kind) for column, kind in types.items()], 4)}
from {curated_table(name)}
union all
select
    {_listed([_cast(f"arrivals.{column}", column, kind) for column, kind in types.items()], 4)}
from arrivals
left join curated on curated.day = arrivals.day and curated._which = arrivals._which
where arrivals._arrival = 1 and curated._which is null
"""  # noqa: S608 - our own names
    return View.parse(f"{name}_distinct", sql)


def _cast(value: str, name: str, kind: str) -> str:
    return f"cast({value} as {kind}) as {name}"


def _listed(parts: list[str], indent: int) -> str:
    return f",\n{' ' * indent}".join(parts)
