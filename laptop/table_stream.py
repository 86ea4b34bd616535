"""DynamoDB's streams on a laptop: the changes of a table's items, as an event source mapping reads them.

Not honoured: more than one shard, changes that DynamoDB makes by itself (a time to live that is over).
"""

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Any  # an item is as mixed as JSON

from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import StreamRecord

from laptop.cloud import Cloud
from laptop.resources import ACCOUNT
from laptop.services import NotHonoured

READ_ACTIONS = ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
KEPT = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Change:
    """One change of an item; `data` is what an event says of it."""

    sequence_number: int
    created_at: float
    data: str


class TableShards:
    """A table's stream as a mapping reads it with its function's role: one shard, never closed."""

    batch_info, precision = "DDBStreamBatchInfo", "seconds"

    def __init__(self, cloud: Cloud, stream: str, role: str, service: str, *, since: float) -> None:
        name, _, label = stream.split("/")[1:]
        table = dynamodb_backends[ACCOUNT][cloud.region].tables.get(name)
        if table is None or table.stream_shard is None or table.latest_stream_label != label:
            raise NotHonoured(
                f"There is no stream {stream} on the laptop. Give its table a StreamSpecification."
            )
        with cloud.policies.acting_as(role, service=service):
            for action in READ_ACTIONS:
                cloud.policies.require(role, f"dynamodb:{action}", stream)
        self._clock, self._shard = cloud.clock, table.stream_shard
        self._read = sum(change.created_at < since for change in map(_change, self._shard.items))

    def waiting(self) -> Iterator[tuple[str, list[Change]]]:
        changes = map(_change, self._shard.items[self._read :])
        if kept := [one for one in changes if one.created_at >= self._clock.now - KEPT]:
            yield self._shard.id, kept

    def pass_over(self, _shard_id: str, change: Change) -> None:
        self._read = change.sequence_number - self._shard.starting_sequence_number + 1

    def described(self, _shard_id: str, change: Change) -> dict[str, Any]:
        return dict(json.loads(change.data))


def _change(record: StreamRecord) -> Change:
    document, about = record.to_json(), record.to_json()["dynamodb"]
    at = about["ApproximateCreationDateTime"].replace(tzinfo=UTC).timestamp()
    # Lambda is told whole seconds.
    told = {**document, "eventVersion": "1.1", "dynamodb": {**about, "ApproximateCreationDateTime": int(at)}}
    return Change(
        int(about["SequenceNumber"]), at, json.dumps(told, default=lambda blob: b64encode(blob).decode())
    )
