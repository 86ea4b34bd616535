"""What a pipeline is made of: events, references, findings and the declaration that the stack, the handlers
and the laptop read alike. Standard library only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from enum import IntEnum
from typing import Any, ClassVar, Protocol

from lambdas.columns import (
    Aggregate,
    Boolean,
    Column,
    Compare,
    DeclarationError,
    Expression,
    Integer,
    Not,
    OneOf,
    Predicate,
    Text,
    Timestamp,
    Unfit,
    Value,
)

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
PROVENANCE = ("shard_id", "sequence_number", "record_index", "arrived_at", "dt", "day")
TAKEN = (
    "columns",
    "id",
    "key",
    "name",
    "references",
    "stale_after",
    "time",
)  # what an Event or Reference says about itself
# Trino's reserved words: a column named so would have to be quoted in every query.
RESERVED_WORDS = """
    alter and as between by case cast constraint create cross cube current_catalog current_date
    current_path current_role current_schema current_time current_timestamp current_user deallocate
    delete describe distinct drop else end escape except execute exists extract false for from full
    group grouping having in inner insert intersect into is join json_array json_exists json_object
    json_query json_table json_value left like listagg localtime localtimestamp natural normalize not
    null on or order outer prepare recursive right rollup select skip table then trim true uescape
    union unnest using values when where with
"""
RESERVED = frozenset(RESERVED_WORDS.split())
SHARD_RECORDS = 1_000  # that a shard takes in a second
LONGEST_STALE = timedelta(days=1)  # of a reference's item; a container seldom lives longer
# Bytes of one shard's state that fit a handler's memory with its log entry beside it.
STATE_BUDGET = 64_000_000
# Seconds. A minute is the shortest of a schedule; below five a tick would be hardly over before the next one.
TICKS = (5, 6, 10, 12, 15, 20, 30, 60)


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def minutes(value: float) -> timedelta:
    return timedelta(minutes=value)


def hours(value: float) -> timedelta:
    return timedelta(hours=value)


class Severity(IntEnum):
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


LOW, MEDIUM, HIGH, CRITICAL = Severity
Bands = Severity | Mapping[float, Severity]


@dataclass(slots=True)
class Row:
    """One event as detectors see it.

    `time` and `arrival` are seconds since 1970; `values` holds the event's columns by name and those of its
    references as `reference.column`; `sequence` and `index` say which part of which record it came from.
    """

    time: float
    values: dict[str, Value]
    arrival: float = 0.0
    sequence: int = 0
    index: int = 0


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one column added to a finding; the shares of a finding add up to 1."""

    name: str
    direction: str
    share: float
    observed: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A detector's statement about one key: what is strange, how much, and what was expected.

    `since` is when it began and `time` when it was found (event time, s). A higher `score` is stranger.
    `direction` is `high`, `low` or `seen`. `expected` is in words, with its unit. `shown` are further columns
    that help its reader.
    """

    time: float
    since: float
    score: float
    direction: str
    sentence: str
    observed: float | None = None
    unit: str = ""
    expected: str = ""
    contributions: tuple[Contribution, ...] = ()
    shown: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Clear:
    """A detector's statement that a key is as it should be, from `time` on (event time, s)."""

    time: float


@dataclass(frozen=True, slots=True)
class WindowResult:
    """The aggregates of one key over the events with `since` <= time < `until` (event time, s)."""

    since: float
    until: float
    values: Mapping[str, float | int | None]


Said = Finding | Clear | WindowResult


class Reference:
    """A keyed table about entities, in DynamoDB. `class Guests(Reference, key="customer_id"): …`

    Its name is the class's in snake case; a table is called after what it holds, so in the plural.
    `stale_after` is how long a detector may go on with what was read of an item; zero asks for each batch.
    """

    name: ClassVar[str]
    columns: ClassVar[Mapping[str, Column]]
    key: ClassVar[Column]
    stale_after: ClassVar[timedelta]

    def __init_subclass__(
        cls, *, key: str, stale_after: timedelta = timedelta(minutes=1), **rest: Any
    ) -> None:
        super().__init_subclass__(**rest)
        if not isinstance(stale_after, timedelta) or not timedelta(0) <= stale_after <= LONGEST_STALE:
            raise DeclarationError(
                f"{cls.__name__}: stale_after={stale_after} is no span from 0 to a day; say one, as "
                "stale_after=minutes(5)."
            )
        cls.stale_after = stale_after
        cls.columns = declared_columns(cls)
        cls.name = snake(cls.__name__)
        for column in cls.columns.values():
            column.reference = cls.name
        cls.key = named_column(cls.__name__, cls.columns, "key", key)
        if not isinstance(cls.key, Text | Integer):
            raise DeclarationError(
                f"{cls.__name__}: the key {key!r} is {type(cls.key).__name__}; a reference's key is Text or "
                "Integer."
            )


