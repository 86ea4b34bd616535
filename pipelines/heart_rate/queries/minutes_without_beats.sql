-- Straps that measured nothing for more than a minute, the longest first: fallen off, or out of reach.
with paced as (
    select
        device_id,
        minute,
        lag(minute) over (partition by device_id order by minute) as previous_minute
    from heart_rate_by_device_minute
)

select
    device_id,
    previous_minute as last_minute,
    minute as next_minute,
    date_diff('minute', previous_minute, minute) - 1 as minutes_without_beats
from paced
where date_diff('minute', previous_minute, minute) > 1
order by minutes_without_beats desc, device_id, last_minute
limit 100
