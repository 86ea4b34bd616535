"""Entry point: the clock's signal. Time goes on in each shard that awaits something and is proven idle."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from aws_lambda_powertools import Logger

from lambdas.effects.outbox import Outbox
from lambdas.effects.session import Session
from lambdas.effects.settings import TickSettings
from lambdas.effects.state_log import StateLog
from lambdas.effects.stream import Stream
from lambdas.streaming.shard import Outcome, Shard

logger = Logger()
settings = TickSettings.of_environment()
pipeline = settings.load_pipeline()
stream = Stream(settings.stream_name)
log = StateLog(settings.state_bucket, pipeline.name)
outbox = Outbox(settings.changes_queue_url, settings.result_streams)
session = Session(pipeline.name, log, outbox, partial(Shard, pipeline))


def handler(event: Mapping[str, str], _context: object) -> None:
    """Takes `scheduled_time`, ISO 8601. Raises at the end what went wrong in any shard."""
    now = datetime.fromisoformat(event["scheduled_time"]).timestamp()
    failures: list[Exception] = []
    for shard_id in stream.shard_ids():
        try:
            newest = session.newest(shard_id)
            # A busy shard is due at almost every tick; that it is not idle is cheaper to read than its state.
            if not newest.is_settled or (newest.is_due(now) and stream.is_idle(shard_id, newest.sequence)):
                session.run(shard_id, partial(advance, shard_id, now))
        except Exception as failure:  # the other shards' time must go on
            logger.error("A shard's tick failed.", shard_id=shard_id, reason=type(failure).__name__)
            failures.append(failure)
    if failures:
        raise ExceptionGroup(f"The tick failed in {len(failures)} shards of {settings.stream_name}", failures)


def advance(shard_id: str, now: float, shard: Shard) -> Outcome | None:
    due = shard.due()
    if due is None or due > now or not stream.is_idle(shard_id, shard.sequence):
        return None
    return shard.advance(now)
