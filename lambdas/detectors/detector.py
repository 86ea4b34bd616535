"""The contract of every detector: a frozen declaration with its logic, and a state that is passed in."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from lambdas.columns import (
    Column,
    Compare,
    DeclarationError,
    Expression,
    Joined,
    Predicate,
    Text,
    Value,
    Values,
    number,
)
from lambdas.model import Bands, Row, Said, Severity, limit_leaf, number_fields, span_problems

State = TypeVar("State")
MESSAGE = ("do_first", "runbook", "audience", "sms", "show", "symptom", "severity", "keep", "metric")
SHOWN_CHARACTERS = 200
NOT_LOGIC = frozenset({*MESSAGE, "settle", "quiet", "max_keys", "rekey"})


@dataclass(frozen=True, kw_only=True)
class Detector(Generic[State]):
    """What every detector declares.

    `name` is what its incidents are known by. `key` is whose state it keeps (a column or several; by default
    the event's key). `severity` is one severity, or bands of the score: `{30: HIGH, 45: CRITICAL}`.
    `do_first` is the first thing its reader should do, `runbook` a URL that says more. `audience` routes its
    alerts; `sms` is a reference's column with a mobile number that is told as well. `show` are columns to
    print with a finding. An incident is resolved once its key has been clear for `settle`, or nothing strange
    was seen for `quiet`. At most `max_keys` keys have a state; the least recently seen leave first. `rekey`
    lets a stream of more than one shard be partitioned by another key: the events go through the pipeline's
    second stream, which is partitioned as this detector needs.

    Logic is three functions on a state: `begin()`, `observe(state, row)`, `advance(state, now)`. They take
    time from events, change nothing but the state, and give the same for the same events however these are
    cut into batches. With `in_order` the shard hands events over sorted by time, once the watermark has
    passed them.

    `observe` returns what it says; or `None` for nothing, where besides the state is as blank as it was and
    `due` no earlier: then the shard need not ask for either, which is most of what an event costs.
    """

    name: str
    severity: Bands
    do_first: str
    key: Column | tuple[Column, ...] | None = None
    symptom: str = ""
    runbook: str = ""
    audience: str = "operators"
    sms: Column | None = None
    show: Sequence[Column] = ()
    settle: timedelta = timedelta(minutes=1)
    quiet: timedelta = timedelta(minutes=30)
    max_keys: int = 10_000
    rekey: bool = False

    @property
    def in_order(self) -> bool:
        return False

    @property
    def patience(self) -> timedelta:
        """How long nothing strange is found before an incident is over: `quiet`, or longer where findings can
        come but seldom.
        """
        return self.quiet

    @property
    def bytes_per_key(self) -> int:
        """The most that one key's state can take, in bytes of the log."""
        return 200

    def bytes_with(self, lateness: timedelta) -> int:
        """The same where events may come that late."""
        return self.bytes_per_key

    @property
    def symptom_words(self) -> str:
        return self.symptom or self.name.replace("_", " ")

    def begin(self) -> State:
        raise TypeError(f"{type(self).__name__} has no state; a detector says begin().")

    def observe(self, state: State, row: Row) -> Iterable[Said] | None:
        raise TypeError(f"{type(self).__name__} observes nothing; a detector says observe().")

    def advance(self, state: State, now: float) -> Iterable[Said]:
        """What is to be said when the watermark has come to `now` (event time, s)."""
        return ()

    def due(self, state: State) -> float | None:
        """The event time at which `advance` next has something to do."""
        return None

    def is_blank(self, state: State) -> bool:
        """Whether the state says no more than `begin()`, so that the key may be forgotten."""
        return False

    def save(self, state: State) -> Any:
        """The state as plain lists, numbers and text that JSON carries to the bit."""
        raise TypeError(f"{type(self).__name__} cannot save its state; a detector says save() and restore().")

    def restore(self, saved: Any) -> State:
        raise TypeError(
            f"{type(self).__name__} cannot restore its state; a detector says save() and restore()."
        )

    def reads(self) -> Iterator[Column]:
        """The columns that the detector looks at or shows."""
        for spot in dataclasses.fields(self):
            if spot.name not in ("key", "sms"):
                yield from columns_in(getattr(self, spot.name))

    def problems(self) -> Iterator[str]:
        """What is wrong with the declaration, a sentence each."""
        yield from span_problems(self, "settle", "quiet")
        if self.quiet == timedelta(0):
            yield "quiet is zero, so no incident would outlive its first finding; say minutes(30)."
        if self.max_keys < 1:
            yield "max_keys is below 1, so it could watch nobody; say 1 or more."
        if not isinstance(self.severity, Severity) and not self.severity:
            yield "severity has no band; say HIGH or {30: HIGH, 45: CRITICAL}."
        if not self.symptom_words.isascii() or len(self.symptom_words) > 40:
            yield "its symptom is not at most 40 ASCII characters, as an e-mail's subject asks; shorten it."
        if self.runbook and not self.runbook.startswith("https://"):
            yield f"the runbook {self.runbook!r} is no https:// address; say one that the operator can open."
        if self.sms is not None and not isinstance(self.sms, Text):
            yield "sms= is no Text column; say the reference's column that holds the mobile number."

    def fingerprint(self) -> str:
        """What shapes the state: another one starts the detector anew."""
        shape = {
            spot.name: plain(getattr(self, spot.name))
            for spot in dataclasses.fields(self)
            if spot.name not in NOT_LOGIC
        }
        return hashlib.sha256(f"{type(self).__name__}{shape}".encode()).hexdigest()[:16]

    def overridden(self, name: str, value: float) -> Any:
        """The same declaration with one number exchanged; raises `DeclarationError` for a name it does not
        have.
        """
        changes: dict[str, Any] = {}
        if name in number_fields(self):
            old = getattr(self, name)
            changes[name] = timedelta(seconds=value) if isinstance(old, timedelta) else type(old)(value)
            if isinstance(old, int) and changes[name] != value:
                raise DeclarationError(
                    f"{self.name}: {name} is a whole number, {value:g} is not; say {changes[name]}."
                )
            return dataclasses.replace(self, **changes)
        severity = Severity.__members__.get(name.upper())
        if (
            severity is not None
            and not isinstance(self.severity, Severity)
            and severity in self.severity.values()
        ):
            changes["severity"] = {
                value if band is severity else at: band for at, band in self.severity.items()
            }
            return dataclasses.replace(self, **changes)
        for spot in dataclasses.fields(self):
            condition = getattr(self, spot.name)
            leaf = limit_leaf(condition, name) if isinstance(condition, Predicate) else None
            if leaf is not None:
                changes[spot.name] = condition.with_leaf(leaf, dataclasses.replace(leaf, right=value))
                changes["severity"] = moved(self.severity, leaf, value)
                return dataclasses.replace(self, **changes)
        raise DeclarationError(f"{self.name}: it has no number {name!r}; it has {', '.join(self.numbers())}.")

    def numbers(self) -> list[str]:
        """The names that `overridden` takes."""
        conditions = [getattr(self, spot.name) for spot in dataclasses.fields(self)]
        sides = {side for each in conditions if isinstance(each, Predicate) for side in each.limits()}
        bands = [] if isinstance(self.severity, Severity) else self.severity.values()
        return [*sorted(sides), *(band.name.lower() for band in bands), *number_fields(self)]

    def shown(self, values: Values) -> dict[str, Value]:
        """The columns of `show` by their words."""
        return {column.words: number(briefly(values.get(column.label)), column.unit) for column in self.show}


def briefly(value: Value) -> Value:
    """A value as it is shown and kept: a long text is cut."""
    return value[:SHOWN_CHARACTERS] if isinstance(value, str) else value


def columns_in(part: object) -> Iterator[Column]:
    """The columns that a part of a declaration mentions."""
    if isinstance(part, Predicate | Expression):
        yield from part.columns()
    elif isinstance(part, list | tuple):
        for each in part:
            yield from columns_in(each)
    elif dataclasses.is_dataclass(part) and not isinstance(part, type):
        for spot in dataclasses.fields(part):
            yield from columns_in(getattr(part, spot.name))


def plain(part: object) -> object:
    """A part of a declaration as text that is the same in every process."""
    if isinstance(part, Column):
        return part.label
    if isinstance(part, list | tuple):
        return [plain(each) for each in part]
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return [type(part).__name__, *(plain(getattr(part, spot.name)) for spot in dataclasses.fields(part))]
    return repr(part)


def reason(condition: Predicate, values: Values) -> Compare | None:
    """The comparison with a number that makes a condition hold, the first one if several do; never one of a
    part that does not hold.
    """
    if not condition.compile()(values):
        return None
    if isinstance(condition, Joined):
        return next((found for part in condition.parts if (found := reason(part, values)) is not None), None)
    return condition if isinstance(condition, Compare) and condition.direction != "seen" else None


def moved(bands: Bands, leaf: Compare, limit: float) -> Bands:
    """Bands that begin at a limit go with it when it is overridden, at the distances they had."""
    if isinstance(bands, Severity) or not isinstance(leaf.right, int | float):
        return bands
    old, new = score_of(leaf, leaf.right), score_of(leaf, limit)
    return {at + new - old: band for at, band in bands.items()} if min(bands) == old else bands


def score_of(leaf: Compare, observed: float) -> float:
    """Higher is stranger: a number that is too low counts from the other side."""
    return observed if leaf.direction == "high" else -observed


def seconds_of(span: timedelta) -> float:
    return span.total_seconds()


def span_words(seconds: float) -> str:
    """
    >>> span_words(10), span_words(600), span_words(5400), span_words(1)
    ('10 s', '10 min', '1 h 30 min', '1 s')
    """
    if seconds < 120 and seconds != 60:
        return f"{seconds:g} s"
    whole = round(seconds / 60)
    hours, rest = divmod(whole, 60)
    return " ".join(
        part for part in (f"{hours} h" if hours else "", f"{rest} min" if rest or not hours else "") if part
    )
