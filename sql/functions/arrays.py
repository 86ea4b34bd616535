"""Functions of arrays, maps and rows."""

from __future__ import annotations

from sql.duck import cast, failure, quoted
from sql.errors import SqlError
from sql.functions.call import Call, Scalar
from sql.typed import Typed, coerce
from sql.types import BIGINT, BOOLEAN, VARCHAR, SqlType, array, common


def _array(call: Call, index: int = 0) -> Typed:
    of = call.arguments[index]
    if of.type.name != "array":
        raise call.wrong(f"needs an array as argument {index + 1} and got {of.type}")
    return of


def _cardinality(call: Call) -> Typed:
    call.counts(1)
    of = call.arguments[0]
    if of.type.name not in ("array", "map"):
        raise call.wrong(f"needs an array or a map and got {of.type}")
    counted = "len" if of.type.name == "array" else "cardinality"
    return Typed(cast(f"{counted}({of.sql})", BIGINT), BIGINT)


def _element_at(call: Call) -> Typed:
    call.counts(2)
    of = call.arguments[0]
    if of.type.name == "map":
        key = call.given(1, of.type.arguments[0])
        return Typed(f"map_extract_value({of.sql}, {key})", of.type.arguments[1])
    element = _array(call).type.arguments[0]
    index = call.given(1, BIGINT)
    wrong = failure("element_at() counts from 1.", element)
    return Typed(f"case when {index} = 0 then {wrong} else list_extract({of.sql}, {index}) end", element)


def subscript(call: Call) -> Typed:
    """`a[1]` and `m['key']`, which stop the query where there is nothing; element_at() answers null there."""
    of = call.arguments[0]
    if of.type.name == "map":
        key = call.given(1, of.type.arguments[0])
        wrong = failure(
            "The map has no such key: element_at(map, key) answers null there.",
            of.type.arguments[1],
            about=key,
        )
        missing = f"({of.sql} is not null and not map_contains({of.sql}, {key}))"
        return Typed(
            f"case when {missing} then {wrong} else map_extract_value({of.sql}, {key}) end",
            of.type.arguments[1],
        )
    if of.type.name != "array":
        raise SqlError(f"[…] takes an element of an array or a map, and got {of.type} ({call.where}).")
    element = of.type.arguments[0]
    index = call.given(1, BIGINT)
    wrong = failure(
        "The array has no such element: element_at(array, index) answers null there.", element, about=index
    )
    return Typed(
        f"case when {index} < 1 or {index} > len({of.sql}) then {wrong}"
        f" else list_extract({of.sql}, {index}) end",
        element,
    )


def _contains(call: Call) -> Typed:
    call.counts(2)
    of = _array(call)
    element = common(of.type.arguments[0], call.arguments[1].type)
    if element is None or not element.is_orderable:
        raise call.wrong(f"cannot look for {call.arguments[1].type} in {of.type}: cast one of them")
    return Typed(
        f"athena_contains({coerce(of, array(element))}, {coerce(call.arguments[1], element)})", BOOLEAN
    )


def _array_join(call: Call) -> Typed:
    call.counts(2, 3)
    of = _array(call)
    if of.type.arguments[0] != VARCHAR:
        raise call.wrong(f"joins array(varchar) on the laptop and got {of.type}: cast the array")
    given = of.sql
    if len(call.arguments) == 3:
        given = f"list_transform({given}, lambda one: coalesce(one, {call.given(2, VARCHAR)}))"
    joined = f"array_to_string({given}, {call.given(1, VARCHAR)})"
    # An array with nothing to join is an empty text in Athena.
    return Typed(f"case when {of.sql} is null then null else coalesce({joined}, '') end", VARCHAR)


def _array_sort(call: Call) -> Typed:
    call.counts(1)
    of = _array(call)
    if not of.type.arguments[0].is_orderable or of.type.arguments[0].is_floating:
        raise call.wrong(f"cannot put {of.type} in an order on the laptop")
    return Typed(f"list_sort({of.sql}, 'asc', 'nulls last')", of.type)


def _array_extreme(call: Call) -> Typed:
    call.counts(1)
    of = _array(call)
    element = of.type.arguments[0]
    if not element.is_orderable or element.is_floating:
        raise call.wrong(f"cannot put {of.type} in an order on the laptop")
    name = "list_max" if call.name == "array_max" else "list_min"
    # DuckDB leaves nulls out, Athena answers null.
    missing = f"len(list_filter({of.sql}, lambda one: one is null)) > 0"
    return Typed(f"case when {missing} then null else {name}({of.sql}) end", element)


def _map_side(call: Call) -> Typed:
    call.counts(1)
    of = call.arguments[0]
    if of.type.name != "map":
        raise call.wrong(f"needs a map and got {of.type}")
    return Typed(f"{call.name}({of.sql})", array(of.type.arguments[0 if call.name == "map_keys" else 1]))


def _row(call: Call) -> Typed:
    if not call.arguments:
        raise call.wrong("needs values")
    kinds = tuple(argument.type for argument in call.arguments)
    fields = tuple(f"field{index}" for index in range(len(kinds)))
    packed = ", ".join(
        f"{quoted(name)} := {one.sql}" for name, one in zip(fields, call.arguments, strict=True)
    )
    return Typed(f"struct_pack({packed})", SqlType("row", kinds, fields), parts=call.arguments)


FUNCTIONS: dict[str, Scalar] = {
    "array_join": _array_join,
    "array_max": _array_extreme,
    "array_min": _array_extreme,
    "array_sort": _array_sort,
    "cardinality": _cardinality,
    "contains": _contains,
    "element_at": _element_at,
    "map_keys": _map_side,
    "map_values": _map_side,
    "row": _row,
}
