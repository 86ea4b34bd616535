"""Entry point: the clock's signal. Time goes on in each shard that awaits something and is proven idle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from aws_lambda_powertools import Logger

from lambdas.effects.heritage import inherit, is_heir, is_to_inherit
from lambdas.effects.outbox import Outbox
from lambdas.effects.recovery import Page, Recovery
from lambdas.effects.second_stream import SecondStream
from lambdas.effects.session import Session
from lambdas.effects.settings import CommitSettings
from lambdas.effects.state_log import Newest, StateLog
from lambdas.effects.stream import Stream
from lambdas.effects.taken_records import TakenRecords
from lambdas.lineage import Lineage
from lambdas.streaming import rekey
from lambdas.streaming.shard import Outcome, Record, Shard

logger = Logger()
settings = CommitSettings.of_environment()
pipeline = settings.load_pipeline()
stream = Stream(settings.stream_name)
log = StateLog(settings.state_bucket, pipeline.name)
taken = TakenRecords(settings.state_bucket, pipeline.name)
outbox = Outbox(settings.changes_queue_url, settings.result_streams, settings.second_stream)
second = SecondStream(settings.second_stream)


def read_again(shard_id: str, page: Page) -> list[Record]:
    """As detect reads; what that takes is imported only where a log is damaged."""
    from lambdas.reading import Reader

    return Reader(pipeline, settings).again(shard_id, page)


recovery = Recovery[Shard](pipeline.name, log, read_again, settings.stream_of)
session = Session(
    pipeline.name,
    log,
    taken,
    outbox,
    partial(rekey.begin, pipeline),
    partial(inherit, settings.stream_of),
    recovery.mend,
)


def handler(event: Mapping[str, Any], _context: object) -> dict[str, bool]:
    """Takes `scheduled_time`, ISO 8601; a loop also says when it began and how long it pauses (s). Answers
    whether that loop's next tick is wanted. Raises at the end what went wrong in any shard.
    """
    now = datetime.fromisoformat(event["scheduled_time"]).timestamp()
    dues: dict[str, float | None] = {}
    failures: list[Exception] = []
    lineage = stream.lineage()
    for shard_id in turned(lineage.shard_ids, now):
        try:
            newest = session.newest(shard_id)
            if lineage.is_closed(shard_id):
                # Its time goes on in its children, of whose unread records it knows nothing.
                if not newest.is_settled:
                    session.run(shard_id, lambda _: None)
                continue
            dues[shard_id] = newest.due
            is_wanted = newest.is_due(now) or (
                not newest.number and is_to_inherit(stream, lineage, session.newest, shard_id)
            )
            # A busy shard is due at almost every tick; that it is not idle is cheaper to read than its state.
            if not newest.is_settled or (is_wanted and stream.is_idle(shard_id, newest.sequence)):
                session.run(shard_id, partial(advance, shard_id, now, dues))
        except Exception as failure:  # the other shards' time must go on
            logger.error("A shard's tick failed.", shard_id=shard_id, reason=type(failure).__name__)
            failures.append(failure)
    if settings.second_stream:
        failures += tick_second(now, dues, lineage)
    if failures:
        raise ExceptionGroup(f"The tick failed in {len(failures)} shards of {settings.stream_name}", failures)
    return {"again": "loop_began" in event and is_wanted_again(now, dues.values(), event)}


def turned(shard_ids: list[str], now: float) -> list[str]:
    """Each minute another shard first: a tick that is cut off has let those wait that come last."""
    first = int(now // 60) % max(1, len(shard_ids))
    return shard_ids[first:] + shard_ids[:first]


def advance(shard_id: str, now: float, dues: dict[str, float | None], shard: Shard) -> Outcome | None:
    due, outcome = shard.due(), None
    if due is not None and due <= now and stream.is_idle(shard_id, shard.sequence):
        outcome = shard.advance(now)
    elif shard.is_heir:
        outcome = shard.process([])  # saves it, so that the next tick need not look for it again
    dues[shard_id] = shard.due()
    return outcome


def tick_second(now: float, dues: dict[str, float | None], lineage: Lineage) -> Iterator[Exception]:
    """Tells the shards of the second stream how far those of the first have come, if one awaits something;
    yields what went wrong. Their time goes on by what is in their own stream alone.
    """
    is_due, second_lineage = False, Stream(settings.second_stream).lineage()
    for listed_id in second_lineage.shard_ids:
        for shard_id in rekey.shard_names(pipeline, listed_id):
            try:
                newest = session.newest(shard_id)
                dues[shard_id], is_due = newest.due, is_due or newest.is_due(now)
                if not newest.number:
                    # A mark is its first record, whereupon detect gives it what it inherits.
                    is_due = is_due or is_heir(second_lineage, session.newest, shard_id)
                if not newest.is_settled:
                    session.run(shard_id, lambda _: None)
            except Exception as failure:  # as above
                logger.error("A shard's tick failed.", shard_id=shard_id, reason=type(failure).__name__)
                yield failure
    if not is_due:
        return
    standing: dict[str, tuple[Newest, bool]] = {}
    for shard_id in lineage.shard_ids:
        try:
            found = stands(lineage, shard_id)
        except (
            Exception
        ) as failure:  # others wait for one that nothing is known of: for a while, not for ever
            logger.error("A shard's time is not known.", shard_id=shard_id, reason=type(failure).__name__)
            yield failure
            found = Newest(0, None, is_settled=False), False
        if found is not None:
            standing[shard_id] = found
    second.mark(rekey.mark(now, standing, pipeline.lateness.total_seconds()))


def stands(lineage: Lineage, shard_id: str) -> tuple[Newest, bool] | None:
    """What a log says of its shard, and whether that was idle then; none if nothing more comes from it."""
    newest = session.newest(shard_id)
    if not lineage.is_closed(shard_id):
        return newest, stream.is_idle(shard_id, newest.sequence)
    is_over = newest.is_settled and stream.is_drained(shard_id, newest.sequence)
    return None if is_over else (newest, False)


def is_wanted_again(now: float, dues: Iterable[float | None], loop: Mapping[str, Any]) -> bool:
    """Whether something is due, and the next tick would come, before the next minute's loop begins."""
    over = datetime.fromisoformat(loop["loop_began"]).timestamp() + 60
    return now + loop["pause"] < over and any(due is not None and due < over for due in dues)
