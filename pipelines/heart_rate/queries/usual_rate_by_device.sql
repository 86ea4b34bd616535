-- What is usual for each strap: the median and the outer twentieths of its minutes' means.
select
    device_id,
    count(*) as minutes,
    approx_percentile(mean, 0.05) as rarely_below,
    approx_percentile(mean, 0.5) as median_minute,
    approx_percentile(mean, 0.95) as rarely_above
from heart_rate_by_device_minute
group by device_id
order by device_id
