"""Functions of texts, regular expressions included."""

from __future__ import annotations

from sql import patterns
from sql.duck import cast, string
from sql.functions.call import Call, Scalar, plain
from sql.typed import Typed, coerce
from sql.types import BIGINT, BOOLEAN, INTEGER, VARCHAR, array


def _concat(call: Call) -> Typed:
    if len(call.arguments) < 2:
        raise call.wrong("takes at least 2 arguments")
    kinds = {argument.type.name for argument in call.arguments}
    if kinds <= {"varchar", "unknown"}:
        # DuckDB's concat() leaves nulls out; || does not, and neither does Athena.
        return Typed("(" + " || ".join(coerce(one, VARCHAR) for one in call.arguments) + ")", VARCHAR)
    if kinds == {"array"}:
        shared, given = call.together()
        return Typed("(" + " || ".join(given) + ")", shared)
    raise call.wrong("joins varchars with varchars or arrays with arrays: cast what is neither")


def _substring(call: Call) -> Typed:
    call.counts(2, 3)
    given = [call.given(0, VARCHAR), *(call.given(index, BIGINT) for index in range(1, len(call.arguments)))]
    macro = "athena_substr" if len(given) == 2 else "athena_substr_of"
    return Typed(f"{macro}({', '.join(given)})", VARCHAR)


def _replace(call: Call) -> Typed:
    call.counts(2, 3)
    put = call.given(2, VARCHAR) if len(call.arguments) == 3 else "''"
    return Typed(f"athena_replace({call.given(0, VARCHAR)}, {call.given(1, VARCHAR)}, {put})", VARCHAR)


def _pad(call: Call) -> Typed:
    call.counts(3)
    text, size, pad = call.given(0, VARCHAR), call.given(1, BIGINT), call.given(2, VARCHAR)
    # DuckDB stops at an empty padding by itself; the check must not depend on its words.
    length = cast(f"greatest({size}, 0)", INTEGER)
    padded = f"{call.name}({text}, {length}, case when {pad} = '' then ' ' else {pad} end)"
    return Typed(f"athena_pad({padded}, {size}, {pad})", VARCHAR)


def _pattern(call: Call) -> tuple[str, patterns.Pattern]:
    """The text to look into, wrapped in the checks that the pattern asks for, and the pattern."""
    pattern = patterns.translate(call.text(1))
    text = call.given(0, VARCHAR)
    if pattern.ascii_only:
        text = f"athena_ascii({text})"
    if pattern.one_line:
        text = f"athena_one_line({text})"
    return text, pattern


def _regexp_like(call: Call) -> Typed:
    call.counts(2)
    text, pattern = _pattern(call)
    return Typed(f"regexp_matches({text}, {string(pattern.text)})", BOOLEAN)


def _regexp_extract(call: Call) -> Typed:
    call.counts(2, 3)
    text, pattern = _pattern(call)
    group = call.whole(2) if len(call.arguments) == 3 else 0
    if group > pattern.groups:
        raise call.wrong(f"asks for group {group} of a pattern with {pattern.groups}")
    if group and pattern.optional_groups:
        raise call.wrong(
            "asks for a group of a pattern with | or an optional group, where Athena answers null and DuckDB "
            "the empty text: write one regexp_extract for each case and join them with coalesce"
        )
    written = string(pattern.text)
    return Typed(
        f"case when regexp_matches({text}, {written}) then regexp_extract({text}, {written}, {group}) end",
        VARCHAR,
    )


def _regexp_replace(call: Call) -> Typed:
    call.counts(2, 3)
    text, pattern = _pattern(call)
    if pattern.matches_nothing:
        raise call.wrong("has a pattern that matches the empty text: use + instead of *")
    put = patterns.replacement(call.text(2), pattern.groups) if len(call.arguments) == 3 else ""
    return Typed(f"regexp_replace({text}, {string(pattern.text)}, {string(put)}, 'g')", VARCHAR)


FUNCTIONS: dict[str, Scalar] = {
    "chr": plain("chr(cast({0} as INTEGER))", VARCHAR, BIGINT),
    "concat": _concat,
    "length": plain("length({0})", BIGINT, VARCHAR),
    "lower": plain("lower({0})", VARCHAR, VARCHAR),
    "lpad": _pad,
    "ltrim": plain("athena_ltrim({0})", VARCHAR, VARCHAR),
    "regexp_extract": _regexp_extract,
    "regexp_like": _regexp_like,
    "regexp_replace": _regexp_replace,
    "replace": _replace,
    # DuckDB's reverse() keeps what is seen as one character together, Athena turns code points round.
    "reverse": plain("array_to_string(list_reverse(string_split({0}, '')), '')", VARCHAR, VARCHAR),
    "rpad": _pad,
    "rtrim": plain("athena_rtrim({0})", VARCHAR, VARCHAR),
    "split": plain("athena_split({0}, {1})", array(VARCHAR), VARCHAR, VARCHAR),
    "split_part": plain("athena_split_part({0}, {1}, {2})", VARCHAR, VARCHAR, VARCHAR, BIGINT),
    "starts_with": plain("starts_with({0}, {1})", BOOLEAN, VARCHAR, VARCHAR),
    "strpos": plain("cast(strpos({0}, {1}) as BIGINT)", BIGINT, VARCHAR, VARCHAR),
    "substr": _substring,
    "substring": _substring,
    "trim": plain("athena_trim({0})", VARCHAR, VARCHAR),
    "upper": plain("athena_upper({0})", VARCHAR, VARCHAR),
}
