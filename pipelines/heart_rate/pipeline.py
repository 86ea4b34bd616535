"""Chest straps that report heart beats; whoever wears one is told when a minute's mean is far out."""

from lambdas.columns import Integer, Text, Timestamp, mean
from lambdas.detectors.window import Window
from lambdas.formats.csv_line import Csv
from lambdas.formats.json_objects import Json
from lambdas.model import HIGH, Event, Iot, Kinesis, Load, Pipeline, Reference, seconds


class Registrations(Reference, key="device_id"):
    device_id = Integer("the strap")
    customer_id = Text("whose strap it is", discreet=True)
    first_name = Text("the customer's first name", private=True)
    last_name = Text("the customer's last name", private=True)
    email = Text("the customer's e-mail address", private=True)
    mobile = Text("the customer's mobile number, as +49…", private=True)


class Beat(Event, key="device_id", time="measured_at"):
    device_id = Integer("which strap", refers_to=Registrations)
    heart_rate = Integer("the heart rate that the strap measured", unit="bpm", discreet=True, required=True)
    measured_at = Timestamp("when the strap measured; a plain line's arrival")


pipeline = Pipeline(
    about="heart rates of registered straps; a minute's mean out of range tells its wearer and the operators",
    event=Beat,
    sources=[Kinesis(), Iot(topic="iot/heartrate")],
    formats=[Json(), Csv([Beat.device_id, Beat.heart_rate])],
    load=Load(events_per_second=2, keys=10),
    detectors=[
        Window(
            name="out_of_range",
            symptom="heart rate out of range",
            every=seconds(60),
            when=(mean(Beat.heart_rate) > 120) | (mean(Beat.heart_rate) < 40),
            show=[Registrations.customer_id],
            severity=HIGH,
            do_first="Call the customer; if nobody answers, follow your emergency plan.",
            sms=Registrations.mobile,
        ),
    ],
)
