"""Aggregates of the Kinesis producer library (KPL): several records in one. Firehose opens them before
anybody sees them, Lambda does not.

Four bytes that tell them apart, a protobuf message, its MD5
(https://github.com/awslabs/amazon-kinesis-producer/blob/master/aggregation-format.md). Of the message only
the records' data counts: their keys chose the shard, which is known by now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any  # protobuf makes its classes as it runs

AGGREGATE = b"\xf3\x89\x9a\xc2"
DIGEST_BYTES = 16


def is_aggregate(data: bytes) -> bool:
    return data.startswith(AGGREGATE)


def opened(data: bytes) -> list[bytes] | None:
    """The data of an aggregate's records in order; `None` for what is none, or is damaged.

    >>> opened(b'{"sensor_id": "a"}') is None
    True
    """
    if not is_aggregate(data):
        return None
    body, digest = data[len(AGGREGATE) : -DIGEST_BYTES], data[-DIGEST_BYTES:]
    if hashlib.md5(body, usedforsecurity=False).digest() != digest:
        return None
    return reader()(body)


@cache
def reader() -> Callable[[bytes], list[bytes] | None]:
    """Imports protobuf, which takes a tenth of a second, when the first aggregate comes."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from google.protobuf.message import DecodeError

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="aggregate.proto", syntax="proto2")
    # Each message has more fields than these, which protobuf passes over.
    record = file.message_type.add(name="Record")
    for name, number, kind in (("partition_key_index", 1, field.TYPE_UINT64), ("data", 3, field.TYPE_BYTES)):
        record.field.add(name=name, number=number, type=kind, label=field.LABEL_REQUIRED)
    file.message_type.add(name="AggregatedRecord").field.add(
        name="records", number=3, type=field.TYPE_MESSAGE, label=field.LABEL_REPEATED, type_name="Record"
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    message: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("AggregatedRecord"))

    def read(body: bytes) -> list[bytes] | None:
        try:
            found = message.FromString(body)
        except DecodeError:
            return None
        return [record.data for record in found.records] if found.IsInitialized() else None

    return read
