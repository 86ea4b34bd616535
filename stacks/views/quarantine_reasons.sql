-- one row per pipeline, hour of arrival, reason and field: how many parts of records could not be read
with parts as (
    -- a delivery that was tried again writes its parts again
    select distinct
        pipeline,
        dt,
        reason,
        field,
        concat(shard_id, ':', sequence_number) as record,
        record_index,
        arrived_at
    from quarantine
)

select
    cast(pipeline as varchar) as pipeline,
    cast(dt as varchar) as dt,
    cast(reason as varchar) as reason,
    cast(field as varchar) as field,
    cast(count(*) as bigint) as parts,
    cast(count(distinct record) as bigint) as records,
    cast(min(arrived_at) as timestamp(3)) as first_arrived_at,
    cast(max(arrived_at) as timestamp(3)) as last_arrived_at
from parts
group by pipeline, dt, reason, field
