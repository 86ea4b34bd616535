"""Functions that choose between values."""

from __future__ import annotations

from dataclasses import replace

from sql.functions.call import Call, Scalar
from sql.typed import Typed


def _coalesce(call: Call) -> Typed:
    if len(call.arguments) < 2:
        raise call.wrong("takes at least 2 arguments")
    shared, given = call.together()
    return Typed(
        f"coalesce({', '.join(given)})", shared, is_stored=all(one.is_stored for one in call.arguments)
    )


def _nullif(call: Call) -> Typed:
    call.counts(2)
    shared, given = call.together(orderable=True)
    first = call.arguments[0]
    equal = f"({given[0]} = {given[1]})"
    if shared.is_floating and any(one.may_be_nan for one in call.arguments):
        equal = f"athena_ordered({given[0]}, {given[1]}, {equal}, false)"
    return Typed(f"case when {equal} then null else {first.sql} end", first.type, is_stored=first.is_stored)


def _try(call: Call) -> Typed:
    call.counts(1)
    return replace(call.arguments[0], sql=f"try({call.arguments[0].sql})", text=None, digits=None, instant="")


def _greatest(call: Call) -> Typed:
    shared, given = call.together(orderable=True)
    if shared.is_floating:
        pairs = zip(call.arguments, given, strict=True)
        given = [f"athena_number({sql})" if one.may_be_nan else sql for one, sql in pairs]
    missing = " or ".join(f"{sql} is null" for sql in given)
    # DuckDB leaves nulls out, Athena answers null.
    return Typed(f"case when {missing} then null else {call.name}({', '.join(given)}) end", shared)


FUNCTIONS: dict[str, Scalar] = {
    "coalesce": _coalesce,
    "greatest": _greatest,
    "least": _greatest,
    "nullif": _nullif,
    "try": _try,
}
