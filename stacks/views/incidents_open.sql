-- one row per incident that is open, as its newest change says
with changes as (
    select
        incident_id,
        version,
        pipeline,
        detector,
        key,
        direction,
        severity,
        since,
        detected_at,
        changed_at,
        findings,
        observed,
        unit,
        expected,
        sentence,
        state,
        dt,
        -- a change that was sent twice has its version twice
        row_number() over (partition by incident_id order by version desc, dt desc) as newest
    from incident_changes
)

select
    cast(incident_id as varchar) as incident_id,
    cast(pipeline as varchar) as pipeline,
    cast(detector as varchar) as detector,
    cast(key as varchar) as key,
    cast(severity as varchar) as severity,
    cast(state as varchar) as state,
    cast(direction as varchar) as direction,
    cast(since as timestamp(3)) as since,
    cast(detected_at as timestamp(3)) as detected_at,
    cast(changed_at as timestamp(3)) as changed_at,
    cast(findings as bigint) as findings,
    cast(observed as double) as observed,
    cast(unit as varchar) as unit,
    cast(expected as varchar) as expected,
    cast(sentence as varchar) as sentence,
    cast(dt as varchar) as dt
from changes
where newest = 1 and state <> 'resolved'
