"""What detect and tick commit with, made once in each container."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from lambdas.effects.heritage import inherit
from lambdas.effects.outbox import Outbox
from lambdas.effects.recovery import Page, Recovery
from lambdas.effects.session import Session
from lambdas.effects.settings import CommitSettings
from lambdas.effects.state_log import StateLog
from lambdas.effects.taken_records import TakenRecords
from lambdas.model import Pipeline
from lambdas.streaming import rekey
from lambdas.streaming.shard import Record, Shard


def open_session(
    pipeline: Pipeline, settings: CommitSettings, read_again: Callable[[str, Page], Sequence[Record]]
) -> Session[Shard]:
    """Over the logs of a pipeline's shards; `read_again` makes records of a page that a log lost."""
    log = StateLog(settings.state_bucket, pipeline.name)
    return Session(
        pipeline.name,
        log,
        TakenRecords(settings.state_bucket, pipeline.name),
        Outbox(settings.changes_queue_url, settings.result_streams, settings.second_stream),
        partial(rekey.begin, pipeline),
        partial(inherit, settings.stream_of),
        Recovery[Shard](pipeline.name, log, read_again, settings.stream_of).mend,
    )
