"""Entry point: the clock's signal. Time goes on in each shard that awaits something and is proven idle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from aws_lambda_powertools import Logger

from lambdas.commits import open_session
from lambdas.effects.failures import Failures
from lambdas.effects.heritage import is_to_inherit
from lambdas.effects.recovery import Page
from lambdas.effects.settings import CommitSettings
from lambdas.effects.stream import Stream
from lambdas.lineage import Lineage
from lambdas.second_tick import SecondTick
from lambdas.streaming.shard import Outcome, Record, Shard

logger = Logger()
settings = CommitSettings.of_environment()
pipeline = settings.load_pipeline()
stream = Stream(settings.stream_name)


def read_again(shard_id: str, page: Page) -> list[Record]:
    """As detect reads; what that takes is imported only where a log is damaged."""
    from lambdas.reading import Reader

    return Reader(pipeline, settings).again(shard_id, page)


session = open_session(pipeline, settings, read_again)
second = SecondTick(pipeline, settings, session, stream) if settings.second_stream else None


def handler(event: Mapping[str, Any], _context: object) -> dict[str, bool]:
    """Takes `scheduled_time`, ISO 8601; a loop also says when it began and how long it pauses (s). Answers
    whether that loop's next tick is wanted. Raises at the end what went wrong in any shard.
    """
    now = datetime.fromisoformat(event["scheduled_time"]).timestamp()
    dues: dict[str, float | None] = {}
    lineage, failures = stream.lineage(), Failures()
    for shard_id in turned(lineage.shard_ids, now):
        with failures.of(shard_id):
            tick(shard_id, now, lineage, dues)
    if second is not None:
        second.run(now, lineage, dues, failures)
    failures.tell(settings.stream_name)
    return {"again": "loop_began" in event and is_wanted_again(now, dues.values(), event)}


def turned(shard_ids: list[str], now: float) -> list[str]:
    """Each minute another shard first: a tick that is cut off has let those wait that come last."""
    first = int(now // 60) % max(1, len(shard_ids))
    return shard_ids[first:] + shard_ids[:first]


def tick(shard_id: str, now: float, lineage: Lineage, dues: dict[str, float | None]) -> None:
    newest = session.newest(shard_id)
    if lineage.is_closed(shard_id):
        # Its time goes on in its children, of whose unread records it knows nothing.
        if not newest.is_settled:
            session.run(shard_id, lambda _: None)
        return
    dues[shard_id] = newest.due
    is_wanted = newest.is_due(now) or (
        not newest.number and is_to_inherit(stream, lineage, session.newest, shard_id)
    )
    # A busy shard is due at almost every tick; that it is not idle is cheaper to read than its state.
    if not newest.is_settled or (is_wanted and stream.is_idle(shard_id, newest.sequence)):
        session.run(shard_id, partial(advance, shard_id, now, dues))


def advance(shard_id: str, now: float, dues: dict[str, float | None], shard: Shard) -> Outcome | None:
    due, outcome = shard.due(), None
    if due is not None and due <= now and stream.is_idle(shard_id, shard.sequence):
        outcome = shard.advance(now)
    elif shard.is_heir:
        outcome = shard.process([])  # saves it, so that the next tick need not look for it again
    dues[shard_id] = shard.due()
    return outcome


def is_wanted_again(now: float, dues: Iterable[float | None], loop: Mapping[str, Any]) -> bool:
    """Whether something is due, and the next tick would come, before the next minute's loop begins."""
    over = datetime.fromisoformat(loop["loop_began"]).timestamp() + 60
    return now + loop["pause"] < over and any(due is not None and due < over for due in dues)
