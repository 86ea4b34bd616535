"""What cannot be read of a shard's log is made again from the stream, so that no object stops a shard.

An entry says which state it follows. So the records that a lost one had taken in are known: they are read
from the stream again, and the state that comes of them is written as a base, which covers the lost one. What
it owed was sent, or there would be no next one. Of the newest nothing is known but when it was written: what
had come by then is processed as a batch of its own, which commits and sends like any other; what of it was
sent before has the same ids. docs/decisions/0020-what-a-damaged-log-costs.md says what is the same then.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import Any, Generic, Protocol, TypeVar

from aws_lambda_powertools import Logger

from lambdas.effects import clients, metrics
from lambdas.effects.state_log import Conflict, Outcome, Salvage, StateLog

PAGE = 1_000  # records of one read, as many as a batch has
MOST_RECORDS = 20_000  # that are one entry; a batch has at most 10,000
MOST_SECONDS = 30.0  # of reading: a tick has 55
PAUSE = 0.25  # seconds between two reads; a shard answers five a second, and its consumers need some of them
LATER = 60.0  # seconds by which the clocks of S3 and Kinesis may differ
MOST_GAPS = 20  # of one log

logger = Logger(child=True)
Page = Sequence[Mapping[str, Any]]  # records as Lambda hands them over


class Rebuilt(Protocol):
    """What recovery needs of a shard's state."""

    sequence: int

    def restore(self, base: Any | None, changes: Iterator[Any]) -> None: ...
    def process(self, records: Any) -> Outcome: ...
    def advance_to(self, clock: Mapping[str, Any]) -> Outcome: ...
    def snapshot(self) -> Any: ...
    def due(self) -> float | None: ...


S = TypeVar("S", bound=Rebuilt)


class Recovery(Generic[S]):
    """Mends the logs of a pipeline's shards. `read` makes of a shard's page what it processes; `stream` names
    the stream of a log's shard, and the shard there.
    """

    def __init__(
        self,
        pipeline: str,
        log: StateLog,
        read: Callable[[str, Page], Sequence[Any]],
        stream: Callable[[str], tuple[str, str]],
    ) -> None:
        self._pipeline = pipeline
        self._log = log
        self._read = read
        self._stream = stream

    def mend(self, shard_id: str, begin: Callable[[str], S], inherit: Callable[[str, S], None]) -> None:
        """Makes a log readable; does nothing to one that is. Whoever does it at the same time comes to the
        same, and whoever is cut off is followed by one who begins again.
        """
        for _ in range(MOST_GAPS):
            found = self._log.salvage(shard_id)
            shard = begin(shard_id)
            shard.restore(found.base, found.changes())
            if found.last == found.newest:
                return
            if not found.last:
                inherit(shard_id, shard)
            logger.warning(
                "A shard's log is damaged: what is lost is made again from the stream.", reason=found.damage
            )
            resumes = found.resumes()
            if resumes is None:
                self._follow(shard_id, shard, found)
            else:
                self._cover(shard_id, shard, found, *resumes)
            metrics.count(self._pipeline, {"mended": 1})

    def _cover(self, shard_id: str, shard: S, found: Salvage, number: int, before: Mapping[str, Any]) -> None:
        """Writes the state that the entry of this number follows as a base."""
        until, lost = int(before["sequence"]), ""
        # Of one entry it is known with which record it began: what is before that had been given up.
        first = int(before.get("first", -1)) if number == found.last + 2 else -1
        if until > shard.sequence:
            again = self._again(shard_id, shard, found)
            for page in again.until(lambda record: int(record["SequenceNumber"]) <= until):
                shard.process([record for record in self._read(shard_id, page) if record.sequence >= first])
            lost = again.lost
            if not lost and shard.sequence < until:
                lost = "the stream does not have all of it any more"
        shard.advance_to(before)
        self._log.write_base(shard_id, number - 1, shard.snapshot())
        self._tell(shard_id, lost)

    def _follow(self, shard_id: str, shard: S, found: Salvage) -> None:
        """Commits what had come when the newest was written. The next entry says that it follows the state
        before the gap, so that nothing is left to be made again for that.
        """
        again = self._again(shard_id, shard, found)
        written_at = found.written_at + LATER
        records: list[Any] = []
        for page in again.until(
            lambda record: bool(record["ApproximateArrivalTimestamp"].timestamp() <= written_at)
        ):
            records += self._read(shard_id, page)
            if len(records) >= MOST_RECORDS:
                if found.newest > found.last + 1:  # one entry has less: its rest is handed over as ever
                    again.lost = "it is more than can be processed at once"
                break
        outcome = shard.process(records)
        try:
            self._log.commit(shard_id, found.newest + 1, outcome, shard.due())
        except Conflict as conflict:  # whose entry now says what it follows
            logger.info("Another writer was faster.", reason=str(conflict))
            return
        self._tell(shard_id, again.lost)

    def _again(self, shard_id: str, shard: S, found: Salvage) -> Again:
        stream, listed_id = self._stream(shard_id)
        return Again(stream, listed_id, shard.sequence, is_known=found.is_known)

    def _tell(self, shard_id: str, lost: str) -> None:
        """Says what cannot be made again; the alarm for events that were given up rings."""
        if lost:
            logger.error(
                "Part of a shard's state is lost, and with it the ends of incidents that were open in it.",
                shard_id=shard_id,
                reason=lost,
            )
            metrics.count(self._pipeline, {"faults": 1})


