-- one row per sensor and hour in which it measured (UTC)
with readings as (
    select
        sensor_id,
        temperature,
        date_trunc('hour', measured_at) as hour,
        day
    from temperature_distinct
)

select
    cast(sensor_id as varchar) as sensor_id,
    cast(hour as timestamp(3)) as hour,
    cast(count(*) as bigint) as readings,
    cast(avg(temperature) as double) as mean,
    cast(min(temperature) as double) as lowest,
    cast(max(temperature) as double) as highest,
    cast(stddev_samp(temperature) as double) as spread,
    cast(day as varchar) as day
from readings
group by sensor_id, hour, day
