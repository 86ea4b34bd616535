"""Where players stand in a game: who is where nobody may be, and who moves like no one else."""

from lambdas.columns import Double, Integer, Text, Timestamp
from lambdas.detectors.threshold import Threshold
from lambdas.formats.json_objects import Json
from lambdas.model import HIGH, MEDIUM, Event, Kinesis, Pipeline, Reference
from tests.declarations.declared import RandomCutForest


class Profiles(Reference, key="pidx"):
    pidx = Integer("the player")
    player_class = Text("warrior, mage, …", source="class")
    level = Integer("the level reached so far")


class Move(Event, key="pidx", time="moved_at", id="move_id"):
    move_id = Text("one for each line of the play log", source="idx")
    pidx = Integer("which player", refers_to=Profiles)
    action = Text("what the player did")
    x = Double("east of the map's corner, afterwards", unit="m", source="posnew_x")
    y = Double("north of the map's corner, afterwards", unit="m", source="posnew_y")
    z = Double("above the ground, afterwards", unit="m", source="posnew_z")
    old_x = Double("east of the map's corner, before", unit="m", source="posold_x")
    old_y = Double("north of the map's corner, before", unit="m", source="posold_y")
    old_z = Double("above the ground, before", unit="m", source="posold_z")
    moved_at = Timestamp("when it happened", source="createdate")


pipeline = Pipeline(
    about="players' moves; finds those in the forbidden zone and those who move strangely",
    event=Move,
    sources=[Kinesis(fan_out=True)],
    formats=[Json()],
    detectors=[
        Threshold(name="forbidden_zone", when=Move.x.inside(1_000, 1_200) & Move.y.inside(0, 400),
                  show=[Profiles.player_class, Profiles.level], severity=HIGH,
                  do_first="Suspend the player's session and look at the last moves before the zone."),
        RandomCutForest(name="strange_position", on=[Move.x, Move.y, Move.z], deviations=1.5,
                        show=[Profiles.level], severity=MEDIUM, max_keys=50,
                        do_first="Replay the player's last minute and look for teleporting or flying."),
    ],
)
