-- one row per sensor and hour in which it measured (UTC); dt is the partition of the hour's first reading
with arrivals as (
    select
        sensor_id,
        temperature,
        measured_at,
        dt,
        row_number() over (partition by shard_id, sequence_number, record_index order by arrived_at) as arrival
    from temperature_events
),

readings as (
    select
        sensor_id,
        temperature,
        date_trunc('hour', measured_at) as hour,
        dt
    from arrivals
    where arrival = 1
)

select
    cast(sensor_id as varchar) as sensor_id,
    cast(hour as timestamp(3)) as hour,
    cast(count(*) as bigint) as readings,
    cast(avg(temperature) as double) as mean,
    cast(min(temperature) as double) as lowest,
    cast(max(temperature) as double) as highest,
    cast(stddev_samp(temperature) as double) as spread,
    cast(min(dt) as varchar) as dt
from readings
group by sensor_id, hour
