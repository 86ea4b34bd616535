"""Window functions; aggregates can stand over a window too."""

from __future__ import annotations

from sql.functions.aggregates import Aggregate, Aggregation
from sql.functions.call import Call
from sql.typed import Typed
from sql.types import BIGINT, DOUBLE, SqlType


def _ranking(result: SqlType, function: str) -> Aggregate:
    def answer(call: Call, write: Aggregation) -> Typed:
        call.counts(0)
        return Typed(write(function), result)

    return answer


def _ntile(call: Call, write: Aggregation) -> Typed:
    call.counts(1)
    return Typed(write("ntile", str(call.whole(0))), BIGINT)


def _neighbour(call: Call, write: Aggregation) -> Typed:
    call.counts(1, 2, 3)
    of = call.arguments[0]
    given = [of.sql]
    kind = of.type
    if len(call.arguments) > 1:
        # DuckDB takes a negative step as the other direction, Athena as a mistake.
        given.append(str(call.whole(1)))
    if len(call.arguments) == 3:
        given.append(call.given(2, kind))
    return Typed(write(call.name, *given), kind, is_stored=of.is_stored)


def _edge(call: Call, write: Aggregation) -> Typed:
    call.counts(1)
    return Typed(
        write(call.name, call.arguments[0].sql), call.arguments[0].type, is_stored=call.arguments[0].is_stored
    )


FUNCTIONS: dict[str, Aggregate] = {
    "cume_dist": _ranking(DOUBLE, "cume_dist"),
    "dense_rank": _ranking(BIGINT, "dense_rank"),
    "first_value": _edge,
    "lag": _neighbour,
    "last_value": _edge,
    "lead": _neighbour,
    "ntile": _ntile,
    "percent_rank": _ranking(DOUBLE, "percent_rank"),
    "rank": _ranking(BIGINT, "rank"),
    "row_number": _ranking(BIGINT, "row_number"),
}
MAY_IGNORE_NULLS = frozenset(("first_value", "lag", "last_value", "lead"))
NEED_AN_ORDER = frozenset(("lag", "lead"))
