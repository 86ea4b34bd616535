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
        date_trunc('minute', measured_at) as minute_start,
        dt
    from arrivals
    where arrival = 1
)

select
    cast(device_id as bigint) as device_id,
    cast(minute_start as timestamp(3)) as minute_start,
    cast(count(*) as bigint) as beats,
    cast(avg(heart_rate) as double) as mean_heart_rate,
    cast(min(heart_rate) as bigint) as lowest_heart_rate,
    cast(max(heart_rate) as bigint) as highest_heart_rate,
    cast(min(dt) as varchar) as dt
from beats
group by device_id, minute_start
