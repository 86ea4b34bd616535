"""Typed columns and the conditions made of them: data that can be validated, compiled, overridden and put
into words.
"""

from __future__ import annotations

import json
import math
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from lambdas import iso_times

if TYPE_CHECKING:
    from lambdas.model import Reference

type_of = type
Value = str | int | float | bool | None
Values = Mapping[str, Value]
Test = Callable[[Values], bool | None]
Comparison = Literal[">", ">=", "<", "<=", "=", "<>"]

LARGEST_INTEGER = 2**63 - 1
YEARS = (datetime(1970, 1, 1, tzinfo=UTC).timestamp(), datetime(2200, 1, 1, tzinfo=UTC).timestamp())


class DeclarationError(ValueError):
    """A declaration that cannot work; the message says where, what, and how to mend it."""


class Unfit(ValueError):
    """A value that does not fit its column; the message says what was found and what was expected."""


class Expression:
    """What has a value for each event (a column) or each window (an aggregate); comparing it makes a
    condition.
    """

    @property
    def label(self) -> str:
        """The name under which the value stands in a mapping of values."""
        raise TypeError(f"{type_of(self).__name__} has no label; use a column or an aggregate")

    @property
    def words(self) -> str:
        raise TypeError(f"{type_of(self).__name__} has no words; use a column or an aggregate")

    @property
    def unit(self) -> str:
        return ""

    def columns(self) -> Iterator[Column]:
        yield from ()

    def __gt__(self, other: Value | Expression) -> Predicate:
        return Compare(self, ">", other)

    def __ge__(self, other: Value | Expression) -> Predicate:
        return Compare(self, ">=", other)

    def __lt__(self, other: Value | Expression) -> Predicate:
        return Compare(self, "<", other)

    def __le__(self, other: Value | Expression) -> Predicate:
        return Compare(self, "<=", other)

    def is_(self, other: Value | Expression) -> Predicate:
        """Equal to a value, or to another column of the same event."""
        return Compare(self, "=", other)

    def is_not(self, other: Value | Expression) -> Predicate:
        return Compare(self, "<>", other)

    def is_in(self, *values: Value) -> Predicate:
        return OneOf(self, values)

    def inside(self, low: float, high: float) -> Predicate:
        """From `low` to `high`, both included."""
        return (self >= low) & (self <= high)

    def contains(self, text: str) -> Predicate:
        return Contains(self, text)

    def is_missing(self) -> Predicate:
        return Missing(self)


class Column(Expression):
    """One typed column of an event or a reference.

    `about` becomes the column's comment in the catalog. `source` is where the value stands in the incoming
    object, a dotted path, by default the column's name. `private` keeps a value out of alerts, logs, metrics
    and window results; `discreet` only out of SMS. `refers_to` names the reference whose key this column
    holds.
    """

    hive: ClassVar[str] = ""
    numeric: ClassVar[bool] = False

    def __init__(
        self,
        about: str,
        *,
        unit: str = "",
        source: str = "",
        private: bool = False,
        discreet: bool = False,
        required: bool = False,
        refers_to: type[Reference] | None = None,
    ) -> None:
        self.about = about
        self._unit = unit
        self._source = source
        self.private = private
        self.discreet = discreet
        self.required = required
        self.refers_to = refers_to
        self.name = ""
        self.reference = ""  # the name of the reference that owns the column; empty for a column of the event

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if "read" in vars(cls) and "read_all" not in vars(cls):
            cls.read_all = Column.read_all  # type: ignore[method-assign] # another's `read_all` does not know it

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @property
    def unit(self) -> str:
        return self._unit

    @property
    def source(self) -> str:
        return self._source or self.name

    @property
    def label(self) -> str:
        return f"{self.reference}.{self.name}" if self.reference else self.name

    @property
    def words(self) -> str:
        return self.name.replace("_", " ")

    def columns(self) -> Iterator[Column]:
        yield self

    def read(self, value: Any) -> Value:
        """The column's own value of an incoming one; raises `Unfit`. `None` is read as missing before
        this.
        """
        raise TypeError(f"{type_of(self).__name__} cannot be read; use Text, Integer, Double, Boolean, …")

    def read_all(self, values: Sequence[Any]) -> Sequence[Value] | None:
        """What `read` makes of each value, where all of them are of the usual kind; else `None`, and they are
        read one by one.
        """
        return None

    def write(self, value: Value) -> Any:
        """The value as Firehose's converter reads it for the lake."""
        return value


