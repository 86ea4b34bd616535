-- The ten guests who turned over most, and whether they won or lost by it.
select
    customer_id,
    sum(bets) as bets,
    sum(turnover) as turnover,
    sum(won) as won,
    max(last_bet_at) as last_bet_at
from casino_turnover_by_guest
group by customer_id
order by turnover desc, customer_id
limit 10
