"""Agents of an Amazon Connect contact centre: who is stuck, misses contacts, is logged in but gone."""

from lambdas.columns import Json as JsonText
from lambdas.columns import Text, Timestamp
from lambdas.detectors.sequence import Sequence, Step
from lambdas.detectors.threshold import Threshold
from lambdas.formats.json_objects import Json
from lambdas.model import HIGH, MEDIUM, Event, Pipeline, minutes, seconds
from tests.declarations.declared import Connect, Silence


class AgentEvent(Event, key="agent_arn", time="happened_at", id="event_id"):
    event_id = Text("one for each event", source="EventId")
    event_type = Text("STATE_CHANGE, HEART_BEAT, LOGIN or LOGOUT", source="EventType")
    happened_at = Timestamp("when it happened", source="EventTimestamp")
    agent_arn = Text("which agent", source="AgentARN")
    username = Text("the agent's name", private=True, source="CurrentAgentSnapshot.Configuration.Username")
    queues = Text("routing profile", source="CurrentAgentSnapshot.Configuration.RoutingProfile.Name")
    status = Text("the agent's status", source="CurrentAgentSnapshot.AgentStatus.Name")
    status_since = Timestamp("since when", source="CurrentAgentSnapshot.AgentStatus.StartTimestamp")
    previous_status = Text("the status before", source="PreviousAgentSnapshot.AgentStatus.Name")
    contact_id = Text("the first contact in hand", source="CurrentAgentSnapshot.Contacts.0.ContactId")
    contact_state = Text("of that contact", source="CurrentAgentSnapshot.Contacts.0.State")
    contacts = JsonText("all contacts in hand", source="CurrentAgentSnapshot.Contacts")


changed = AgentEvent.event_type.is_("STATE_CHANGE")
missed, connected = AgentEvent.contact_state.is_("MISSED"), AgentEvent.contact_state.is_("CONNECTED")

pipeline = Pipeline(
    about="a contact centre's agents; errors, missed contacts and silent log-ins",
    event=AgentEvent,
    sources=[Connect()],
    formats=[Json()],
    tick=seconds(10),
    detectors=[
        Threshold(name="in_error", when=AgentEvent.contact_state.is_("ERROR"),
                  show=[AgentEvent.status, AgentEvent.queues], severity=MEDIUM,
                  do_first="Ask the agent to log in again; if it comes back, check headset and network."),
        Sequence(name="missed_contacts", where=changed & (missed | connected),
                 steps=[Step(when=missed, times=3, unbroken=True)], within=minutes(30), severity=HIGH,
                 show=[AgentEvent.queues], do_first="Set the agent offline and call them."),
        Silence(name="logged_in_but_silent", after=minutes(5), until=AgentEvent.event_type.is_("LOGOUT"),
                severity=MEDIUM, do_first="See whether the agent's browser is gone, then log the agent out."),
    ],
)
