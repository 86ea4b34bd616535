-- one row per strap and minute in which it measured (UTC)
with beats as (
    select
        device_id,
        heart_rate,
        date_trunc('minute', measured_at) as minute,
        day
    from heart_rate_distinct
)

select
    cast(device_id as bigint) as device_id,
    cast(minute as timestamp(3)) as minute,
    cast(count(*) as bigint) as beats,
    cast(avg(heart_rate) as double) as mean,
    cast(min(heart_rate) as bigint) as lowest,
    cast(max(heart_rate) as bigint) as highest,
    cast(day as varchar) as day
from beats
group by device_id, minute, day
