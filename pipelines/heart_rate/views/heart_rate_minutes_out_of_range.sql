-- one row per strap and minute whose mean was out of range when the minute was over
with repeats as (
    select
        finding_id,
        incident_id,
        key,
        since,
        direction,
        observed,
        dt,
        row_number() over (partition by finding_id order by dt) as turn
    from findings
    where pipeline = 'heart_rate' and detector = 'out_of_range'
)

select
    cast(key as bigint) as device_id,
    cast(since as timestamp(3)) as minute,
    cast(direction as varchar) as direction,
    cast(observed as double) as mean,
    cast(incident_id as varchar) as incident_id,
    cast(dt as varchar) as dt
from repeats
where turn = 1
