-- What a suspected guest did in the ten minutes up to the last win; narrow dt and day to those of the alert.
with suspicions as (
    select distinct
        finding_id,
        key as customer_id,
        found_at
    from findings
    where pipeline = 'casino' and detector = 'possible_cheat' and dt >= '2026-01-01-00'
),

plays as (
    select
        customer_id,
        table_id,
        game,
        action,
        bet,
        won,
        played_at
    from casino_distinct
    where day >= '2026-01-01'
)

select
    suspicions.customer_id,
    suspicions.found_at,
    plays.played_at,
    plays.table_id,
    plays.game,
    plays.action,
    plays.bet,
    plays.won
from suspicions
inner join plays
    on
        plays.customer_id = suspicions.customer_id
        and plays.played_at between suspicions.found_at - interval '10' minute and suspicions.found_at
order by suspicions.found_at, suspicions.customer_id, plays.played_at