class Text(Column):
    hive = "string"

    def read(self, value: Any) -> Value:
        if not isinstance(value, str):
            raise Unfit(f"is {kind(value)}, text is expected")
        return value

    def read_all(self, values: Sequence[Any]) -> Sequence[Value] | None:
        return values if kinds(values) == {str} else None


class Integer(Column):
    """A whole number of 64 bits; an exact numeral in text is read too, a fraction is not."""

    hive = "bigint"
    numeric = True

    def read(self, value: Any) -> Value:
        if isinstance(value, str):
            value = numeral(value, int)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Unfit(f"is {kind(value)}, a whole number is expected")
        if not -LARGEST_INTEGER - 1 <= value <= LARGEST_INTEGER:
            raise Unfit("is a whole number of more than 64 bits")
        return value

    def read_all(self, values: Sequence[Any]) -> Sequence[Value] | None:
        is_usual = kinds(values) == {int} and max(map(abs, values)) <= LARGEST_INTEGER
        return values if is_usual else None


class Double(Column):
    """A finite number; an exact numeral in text is read too."""

    hive = "double"
    numeric = True

    def read(self, value: Any) -> Value:
        if isinstance(value, float) and math.isfinite(value):
            return value
        if isinstance(value, str):
            value = numeral(value, float)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unfit(f"is {kind(value)}, a number is expected")
        read = floating(value)
        if not math.isfinite(read):
            raise Unfit("is not a finite number")
        return read

    def read_all(self, values: Sequence[Any]) -> Sequence[Value] | None:
        found = kinds(values)
        if found == {float, int}:
            values, found = [floating(value) for value in values], {float}
        return values if found == {float} and all(map(math.isfinite, values)) else None


class Boolean(Column):
    hive = "boolean"

    def read(self, value: Any) -> Value:
        given = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
        if not isinstance(given, bool):
            raise Unfit(f"is {kind(value)}, true or false is expected")
        return given

    def read_all(self, values: Sequence[Any]) -> Sequence[Value] | None:
        return values if kinds(values) == {bool} else None


class Json(Column):
    """A nested value kept as JSON text, for `json_extract_scalar`; its parts are columns with a dotted
    `source`.
    """

    hive = "string"

    def read(self, value: Any) -> Value:
        return (
            value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        )


class Timestamp(Column):
    """A point in time, held as seconds since 1970 (UTC) to the millisecond.

    `form` says how producers write it: `iso` (ISO 8601 with any offset; without one it is UTC),
    `seconds` or `milliseconds` since 1970 (whole or with a fraction).
    """

    hive = "timestamp"

    def __init__(
        self, about: str, *, form: Literal["iso", "seconds", "milliseconds"] = "iso", **rest: Any
    ) -> None:
        super().__init__(about, **rest)
        self.form = form

    def read(self, value: Any) -> Value:
        seconds = self._iso(value) if self.form == "iso" else self._epoch(value)
        if not YEARS[0] <= seconds < YEARS[1]:
            raise Unfit("is a time outside the years 1970 to 2199")
        return to_millisecond(seconds)

    def read_all(self, values: Sequence[Any]) -> Sequence[Value] | None:
        if self.form == "iso" and kinds(values) == {str}:
            try:
                read = [value / 1000 for value in iso_times.milliseconds(values)]
            except ValueError:
                return None
        elif self.form == "milliseconds" and kinds(values) == {int}:
            read = [floating(value) / 1000 for value in values]
        else:
            return None
        return read if YEARS[0] <= min(read) and max(read) < YEARS[1] else None

    def _iso(self, value: Any) -> float:
        if not isinstance(value, str):
            raise Unfit(f"is {kind(value)}, an ISO 8601 time such as 2026-01-31T10:00:00Z is expected")
        try:
            moment = datetime.fromisoformat(value.strip())
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            raise Unfit("is not an ISO 8601 time such as 2026-01-31T10:00:00Z") from None

    def _epoch(self, value: Any) -> float:
        if isinstance(value, str):
            value = numeral(value, float)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unfit(f"is {kind(value)}, a number of {self.form} since 1970 is expected")
        return floating(value) / 1000 if self.form == "milliseconds" else floating(value)

    def write(self, value: Value) -> Any:
        return None if value is None else lake_time(float(value))


