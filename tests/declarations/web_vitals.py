"""How fast and steady a web site is for its visitors, as CloudWatch RUM measures it in their browsers."""

from lambdas.columns import Double, Text, Timestamp, count, quantile
from lambdas.detectors.window import Window
from lambdas.model import HIGH, MEDIUM, Event, Pipeline, minutes
from tests.declarations.declared import Folded, Rum, RumEvents


class PageEvent(Event, key="session_id", time="happened_at", id="page_event_id"):
    page_event_id = Text("one for each event", source="id")
    happened_at = Timestamp("when it happened", form="seconds", source="timestamp")
    kind = Text("what was measured", source="type")
    session_id = Text("one visit", private=True, source="user_details.sessionId")
    page = Folded("which page, ids folded", source="metadata.pageId")
    browser = Text("which browser", source="metadata.browserName")
    device = Text("desktop, mobile or tablet", source="metadata.deviceType")
    country = Text("from where", source="metadata.countryCode")
    value = Double("what was measured: ms, or a score for layout shifts", source="details.value")


def vital(kind: str, name: str, needs_improvement: float, poor: float, do_first: str) -> Window:
    return Window(
        name=name, key=PageEvent.page, every=minutes(15), max_keys=1_000, also=[count()],
        where=PageEvent.kind.is_(f"com.amazon.rum.{kind}_event"),
        when=quantile(PageEvent.value, 0.75) > needs_improvement,
        severity={needs_improvement: MEDIUM, poor: HIGH}, do_first=do_first)


pipeline = Pipeline(
    about="core web vitals and script errors by page",
    event=PageEvent,
    sources=[Rum()],
    formats=[RumEvents()],
    lateness=minutes(2),
    detectors=[
        vital("largest_contentful_paint", "slow_paint", 2_500, 4_000, "Look at the page's largest image."),
        vital("interaction_to_next_paint", "slow_reaction", 200, 500, "Profile the page's scripts."),
        vital("cumulative_layout_shift", "unsettled_layout", 0.1, 0.25, "Give images a fixed size."),
        Window(name="error_burst", key=(PageEvent.page, PageEvent.browser), every=minutes(5), max_keys=2_000,
               where=PageEvent.kind.is_("com.amazon.rum.js_error_event"), when=count() > 20, severity=HIGH,
               do_first="Roll back the last release if it began with it."),
    ],
)
