"""A tick of the second stream: its shards are told how far those of the first have come."""

from __future__ import annotations

from lambdas.effects.failures import Failures
from lambdas.effects.heritage import is_heir
from lambdas.effects.second_stream import SecondStream
from lambdas.effects.session import Session
from lambdas.effects.settings import CommitSettings
from lambdas.effects.state_log import Newest
from lambdas.effects.stream import Stream
from lambdas.lineage import Lineage
from lambdas.model import Pipeline
from lambdas.streaming import rekey
from lambdas.streaming.shard import Shard

UNKNOWN = Newest(0, None, is_settled=False), False  # others wait for such a shard: for a while, not for ever


class SecondTick:
    """Its time goes on by what is in the second stream alone; so this is put there, where it is awaited."""

    def __init__(
        self, pipeline: Pipeline, settings: CommitSettings, session: Session[Shard], first: Stream
    ) -> None:
        self._pipeline = pipeline
        self._session = session
        self._first = first
        self._stream = Stream(settings.second_stream)
        self._sender = SecondStream(settings.second_stream)

    def run(self, now: float, first: Lineage, dues: dict[str, float | None], failures: Failures) -> None:
        """`first` is the first stream's shards; adds to `dues` when each shard of the second one is due."""
        lineage, is_awaited = self._stream.lineage(), False
        for listed_id in lineage.shard_ids:
            for shard_id in rekey.shard_names(self._pipeline, listed_id):
                with failures.of(shard_id):
                    newest = self._session.newest(shard_id)
                    due = newest.due if newest.is_settled else self._settled(shard_id)
                    dues[shard_id], is_awaited = due, is_awaited or (due is not None and due <= now)
                    if not newest.number:
                        # A mark is its first record, whereupon detect gives it what it inherits.
                        is_awaited = is_awaited or is_heir(lineage, self._session.newest, shard_id)
        if is_awaited:
            mark = rekey.mark(now, self._standing(first, failures), self._pipeline.lateness.total_seconds())
            self._sender.mark(mark, lineage)

    def _settled(self, shard_id: str) -> float | None:
        """Sends what a shard owes, and says when it is due: an entry that is damaged does not."""
        due: float | None = None

        def ask(shard: Shard) -> None:
            nonlocal due
            due = shard.due()

        self._session.run(shard_id, ask)
        return due

    def _standing(self, first: Lineage, failures: Failures) -> dict[str, tuple[Newest, bool]]:
        """Of each shard from which more may come, what its log says and whether it was idle then."""
        standing: dict[str, tuple[Newest, bool]] = {}
        for shard_id in first.shard_ids:
            found: tuple[Newest, bool] | None = UNKNOWN
            with failures.of(shard_id):
                found = self._stands(first, shard_id)
            if found is not None:
                standing[shard_id] = found
        return standing

    def _stands(self, first: Lineage, shard_id: str) -> tuple[Newest, bool] | None:
        newest = self._session.newest(shard_id)
        if not first.is_closed(shard_id):
            return newest, self._first.is_idle(shard_id, newest.sequence)
        is_over = newest.is_settled and self._first.is_drained(shard_id, newest.sequence)
        return None if is_over else (newest, False)
