"""The logs of many accounts' applications: bursts of errors, groups gone silent, errors never seen before."""

from lambdas.columns import Text, Timestamp, count
from lambdas.detectors.window import Window
from lambdas.model import HIGH, MEDIUM, Event, Pipeline, minutes
from tests.declarations.declared import Folded, LogEvents, LogsSubscription, Novelty, Silence


class LogEvent(Event, key="log_stream", time="logged_at", id="log_event_id"):
    log_event_id = Text("one for each log event", source="id")
    account_id = Text("whose log", source="owner")
    log_group = Text("which application")
    log_stream = Text("which instance of it")
    message = Text("what was logged", discreet=True)
    signature = Folded("the message without its changing parts", discreet=True, source="message")
    logged_at = Timestamp("when it was logged", form="milliseconds", source="timestamp")


application = (LogEvent.account_id, LogEvent.log_group)
error = LogEvent.message.contains("ERROR")

pipeline = Pipeline(
    about="the logs of all accounts' applications; error bursts, silence and new errors",
    event=LogEvent,
    sources=[LogsSubscription(cross_account=True)],
    formats=[LogEvents()],
    lateness=minutes(2),
    detectors=[
        Window(name="error_burst", key=application, every=minutes(5), where=error, when=count() > 100,
               severity={100: MEDIUM, 1_000: HIGH}, max_keys=2_000,
               do_first="Open the group's last deployment and its first error of the window."),
        Silence(name="silent_group", key=application, pauses=20, after=minutes(10), severity=MEDIUM,
                max_keys=2_000, do_first="See whether the application runs and may still write its log."),
        Novelty(name="new_error", key=application, of=LogEvent.signature, where=error, severity=MEDIUM,
                max_keys=1_000, do_first="Read the error; if it is harmless, say so in its feedback."),
    ],
)
