"""Where moto 5.2.5 does other than AWS, or does the same too slowly.

Importing this module mends moto for the process: its modules copy names from one another, some only when they
are first used, so that a repair could not be taken back.
"""

import contextlib
import functools
import json
import math
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any  # moto's models are typed for moto's own use; here they stay at the boundary

from moto.awslambda.models import LambdaBackend, LayerVersion
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.cloudformation import parsing
from moto.cloudformation.models import Stack
from moto.core import responses, utils
from moto.core.base_backend import BaseBackend
from moto.dynamodb.models.table import StreamShard, Table
from moto.iam.access_control import PermissionResult
from moto.kinesis import models as kinesis
from moto.kinesis.exceptions import InvalidArgumentError
from moto.kinesis.responses import KinesisResponse
from moto.kinesis.utils import decompose_shard_iterator
from moto.logs.models import LogGroup
from moto.s3.models import FakeBucket
from moto.sqs.models import Queue, SQSBackend
from moto.utilities.utils import md5_hash

from laptop.clock import Clock

_real_utcnow, _real_unix_time = utils.utcnow, utils.unix_time
_running: list[Clock] = []


@contextlib.contextmanager
def simulated_time(clock: Clock) -> Iterator[None]:
    """moto's own now (arrival times, visibility timeouts, LastModified) is the clock's while this lasts."""
    _running.append(clock)
    try:
        yield
    finally:
        _running.pop()


def _utcnow() -> datetime:
    if not _running:
        return _real_utcnow()
    return datetime.fromtimestamp(_running[-1].now, UTC).replace(tzinfo=None)


def _unix_time(moment: datetime | None = None) -> float:
    """moto asks this several times for every message in a queue at every look at it."""
    return _running[-1].now if moment is None and _running else _real_unix_time(moment)


def _put_record(shard: Any, partition_key: str, data: str, explicit_hash_key: str) -> str:
    """moto counts what a shard holds: a child would begin at 1, and what is forgotten be numbered again."""
    shard.newest += 1
    shard.records[shard.newest] = kinesis.Record(partition_key, data, shard.newest, explicit_hash_key)
    return str(shard.newest)


def _get_records(shard: Any, after: str, limit: int | None) -> tuple[list[Any], int, int]:
    """moto walks the shard from its beginning at each poll; its numbers have no gaps, so none is needed."""
    last, found = max(int(after), next(iter(shard.records), shard.newest + 1) - 1), list[Any]()
    while len(found) < (limit or 10_000) and (record := shard.records.get(last + 1)):
        found.append(record)
        last += 1
    behind = shard.records[shard.newest].created_at - found[-1].created_at if found else 0.0
    # Behind by less than a millisecond is behind.
    return found, last, max(int(behind * 1000), int(last < shard.newest))


def _shard_to_json(to_json: Any) -> Any:
    """moto takes a shard's range of numbers from what it holds now: an empty one would end at 0."""

    def told(shard: Any) -> Any:
        numbers = {"StartingSequenceNumber": str(shard.before + 1)}
        ended = {} if shard.is_open else {"EndingSequenceNumber": str(shard.newest + 1)}
        return {**to_json(shard), "SequenceNumberRange": numbers | ended}

    return told


def forget(stream: Any) -> None:
    """moto keeps records and closed shards for ever, whatever a stream's retention."""
    horizon = utils.unix_time() - stream.retention_period_hours * 3600
    for shard_id, shard in list(stream.shards.items()):
        while shard.records and next(iter(shard.records.values())).created_at < horizon:
            shard.records.popitem(last=False)
        if shard.closed_at < horizon:
            del stream.shards[shard_id]


def _forgetful(describe_stream: Any) -> Any:
    """Every operation on a stream begins with this."""

    def described(backend: kinesis.KinesisBackend, stream_arn: str | None, stream_name: str | None) -> Any:
        stream = describe_stream(backend, stream_arn, stream_name)
        forget(stream)
        return stream

    return described


def _open_shard(get_shard_for_key: Any) -> Any:
    """moto gives a split shard's records to the closed parent, and has no shard for a range's last key."""

    def routed(stream: kinesis.Stream, partition_key: str, explicit_hash_key: str) -> kinesis.Shard:
        get_shard_for_key(stream, partition_key, explicit_hash_key)  # refuses what is no key
        hashed = md5_hash(partition_key.encode()).hexdigest()
        key = int(explicit_hash_key) if explicit_hash_key else int(hashed, 16)
        return next(
            s for s in stream.shards.values() if s.is_open and s.starting_hash <= key <= s.ending_hash
        )

    return routed