class Event:
    """What flows through a pipeline. `class Play(Event, key="customer_id", time="at", id="play_id"): …`

    `key` is whose event it is and partitions the stream; `time` a Timestamp, else the arrival time counts;
    `id` tells an event from its repeat.
    """

    name: ClassVar[str]
    columns: ClassVar[Mapping[str, Column]]
    key: ClassVar[Column]
    time: ClassVar[Column | None]
    id: ClassVar[Column | None]

    def __init_subclass__(
        cls, *, key: str, time: str | None = None, id: str | None = None, **rest: Any
    ) -> None:
        super().__init_subclass__(**rest)
        cls.columns = declared_columns(cls)
        cls.name = snake(cls.__name__)
        for name in PROVENANCE:
            if name in cls.columns:
                raise DeclarationError(
                    f"{cls.__name__}: a column may not be named {name!r}, every row has one of that name; "
                    "rename it and "
                    f"say source={name!r}."
                )
        event_key = named_column(cls.__name__, cls.columns, "key", key)
        event_time = named_column(cls.__name__, cls.columns, "time", time) if time else None
        event_id = named_column(cls.__name__, cls.columns, "id", id) if id else None
        if event_time is not None and not isinstance(event_time, Timestamp):
            raise DeclarationError(
                f"{cls.__name__}: the time {time!r} is {type(event_time).__name__}; declare it as Timestamp."
            )
        for problem in refers_to_problems(cls.columns):
            raise DeclarationError(f"{cls.__name__}: {problem}")
        event_key.required = True
        if event_id is not None:
            event_id.required = True
        cls.key, cls.time, cls.id = event_key, event_time, event_id

    @classmethod
    def references(cls) -> dict[str, tuple[Column, type[Reference]]]:
        """The references that the event's columns lead to: by name, the column that holds the key, and the
        class.
        """
        return {
            column.refers_to.name: (column, column.refers_to)
            for column in cls.columns.values()
            if column.refers_to
        }


def snake(name: str) -> str:
    """
    >>> snake("AgentEvent")
    'agent_event'
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def declared_columns(owner: type) -> dict[str, Column]:
    columns = {name: value for name, value in vars(owner).items() if isinstance(value, Column)}
    if not columns:
        raise DeclarationError(
            f"{owner.__name__}: it has no columns; declare at least its key, name = Text(…)."
        )
    for name, column in columns.items():
        if not NAME.fullmatch(name):
            raise DeclarationError(
                f"{owner.__name__}: the column name {name!r} is not lower snake case of at most 40 "
                "characters; rename it "
                f"and say source={name!r}."
            )
        if name in TAKEN or name in RESERVED:
            raise DeclarationError(
                f"{owner.__name__}: a column may not be named {name!r}, "
                f"{'the class has an attribute' if name in TAKEN else 'SQL has a reserved word'} of that "
                "name; rename it "
                f"and say source={name!r}."
            )
        if not column.about.strip():
            raise DeclarationError(
                f"{owner.__name__}: the column {name!r} says nothing about itself; write what it holds."
            )
    return columns


def named_column(owner: str, columns: Mapping[str, Column], role: str, name: str) -> Column:
    if name not in columns:
        raise DeclarationError(
            f"{owner}: the {role} {name!r} is not one of its columns ({', '.join(columns)})."
        )
    return columns[name]


def refers_to_problems(columns: Mapping[str, Column]) -> Iterator[str]:
    """Whether each reference can be looked up by the one column that refers to it."""
    holders: dict[str, str] = {}
    for name, column in columns.items():
        if column.refers_to is None:
            continue
        reference = column.refers_to
        if type(column) is not type(reference.key):
            yield (
                f"the column {name!r} is {type(column).__name__} and the key of {reference.__name__} is "
                f"{type(reference.key).__name__}, so nothing would be found by it; declare them alike."
            )
        if reference.name in holders:
            yield (
                f"{holders[reference.name]!r} and {name!r} both refer to {reference.__name__}, and an event "
                "has one row of a reference; keep refers_to= on one of them."
            )
        holders[reference.name] = name


class Format(Protocol):
    """Bytes to objects. The first format of a pipeline that recognises a record's bytes reads it."""

    def recognises(self, data: bytes) -> bool: ...

    def read(self, data: bytes) -> Iterator[Mapping[str, Any] | Unfit]:
        """The record's objects in order; in place of one that cannot be read an `Unfit` with a sentence."""
        ...

    # A format may also have `read_all(records)`: of each record the one object that it is, or `None` where
    # `read` must tell. A pipeline's first format is asked, so it gives an object only where it `recognises`.


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where events come from; the stack makes the AWS side by the class's name."""

    @property
    def shards(self) -> int | None:
        """How many shards the stream has at the start; `None` means on demand."""
        return 1