def to_millisecond(seconds: float) -> float:
    """`round(seconds, 3)`, in a third of its time for what has no more than three places anyway."""
    near = round(seconds * 1000) / 1000
    return near if near == seconds else round(seconds, 3)


def lake_time(seconds: float) -> str:
    """A time as the lake's converter reads it, UTC to the millisecond.

    >>> lake_time(1769853600.25)
    '2026-01-31 10:00:00.250'
    """
    moment = datetime.fromtimestamp(to_millisecond(seconds), UTC)
    return moment.isoformat(" ", "milliseconds").removesuffix("+00:00")


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), "nothing" if value is None else type(value).__name__)


def kinds(values: Sequence[Any]) -> set[type]:
    return set(map(type_of, values))


def floating(value: float) -> float:
    """A number as a floating one; a whole number beyond its range is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def numeral(text: str, reader: Callable[[str], float]) -> float:
    try:
        if "_" not in text:
            return reader(text)
    except ValueError:
        pass
    raise Unfit(f"is text that is not {'a whole number' if reader is int else 'a number'}")


@dataclass(frozen=True, eq=False)
class Aggregate(Expression):
    """One number over the events of a window: `count`, `total`, `mean`, `low`, `high`, `spread`, `distinct`,
    `quantile`, `share`.
    """

    function: str
    of: Column | None = None
    fraction: float | None = None
    that: Predicate | None = None

    @property
    def label(self) -> str:
        condition = None if self.that is None else self.that.words()
        parts = (self.of and self.of.label, self.fraction, condition)
        inside = ", ".join(str(part) for part in parts if part is not None)
        return f"{self.function}({inside})"

    @property
    def words(self) -> str:
        names = {
            "low": "lowest",
            "high": "highest",
            "spread": "standard deviation of",
            "distinct": "number of distinct",
        }
        if self.that is not None:
            return f"share of {self.that.words()}"
        if self.of is None:
            return "number of events"
        if self.fraction is not None:
            return f"{self.fraction * 100:g} % quantile of {self.of.words}"
        return f"{names.get(self.function, self.function)} {self.of.words}"

    @property
    def unit(self) -> str:
        return "" if self.of is None or self.function == "distinct" else self.of.unit

    def columns(self) -> Iterator[Column]:
        if self.of is not None:
            yield self.of
        if self.that is not None:
            yield from self.that.columns()


def count() -> Aggregate:
    """How many events."""
    return Aggregate("count")


def total(of: Column) -> Aggregate:
    """The sum; missing values are left out."""
    return Aggregate("total", of)


def mean(of: Column) -> Aggregate:
    """The arithmetic mean."""
    return Aggregate("mean", of)


def low(of: Column) -> Aggregate:
    """The smallest value."""
    return Aggregate("low", of)


def high(of: Column) -> Aggregate:
    """The largest value."""
    return Aggregate("high", of)


def spread(of: Column) -> Aggregate:
    """The sample standard deviation, as SQL's `stddev`."""
    return Aggregate("spread", of)


def distinct(of: Column) -> Aggregate:
    """How many different values, exact up to 10,000 a window."""
    return Aggregate("distinct", of)


