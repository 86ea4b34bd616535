-- one row per incident of a sensor that was too hot, as it stood last; dt is the partition of its last change
with changes as (
    select
        incident_id,
        key,
        state,
        severity,
        since,
        ended_at,
        worst_score,
        findings,
        dt,
        row_number() over (partition by incident_id order by version desc) as recency
    from incident_changes
    where pipeline = 'temperature' and detector = 'too_hot'
)

select
    cast(incident_id as varchar) as incident_id,
    cast(key as varchar) as sensor_id,
    cast(state <> 'resolved' as boolean) as is_open,
    cast(severity as varchar) as severity,
    cast(since as timestamp(3)) as hot_since,
    cast(ended_at as timestamp(3)) as hot_until,
    cast(date_diff('second', since, ended_at) as bigint) as seconds_hot,
    cast(worst_score as double) as highest,
    cast(findings as bigint) as hot_readings,
    cast(dt as varchar) as dt
from changes
where recency = 1