@dataclass(frozen=True, kw_only=True)
class Kinesis(Source):
    """Producers put into the pipeline's own Kinesis stream. `provisioned=None` is on demand (four shards at
    first). With `fan_out` detecting reads by a line of its own (enhanced fan-out): records come some 70 ms
    after they were put, whoever else reads, and a shard costs twice as much.
    """

    provisioned: int | None = 1
    retention: timedelta = timedelta(days=1)
    fan_out: bool = False

    def __post_init__(self) -> None:
        if self.provisioned is not None and (not isinstance(self.provisioned, int) or self.provisioned < 1):
            raise DeclarationError(
                f"Kinesis: {self.provisioned!r} shards cannot carry events; say 1 or more, or None for on "
                "demand."
            )
        if not isinstance(self.retention, timedelta) or not 1 <= self.retention / timedelta(days=1) <= 365:
            raise DeclarationError(
                f"Kinesis: retention={self.retention} is no span from a day to 365; say one, as "
                "timedelta(days=7)."
            )

    @property
    def shards(self) -> int | None:
        return self.provisioned


@dataclass(frozen=True, kw_only=True)
class Iot(Source):
    """Devices publish to an IoT topic; a rule puts each message into the pipeline's stream.

    The partition key is the MQTT client id: it exists for any payload, a plain line too, so a device must
    connect under an id of its own.
    """

    topic: str

    def __post_init__(self) -> None:
        if not self.topic or self.topic.startswith(("/", "$")) or " " in self.topic:
            raise DeclarationError(
                f"Iot: {self.topic!r} is no topic that a device may publish to; say one such as "
                "iot/heartrate."
            )


@dataclass(frozen=True, kw_only=True)
class Load:
    """How much is expected day and night, by which a month's costs are reckoned before anything is deployed:
    events a second, and how many keys they are of at a time. Nothing is bounded by it.
    """

    events_per_second: float = 1.0
    keys: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.events_per_second < math.inf:
            raise DeclarationError(
                f"Load: {self.events_per_second:g} events a second cost nothing that could be reckoned; say "
                "a number above 0."
            )
        if self.keys < 1:
            raise DeclarationError(f"Load: events of {self.keys} keys are none; say 1 or more.")