def quantile(of: Column, fraction: float) -> Aggregate:
    """The value that `fraction` of the values do not exceed, within one per cent of the value."""
    return Aggregate("quantile", of, fraction)


def share(that: Predicate) -> Aggregate:
    """The part of the events that meet a condition, 0 to 1; events for which it is unknown are left out."""
    return Aggregate("share", that=that)


class Predicate:
    """A condition on an event or a window. A missing value makes a comparison unknown, as in SQL."""

    def compile(self) -> Test:
        """A function from values to true, false or unknown (`None`)."""
        raise TypeError(f"{type(self).__name__} cannot be compiled; make conditions by comparing columns")

    def words(self) -> str:
        raise TypeError(f"{type(self).__name__} has no words; make conditions by comparing columns")

    def leaves(self) -> Iterator[Predicate]:
        """The comparisons that this condition is made of, from left to right."""
        yield self

    def expressions(self) -> Iterator[Expression]:
        yield from ()

    def columns(self) -> Iterator[Column]:
        for expression in self.expressions():
            yield from expression.columns()

    def with_leaf(self, old: Predicate, new: Predicate) -> Predicate:
        """The same condition with one comparison exchanged."""
        return new if self is old else self

    def limits(self) -> set[str]:
        """What an override calls the condition's numbers: `above` or `below` where it has one on that side,
        else `column.above` or `column.below`.
        """
        found: set[str] = set()
        for side in ("above", "below"):
            leaves = [leaf for leaf in self.leaves() if isinstance(leaf, Compare) and leaf.side == side]
            names = Counter(column.name for leaf in leaves for column in set(leaf.columns()))
            found |= {side} if len(leaves) == 1 else {f"{name}.{side}" for name, n in names.items() if n == 1}
        return found

    def __and__(self, other: Predicate) -> Predicate:
        return AllOf((self, other))

    def __or__(self, other: Predicate) -> Predicate:
        return AnyOf((self, other))

    def __invert__(self) -> Predicate:
        return Not(self)

    def __bool__(self) -> bool:
        raise DeclarationError(
            "A condition has no truth of its own; join conditions with & | ~, not with and, or, not."
        )


TESTS: dict[Comparison, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "<>": operator.ne,
}
WORDS: dict[Comparison, str] = {
    ">": "above",
    ">=": "at least",
    "<": "below",
    "<=": "at most",
    "=": "is",
    "<>": "is not",
}
OPPOSITE: dict[Comparison, Comparison] = {">": "<=", ">=": "<", "<": ">=", "<=": ">", "=": "<>", "<>": "="}


@dataclass(frozen=True, eq=False)
class Compare(Predicate):
    left: Expression
    comparison: Comparison
    right: Value | Expression

    def compile(self) -> Test:
        name, test, right = self.left.label, TESTS[self.comparison], self.right
        if isinstance(right, Expression):
            other = right.label

            def compare_columns(values: Values) -> bool | None:
                a, b = values.get(name), values.get(other)
                return None if a is None or b is None else test(a, b)

            return compare_columns

        def compare(values: Values) -> bool | None:
            value = values.get(name)
            return None if value is None else test(value, right)

        return compare

    @property
    def direction(self) -> str:
        """`high` or `low` for a number that goes past a limit, else `seen`."""
        if isinstance(self.right, bool | str) or self.comparison in ("=", "<>"):
            return "seen"
        return "high" if self.comparison in (">", ">=") else "low"

    @property
    def side(self) -> str:
        """`above` or `below` where the comparison is with a number, which an override can exchange."""
        sides = {"high": "above", "low": "below"}
        return "" if isinstance(self.right, Expression) else sides.get(self.direction, "")

    def words(self) -> str:
        return f"{self.left.words} {self.limit()}"

    def limit(self, *, opposite: bool = False) -> str:
        comparison = OPPOSITE[self.comparison] if opposite else self.comparison
        right = self.right.words if isinstance(self.right, Expression) else number(self.right, self.left.unit)
        return f"{WORDS[comparison]} {right}"

    def expressions(self) -> Iterator[Expression]:
        yield self.left
        if isinstance(self.right, Expression):
            yield self.right


