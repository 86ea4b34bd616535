"""Sensors that report a temperature each second; somebody is told when one gets hot."""

from lambdas.columns import Double, Text, Timestamp
from lambdas.detectors.threshold import Threshold
from lambdas.formats.json_objects import Json
from lambdas.model import CRITICAL, HIGH, Event, Kinesis, Load, Pipeline


class Reading(Event, key="sensor_id", time="measured_at"):
    sensor_id = Text("which sensor")
    temperature = Double("air temperature at the sensor", unit="°C", required=True)
    measured_at = Timestamp("when the sensor measured", source="timestamp")


pipeline = Pipeline(
    about="one temperature a second from each sensor; alerts while a sensor is hot",
    event=Reading,
    sources=[Kinesis()],
    formats=[Json()],
    load=Load(events_per_second=3, keys=3),
    detectors=[
        Threshold(
            name="too_hot",
            when=Reading.temperature >= 30,
            severity={30: HIGH, 45: CRITICAL},
            do_first="Check the cooling at the sensor and look whether its neighbours get warm too.",
        ),
    ],
)
