"""A function mapped to a source, and handlers that remember what they were given."""

import base64
from collections.abc import Callable
from typing import Any

from laptop.mapping import EventSourceMappings
from tests.laptop.small_cloud import SmallCloud

REPORTS: dict[str, Any] = {"FunctionResponseTypes": ["ReportBatchItemFailures"]}


def mapped(
    cloud: SmallCloud,
    source: str,
    handler: Callable[[Any], Any],
    *,
    role: dict[str, Any] | None = None,
    **properties: Any,
) -> EventSourceMappings:
    function = cloud.function("handler", handler, **role or {})
    from_stream = {} if ":sqs:" in source else {"StartingPosition": "TRIM_HORIZON", "MaximumRetryAttempts": 0}
    own = {"EventSourceArn": source, "FunctionName": function, **from_stream, **properties}
    cloud.add("AWS::Lambda::EventSourceMapping", "Mapping", own, physical_id="0f0f-uuid")
    return EventSourceMappings(cloud, cloud.invoke, cloud.kinesis)


class Seen:
    """A handler that remembers the data of each batch and then does what `after` says with it."""

    def __init__(self, after: Callable[[list[str]], Any] = lambda _: None) -> None:
        self.batches: list[list[str]] = []
        self.events: list[dict[str, Any]] = []
        self._after = after

    def __call__(self, event: dict[str, Any]) -> Any:
        self.events.append(event)
        records = event["Records"]
        data = [
            base64.b64decode(r["kinesis"]["data"]).decode()
            if "kinesis" in r
            else r.get("body") or ":".join([r["eventName"], *map(str, r["dynamodb"]["Keys"]["id"].values())])
            for r in records
        ]
        self.batches.append(data)
        return self._after(data)

    @property
    def handled(self) -> list[str]:
        return [one for batch in self.batches for one in batch]


def failing_on(poison: str) -> Callable[[list[str]], None]:
    def after(batch: list[str]) -> None:
        if poison in batch:
            raise ValueError(f"cannot digest {poison}")

    return after


def reporting(*identifiers: object, name: str = "itemIdentifier") -> dict[str, Any]:
    return {"batchItemFailures": [{name: identifier} for identifier in identifiers]}