class Detector(Protocol):
    """What a pipeline needs to know of a detector's declaration; `lambdas.detectors.detector` has the logic's
    side.
    """

    @property
    def name(self) -> str: ...
    @property
    def key(self) -> Column | tuple[Column, ...] | None: ...
    @property
    def severity(self) -> Bands: ...
    @property
    def do_first(self) -> str: ...
    @property
    def sms(self) -> Column | None: ...
    @property
    def max_keys(self) -> int: ...
    @property
    def rekey(self) -> bool: ...
    def bytes_with(self, lateness: timedelta) -> int: ...

    def problems(self) -> Iterator[str]:
        """What is wrong with the declaration, a sentence each."""
        ...

    def reads(self) -> Iterator[Column]:
        """The columns that the detector looks at or shows."""
        ...

    def overridden(self, name: str, value: float) -> Any:
        """The same declaration with one number exchanged; raises `DeclarationError` for a name it does not
        have.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One use case: what flows, where it comes from, what is strange in it.

    `lateness` is how far an event may come behind a newer one and still count in its window; `ahead` how far
    its time may lie ahead of its arrival before it is quarantined; `remember` the span within which a
    repeated id is dropped; `latency` how long a record may wait for its batch; `tick` how often time goes on
    in a quiet shard; `skew` how long detectors that are re-keyed wait for a shard that does not come on;
    `load` how much is expected. The name is the folder's.
    """

    about: str
    event: type[Event]
    detectors: Sequence[Detector]
    formats: Sequence[Format]
    sources: Sequence[Source] = (Kinesis(),)
    lateness: timedelta = timedelta(seconds=10)
    ahead: timedelta = timedelta(minutes=5)
    remember: timedelta = timedelta(minutes=10)
    latency: timedelta = timedelta(seconds=5)
    tick: timedelta = timedelta(minutes=1)
    skew: timedelta = timedelta(minutes=5)
    load: Load = Load()
    name: str = ""

    def __post_init__(self) -> None:
        problem = next(self._problems(), None)
        if problem:
            raise DeclarationError(f"{self.name or 'pipeline'}: {problem}")

    @property
    def references(self) -> Mapping[str, type[Reference]]:
        return {name: reference for name, (_, reference) in self.event.references().items()}

    @property
    def table(self) -> str:
        """The raw table's name."""
        return f"{self.name}_events"

    @property
    def rekeyed(self) -> Mapping[tuple[Column, ...], Sequence[Detector]]:
        """The detectors that ask to be re-keyed, by their key's columns."""
        found: dict[tuple[Column, ...], list[Detector]] = {}
        for detector in self.detectors:
            if detector.rekey:
                found.setdefault(key_columns(self.event, detector), []).append(detector)
        return found

    def bytes_of(self, detector: Detector) -> int:
        """The most that a detector's states can take in a shard, in bytes of the log."""
        late = self.lateness + self.skew if detector.rekey else self.lateness
        return detector.bytes_with(late) * detector.max_keys

    def named(self, name: str) -> Pipeline:
        return replace(self, name=name)

    def overridden(self, numbers: Mapping[str, float]) -> Pipeline:
        """The same pipeline with numbers exchanged, each by `detector.number`, as `too_hot.above`."""
        detectors = {detector.name: detector for detector in self.detectors}
        for path, value in numbers.items():
            name, _, number = path.partition(".")
            if name not in detectors or not number:
                raise DeclarationError(
                    f"{self.name}: {path!r} names none of its detectors ({', '.join(detectors)}); say "
                    "detector.number=value, "
                    "as too_hot.above=85."
                )
            detectors[name] = detectors[name].overridden(number, value)
        return replace(self, detectors=tuple(detectors.values()))

    def _problems(self) -> Iterator[str]:
        if self.name and not NAME.fullmatch(self.name):
            yield (
                f"the folder's name {self.name!r} is not lower snake case of at most 40 characters; rename "
                "the folder."
            )
        if not self.about.strip():
            yield "it says nothing about itself; write about=… in a line."
        if not self.sources:
            yield "it has no source; say sources=[Kinesis()]."
        if not self.formats:
            yield "it has no format; say formats=[Json()]."
        for format in self.formats:
            for column in getattr(format, "columns", ()):
                if column not in self.event.columns.values():
                    yield (
                        f"its format {type(format).__name__} reads {column.label!r}, which is no column of "
                        f"{self.event.__name__}; list the event's own columns."
                    )
        yield from span_problems(self, "lateness", "ahead", "remember", "skew", "latency", "tick")
        if self.latency > timedelta(seconds=300):
            yield "latency is outside 0 to 300 s, the longest that a batch may wait; say one between them."
        if self.tick.total_seconds() not in TICKS:
            yield (
                f"tick is {self.tick.total_seconds():g} s, and a minute has to be a whole number of them; "
                f"say one of {', '.join(map(str, TICKS))} s."
            )
        shards = sum(source.shards or 0 for source in self.sources if isinstance(source, Kinesis)) or None
        if shards and self.load.events_per_second > shards * SHARD_RECORDS:
            yield (
                f"its load of {self.load.events_per_second:,g} events a second is more than its stream takes,"
                f" {SHARD_RECORDS:,} a shard; say Kinesis(provisioned="
                f"{math.ceil(self.load.events_per_second / SHARD_RECORDS)})."
            )
        seen: set[str] = set()
        for detector in self.detectors:
            if detector.name in seen:
                yield (
                    f"two detectors are named {detector.name!r}; rename one, the name is what an incident "
                    "is known by."
                )
            seen.add(detector.name)
            for problem in self._detector_problems(detector):
                yield f"{detector.name}: {problem}"
        # The two streams have shards, and so states, of their own.
        for which, own in (("detectors", False), ("re-keyed detectors", True)):
            needed = sum(self.bytes_of(one) for one in self.detectors if one.rekey == own)
            if needed > STATE_BUDGET:
                yield (
                    f"its {which} may keep {needed / 1e6:,.0f} MB of state a shard and "
                    f"{STATE_BUDGET / 1e6:,.0f} MB is the "
                    f"budget; lower max_keys of the largest{', or skew' if own else ''}."
                )

    def _detector_problems(self, detector: Detector) -> Iterator[str]:
        if not NAME.fullmatch(detector.name):
            yield "a detector's name is lower snake case of at most 40 characters; rename it."
        if not detector.do_first.strip():
            yield "do_first is empty; write what the operator should do first."
        yield from detector.problems()
        keys = key_columns(self.event, detector)
        known = set(self.event.columns.values())
        for reference in self.references.values():
            known |= set(reference.columns.values())
        for column in keys:
            if column not in self.event.columns.values():
                yield (
                    f"the key {column.label!r} is not a column of {self.event.__name__}; key it by one of "
                    "them."
                )
        for column in [*keys, *detector.reads()]:
            if column not in known:
                yield (
                    f"the column {column.label!r} is neither of {self.event.__name__} nor of a reference "
                    "that one of its "
                    "columns refers to; declare refers_to= on the column that holds its key."
                )
            elif column.private:
                yield (
                    f"the column {column.label!r} is private and what a detector reads can stand in a "
                    "message; use another "
                    "column or declare it without private=True."
                )
            elif held := private_within(column, self.event.columns.values()):
                yield (
                    f"the column {column.label!r} is read from {column.source!r} and holds the private "
                    f"{held.label!r} of {held.source!r}, and what a detector reads can stand in a message; "
                    "use a column with a narrower source."
                )
        # A device's messages come under its client's id, whatever is in them.
        own, by_client = self.event.key.name, any(isinstance(source, Iot) for source in self.sources)
        is_as_stream = keys == (self.event.key,) and not by_client
        if detector.rekey and is_as_stream:
            yield f"it says rekey=True and is keyed by {own}, as the stream is partitioned; leave rekey out."
        many = next((source for source in self.sources if source.shards != 1), None)
        if many is not None and not is_as_stream and not detector.rekey:
            yield (
                f"it is keyed by {', '.join(column.label for column in keys)} and the stream of more than "
                f"one shard is partitioned by {'the MQTT client' if by_client else own}, so no shard sees "
                f"all of a key; {'' if by_client else f'key it by {own}, '}use one shard, or say rekey=True."
            )
        if detector.sms is not None:
            yield from self._sms_problems(detector, keys)

    def _sms_problems(self, detector: Detector, keys: tuple[Column, ...]) -> Iterator[str]:
        sms = detector.sms
        if not isinstance(sms, Text) or sms.reference not in self.references:
            yield (
                "sms= names no Text column of a reference of this event; say the column that holds the "
                "mobile number."
            )
            return
        holder, _ = self.event.references()[sms.reference]
        if keys != (holder,):
            yield (
                f"sms= needs the reference {sms.reference!r}, which is looked up by {holder.name!r}; key "
                "the detector by "
                f"{holder.name!r}."
            )


