-- The straps with the most minutes out of range, and their lowest and highest minute.
select
    device_id,
    count(*) as minutes_out_of_range,
    min(mean_heart_rate) as lowest_minute,
    max(mean_heart_rate) as highest_minute,
    max(minute_start) as last_minute
from heart_rate_minutes_out_of_range
group by device_id
order by minutes_out_of_range desc, device_id
