"""The commit protocol that a batch and a tick share: load, work, commit, send, mark."""

from __future__ import annotations

import gc
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from aws_lambda_powertools import Logger

from lambdas.effects import metrics
from lambdas.effects.outbox import Outbox
from lambdas.effects.state_log import Base, Conflict, CorruptLog, Newest, Outcome, StateLog
from lambdas.effects.taken_records import TakenRecords

# A base costs its whole state, and loading the entries after it: it is written after so many at the earliest
# when they have the bytes of the last one, and after so many at the latest.
ENTRIES_A_BASE, MOST_ENTRIES_A_BASE = 64, 256
WARM_SHARDS = 4  # a function that comes to serve many shards must not hold the states of all
TRIES = 5
# Seconds. A commit is refused because the entry is there. So it must still be there for whoever may believe
# that it is not: a state is trusted for five minutes and worked on for two, and nothing younger is deleted.
TRUSTED_FOR = 300
KEPT_FOR = 900

# A batch's events are thousands of objects and a state may be of millions, none of them in a cycle: to search
# for cycles after 700 new ones, as Python would, costs a tenth of all.
gc.set_threshold(100_000)

logger = Logger(child=True)


class Taken(Protocol):
    def hand_over(self) -> list[tuple[int, int]]: ...


class Shard(Protocol):
    """What the protocol needs of a shard's state."""

    began_anew: list[str]

    @property
    def taken(self) -> Taken: ...
    def restore(self, base: Any | None, changes: Iterable[Any]) -> None: ...
    def snapshot(self) -> Any: ...
    def due(self) -> float | None: ...


class Result(Outcome, Protocol):
    @property
    def counts(self) -> dict[str, int]: ...
    @property
    def faults(self) -> list[str]: ...
    @property
    def is_empty(self) -> bool: ...


S = TypeVar("S", bound=Shard)
R = TypeVar("R", bound=Result)
Mend = Callable[[str, Callable[[str], S], Callable[[str, S], None]], None]


@dataclass
class Warm(Generic[S]):
    """A shard's state, the entry at which it is the same as the log (nothing is owed), when that was last
    known to be the newest entry (s since 1970), the bases that are worth keeping, the oldest first, and the
    bytes of the entries since the last of them.
    """

    shard: S
    number: int
    known_at: float
    bases: list[Base] = field(default_factory=list)
    entry_bytes: int = 0

    @property
    def is_base_due(self) -> bool:
        last = self.bases[-1] if self.bases else Base(0, 0.0, 0)
        entries = self.number - last.number
        return entries >= MOST_ENTRIES_A_BASE or (entries >= ENTRIES_A_BASE and self.entry_bytes >= last.size)