def private_within(column: Column, columns: Iterable[Column]) -> Column | None:
    """The private column whose value a column holds, as its own or within, as `agent` does `agent.first`."""
    return next(
        (
            other
            for other in columns
            if other.private
            and other.reference == column.reference
            and f"{other.source}.".startswith(f"{column.source}.")
        ),
        None,
    )


def span_problems(declared: object, *names: str) -> Iterator[str]:
    """What is wrong with spans of time that were declared under these names."""
    for name in names:
        span = getattr(declared, name)
        if not isinstance(span, timedelta):
            yield f"{name} is {span!r}, no span of time; say one, as {name}=seconds(10)."
        elif span < timedelta(0):
            yield f"{name} is below zero; say 0 or more."


def key_columns(event: type[Event], detector: Detector) -> tuple[Column, ...]:
    """The columns whose values together are a detector's key; by default the event's own key."""
    key = detector.key
    if key is None:
        return (event.key,)
    return key if isinstance(key, tuple) else (key,)


def key_text(values: Sequence[Value]) -> str | None:
    """A key as one text, parts set apart by `|`; none where a part is missing.

    >>> key_text(["ios", "DE"]), key_text([7]), key_text(["a|b", None])
    ('ios|DE', '7', None)
    """
    if len(values) == 1:
        return None if values[0] is None else str(values[0])
    if any(value is None for value in values):
        return None
    return "|".join(str(value).replace("\\", "\\\\").replace("|", "\\|") for value in values)


