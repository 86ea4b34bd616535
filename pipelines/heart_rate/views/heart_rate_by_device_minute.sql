-- one row per strap and minute in which it measured (UTC); dt is the partition of the minute's first beat
with arrivals as (
    select
        device_id,
        heart_rate,
        measured_at,
        dt,
        row_number() over (partition by shard_id, sequence_number, record_index order by arrived_at) as arrival
    from heart_rate_events
),

beats as (
    select
        device_id,
        heart_rate,
        date_trunc('minute', measured_at) as minute,
        dt
    from arrivals
    where arrival = 1
)

select
    cast(device_id as bigint) as device_id,
    cast(minute as timestamp(3)) as minute,
    cast(count(*) as bigint) as beats,
    cast(avg(heart_rate) as double) as mean,
    cast(min(heart_rate) as bigint) as lowest,
    cast(max(heart_rate) as bigint) as highest,
    cast(min(dt) as varchar) as dt
from beats
group by device_id, minute
