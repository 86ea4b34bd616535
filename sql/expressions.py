"""The values of a query: each node's Athena type and its DuckDB SQL.

A kind of node without a case here is refused; `sql.understood` has refused it before.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from sqlglot import exp

from sql.casts import convert
from sql.duck import cast, string
from sql.errors import SqlError, nearest
from sql.functions import aggregates, moments, numbers, windows
from sql.functions.aggregates import Aggregation
from sql.functions.allowed import AGGREGATES, SCALARS, WINDOWS, known
from sql.functions.arrays import subscript
from sql.functions.call import Call
from sql.parse import name_of, place_of
from sql.scope import Column, Context, Scope, lookup
from sql.typed import Typed, coerce, local
from sql.typed import field as field_of
from sql.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DAY_TO_SECOND,
    DOUBLE,
    INTEGER,
    TIMESTAMP,
    TIMESTAMP_TZ,
    UNKNOWN,
    UNKNOWN_ZONE,
    VARCHAR,
    YEAR_TO_MONTH,
    SqlType,
    array,
    common,
    decimal,
    from_trino,
)
from sql.understood import ARITHMETIC, COMPARISONS, refusal

_EXTRACTED = frozenset(moments.PARTS_OF_TIME) - {"millisecond", "week_of_year"}
_INTERVALS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?: [0-9]{1,2}:[0-9]{1,2}(?::[0-9]{1,2}(?:\.[0-9]{1,3})?)?)?) +(.+)"
)


class Expressions(ABC):
    """Understands values; the queries inside them are left to the class that knows clauses."""

    def __init__(self, text: str, began: str) -> None:
        self._text = text
        self._began = began

    def wrong(self, node: exp.Expr, problem: str, mend: str) -> SqlError:
        """A refusal: what is wrong, where, what to do."""
        return SqlError(f"{problem} ({place_of(self._text, node)}): {mend}.")

    @abstractmethod
    def query(self, node: exp.Expr, context: Context) -> tuple[str, Sequence[Column]]:
        """DuckDB SQL and the columns of a query."""

    @abstractmethod
    def as_kinds(self, written: str, columns: Sequence[Column], kinds: Sequence[SqlType]) -> str:
        """A query in parentheses, its columns turned into the given types."""

    def sortable(self, value: Typed, node: exp.Expr) -> str:
        if not value.type.is_orderable and value.type != UNKNOWN:
            raise self.wrong(node, f"{value.type} has no order", "order by one of its parts")
        return f"athena_number({cast(value.sql, DOUBLE)})" if value.may_be_nan else value.sql

    def condition(self, node: exp.Expr, context: Context, clause: str) -> str:
        value = self.value(node, context)
        if value.type not in (BOOLEAN, UNKNOWN):
            raise self.wrong(node, f"{clause} needs a boolean and got {value.type}", "write a comparison")
        return coerce(value, BOOLEAN)

    def value(self, node: exp.Expr, context: Context) -> Typed:
        operator = type(node)
        if operator in COMPARISONS:
            left, right = self._pair(node, context)
            return Typed(self.compare(COMPARISONS[operator], left, right, node), BOOLEAN)
        if operator in ARITHMETIC or operator is exp.Div:
            with self._placed(node):
                return self._arithmetic(node, context)
        match node:
            case exp.Paren():
                return self.value(node.this, context)
            case exp.Column() | exp.Dot():
                return self._reference(node, context)
            case exp.Literal():
                return self._literal(node)
            case exp.Boolean():
                return Typed(str(node.this).lower(), BOOLEAN)
            case exp.Null():
                return Typed("null", UNKNOWN, is_stored=True)
            case exp.And() | exp.Or():
                word = "and" if operator is exp.And else "or"
                sides = [self.condition(node.args[side], context, word) for side in ("this", "expression")]
                return Typed(f"({f' {word} '.join(sides)})", BOOLEAN)
            case exp.Not():
                return Typed(f"(not {self.condition(node.this, context, 'not')})", BOOLEAN)
            case exp.Is():
                if not isinstance(node.expression, exp.Null):
                    raise self.wrong(node, "Athena has is null only", "compare with =")
                word = "is not null" if node.args.get("negate") else "is null"
                return Typed(f"({self.value(node.this, context).sql} {word})", BOOLEAN)
            case exp.NullSafeEQ() | exp.NullSafeNEQ():
                return self._distinct_from(node, context)
            case exp.Between():
                return self._between(node, context)
            case exp.In():
                return self._in(node, context)
            case exp.Like() | exp.Escape():
                return self._like(node, context)
            case exp.Exists():
                written, _ = self.query(node.this, context)
                return Typed(f"exists ({written})", BOOLEAN)
            case exp.Subquery() | exp.Select():
                written, columns = self.query(node, context)
                if len(columns) != 1:
                    raise self.wrong(node, "A subquery as a value has one column", "select one")
                return Typed(f"({written})", columns[0].type, is_stored=columns[0].is_stored)
            case exp.Case():
                return self._case(node, context)
            case exp.If():
                return self._branches(
                    [(self.condition(node.this, context, "if"), node.args["true"])],
                    node.args.get("false"),
                    context,
                    node,
                )
            case exp.Cast():
                return self._cast(node, context)
            case exp.Neg():
                return self._negative(node, context)
            case exp.Interval():
                return self._interval(node)
            case exp.DPipe():
                return self._call("concat", [node.this, node.expression], node, context)
            case exp.AtTimeZone():
                return self._at_time_zone(node, context)
            case exp.Extract():
                part = node.this.name.lower()
                if part not in _EXTRACTED:
                    raise self.wrong(node, f"extract knows no {part}", f"{nearest(part, _EXTRACTED)}")
                return self._call(part, [node.expression], node, context)
            case exp.StrPosition():
                return self._call("strpos", [node.this, node.args["substr"]], node, context)
            case exp.Trim():
                return self._trim(node, context)
            case exp.Bracket() if len(node.expressions) == 1:
                return subscript(self._as_call("[…]", [node.this, *node.expressions], node, context))
            case exp.Array():
                return self._array(node, context)
            case exp.CurrentDate() | exp.CurrentTimestamp() | exp.Localtimestamp():
                return self._moment(node)
            case exp.Anonymous() | exp.Filter() | exp.Window() | exp.IgnoreNulls() | exp.RespectNulls():
                return self._function(node, context)
        raise self.unsupported(node)

    def _pair(self, node: exp.Expr, context: Context) -> tuple[Typed, Typed]:
        return self.value(node.args["this"], context), self.value(node.args["expression"], context)

    def compare(self, sign: str, left: Typed, right: Typed, node: exp.Expr) -> str:
        kind = common(left.type, right.type)
        if kind is None or not (kind.is_orderable or kind == UNKNOWN):
            raise self.wrong(node, f"Athena cannot compare {left.type} with {right.type}", "cast one of them")
        one, other = coerce(left, kind), coerce(right, kind)
        written = f"({one} {sign} {other})"
        if kind.is_floating and (left.may_be_nan or right.may_be_nan):
            return f"athena_ordered({one}, {other}, {written}, {'true' if sign == '<>' else 'false'})"
        return written

    def _distinct_from(self, node: exp.Expr, context: Context) -> Typed:
        left, right = self._pair(node, context)
        self.compare("=", left, right, node)
        kind = common(left.type, right.type) or left.type
        word = "is not distinct from" if isinstance(node, exp.NullSafeEQ) else "is distinct from"
        return Typed(f"({coerce(left, kind)} {word} {coerce(right, kind)})", BOOLEAN)

    def _between(self, node: exp.Between, context: Context) -> Typed:
        value = self.value(node.this, context)
        low, high = (self.value(node.args[side], context) for side in ("low", "high"))
        return Typed(
            f"({self.compare('>=', value, low, node)} and {self.compare('<=', value, high, node)})", BOOLEAN
        )

    def _in(self, node: exp.In, context: Context) -> Typed:
        value = self.value(node.this, context)
        if (inner := node.args.get("query")) is not None:
            written, columns = self.query(inner, context)
            if len(columns) != 1:
                raise self.wrong(node, "in (select …) compares with one column", "select one")
            kind = common(value.type, columns[0].type) or value.type
            self.compare("=", value, Typed("", columns[0].type, is_stored=True), node)
            return Typed(f"({coerce(value, kind)} in {self.as_kinds(written, columns, [kind])})", BOOLEAN)
        members = [self.value(member, context) for member in node.expressions]
        kind = value.type
        for member in members:
            self.compare("=", value, member, node)
            kind = common(kind, member.type) or kind
        if kind.is_floating and any(one.may_be_nan for one in members):
            return Typed(
                "(" + " or ".join(self.compare("=", value, one, node) for one in members) + ")", BOOLEAN
            )
        return Typed(
            f"({coerce(value, kind)} in ({', '.join(coerce(one, kind) for one in members)}))", BOOLEAN
        )

    def _like(self, node: exp.Expr, context: Context) -> Typed:
        like = node.this if isinstance(node, exp.Escape) else node
        if not isinstance(like, exp.Like):
            raise self.unsupported(like)
        sides = self._pair(like, context)
        if any(side.type not in (VARCHAR, UNKNOWN) for side in sides):
            raise self.wrong(node, "like compares varchar with varchar", "cast the other")
        word = "not like" if like.args.get("negate") else "like"
        written = f"{coerce(sides[0], VARCHAR)} {word} {coerce(sides[1], VARCHAR)}"
        if isinstance(node, exp.Escape):
            mark = node.expression
            if not isinstance(mark, exp.Literal) or len(mark.name) != 1:
                raise self.wrong(node, "escape needs one character", "write it out")
            written += f" escape {string(mark.name)}"
        return Typed(f"({written})", BOOLEAN)

    def _case(self, node: exp.Case, context: Context) -> Typed:
        subject = self.value(node.this, context) if node.this is not None else None
        branches = []
        for branch in node.args["ifs"]:
            if subject is None:
                condition = self.condition(branch.this, context, "when")
            else:
                condition = self.compare("=", subject, self.value(branch.this, context), branch)
            branches.append((condition, branch.args["true"]))
        return self._branches(branches, node.args.get("default"), context, node)

    def _branches(
        self,
        branches: Iterable[tuple[str, exp.Expr]],
        otherwise: exp.Expr | None,
        context: Context,
        node: exp.Expr,
    ) -> Typed:
        values = [(condition, self.value(value, context)) for condition, value in branches]
        last = self.value(otherwise, context) if otherwise is not None else None
        every = [value for _, value in values] + ([last] if last is not None else [])
        kind = UNKNOWN
        for value in every:
            shared = common(kind, value.type)
            if shared is None:
                raise self.wrong(node, f"The branches give {kind} and {value.type}", "cast them to one type")
            kind = shared
        written = " ".join(f"when {condition} then {coerce(value, kind)}" for condition, value in values)
        end = f" else {coerce(last, kind)}" if last is not None else ""
        return Typed(f"case {written}{end} end", kind, is_stored=all(value.is_stored for value in every))

    def _cast(self, node: exp.Cast, context: Context) -> Typed:
        written = node.args["to"].sql(dialect="trino")
        is_literal = isinstance(node.this, exp.Literal) and node.this.is_string
        digits = re.fullmatch(r"(?i)timestamp\(([0-9]+)\)( with time zone)?", written)
        if is_literal and digits is not None:
            if int(digits.group(1)) > 3:
                raise self.wrong(node, "Timestamps have milliseconds here", "write at most three digits")
            written = "timestamp with time zone" if digits.group(2) else "timestamp"
        to = from_trino(written)
        value = self.value(node.this, context)
        if value.text is not None and to.is_instant:
            return self._instant(value.text, node)
        return convert(value, to, is_try=isinstance(node, exp.TryCast), where=place_of(self._text, node))

    def _instant(self, text: str, node: exp.Expr) -> Typed:
        """A timestamp with its zone written out, such as timestamp '2020-01-01 00:00:00 Europe/Berlin'."""
        where = place_of(self._text, node)
        found = _MOMENT.fullmatch(text)
        if found is None:
            raise SqlError(
                f"{text!r} is not a timestamp with a zone ({where}): write '2020-01-01 00:00:00 UTC'."
            )
        wall, zone = found.groups()
        if re.fullmatch(r"[+-][0-9]{2}:[0-9]{2}", zone):
            instant = cast(
                string(f"{wall}{':00' if wall.count(':') == 0 and ' ' in wall else ''}{zone}"), TIMESTAMP_TZ
            )
            return Typed(instant, replace(TIMESTAMP_TZ, zone=UNKNOWN_ZONE))
        zone = moments.zone_named(zone, where)
        return Typed(f"timezone('{zone}', {cast(string(wall), TIMESTAMP)})", replace(TIMESTAMP_TZ, zone=zone))

    def _negative(self, node: exp.Neg, context: Context) -> Typed:
        value = self.value(node.this, context)
        if not value.type.is_number and value.type not in (DAY_TO_SECOND, YEAR_TO_MONTH):
            raise self.wrong(node, f"- needs a number and got {value.type}", "cast it")
        digits = f"-{value.digits}" if value.digits is not None and not value.digits.startswith("-") else None
        return Typed(f"(- {value.sql})", value.type, digits=digits, is_stored=value.is_stored)

    def _interval(self, node: exp.Interval) -> Typed:
        unit = node.args.get("unit")
        text = node.this
        name = unit.name.lower() if isinstance(unit, exp.Var) else ""
        where = place_of(self._text, node)
        if not isinstance(text, exp.Literal) or not re.fullmatch(r"[+-]?[0-9]+", text.name.strip()):
            raise SqlError(
                f"An interval is written like interval '2' day ({where}): use date_add for a computed one."
            )
        count = int(text.name)
        if name in _INTERVALS:
            return Typed(f"to_{name}s({count})", DAY_TO_SECOND)
        if name in ("month", "year"):
            return Typed(f"to_{name}s({count})", YEAR_TO_MONTH)
        raise SqlError(
            f"Athena has no interval of {name or 'this unit'} ({where}): "
            "use second, minute, hour, day, month or year."
        )

    def _arithmetic(self, node: exp.Expr, context: Context) -> Typed:
        left, right = self._pair(node, context)
        spans = (DAY_TO_SECOND, YEAR_TO_MONTH)
        if isinstance(node, exp.Div):
            return numbers.divide(left, right)
        sign = ARITHMETIC[type(node)]
        if sign == "+" and left.type in spans and right.type not in spans:
            left, right = right, left
        if sign in "+-" and right.type in spans:
            return self._shifted(sign, left, right, node)
        moments = (DATE, TIMESTAMP)
        if sign == "-" and all(one.type in moments or one.type.is_instant for one in (left, right)):
            kind = common(left.type, right.type) or TIMESTAMP
            kind = TIMESTAMP if kind == DATE else kind
            return Typed(f"({coerce(left, kind)} - {coerce(right, kind)})", DAY_TO_SECOND)
        return numbers.arithmetic(sign, left, right)

    def _shifted(self, sign: str, of: Typed, span: Typed, node: exp.Expr) -> Typed:
        """A moment, or a span, moved by a span."""
        if of.type == span.type:
            return Typed(f"({of.sql} {sign} {span.sql})", of.type)
        if of.type == DATE:
            if not re.fullmatch(r"\(?(- )?to_(day|month|year)s\(-?[0-9]+\)\)?", span.sql):
                raise self.wrong(
                    node, "A date moves by whole days, months and years", "cast it to timestamp first"
                )
            return Typed(cast(f"({of.sql} {sign} {span.sql})", DATE), DATE)
        if of.type == TIMESTAMP:
            return Typed(f"({of.sql} {sign} {span.sql})", TIMESTAMP)
        if of.type.is_instant:
            if span.type == DAY_TO_SECOND:
                return replace(
                    of,
                    sql=f"({of.sql} {sign} {span.sql})",
                    instant=f"({of.instant} {sign} {span.sql})" if of.instant else "",
                )
            wall = f"({local(of, 'An interval of months')} {sign} {span.sql})"
            return Typed(f"timezone('{of.type.zone}', {wall})", of.type)
        raise SqlError(f"{of.type} {sign} {span.type} has no answer here")

    def _at_time_zone(self, node: exp.AtTimeZone, context: Context) -> Typed:
        zone = node.args["zone"]
        where = place_of(self._text, node)
        if not isinstance(zone, exp.Literal):
            raise SqlError(
                f"at time zone needs a zone written out ({where}): such as 'UTC' or 'Europe/Berlin'."
            )
        return moments.at_zone(self.value(node.this, context), zone.name, where)

    def _trim(self, node: exp.Trim, context: Context) -> Typed:
        side = str(node.args.get("position") or "BOTH").upper()
        name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(side, "trim")
        characters = node.args.get("expression")
        if characters is None:
            return self._call(name, [node.this], node, context)
        call = self._as_call(name, [node.this, characters], node, context)
        return Typed(f"{name}({call.given(0, VARCHAR)}, {call.given(1, VARCHAR)})", VARCHAR)

    def _array(self, node: exp.Array, context: Context) -> Typed:
        members = tuple(self.value(member, context) for member in node.expressions)
        kind = UNKNOWN
        for member in members:
            shared = common(kind, member.type)
            if shared is None:
                raise self.wrong(node, f"The array mixes {kind} and {member.type}", "cast them alike")
            kind = shared
        written = ", ".join(coerce(member, kind) for member in members)
        return Typed(cast(f"[{written}]", array(kind)), array(kind), parts=members)

    def _literal(self, node: exp.Literal) -> Typed:
        text = node.name
        if node.is_string:
            return Typed(string(text), VARCHAR, text=text, is_stored=True)
        if re.fullmatch(r"[0-9]+", text):
            value = int(text)
            if value >= 2**63:
                raise self.wrong(node, f"{text} is too large for bigint", f"write it as a decimal, {text}.0")
            return Typed(str(value), INTEGER if value < 2**31 else BIGINT, digits=str(value), is_stored=True)
        if re.fullmatch(r"[0-9]*\.?[0-9]*[eE][+-]?[0-9]+", text):
            return Typed(cast(text, DOUBLE), DOUBLE, digits=text, is_stored=True)
        whole, _, fraction = text.partition(".")
        whole = whole.lstrip("0")
        kind = decimal(max(1, len(whole) + len(fraction)), len(fraction))
        if len(whole) + len(fraction) > 38:
            raise self.wrong(node, f"{text} has more digits than a decimal", f"write {text}e0 for a double")
        return Typed(cast(string(text), kind), kind, digits=text, is_stored=True)

    def _moment(self, node: exp.Expr) -> Typed:
        names: dict[type[exp.Expr], str] = {
            exp.CurrentDate: "current_date",
            exp.Localtimestamp: "localtimestamp",
        }
        return moments.now(names.get(type(node), "now"), self._began)

    # Names.

    def _reference(self, node: exp.Expr, context: Context) -> Typed:
        names: list[str] = []
        inner = node
        while isinstance(inner, exp.Dot):
            if not isinstance(inner.expression, exp.Identifier):
                raise self.unsupported(inner.expression)
            names.insert(0, name_of(self._text, inner.expression))
            inner = inner.this
        if not isinstance(inner, exp.Column):
            value = self.value(inner, context)
        else:
            identifiers = [inner.args.get(part) for part in ("catalog", "db", "table", "this")]
            names = [name_of(self._text, one) for one in identifiers if one is not None] + names
            return lookup(self._text, names, context.scope or Scope(), node)
        for name in names:
            value = field_of(value, name)
        return value

    def _as_call(self, name: str, arguments: Iterable[exp.Expr], node: exp.Expr, context: Context) -> Call:
        values = []
        for argument in arguments:
            if isinstance(argument, exp.Lambda):
                raise self.wrong(
                    node,
                    f"{name}() with a lambda (x -> …) is not answered on the laptop",
                    "unnest the array and use where or an aggregate",
                )
            values.append(self.value(argument, context))
        return Call(name, tuple(values), place_of(self._text, node), self._began)

    def _call(self, name: str, arguments: Iterable[exp.Expr], node: exp.Expr, context: Context) -> Typed:
        return SCALARS[name](self._as_call(name, arguments, node, context))

    def _function(self, node: exp.Expr, context: Context) -> Typed:
        """A call with what may stand around it: filter (where …), ignore nulls, over (…)."""
        over = filtered = ""
        ignores = ""
        window: exp.Window | None = None
        while not isinstance(node, exp.Anonymous):
            match node:
                case exp.Window():
                    window = node
                    over = f" over ({self._window(node, context)})"
                case exp.Filter():
                    filtered = self.condition(node.expression.this, context, "filter")
                case exp.IgnoreNulls():
                    ignores = " ignore nulls"
                case exp.RespectNulls():
                    pass
                case _:
                    raise self.unsupported(node)
            node = node.this
        name = str(node.this).lower()
        where = place_of(self._text, node)
        arguments = list(node.expressions)
        is_aggregate = name in AGGREGATES
        if name in SCALARS:
            if (
                over
                or filtered
                or ignores
                or any(isinstance(one, exp.Distinct | exp.Order) for one in arguments)
            ):
                raise SqlError(
                    f"{name}() is not an aggregate ({where}): it takes no over, filter or distinct."
                )
            return self._call(name, arguments, node, context)
        if not is_aggregate and name not in WINDOWS:
            raise SqlError(
                f"{name}() is not among the functions that the laptop answers as Athena does ({where}); "
                f"{nearest(name, known(), instead='sql/functions/allowed.py lists them')}."
            )
        write = Aggregation(filtered=filtered, over=over)
        if is_aggregate:
            arguments, write = self._around_arguments(name, arguments, write, where, context)
        if ignores:
            if name not in windows.MAY_IGNORE_NULLS:
                raise SqlError(
                    f"{name}() takes no ignore nulls on the laptop ({where}): filter the nulls out."
                )
            write = replace(write, order=ignores)
        if name in WINDOWS:
            self._check_window(name, window, filtered, where, context)
        if name == "count" and len(arguments) == 1 and isinstance(arguments[0], exp.Star):
            arguments = []
        call = self._as_call(name, arguments, node, context)
        return (AGGREGATES if is_aggregate else WINDOWS)[name](call, write)

    def _around_arguments(
        self, name: str, arguments: list[exp.Expr], write: Aggregation, where: str, context: Context
    ) -> tuple[list[exp.Expr], Aggregation]:
        order = next((one for one in arguments if isinstance(one, exp.Order)), None)
        if order is not None:
            if name not in aggregates.MAY_BE_ORDERED or arguments[-1] is not order:
                raise SqlError(f"{name}() takes no order by ({where}): only array_agg does.")
            terms = [self._term(term, context) for term in order.expressions]
            write = replace(write, order=f" order by {', '.join(terms)}")
            arguments = [*arguments[:-1], order.this]
        if any(isinstance(one, exp.Distinct) for one in arguments):
            distinct = arguments[0]
            if name not in aggregates.MAY_BE_DISTINCT or write.over or len(arguments) != 1:
                raise SqlError(f"{name}() takes no distinct here ({where}): select distinct in a subquery.")
            arguments = list(distinct.expressions)
            if len(arguments) != 1:
                raise SqlError(f"{name}(distinct …) takes one value ({where}): concat the values.")
            write = replace(write, distinct=True)
        return arguments, write

    def _check_window(
        self, name: str, window: exp.Window | None, filtered: str, where: str, context: Context
    ) -> None:
        if window is None or filtered:
            raise SqlError(f"{name}() needs over (…) and takes no filter ({where}).")
        if name in windows.NEED_AN_ORDER:
            spec = self._specification(window, context)
            if spec.args.get("order") is None or spec.args.get("spec") is not None:
                raise SqlError(f"{name}() needs an order by in its window and takes no frame ({where}).")

    def _specification(self, node: exp.Window, context: Context) -> exp.Window:
        alias = node.args.get("alias")
        if alias is None:
            return node
        name = name_of(self._text, alias)
        known = (context.scope or Scope()).windows
        if name not in known or any(node.args.get(part) for part in ("partition_by", "order", "spec")):
            raise self.wrong(node, f"There is no window {name!r} to use as it is", "write over (…)")
        return known[name]

    def _window(self, node: exp.Window, context: Context) -> str:
        node = self._specification(node, context)
        parts = []
        if node.args.get("partition_by"):
            parts.append(
                "partition by " + ", ".join(self.value(one, context).sql for one in node.args["partition_by"])
            )
        if (order := node.args.get("order")) is not None:
            parts.append("order by " + ", ".join(self._term(term, context) for term in order.expressions))
        if (frame := node.args.get("spec")) is not None:
            parts.append(self._frame(frame))
        return " ".join(parts)

    def _term(self, term: exp.Expr, context: Context) -> str:
        """A term of an order by that is not the query's own, where a number names no column."""
        if isinstance(term.this, exp.Literal):
            raise self.wrong(term, "A constant orders nothing here", "order by a column")
        return self.sortable(self.value(term.this, context), term) + direction(term)

    def _frame(self, frame: exp.Expr) -> str:
        kind = str(frame.args.get("kind")).lower()
        if kind not in ("rows", "range") or frame.args.get("exclude"):
            raise self.wrong(frame, "A frame counts rows or a range", "write rows between … and …")
        edges = [self._edge(frame, "start", kind)]
        if frame.args.get("end") is not None:
            edges.append(self._edge(frame, "end", kind))
        return f"{kind} between {edges[0]} and {edges[1] if len(edges) == 2 else 'current row'}"

    def _edge(self, frame: exp.Expr, side: str, kind: str) -> str:
        edge, direction = frame.args.get(side), str(frame.args.get(f"{side}_side") or "").lower()
        if isinstance(edge, str):
            return f"{edge.lower()} {direction}".strip()
        if kind == "rows" and isinstance(edge, exp.Literal) and edge.name.isdigit():
            return f"{edge.name} {direction}"
        if kind == "range" and isinstance(edge, exp.Interval):
            return f"{self._interval(edge).sql} {direction}"
        raise SqlError(
            f"A frame's edge is a number of rows or an interval written out ({place_of(self._text, frame)})."
        )

    # Refusals.

    def unsupported(self, node: exp.Expr) -> SqlError:
        return SqlError(refusal(type(node).__name__, self._text, node))

    @contextmanager
    def _placed(self, node: exp.Expr) -> Iterator[None]:
        """Adds the place to a refusal that does not know it."""
        try:
            yield
        except SqlError as error:
            if "line " in str(error):
                raise
            raise self.wrong(node, f"{str(error).rstrip('.')}", "cast one of them") from error


def direction(term: exp.Expr) -> str:
    """Athena puts nulls last in both directions unless told otherwise."""
    way = "desc" if term.args.get("desc") else "asc"
    return f" {way} nulls {'first' if term.args.get('nulls_first') else 'last'}"
