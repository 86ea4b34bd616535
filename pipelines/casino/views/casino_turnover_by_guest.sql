-- one row per guest and day (UTC) on which the guest bet; dt is the partition of the day's first bet
with arrivals as (
    select
        customer_id,
        table_id,
        action,
        bet,
        won,
        played_at,
        dt,
        row_number() over (partition by play_id order by arrived_at, sequence_number, record_index) as arrival
    from casino_events
),

bets as (
    select
        customer_id,
        table_id,
        bet,
        won,
        played_at,
        date_trunc('day', played_at) as day,
        dt
    from arrivals
    where arrival = 1 and action = 'bet'
)

select
    cast(customer_id as varchar) as customer_id,
    cast(day as timestamp(3)) as day,
    cast(count(*) as bigint) as bets,
    cast(sum(bet) as double) as turnover,
    cast(max(bet) as double) as highest_bet,
    cast(sum(won) as double) as won,
    cast(count_if(won > 0) as bigint) as wins,
    cast(count(distinct table_id) as bigint) as tables,
    cast(min(played_at) as timestamp(3)) as first_bet_at,
    cast(max(played_at) as timestamp(3)) as last_bet_at,
    cast(min(dt) as varchar) as dt
from bets
group by customer_id, day
