-- one row per table and hour (UTC) in which somebody bet there; dt is the partition of the hour's first bet
with arrivals as (
    select
        customer_id,
        table_id,
        game,
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
        game,
        bet,
        won,
        date_trunc('hour', played_at) as hour,
        dt
    from arrivals
    where arrival = 1 and action = 'bet'
)

select
    cast(table_id as varchar) as table_id,
    cast(game as varchar) as game,
    cast(hour as timestamp(3)) as hour,
    cast(count(*) as bigint) as bets,
    cast(count(distinct customer_id) as bigint) as guests,
    cast(sum(bet) as double) as turnover,
    cast(sum(greatest(won, 0)) as double) as paid_out,
    cast(-sum(won) as double) as house_result,
    cast(min(dt) as varchar) as dt
from bets
group by table_id, game, hour
