-- one row per table and hour (UTC) in which somebody bet there
with bets as (
    select
        customer_id,
        table_id,
        game,
        bet,
        won,
        date_trunc('hour', played_at) as hour,
        day
    from casino_distinct
    where action = 'bet'
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
    cast(day as varchar) as day
from bets
group by table_id, game, hour, day
