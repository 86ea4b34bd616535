-- one row per pipeline, hour of arrival, reason and field: how many parts of records could not be read
select
    cast(pipeline as varchar) as pipeline,
    cast(dt as varchar) as dt,
    cast(reason as varchar) as reason,
    cast(field as varchar) as field,
    cast(count(*) as bigint) as parts,
    cast(count(distinct sequence_number) as bigint) as records,
    cast(min(arrived_at) as timestamp(3)) as first_arrived_at,
    cast(max(arrived_at) as timestamp(3)) as last_arrived_at
from quarantine
group by pipeline, dt, reason, field