def key_reader(columns: Sequence[Column]) -> Callable[[Mapping[str, Value]], str | None]:
    """A function from an event's values to its key."""
    labels = [column.label for column in columns]
    if len(labels) == 1:
        label = labels[0]

        def read_one(values: Mapping[str, Value]) -> str | None:
            value = values.get(label)
            return value if value is None or type(value) is str else str(value)

        return read_one
    return lambda values: key_text([values.get(label) for label in labels])


def literal_problems(condition: Predicate, *, aggregates: bool) -> Iterator[str]:
    """Whether a condition compares like with like, and is on columns or on aggregates as its place asks."""
    for leaf in condition.leaves():
        for expression in leaf.expressions():
            if isinstance(expression, Aggregate) != aggregates:
                yield (
                    f"“{leaf.words()}” compares {'a column' if aggregates else 'an aggregate'}; compare "
                    f"{'an aggregate such as mean(…)' if aggregates else 'a column'} here."
                )
        yield from likeness_problems(leaf)


def likeness_problems(leaf: Predicate) -> Iterator[str]:
    """Whether a comparison can ever hold: text with text, a number with a finite number."""
    if isinstance(leaf, Not):
        for inner in leaf.part.leaves():
            yield from likeness_problems(inner)
    elif isinstance(leaf, Compare | OneOf):
        left, kind = leaf.left.words, kind_of(leaf.left)
        for other in leaf.values if isinstance(leaf, OneOf) else (leaf.right,):
            if kind_of(other) != kind:
                told = other.words if isinstance(other, Expression) else repr(other)
                yield (
                    f"“{leaf.words()}” compares {left} with {told}, and {left} is {kind}; compare it with "
                    f"{kind}."
                )


def kind_of(part: Value | Expression) -> str:
    """What a column, an aggregate or a literal is when it is compared."""
    if isinstance(part, Aggregate | Timestamp) or getattr(part, "numeric", False):
        return "a number"
    if isinstance(part, Boolean | bool):
        return "true or false"
    if isinstance(part, int | float):
        return "a number" if math.isfinite(part) else "not finite"
    return "text" if isinstance(part, Column | str) else "nothing"


def limit_leaf(condition: Predicate, name: str) -> Compare | None:
    """The only `>` (name `above`) or `<` (name `below`) comparison of a condition; `column.above` names one
    of several.

    `None` where no single comparison fits.
    """
    column, _, side = name.rpartition(".")
    leaves = [
        leaf
        for leaf in condition.leaves()
        if isinstance(leaf, Compare)
        and leaf.side
        and leaf.side == side
        and (not column or any(part.name == column for part in leaf.columns()))
    ]
    return leaves[0] if len(leaves) == 1 else None


def severity_of(bands: Bands, score: float) -> Severity:
    """The severity of a score: of the highest band that it reaches, else of the lowest band."""
    if isinstance(bands, Severity):
        return bands
    reached = [limit for limit in bands if limit <= score]
    return bands[max(reached) if reached else min(bands)]


def number_fields(declaration: Any) -> list[str]:
    """The names of a declaration's own numbers and spans, which an override may name."""
    return [
        spot.name
        for spot in fields(declaration)
        if isinstance(getattr(declaration, spot.name), int | float | timedelta)
        and not isinstance(getattr(declaration, spot.name), bool | Severity)
    ]
