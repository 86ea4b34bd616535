"""Five kinds of sensors in each room: values that do not fit the hour, and sensors that disagree."""

from lambdas.columns import Double, Text, Timestamp
from lambdas.formats.json_objects import Json
from lambdas.model import HIGH, MEDIUM, Event, Kinesis, Pipeline, minutes
from tests.declarations.declared import Correlation, Seasonal


class Measurement(Event, key="room", time="measured_at"):
    room = Text("which room")
    sensor_type = Text("temperature, humidity, light, sound or carbon dioxide")
    value = Double("in the unit of the sensor's type", required=True)
    measured_at = Timestamp("when it was measured")


pipeline = Pipeline(
    about="rooms' climate, a row for each sensor and minute; what fits neither the hour nor its neighbours",
    event=Measurement,
    sources=[Kinesis()],
    formats=[Json()],
    detectors=[
        Seasonal(name="unusual_for_the_hour", key=(Measurement.room, Measurement.sensor_type),
                 of=Measurement.value, every=minutes(5), severity={1: MEDIUM, 3: HIGH}, max_keys=500,
                 do_first="Look into the room; an open window or a broken sensor is most likely."),
        Correlation(name="sensors_disagree", of=Measurement.value, across=Measurement.sensor_type,
                    every=minutes(1), severity=MEDIUM, max_keys=500,
                    do_first="Compare the named sensor with a handheld one."),
    ],
)