@dataclass(frozen=True, eq=False)
class OneOf(Predicate):
    left: Expression
    values: tuple[Value, ...]

    def compile(self) -> Test:
        name, allowed = self.left.label, frozenset(self.values)

        def one_of(values: Values) -> bool | None:
            value = values.get(name)
            return None if value is None else value in allowed

        return one_of

    def words(self) -> str:
        return f"{self.left.words} is one of {', '.join(str(value) for value in self.values)}"

    def expressions(self) -> Iterator[Expression]:
        yield self.left


@dataclass(frozen=True, eq=False)
class Contains(Predicate):
    left: Expression
    text: str

    def compile(self) -> Test:
        name, text = self.left.label, self.text

        def contains(values: Values) -> bool | None:
            value = values.get(name)
            return None if value is None else text in str(value)

        return contains

    def words(self) -> str:
        return f"{self.left.words} contains “{self.text}”"

    def expressions(self) -> Iterator[Expression]:
        yield self.left


@dataclass(frozen=True, eq=False)
class Missing(Predicate):
    left: Expression

    def compile(self) -> Test:
        name = self.left.label
        return lambda values: values.get(name) is None

    def words(self) -> str:
        return f"{self.left.words} is missing"

    def expressions(self) -> Iterator[Expression]:
        yield self.left


@dataclass(frozen=True, eq=False)
class Joined(Predicate):
    parts: tuple[Predicate, ...]
    decides: ClassVar[bool]
    word: ClassVar[str]

    def compile(self) -> Test:
        tests, decides = tuple(part.compile() for part in self.parts), self.decides

        def joined(values: Values) -> bool | None:
            result: bool | None = not decides
            for test in tests:
                answer = test(values)
                if answer is decides:
                    return decides
                if answer is None:
                    result = None
            return result

        return joined

    def words(self) -> str:
        return f" {self.word} ".join(part.words() for part in self.parts)

    def leaves(self) -> Iterator[Predicate]:
        for part in self.parts:
            yield from part.leaves()

    def expressions(self) -> Iterator[Expression]:
        for part in self.parts:
            yield from part.expressions()

    def with_leaf(self, old: Predicate, new: Predicate) -> Predicate:
        return replace(self, parts=tuple(part.with_leaf(old, new) for part in self.parts))


class AllOf(Joined):
    decides = False
    word = "and"


class AnyOf(Joined):
    decides = True
    word = "or"


@dataclass(frozen=True, eq=False)
class Not(Predicate):
    part: Predicate = field()

    def compile(self) -> Test:
        test = self.part.compile()

        def negated(values: Values) -> bool | None:
            answer = test(values)
            return None if answer is None else not answer

        return negated

    def words(self) -> str:
        return f"not ({self.part.words()})"

    def expressions(self) -> Iterator[Expression]:
        yield from self.part.expressions()


def number(value: Value, unit: str = "") -> str:
    """A value as a person reads it: at most four significant digits after a point, thousands set apart.

    >>> number(30.0, "°C"), number(2417.5, "$"), number(0.000123), number(None)
    ('30 °C', '$2,417.50', '0.000123', 'unknown')
    """
    if value is None:
        return "unknown"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if unit in ("$", "€", "£"):
        text = f"{abs(value):,.2f}".removesuffix(".00")
        return f"{'-' if value < 0 else ''}{unit}{text}"
    if abs(value) < 1e15 and value == int(value):
        text = f"{int(value):,}"
    elif 1e-3 <= abs(value) < 1e15:
        text = f"{value:,.{max(0, 3 - max(0, math.floor(math.log10(abs(value)))))}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = f"{value:.4g}"
    return f"{text} {unit}".strip()
