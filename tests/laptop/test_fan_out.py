"""A stream read by a consumer registered for one mapping, and a mapping that is switched off and on."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from laptop.mapping import EventSourceMappings
from laptop.services import NotHonoured
from tests.laptop.small_cloud import SmallCloud, small_cloud


@pytest.fixture
def cloud() -> Iterator[SmallCloud]:
    with small_cloud() as cloud:
        yield cloud


class Batches:
    """A handler that remembers the events that it was given."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def __call__(self, event: Any) -> None:
        self.events.append(event)

    @property
    def keys(self) -> list[str]:
        return [record["kinesis"]["partitionKey"] for event in self.events for record in event["Records"]]


def registered(cloud: SmallCloud, stream: str) -> str:
    answer = cloud.client("kinesis").register_stream_consumer(StreamARN=stream, ConsumerName="own")
    return str(answer["Consumer"]["ConsumerARN"])


def mapped(cloud: SmallCloud, source: str, handler: Any, **role: Any) -> EventSourceMappings:
    properties = {
        "EventSourceArn": source,
        "FunctionName": cloud.function("work", handler, **role),
        "MaximumRetryAttempts": 0,
        "StartingPosition": "TRIM_HORIZON",
    }
    cloud.add("AWS::Lambda::EventSourceMapping", "Mapping", properties)
    return EventSourceMappings(cloud, cloud.invoke, cloud.kinesis)


@pytest.mark.fidelity(
    service="Lambda",
    behaviour="a mapping may read a stream by a consumer registered for it, enhanced fan-out",
    source="https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html",
    falls_short="no sooner than without one, as nothing on a laptop shares what a shard gives",
)
def test_records_come_by_a_registered_consumer(cloud: SmallCloud) -> None:
    # given
    consumer, batches = registered(cloud, cloud.stream("events")), Batches()
    mappings = mapped(cloud, consumer, batches)
    # when
    cloud.kinesis.put("events", [("a", b"1"), ("b", b"2")])
    # then
    assert mappings.pump(cloud.wait(1)) == 2
    assert batches.keys == ["a", "b"]
    assert {record["eventSourceARN"] for record in batches.events[0]["Records"]} == {consumer}


@pytest.mark.fidelity(
    service="Lambda",
    behaviour="to read by a consumer the function's role needs kinesis:SubscribeToShard",
    source="https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html",
    falls_short="judged once, at the deployment",
)
@pytest.mark.parametrize("denied", ["kinesis:SubscribeToShard", "kinesis:ListShards"])
def test_role_that_may_not_subscribe_stops_the_mapping(cloud: SmallCloud, denied: str) -> None:
    consumer = registered(cloud, cloud.stream("events"))
    with pytest.raises(ClientError, match=denied):
        mapped(cloud, consumer, Batches(), denied=denied)


def test_consumer_that_nobody_registered_is_named(cloud: SmallCloud) -> None:
    consumer = registered(cloud, cloud.stream("events"))
    with pytest.raises(NotHonoured, match=r"registered the consumer .*/consumer/other"):
        mapped(cloud, consumer.replace("own", "other"), Batches())


@pytest.mark.fidelity(
    service="Lambda",
    behaviour="a mapping that is disabled hands nothing over; enabled, it goes on where it stopped",
    source="https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html",
    falls_short="at once; AWS takes some seconds for either",
)
def test_mapping_that_was_switched_off_goes_on_where_it_stopped(cloud: SmallCloud) -> None:
    # given
    batches = Batches()
    mappings = mapped(cloud, cloud.stream("events"), batches)
    cloud.kinesis.put("events", [("before", b"1")])
    mappings.pump(cloud.wait(1))
    # when
    mappings.switch("Mapping", enabled=False)
    cloud.kinesis.put("events", [("meanwhile", b"2")])
    assert mappings.pump(cloud.wait(600)) == mappings.drain() == 0
    mappings.switch("Mapping", enabled=True)
    # then
    assert mappings.pump(cloud.wait(1)) == 1
    assert batches.keys == ["before", "meanwhile"]
