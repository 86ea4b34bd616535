-- one row per guest and day (UTC) on which the guest bet
with bets as (
    select
        customer_id,
        table_id,
        bet,
        won,
        played_at,
        day
    from casino_distinct
    where action = 'bet'
)

select
    cast(customer_id as varchar) as customer_id,
    cast(count(*) as bigint) as bets,
    cast(sum(bet) as double) as turnover,
    cast(max(bet) as double) as highest_bet,
    cast(sum(won) as double) as won,
    cast(count_if(won > 0) as bigint) as wins,
    cast(count(distinct table_id) as bigint) as tables,
    cast(min(played_at) as timestamp(3)) as first_bet_at,
    cast(max(played_at) as timestamp(3)) as last_bet_at,
    cast(day as varchar) as day
from bets
group by customer_id, day