def _keeping_records(reshard: Any, *numbers: int) -> Any:
    """moto moves a closed shard's records to its children, where a consumer reads them a second time, and
    merges it again.
    """

    def resharded(stream: Any, *arguments: str) -> None:
        known, parents = set(stream.shards), [stream.shards[arguments[number]] for number in numbers]
        if closed := [parent.shard_id for parent in parents if not parent.is_open]:
            raise InvalidArgumentError(f"{closed[0]} has already been merged or split.")
        kept = [parent.records for parent in parents]
        for parent in parents:
            parent.records = type(parent.records)()
        try:
            reshard(stream, *arguments)
        finally:
            for parent, records in zip(parents, kept, strict=True):
                parent.records = records
        for parent in parents:
            parent.closed_at = utils.unix_time()
        for child in (shard for shard_id, shard in stream.shards.items() if shard_id not in known):
            # Closing takes a number, so that an empty shard ends, too, before its children begin.
            child.before = child.newest = max(parent.newest for parent in parents) + 1
        stream.shard_count = sum(shard.is_open for shard in stream.shards.values())

    return resharded


def _own_numbers(get_shard_iterator: Any) -> Any:
    """moto takes any number to begin at, such as a parent's."""

    def found(backend: kinesis.KinesisBackend, arn: str | None, name: str | None, *more: Any) -> str:
        shard_id, _, number, _ = more
        shard: Any = backend.describe_stream(arn, name).shards.get(shard_id)
        if shard and number and not shard.before < int(number) <= shard.newest + 1:
            raise InvalidArgumentError(f"StartingSequenceNumber {number} did not come from {shard_id}.")
        return str(get_shard_iterator(backend, arn, name, *more))

    return found


def _next_iterator(get_records: Any) -> Any:
    """A closed shard that is read to its end has no next iterator: that is how a consumer knows."""

    def ended(backend: kinesis.KinesisBackend, arn: str | None, iterator: str, limit: int | None) -> Any:
        following, records, behind = get_records(backend, arn, iterator, limit)
        name, shard_id, last = decompose_shard_iterator(following)
        shard = backend.describe_stream(stream_arn=arn, stream_name=name).get_shard(shard_id)
        drained = not shard.is_open and int(last) >= shard.get_max_sequence_number()
        return None if drained else following, records, behind

    return ended


def _with_children(get_records: Any) -> Any:
    """moto does not tell a consumer that comes to a shard's end where to go on."""

    def answered(response: KinesisResponse) -> Any:
        answer = get_records(response)
        if answer.result["NextShardIterator"] is None:
            name, parent, _ = decompose_shard_iterator(response._get_param("ShardIterator"))
            shards = response.kinesis_backend.describe_stream(None, name).shards.values()
            answer.result["ChildShards"] = [
                {
                    "ShardId": told["ShardId"],
                    "ParentShards": [shard.parent, shard.adjacent_parent][
                        : 2 if shard.adjacent_parent else 1
                    ],
                    "HashKeyRange": told["HashKeyRange"],
                }
                for shard in shards
                if parent in (shard.parent, shard.adjacent_parent) and (told := shard.to_json())
            ]
        return answer

    return answered


def _changes_only(add: Any) -> Any:
    """moto's stream of a table has an item that was put again as it was; DynamoDB's has changes."""

    def added(shard: StreamShard, old: Any, new: Any) -> None:
        if old is None or new is None or old.to_json() != new.to_json():
            add(shard, old, new)

    return added


def _receive_at_once(receive_message: Any) -> Any:
    """A long poll would wait for a clock that stands still meanwhile."""

    def received(backend: SQSBackend, name: str, count: int, _wait: int, *more: Any, **named: Any) -> Any:
        return receive_message(backend, name, count, 0, *more, **named)

    return received


def _by_a_consumer(create: Any) -> Any:
    """moto maps a stream by its own ARN, and knows no registered consumer's."""

    def created(backend: LambdaBackend, spec: dict[str, Any]) -> Any:
        source = spec["EventSourceArn"]
        mapping = create(backend, spec | {"EventSourceArn": source.partition("/consumer/")[0]})
        mapping.event_source_arn = source
        return mapping

    return created


