-- The ten hours with the hottest readings, and how far they stood out from their hour's mean.
select
    sensor_id,
    hour,
    highest,
    highest - mean as above_mean,
    readings
from temperature_readings_by_hour
order by highest desc, sensor_id, hour
limit 10
