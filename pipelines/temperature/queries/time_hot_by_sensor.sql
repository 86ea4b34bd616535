-- How often and how long each sensor was too hot, the worst first.
select
    sensor_id,
    count(*) as spells,
    sum(seconds_hot) as seconds_hot,
    max(highest) as highest,
    count_if(severity = 'critical') as critical_spells
from temperature_hot_spells
group by sensor_id
order by seconds_hot desc, sensor_id