def _refuse_invoke(_backend: LambdaSimpleBackend, function_name: str, *_more: Any, **_named: Any) -> Any:
    raise NotImplementedError(
        f"moto was asked to invoke the function {function_name} and would make up an answer; "
        "invoke it through laptop.functions instead."
    )


def _attribute_or_error(clean_json: Any) -> Any:
    """moto drops a property whose Fn::GetAtt it does not know, with a warning."""

    def cleaned(value: Any, resources: Any) -> Any:
        result = clean_json(value, resources)
        if result is None and isinstance(value, dict) and "Fn::GetAtt" in value:
            raise LookupError(f"moto has no attribute for {value}")
        return result

    return cleaned


def _once_a_class(urls: Any) -> Any:
    """moto computes a service's addresses at each request, S3's by loading a module anew."""
    known: dict[type, Any] = {}

    def kept(backend: BaseBackend) -> Any:
        if type(backend) not in known:
            known[type(backend)] = urls(backend)
        return known[type(backend)]

    return property(kept)


def _repair() -> None:
    for name, module in list(sys.modules.items()):
        for taken, mended in ((_real_utcnow, _utcnow), (_real_unix_time, _unix_time)):
            if name.startswith("moto.") and getattr(module, taken.__name__, None) is taken:
                setattr(module, taken.__name__, mended)
    no_mappings = property(lambda _source: {}, lambda _source, _value: None)
    changes: list[tuple[Any, str, Any]] = [
        # The number before a shard's first, its newest record's, and when it was closed.
        *(
            (kinesis.Shard, name, value)
            for name, value in (("before", 0), ("newest", 0), ("closed_at", math.inf))
        ),
        # moto copies all of a shard's numbers at each put, which is quadratic in the shard's length.
        (kinesis.Shard, "get_max_sequence_number", lambda shard: shard.newest),
        (kinesis.Shard, "put_record", _put_record),
        (kinesis.Shard, "get_records", _get_records),
        (kinesis.Shard, "to_json", _shard_to_json(kinesis.Shard.to_json)),
        (kinesis.Stream, "get_shard_for_key", _open_shard(kinesis.Stream.get_shard_for_key)),
        (kinesis.Stream, "split_shard", _keeping_records(kinesis.Stream.split_shard, 0)),
        (kinesis.Stream, "merge_shards", _keeping_records(kinesis.Stream.merge_shards, 0, 1)),
        (kinesis.KinesisBackend, "describe_stream", _forgetful(kinesis.KinesisBackend.describe_stream)),
        (
            kinesis.KinesisBackend,
            "get_shard_iterator",
            _own_numbers(kinesis.KinesisBackend.get_shard_iterator),
        ),
        (kinesis.KinesisBackend, "get_records", _next_iterator(kinesis.KinesisBackend.get_records)),
        (KinesisResponse, "get_records", _with_children(KinesisResponse.get_records)),
        (StreamShard, "add", _changes_only(StreamShard.add)),
        (SQSBackend, "receive_message", _receive_at_once(SQSBackend.receive_message)),
        # laptop.mapping polls the sources; moto would run the function itself, in Docker, at each write.
        *((source, "lambda_event_source_mappings", no_mappings) for source in (Queue, Table, kinesis.Stream)),
        (BaseBackend, "urls", _once_a_class(vars(BaseBackend)["urls"].fget)),
        (responses, "method_names_from_class", functools.cache(utils.method_names_from_class)),
        (LambdaSimpleBackend, "invoke", _refuse_invoke),
        (
            LambdaBackend,
            "create_event_source_mapping",
            _by_a_consumer(LambdaBackend.create_event_source_mapping),
        ),
        (LayerVersion, "physical_resource_id", property(lambda layer: layer.arn)),
        # What CloudFormation answers ends so, and stands in every policy about a log.
        (LogGroup, "get_cfn_attribute", lambda group, _attribute: f"{group.arn}:*"),
        # laptop.policies judges bucket policies; moto reads them without their conditions.
        (FakeBucket, "get_permission", lambda *_: PermissionResult.NEUTRAL),
        (parsing, "clean_json", _attribute_or_error(parsing.clean_json)),
        # The CDK writes JSON, which takes a YAML parser seconds.
        (Stack, "parse_template", staticmethod(json.loads)),
    ]
    for owner, name, mended in changes:
        setattr(owner, name, mended)


_repair()
