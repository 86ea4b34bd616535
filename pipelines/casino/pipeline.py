"""What guests do at a casino's tables: who deserves a host or a second look, and which table needs chips."""

from lambdas.columns import Boolean, Double, Text, Timestamp, total
from lambdas.detectors.sequence import Sequence, Step
from lambdas.detectors.window import Window
from lambdas.formats.json_objects import Json
from lambdas.model import HIGH, LOW, MEDIUM, Event, Kinesis, Load, Pipeline, Reference, minutes, seconds


class Guests(Reference, key="customer_id"):
    customer_id = Text("loyalty card")
    full_name = Text("the guest's name", private=True)
    spent = Double("spent in all earlier visits", unit="$")
    is_active = Boolean("whether the guest still has an account")
    tier = Text("bronze, silver, gold or platinum")


class Play(Event, key="customer_id", time="played_at", id="play_id"):
    play_id = Text("one for each thing that a guest does")
    customer_id = Text("who", refers_to=Guests)
    table_id = Text("at which table; none at the door")
    game = Text("what is played there")
    action = Text("enter, sit, bet or leave", required=True)
    bet = Double("the stake of a bet", unit="$")
    won = Double("what the bet won; below zero for a loss", unit="$", source="gaming_event")
    played_at = Timestamp("when it happened")


high_roller_enters = Play.action.is_("enter") & (Guests.spent > 50_000)
won_a_bet = Step(when=Play.won > 0, times=5, unbroken=True)

pipeline = Pipeline(
    about="guests at a casino's tables; tells hosts, floor and security what needs them now",
    event=Play,
    sources=[Kinesis()],
    formats=[Json()],
    load=Load(events_per_second=1.4, keys=30),
    tick=seconds(10),
    detectors=[
        Sequence(name="high_roller", steps=[Step(when=high_roller_enters), Step(when=Play.action.is_("sit"))],
                 within=minutes(30), show=[Guests.tier, Play.table_id], severity=LOW, audience="hosts",
                 do_first="Greet the guest at the table."),
        Window(name="chips_run_low", key=Play.table_id, when=total(Play.won) > 2_000,
               span=seconds(10), every=seconds(1), keep=False, severity=MEDIUM, audience="floor",
               do_first="Bring chips to the table."),
        Sequence(name="possible_cheat", where=Play.action.is_("bet"), steps=[won_a_bet],
                 within=minutes(10), show=[Play.table_id], severity=HIGH, audience="security",
                 do_first="Watch the table's camera from the first win on."),
        Window(name="high_spender", when=total(Play.bet) > 5_000,
               span=seconds(10), every=seconds(1), keep=False,
               show=[Guests.tier, Play.table_id], severity=LOW, audience="hosts",
               do_first="Offer the guest a host and the high-limit room."),
    ],
)