class Session(Generic[S]):
    """Keeps the states of a few shards between invocations; `begin` makes a blank one, `inherit` gives one
    without a log what others leave it, `mend` makes a log that cannot be read readable.

    Nobody sees what came of work on a state before the log has it. Whatever fails, the state is dropped
    with it and the next invocation begins from the log: it first sends what the log says is owed.
    """

    def __init__(
        self,
        pipeline: str,
        log: StateLog,
        taken: TakenRecords,
        outbox: Outbox,
        begin: Callable[[str], S],
        inherit: Callable[[Session[S], str, S], None] | None = None,
        mend: Mend[S] | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._log = log
        self.taken = taken
        self._outbox = outbox
        self._begin = begin
        self._inherit = inherit
        self._mend = mend
        self._warm: OrderedDict[str, Warm[S]] = OrderedDict()

    def newest(self, shard_id: str) -> Newest:
        """The log's newest entry, read without the state; a warm state of another entry is dropped."""
        asked_at = time.time()
        newest = self._log.peek(shard_id)
        warm = self._warm.get(shard_id)
        if warm is not None:
            warm.known_at = asked_at
            if warm.number != newest.number or not newest.is_settled:
                del self._warm[shard_id]
        return newest

    def run(self, shard_id: str, work: Callable[[S], R | None]) -> R | None:
        """Lets `work` change a shard's state, saves that and sends what it owes; `None`: there was
        nothing to do.

        Where another writer was faster, its entries are loaded and the work is done again on top of them.
        """
        for _ in range(TRIES):
            warm = self._open(shard_id)
            outcome = work(warm.shard)
            if outcome is not None and not outcome.is_empty:
                asked_at = time.time()
                try:
                    size = self._log.commit(shard_id, warm.number + 1, outcome, warm.shard.due())
                except Conflict as conflict:
                    logger.info("Another writer was faster.", reason=str(conflict))
                    continue
                warm.number, warm.known_at = warm.number + 1, asked_at
                warm.entry_bytes += size
                self._settle(shard_id, warm, outcome)
            self._keep(shard_id, warm)
            if outcome is not None:
                self._report(outcome)
            return outcome
        raise Conflict(
            f"The log of {self._pipeline}/{shard_id} had another writer {TRIES} times in a row; look whether "
            "more than one function or mapping reads the stream for this pipeline."
        )

    def claim(self, shard_id: str, seal: Callable[[S], R | None]) -> S:
        """The state of a shard after `seal` has ended it, to be given away: it is remembered no longer."""
        sealed: list[S] = []

        def work(shard: S) -> R | None:
            sealed[:] = [shard]
            return seal(shard)

        self.run(shard_id, work)
        del self._warm[shard_id]
        return sealed[0]

    def _open(self, shard_id: str) -> Warm[S]:
        """The state at hand, taken out until all has gone well, else the one that was saved."""
        remembered = self._warm.get(shard_id)
        if remembered is not None and not 0 <= time.time() - remembered.known_at <= TRUSTED_FOR:
            self.newest(shard_id)
        warm = self._warm.pop(shard_id, None)
        if warm is not None:
            return warm
        try:
            return self._load(shard_id)
        except CorruptLog as damage:
            logger.info("The log moved on while it was read, or is damaged.", reason=str(damage))
        if self._mend is not None:
            self._mend(shard_id, self._begin, self._take_over)
        return self._load(shard_id)

    def _load(self, shard_id: str) -> Warm[S]:
        asked_at = time.time()
        saved = self._log.load(shard_id)
        if saved.unsent:
            self._outbox.send(saved.unsent)
            self._log.mark_sent(shard_id, saved.number, saved.clock)
        shard = self._begin(shard_id)
        shard.restore(saved.base, saved.changes)
        if not saved.number:
            self._take_over(shard_id, shard)
        for name in shard.began_anew:
            logger.warning("A detector begins anew: its saved state is of another shape.", detector=name)
        return Warm(shard, saved.number, asked_at, saved.bases, saved.size)

    def _take_over(self, shard_id: str, shard: S) -> None:
        """Gives a shard without a log what others leave it."""
        if self._inherit is not None:
            self._inherit(self, shard_id, shard)

    def _settle(self, shard_id: str, warm: Warm[S], outcome: Result) -> None:
        if outcome.outbox:
            self._outbox.send(outcome.outbox)
        if outcome.outbox or "closed" in outcome.change:  # a seal owes nothing, and must outlive its entry
            self._log.mark_sent(shard_id, warm.number, outcome.change)
        if warm.is_base_due:
            self.taken.keep(shard_id, warm.number, warm.shard.taken.hand_over())
            size = self._log.write_base(shard_id, warm.number, warm.shard.snapshot(), warm.bases)
            self._forget(shard_id, warm)
            warm.bases.append(Base(warm.number, time.time(), size))
            warm.entry_bytes = 0

    def _forget(self, shard_id: str, warm: Warm[S]) -> None:
        """Deletes what is older than the newest base that is old enough. A newer one was just written, so two
        bases stay with all that came after the older one.
        """
        now = time.time()
        old = [base for base in warm.bases if now - base.written_at >= KEPT_FOR]
        if old:
            del warm.bases[: len(old) - 1]
            self._log.forget_before(shard_id, old[-1].number)

    def _keep(self, shard_id: str, warm: Warm[S]) -> None:
        self._warm[shard_id] = warm
        if len(self._warm) > WARM_SHARDS:
            self._warm.popitem(last=False)

    def _report(self, outcome: Result) -> None:
        metrics.count(self._pipeline, outcome.counts)
        for fault in outcome.faults:
            logger.error("A detector skipped an event.", fault=fault)
