"""Windows and IIS logs of a company's hosts: break-ins, wiped tracks, services and sites that fail."""

from lambdas.columns import Integer, Text, Timestamp, count, quantile, share
from lambdas.detectors.sequence import Sequence, Step
from lambdas.detectors.threshold import Threshold
from lambdas.detectors.window import Window
from lambdas.formats.json_objects import Json
from lambdas.model import CRITICAL, HIGH, LOW, MEDIUM, Event, Kinesis, Pipeline, minutes
from tests.declarations.declared import Novelty


class LogLine(Event, key="host", time="logged_at"):
    host = Text("which computer; the agent adds it", source="ComputerName")
    logged_at = Timestamp("when it was logged; the agent adds it", source="DT")
    log_name = Text("Security, System, …; none for IIS", source="LogName")
    event_id = Integer("what kind of event", source="EventId")
    provider = Text("who logged it", source="ProviderName")
    account = Text("for whom", source="UserName")
    description = Text("the event in words", source="Description", discreet=True)
    method = Text("of an IIS request", source="cs-method")
    path = Text("of an IIS request", source="cs-uri-stem")
    client_address = Text("who asked", source="c-ip", private=True)
    status = Integer("of an IIS answer", source="sc-status")
    time_taken = Integer("by an IIS answer", unit="ms", source="time-taken")


pipeline = Pipeline(
    about="Windows event logs and IIS logs as the Kinesis agent for Windows sends them",
    event=LogLine,
    sources=[Kinesis()],
    formats=[Json()],
    detectors=[
        Window(name="failed_logons", every=minutes(5), where=LogLine.event_id.is_(4625), when=count() > 10,
               severity=HIGH, do_first="See for which accounts, and lock those that are real."),
        Threshold(name="audit_log_cleared", when=LogLine.event_id.is_(1102), severity=CRITICAL,
                  show=[LogLine.account], do_first="Take the host off the network; keep its disk as it is."),
        Sequence(name="restarting_service", steps=[Step(when=LogLine.event_id.is_(7031), times=3)],
                 within=minutes(15), severity=MEDIUM, do_first="Read its own log from the first restart."),
        Window(name="failing_site", every=minutes(5), when=share(LogLine.status >= 500) > 0.05,
               severity=HIGH, do_first="Ask which paths fail, then read the application's log."),
        Window(name="slow_site", every=minutes(5), when=quantile(LogLine.time_taken, 0.95) > 2_000,
               severity=LOW, max_keys=2_000, do_first="Ask which paths are slow and since when."),
        Novelty(name="rare_event", of=LogLine.event_id, rarer_than=0.0001, severity=LOW, max_keys=500,
                do_first="Compare the host's other events of that minute."),
    ],
)
