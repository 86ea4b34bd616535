"""Aggregates. `approx_distinct` and `approx_percentile` are approximate in Athena and exact here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sql.duck import cast
from sql.functions.call import Call
from sql.functions.numbers import scaled
from sql.typed import Typed, coerce
from sql.types import BIGINT, BOOLEAN, DOUBLE, REAL, array, decimal


@dataclass(frozen=True)
class Aggregation:
    """How one aggregate call is written around its arguments: distinct, order by, filter, over."""

    distinct: bool = False
    order: str = ""
    filtered: str = ""
    over: str = ""

    def __call__(self, function: str, *given: str) -> str:
        inner = ", ".join(given)
        return (
            f"{function}({'distinct ' if self.distinct else ''}{inner}{self.order})"
            f"{f' filter (where {self.filtered})' if self.filtered else ''}{self.over}"
        )


Aggregate = Callable[[Call, Aggregation], Typed]


def _count(call: Call, write: Aggregation) -> Typed:
    call.counts(0, 1)
    return Typed(write("count", call.arguments[0].sql if call.arguments else "*"), BIGINT)


def _count_if(call: Call, write: Aggregation) -> Typed:
    call.counts(1)
    return Typed(write("count", f"case when {call.given(0, BOOLEAN)} then 1 end"), BIGINT)


def _sum(call: Call, write: Aggregation) -> Typed:
    call.counts(1)
    of = call.number()
    kind = (
        BIGINT if of.type.is_integer else decimal(38, of.type.scale) if of.type.name == "decimal" else of.type
    )
    return Typed(cast(write("sum", of.sql), kind), kind)


def _avg(call: Call, write: Aggregation) -> Typed:
    call.counts(1)
    of = call.number()
    if of.type.name != "decimal":
        kind = REAL if of.type == REAL else DOUBLE
        return Typed(cast(write("avg", of.sql), kind), kind)
    total = cast(write("sum", of.sql), decimal(38, of.type.scale))
    return scaled(
        f"athena_divide(athena_unscaled({total}), {cast(write('count', of.sql), decimal(38, 0))}::HUGEINT)",
        of.type,
    )


def _extreme(call: Call, write: Aggregation) -> Typed:
    call.counts(1)
    of = call.arguments[0]
    if not of.type.is_orderable:
        raise call.wrong(f"cannot put {of.type} in an order")
    found = write(call.name, of.sql)
    if of.may_be_nan:
        # Athena counts NaN only where there is nothing else; DuckDB holds it for the greatest.
        found = (
            f"coalesce({write(call.name, f'case when isnan({of.sql}) then null else {of.sql} end')}, {found})"
        )
    return Typed(found, of.type, is_stored=of.is_stored)


def _extreme_by(call: Call, write: Aggregation) -> Typed:
    call.counts(2)
    of, by = call.arguments
    if not by.type.is_orderable:
        raise call.wrong(f"cannot put {by.type} in an order")
    place = f"athena_number({by.sql})" if by.may_be_nan else by.sql
    # In a row of its own a null is an answer; DuckDB would leave it out.
    found = write("arg_max" if call.name == "max_by" else "arg_min", f"struct_pack(v := {of.sql})", place)
    return Typed(f"struct_extract({found}, 'v')", of.type, is_stored=of.is_stored)


def _array_agg(call: Call, write: Aggregation) -> Typed:
    call.counts(1)
    return Typed(write("list", call.arguments[0].sql), array(call.arguments[0].type))


def _approx_distinct(call: Call, write: Aggregation) -> Typed:
    call.counts(1, 2)
    return Typed(replace(write, distinct=True)("count", call.arguments[0].sql), BIGINT)


def _approx_percentile(call: Call, write: Aggregation) -> Typed:
    call.counts(2)
    of = call.number()
    kind = BIGINT if of.type.is_integer else DOUBLE if of.type.name == "decimal" else of.type
    given = coerce(of, kind)
    shares = call.arguments[1].parts or (call.arguments[1],)
    if any(share.digits is None or not 0 <= float(share.digits) <= 1 for share in shares):
        raise call.wrong("needs a share from 0 to 1, or an array of them, written out as argument 2")
    found = [write("quantile_disc", given, str(share.digits)) for share in shares]
    if not call.arguments[1].parts:
        return Typed(found[0], kind)
    return Typed(f"case when {write('count', given)} > 0 then [{', '.join(found)}] end", array(kind))


def _boolean(call: Call, write: Aggregation) -> Typed:
    call.counts(1)
    return Typed(write("bool_or" if call.name == "bool_or" else "bool_and", call.given(0, BOOLEAN)), BOOLEAN)


def _any_value(call: Call, write: Aggregation) -> Typed:
    call.counts(1)
    return Typed(
        write("any_value", call.arguments[0].sql),
        call.arguments[0].type,
        is_stored=call.arguments[0].is_stored,
    )


def _spread(function: str) -> Aggregate:
    def answer(call: Call, write: Aggregation) -> Typed:
        call.counts(1)
        return Typed(write(function, call.given(0, DOUBLE)), DOUBLE)

    return answer


FUNCTIONS: dict[str, Aggregate] = {
    "any_value": _any_value,
    "approx_distinct": _approx_distinct,
    "approx_percentile": _approx_percentile,
    "arbitrary": _any_value,
    "array_agg": _array_agg,
    "avg": _avg,
    "bool_and": _boolean,
    "bool_or": _boolean,
    "count": _count,
    "count_if": _count_if,
    "every": _boolean,
    "max": _extreme,
    "max_by": _extreme_by,
    "min": _extreme,
    "min_by": _extreme_by,
    "stddev": _spread("stddev_samp"),
    "stddev_pop": _spread("stddev_pop"),
    "stddev_samp": _spread("stddev_samp"),
    "sum": _sum,
    "var_pop": _spread("var_pop"),
    "var_samp": _spread("var_samp"),
    "variance": _spread("var_samp"),
}
MAY_BE_DISTINCT = frozenset(("array_agg", "avg", "count", "max", "min", "sum"))
MAY_BE_ORDERED = frozenset(("array_agg",))
