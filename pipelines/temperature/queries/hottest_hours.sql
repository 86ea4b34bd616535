-- The ten hours with the hottest readings, and how far they stood out from their hour's mean.
select
    sensor_id,
    hour_start,
    highest_temperature,
    highest_temperature - mean_temperature as above_mean,
    readings
from temperature_readings_by_hour
order by highest_temperature desc, sensor_id, hour_start
limit 10