class Again:
    """The records of a shard from the one of this number on, once more. `lost` says why some may not be
    there; where nothing of the log before is left, `is_known` says whether there was nothing.
    """

    def __init__(self, stream: str, shard_id: str, after: int, *, is_known: bool) -> None:
        self._shard = {"StreamName": stream, "ShardId": shard_id}
        self._after = after
        self.lost = "" if is_known else "nothing is left of the log before it"
        if after >= 0:
            self.lost = "the stream has forgotten the record that they follow"

    def until(self, is_wanted: Callable[[Mapping[str, Any]], bool]) -> Iterator[Page]:
        """Up to the first record that is not wanted, the stream's end, or `MOST_SECONDS`."""
        over = time.monotonic() + MOST_SECONDS
        for answer in self._answers():
            records = answer["Records"]
            if self._after >= 0 and records and int(records[0]["SequenceNumber"]) == self._after:
                self.lost = ""
            wanted = list(takewhile(is_wanted, records))
            if wanted:
                yield [handed_over(record) for record in wanted]
            if len(wanted) < len(records) or not (records or answer["MillisBehindLatest"]):
                return
            if time.monotonic() > over:
                self.lost = f"it takes more than {MOST_SECONDS:g} s to read"
                return

    def _answers(self) -> Iterator[Mapping[str, Any]]:
        """Reads from the record itself: that it is still there tells that all after it are."""
        kinesis = clients.client("kinesis")
        iterator = ""
        if self._after >= 0:
            # The record's retention may be over: then whatever is still kept came after it.
            with suppress(kinesis.exceptions.InvalidArgumentException):
                iterator = kinesis.get_shard_iterator(
                    **self._shard,
                    ShardIteratorType="AT_SEQUENCE_NUMBER",
                    StartingSequenceNumber=str(self._after),
                )["ShardIterator"]
        if not iterator:
            start = kinesis.get_shard_iterator(**self._shard, ShardIteratorType="TRIM_HORIZON")
            iterator = start["ShardIterator"]
        while iterator:
            answer = kinesis.get_records(ShardIterator=iterator, Limit=PAGE)
            yield answer
            iterator = answer.get("NextShardIterator")
            time.sleep(PAUSE)


def handed_over(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record as Lambda hands it to detect."""
    return {
        "kinesis": {
            "sequenceNumber": record["SequenceNumber"],
            "partitionKey": record["PartitionKey"],
            "data": b64encode(record["Data"]).decode(),
            "approximateArrivalTimestamp": record["ApproximateArrivalTimestamp"].timestamp(),
        }
    }
