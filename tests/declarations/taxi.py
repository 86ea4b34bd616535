"""Where taxis are taken and left: places that get crowded, move and dissolve."""

from lambdas.columns import Double, Text, Timestamp
from lambdas.formats.json_objects import Json
from lambdas.model import LOW, Event, Kinesis, Pipeline, minutes
from tests.declarations.declared import Hotspots


class Stop(Event, key="taxi_id", time="happened_at", id="stop_id"):
    stop_id = Text("one for each stop")
    taxi_id = Text("which taxi")
    kind = Text("pick-up or drop-off")
    longitude = Double("east of Greenwich", unit="°", required=True)
    latitude = Double("north of the equator", unit="°", required=True)
    happened_at = Timestamp("when it happened")


pipeline = Pipeline(
    about="a city's taxi rides; where people want taxis right now",
    event=Stop,
    sources=[Kinesis()],
    formats=[Json()],
    lateness=minutes(1),
    detectors=[
        Hotspots(name="crowd", key=Stop.kind, on=[Stop.longitude, Stop.latitude], window=1_000, radius=0.013,
                 least=20, severity=LOW, max_keys=4, do_first="Send free taxis to the box on the map."),
    ],
)
