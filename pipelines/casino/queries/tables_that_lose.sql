-- Hours in which a table paid out more than it took, the house's greatest loss first.
select
    table_id,
    game,
    hour,
    guests,
    turnover,
    house_result
from casino_payout_by_table
where house_result < 0
order by house_result, table_id, hour
limit 100
