"""The state of a shard as a numbered log in S3, where creating the next entry is the only commit.

An entry holds what one batch or tick changed, and what is owed to the world because of it. Its key counts
down, so one listing gives the newest first. A base holds a whole state, so that loading reads few
entries; it may be missing or old, never wrong. A mark says that all that an entry owes was sent; only
then is the next one added, hence only the newest one can owe anything. What an older base makes superfluous
is deleted, but nothing young: docs/decisions/0010-what-the-log-forgets.md says why.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import orjson
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from lambdas.effects import clients
from lambdas.effects.sending import Item, Owed, attempts

MAGIC = b"freshet-log 1 "
NAME = re.compile(r"(\d{12})\.(base|entry|sent)")
COUNT_DOWN_FROM = 10**12
KEYS_A_PAGE = 200  # a base, 64 entries and their marks fit with room to spare
MOST_DELETED = 1_000  # of one call
TIMES = ("newest", "arrived", "watermark")  # of a change: where the shard's time stands
CLOCK = ("sequence", "first", "closed", *TIMES)  # and how far it has read, from where in the last batch
FORBIDDEN, NOT_FOUND, BUSY, EXISTS = 403, 404, 409, 412

logger = Logger(child=True)


class Conflict(RuntimeError):
    """Another writer made the entry first: load again, process again."""


class CorruptLog(RuntimeError):
    """An object of the log that cannot be read; the message names it."""


class Missing(CorruptLog):
    """An object of the log is not there (any more): another writer may have deleted it since it was listed,
    so it is worth loading once more.
    """


class Forbidden(RuntimeError):
    """S3 refused to say what is there, which is never taken for nothing."""


class Outcome(Protocol):
    """What a batch or a tick came to."""

    @property
    def change(self) -> dict[str, Any]: ...
    @property
    def outbox(self) -> Sequence[Item]: ...


@dataclass(frozen=True)
class Newest:
    """The newest entry: its number (0 for none), when the shard next awaits something (arrival clock, s),
    whether all that it owes was sent, the newest record that is in the state, whether its children have taken
    over, and where its time stands.
    """

    number: int
    due: float | None
    is_settled: bool
    sequence: int = -1
    is_sealed: bool = False
    clock: Mapping[str, Any] = field(default_factory=dict)

    def is_due(self, now: float) -> bool:
        return self.due is not None and self.due <= now


@dataclass(frozen=True)
class Base:
    """A base in the log: the number of the entry that it follows, when it was written, s since 1970, and its
    bytes.
    """

    number: int
    written_at: float
    size: int


@dataclass(frozen=True)
class Loaded:
    """A shard as it was saved: number of the newest entry (0 for none), a base's state, the bases that are
    worth keeping (the oldest first, that one last), and the changes after it, which have `size` bytes
    together.

    `changes` are read one by one as they are asked for. `unsent` is what the newest entry still owes, and
    `clock` says how far that has come.
    """

    number: int
    bases: list[Base]
    base: Any | None
    changes: Iterator[Any]
    size: int
    unsent: list[Owed]
    clock: Mapping[str, Any]


@dataclass
class Survey:
    """What is listed of a log from the newest base that can be read: the newest number and when that was
    written, s since 1970, the base's state, that base after those it names, the bytes of entries, whose
    outbox was sent.
    """

    newest: int = 0
    written_at: float = 0.0
    bases: list[Base] = field(default_factory=list)
    base: Any | None = None
    entries: dict[int, int] = field(default_factory=dict)
    sent: set[int] = field(default_factory=set)

    @property
    def base_number(self) -> int:
        return self.bases[-1].number if self.bases else 0


class Salvage:
    """A log as far as it can be read. `last` is the number up to which that is without a gap; it moves on
    while the changes are read.
    """

    def __init__(self, read: Callable[[int, str], Mapping[str, Any]], found: Survey) -> None:
        self._read = read
        self._listed = sorted(found.entries)
        self.newest, self.written_at = found.newest, found.written_at
        self.base, self.last = found.base, found.base_number
        # Else it has forgotten its beginning and lost what covered that.
        self.is_known = bool(self.last) or 1 in found.entries
        self.damage = ""  # which object it is, in words

    def changes(self) -> Iterator[Any]:
        """The changes after the base, up to the first that cannot be read."""
        for number in range(self.last + 1, self.newest + 1):
            try:
                entry = self._read(number, "entry")
            except CorruptLog as error:
                self.damage = str(error)
                return
            yield entry["change"]
            self.last = number

    def resumes(self) -> tuple[int, Mapping[str, Any]] | None:
        """The number after the gap, and the clock of the state at its end: as the first entry that can be
        read follows it, else as the newest one's mark has it. None where neither can be read.
        """
        for number in self._listed[bisect_left(self._listed, self.last + 2) :]:
            with suppress(CorruptLog, KeyError):  # an entry of an older version does not say what it follows
                return number, self._read(number, "entry")["change"]["before"]
        with suppress(CorruptLog):
            return self.newest + 1, self._read(self.newest, "sent")["clock"]
        return None


class StateLog:
    """The logs of a pipeline's shards."""

    def __init__(self, bucket: str, pipeline: str) -> None:
        self._bucket = bucket
        self._pipeline = pipeline

    def peek(self, shard_id: str) -> Newest:
        """What the newest entry says, without the state; one that cannot be read is not settled."""
        kinds: set[str] = set()
        newest = 0
        for number, kind, *_ in self._listed(shard_id, page=3):
            newest = newest or number
            if number != newest:
                break
            kinds.add(kind)
        if not newest:
            return Newest(newest, None, is_settled=True)
        try:
            entry = self._entry(shard_id, newest)
        except CorruptLog:
            return Newest(newest, None, is_settled=False)  # whoever loads the shard mends that
        is_settled = not entry["outbox"] or "sent" in kinds
        change = entry["change"]
        is_sealed = any(until is None for *_, until in change.get("closed", ()))
        clock = {name: change.get(name) for name in TIMES}
        return Newest(newest, entry["due"], is_settled, int(change["sequence"]), is_sealed, clock)

    def load(self, shard_id: str) -> Loaded:
        """What was saved of a shard; raises `CorruptLog` where an entry is damaged, `Missing` where one is
        not there. So does reading the changes. `lambdas.effects.recovery` mends that.
        """
        found = self._survey(shard_id)
        newest, after = found.newest, [number for number in found.entries if number > found.base_number]
        expected = range(newest, found.base_number, -1)
        if after != list(expected):
            gap = next(number for number in expected if number not in after)
            raise Missing(
                f"{self._where(shard_id, gap, 'entry')} is missing, and no base that can be read covers it."
            )
        last = None
        if newest in found.entries and newest not in found.sent:
            try:
                last = self._entry(shard_id, newest)
            except CorruptLog:
                if newest != found.base_number:  # which is written when nothing is owed
                    raise
        unsent = [] if last is None else [Owed(*each) for each in last["outbox"]]
        clock = last["change"] if last and unsent else {}

        def changes() -> Iterator[Any]:
            for number in reversed(after):
                # Without a name: it would keep an entry in memory while the next one is read.
                yield (last if last is not None and number == newest else self._entry(shard_id, number))[
                    "change"
                ]

        size = sum(found.entries[number] for number in after)
        return Loaded(newest, found.bases, found.base, changes(), size, unsent, clock)

    def salvage(self, shard_id: str) -> Salvage:
        """What can be read of a log of which something cannot."""
        return Salvage(partial(self._read, shard_id), self._survey(shard_id, is_damaged=True))

    def _survey(self, shard_id: str, *, is_damaged: bool = False) -> Survey:
        """What is there from the newest base that can be read; also a base that is gone is left out where the
        log `is_damaged`.
        """
        found = Survey()
        for number, kind, written_at, size in self._listed(shard_id):
            if number < found.base_number:
                break
            if not found.newest:
                found.newest, found.written_at = number, written_at
            if kind == "sent":
                found.sent.add(number)
            elif kind == "entry":
                found.entries[number] = size
            elif not found.base_number:
                document = self._base(shard_id, number, is_damaged=is_damaged)
                if document is not None:
                    found.base = document["state"]
                    earlier = [Base(*each) for each in document.get("earlier", ())]
                    found.bases = [*earlier, Base(number, written_at, size)]
        return found

    def commit(self, shard_id: str, number: int, outcome: Outcome, due: float | None = None) -> int:
        """Saves an outcome as the entry of this number and returns its bytes; raises `Conflict` where another
        writer has made it.

        `due` is the arrival clock's time from which the shard awaits something, `None` for never.
        """
        writer = secrets.token_hex(16)
        outbox = [[item.kind, item.id, item.body] for item in outcome.outbox]
        body = packed({"n": number, "writer": writer, "due": due, "change": outcome.change, "outbox": outbox})
        failure: Exception | None = None
        for _ in attempts():
            try:
                self._put(shard_id, number, "entry", body, IfNoneMatch="*")
                return len(body)
            except HTTPClientError as error:
                failure = error  # the answer was not heard; the next try tells whether it was saved
            except ClientError as error:
                if status(error) == EXISTS:
                    if self._is_by(writer, shard_id, number):
                        return len(body)
                    failure = None
                    break
                if status(error) != BUSY:
                    raise
                failure = None  # whoever is writing will have won or failed by the next try
        if failure is not None:
            raise failure
        raise Conflict(
            f"{self._where(shard_id, number, 'entry')} was made by another writer; load the shard again."
        )

    def _is_by(self, writer: str, shard_id: str, number: int) -> bool:
        try:
            return bool(self._entry(shard_id, number)["writer"] == writer)
        except CorruptLog:
            return False  # whoever it was, the state at hand cannot be known to follow from it

    def mark_sent(self, shard_id: str, number: int, clock: Mapping[str, Any]) -> None:
        """Notes that all that an entry owes was sent, and once more where it had come to: `clock` may be its
        whole change.
        """
        kept = {name: clock[name] for name in CLOCK if name in clock}
        self._put(shard_id, number, "sent", packed({"n": number, "clock": kept}))

    def write_base(self, shard_id: str, number: int, state: Any, earlier: Sequence[Base] = ()) -> int:
        """Saves the whole state as it is after the entry of this number; returns its bytes. `earlier` bases
        are named in it: a container that begins from it must know which of them has become old.
        """
        named = [[base.number, base.written_at, base.size] for base in earlier]
        body = packed({"n": number, "state": state, "earlier": named})
        self._put(shard_id, number, "base", body)
        return len(body)

    def forget_before(self, shard_id: str, base_number: int) -> None:
        """Deletes what is older than the base of this number, at most a thousand objects. A failure is only
        logged: the next call finds the same objects again.
        """
        prefix = self._prefix(shard_id)
        s3 = clients.client("s3")
        try:
            listing = s3.list_objects_v2(
                Bucket=self._bucket,
                Prefix=prefix,
                StartAfter=self._key(shard_id, base_number, "base"),
                MaxKeys=MOST_DELETED,
            )
            found = (listed["Key"] for listed in listing.get("Contents", ()))
            keys = [{"Key": key} for key in found if NAME.fullmatch(key.removeprefix(prefix))]
            if not keys:
                return
            answer = s3.delete_objects(Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True})
            refused = {each["Code"] for each in answer.get("Errors", ())}
        except ClientError as error:
            refused = {error.response["Error"]["Code"]}
        except BotoCoreError as error:
            refused = {type(error).__name__}
        if refused:
            logger.warning(
                "What a log no longer needs could not be deleted; it is tried again at the next base.",
                prefix=prefix,
                reason=", ".join(sorted(refused)),
            )

    def _listed(self, shard_id: str, page: int = KEYS_A_PAGE) -> Iterator[tuple[int, str, float, int]]:
        """Number, kind, time and bytes of a shard's objects, the newest first; of one number base, entry,
        mark.
        """
        prefix = self._prefix(shard_id)
        more: dict[str, str] = {}
        while True:
            try:
                listing = clients.client("s3").list_objects_v2(
                    Bucket=self._bucket, Prefix=prefix, MaxKeys=page, **more
                )
            except ClientError as error:
                raise self._forbidden(prefix, "s3:ListBucket", error) from error
            for listed in listing.get("Contents", ()):
                name = NAME.fullmatch(listed["Key"].removeprefix(prefix))
                if name:
                    written_at = listed["LastModified"].timestamp()
                    yield COUNT_DOWN_FROM - int(name[1]), name[2], written_at, listed["Size"]
            if not listing.get("IsTruncated"):
                return
            more = {"ContinuationToken": listing["NextContinuationToken"]}

    def _base(self, shard_id: str, number: int, *, is_damaged: bool) -> dict[str, Any] | None:
        try:
            return self._read(shard_id, number, "base")
        except CorruptLog as error:
            if isinstance(error, Missing) and not is_damaged:
                raise
            logger.warning(
                "A base is left out, an older one and more entries are read instead.", reason=str(error)
            )
            return None

    def _entry(self, shard_id: str, number: int) -> dict[str, Any]:
        return self._read(shard_id, number, "entry")

    def _read(self, shard_id: str, number: int, kind: str) -> dict[str, Any]:
        key = self._key(shard_id, number, kind)
        try:
            body = clients.client("s3").get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            if status(error) != NOT_FOUND:
                raise self._forbidden(key, "s3:GetObject and s3:ListBucket", error) from error
            raise Missing(f"{self._where(shard_id, number, kind)} is gone.") from None
        document: dict[str, Any] | None = unpacked(body)
        if document is None or document.get("n") != number:
            raise CorruptLog(f"{self._where(shard_id, number, kind)} is damaged.")
        return document

    def _put(self, shard_id: str, number: int, kind: str, body: bytes, **condition: str) -> None:
        key = self._key(shard_id, number, kind)
        clients.client("s3").put_object(Bucket=self._bucket, Key=key, Body=body, **condition)

    def _forbidden(self, what: str, rights: str, error: Exception) -> Exception:
        """S3 answers 403 for a missing key, too, where the role may not list."""
        if status(error) != FORBIDDEN:
            return error
        return Forbidden(
            f"S3 does not say what is at s3://{self._bucket}/{what} (403); grant the function {rights} "
            f"on state/{self._pipeline}/ of the bucket."
        )

    def _prefix(self, shard_id: str) -> str:
        return f"state/{self._pipeline}/{shard_id}/"

    def _key(self, shard_id: str, number: int, kind: str) -> str:
        return f"{self._prefix(shard_id)}{COUNT_DOWN_FROM - number:012d}.{kind}"

    def _where(self, shard_id: str, number: int, kind: str) -> str:
        return f"s3://{self._bucket}/{self._key(shard_id, number, kind)}"


def status(error: Exception) -> int:
    assert isinstance(error, ClientError)  # the service answered
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def packed(document: Any) -> bytes:
    """A document of the log: version, checksum, compressed JSON."""
    payload = zlib.compress(orjson.dumps(document), level=1)
    return MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload


def unpacked(body: bytes) -> Any | None:
    """The inverse of `packed`; none where a bit differs.

    >>> unpacked(packed({"n": 7}))
    {'n': 7}
    >>> unpacked(packed({"n": 7})[:-1]) is None
    True
    """
    head, _, payload = body.partition(b"\n")
    if head != MAGIC + hashlib.sha256(payload).hexdigest().encode():
        return None
    return orjson.loads(zlib.decompress(payload))
