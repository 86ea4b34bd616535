"""A shop's hourly views and revenue by platform and marketplace: what leaves its usual course."""

from lambdas.columns import Double, Integer, Text, Timestamp
from lambdas.formats.json_objects import Json
from lambdas.model import HIGH, MEDIUM, Event, Kinesis, Pipeline, hours
from tests.declarations.declared import Seasonal


class Sales(Event, key="marketplace", time="hour_start"):
    platform = Text("web, ios, android, …", required=True)
    marketplace = Text("which country's shop")
    views = Integer("pages viewed in the hour", unit="views")
    revenue = Double("sold in the hour", unit="$")
    hour_start = Timestamp("the hour's beginning")


dimensions = (Sales.platform, Sales.marketplace)

pipeline = Pipeline(
    about="views and revenue by platform and marketplace, each hour",
    event=Sales,
    sources=[Kinesis()],
    formats=[Json()],
    lateness=hours(1),
    detectors=[
        Seasonal(name="unusual_views", key=dimensions, of=Sales.views, every=hours(1),
                 severity={1: MEDIUM, 3: HIGH}, max_keys=1_000,
                 do_first="See whether other marketplaces of the platform fell or rose with it."),
        Seasonal(name="unusual_revenue", key=dimensions, of=Sales.revenue, every=hours(1),
                 severity={1: MEDIUM, 3: HIGH}, max_keys=1_000,
                 do_first="Compare with the views: with them it is traffic, without them the checkout."),
    ],
)
