-- Pauses of more than ten seconds between two readings of a sensor, the longest first; narrow day to yours.
with paced as (
    select
        sensor_id,
        measured_at,
        lag(measured_at) over (partition by sensor_id order by measured_at) as previous_at
    from temperature_distinct
    where day >= '2026-01-01'
)

select
    sensor_id,
    previous_at as silent_from,
    measured_at as silent_until,
    date_diff('second', previous_at, measured_at) as seconds_silent
from paced
where date_diff('second', previous_at, measured_at) > 10
order by seconds_silent desc, sensor_id, silent_from
limit 100
