-- The straps with the most minutes out of range, and their lowest and highest minute.
select
    device_id,
    count(*) as minutes_out_of_range,
    min(mean) as lowest_minute,
    max(mean) as highest_minute,
    max(minute) as last_minute
from heart_rate_minutes_out_of_range
group by device_id
order by minutes_out_of_range desc, device_id
