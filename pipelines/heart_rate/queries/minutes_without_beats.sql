-- Straps that measured nothing for more than a minute, the longest first: fallen off, or out of reach.
with paced as (
    select
        device_id,
        minute_start,
        lag(minute_start) over (partition by device_id order by minute_start) as previous_start
    from heart_rate_by_device_minute
)

select
    device_id,
    previous_start as last_minute,
    minute_start as next_minute,
    date_diff('minute', previous_start, minute_start) - 1 as minutes_without_beats
from paced
where date_diff('minute', previous_start, minute_start) > 1
order by minutes_without_beats desc, device_id, last_minute
limit 100
