"""Functions of numbers, and the operators between them."""

from __future__ import annotations

from sql.duck import cast
from sql.errors import SqlError
from sql.functions.call import Call, Scalar, plain
from sql.typed import Typed, coerce
from sql.types import BOOLEAN, DOUBLE, REAL, SqlType, as_decimal, common, decimal


def _abs(call: Call) -> Typed:
    call.counts(1)
    of = call.number()
    return Typed(cast(f"abs({of.sql})", of.type), of.type, is_stored=of.is_stored)


def _round(call: Call) -> Typed:
    call.counts(1, 2)
    of = call.number()
    digits = call.whole(1) if len(call.arguments) == 2 else None
    if of.type.is_integer:
        return of
    if of.type.name == "decimal":
        if digits is None:
            kind = decimal(of.type.precision - of.type.scale + min(1, of.type.scale), 0)
        else:
            kind = decimal(of.type.precision + 1, of.type.scale)
        if of.type.scale == 0:
            return Typed(cast(of.sql, kind), kind)
        # One digit more before rounding: 9.9 becomes 10, which decimal(2,1) cannot hold.
        wide = cast(of.sql, decimal(of.type.precision + 1, of.type.scale))
        rounded = f"round({wide}, {min(digits or 0, of.type.scale)})"
        return Typed(cast(rounded, kind), kind)
    return Typed(cast(f"round({of.sql}, {digits or 0})", of.type), of.type, is_stored=of.is_stored)


def _floor(call: Call) -> Typed:
    call.counts(1)
    of = call.number()
    if of.type.is_integer:
        return of
    kind = of.type
    if kind.name == "decimal":
        kind = decimal(of.type.precision - of.type.scale + min(1, of.type.scale), 0)
    name = "floor" if call.name == "floor" else "ceil"
    wide = (
        cast(of.sql, decimal(of.type.precision + 1, of.type.scale)) if of.type.name == "decimal" else of.sql
    )
    return Typed(cast(f"{name}({wide})", kind), kind, is_stored=of.is_stored)


def _sign(call: Call) -> Typed:
    call.counts(1)
    of = call.number()
    kind = decimal(1, 0) if of.type.name == "decimal" else of.type
    return Typed(cast(f"sign({of.sql})", kind), kind)


def divide(left: Typed, right: Typed) -> Typed:
    """Athena's `/`: whole numbers truncate, decimals keep the longer fraction, doubles are IEEE's."""
    shared = common(left.type, right.type)
    if shared is None or not shared.is_number:
        raise SqlError(f"{left.type} / {right.type} has no answer here")
    if shared.is_floating:
        return Typed(f"({coerce(left, shared)} / {coerce(right, shared)})", shared)
    if shared.is_integer:
        return Typed(f"({coerce(left, shared)} // {coerce(right, shared)})", shared)
    above, below = as_decimal(left.type), as_decimal(right.type)
    kind = decimal(
        above.precision + below.scale + max(0, below.scale - above.scale), max(above.scale, below.scale)
    )
    zeros = kind.scale - above.scale + below.scale
    dividend = f"(athena_unscaled({coerce(left, above)}) * cast('1{'0' * zeros}' as HUGEINT))"
    return scaled(f"athena_divide({dividend}, athena_unscaled({coerce(right, below)}))", kind)


def scaled(unscaled: str, kind: SqlType) -> Typed:
    """The decimal whose digits are the given whole number."""
    if kind.scale == 0:
        return Typed(cast(unscaled, kind), kind)
    one = f"cast('0.{'0' * (kind.scale - 1)}1' as DECIMAL({kind.scale},{kind.scale}))"
    return Typed(cast(f"({cast(unscaled, decimal(38, 0))} * {one})", kind), kind)


def arithmetic(sign: str, left: Typed, right: Typed) -> Typed:
    """Athena's `+ - * %` on numbers; results have Athena's types, so they overflow where they do there."""
    shared = common(left.type, right.type)
    if shared is None or not shared.is_number:
        raise SqlError(f"{left.type} {sign} {right.type} has no answer here")
    if shared.name != "decimal":
        given = f"({coerce(left, shared)} {sign} {coerce(right, shared)})"
        return Typed(given if shared != REAL else cast(given, REAL), shared)
    one, other = as_decimal(left.type), as_decimal(right.type)
    before = max(one.precision - one.scale, other.precision - other.scale)
    scale = max(one.scale, other.scale)
    match sign:
        case "*":
            kind = decimal(one.precision + other.precision, one.scale + other.scale)
            # DuckDB keeps a product of two short decimals short; one long factor makes it long.
            first = decimal(38, one.scale) if kind.precision > 18 else one
            return Typed(cast(f"({coerce(left, first)} * {coerce(right, other)})", kind), kind)
        case "%":
            kind = decimal(min(one.precision - one.scale, other.precision - other.scale) + scale, scale)
            wide = decimal(before + scale, scale)
        case _:
            kind = wide = decimal(1 + before + scale, scale)
    return Typed(cast(f"({coerce(left, wide)} {sign} {coerce(right, wide)})", kind), kind)


def _mod(call: Call) -> Typed:
    call.counts(2)
    return arithmetic("%", call.number(0), call.number(1))


FUNCTIONS: dict[str, Scalar] = {
    "abs": _abs,
    "ceil": _floor,
    "ceiling": _floor,
    "exp": plain("exp({0})", DOUBLE, DOUBLE),
    "floor": _floor,
    "is_finite": plain("isfinite({0})", BOOLEAN, DOUBLE),
    "is_infinite": plain("isinf({0})", BOOLEAN, DOUBLE),
    "is_nan": plain("isnan({0})", BOOLEAN, DOUBLE),
    "ln": plain("ln({0})", DOUBLE, DOUBLE),
    "log10": plain("log10({0})", DOUBLE, DOUBLE),
    "mod": _mod,
    "pow": plain("power({0}, {1})", DOUBLE, DOUBLE, DOUBLE),
    "power": plain("power({0}, {1})", DOUBLE, DOUBLE, DOUBLE),
    "round": _round,
    "sign": _sign,
    "sqrt": plain("sqrt({0})", DOUBLE, DOUBLE),
    "truncate": plain("trunc({0})", DOUBLE, DOUBLE),
}
