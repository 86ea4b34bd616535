"""Functions of JSON."""

from __future__ import annotations

import re

from sql.duck import cast, string
from sql.functions.call import Call, Scalar
from sql.typed import Typed
from sql.types import BIGINT, JSON, VARCHAR


def _path(call: Call) -> str:
    """A JSON path of Athena, such as $.store.book[0]["a title"], as DuckDB writes it."""
    path = call.text(1)
    parts = []
    at = 1
    piece = re.compile(
        r"""\.([A-Za-z_$@][\w$@-]*)|\[([0-9]+)\]|\["((?:[^"\\])*)"\]|\['((?:[^'\\"])*)'\]|\[([A-Za-z_]\w*)\]"""
    )
    while path.startswith("$") and at < len(path):
        found = piece.match(path, at)
        if found is None:
            break
        index = found.group(2)
        name = next((one for one in found.group(1, 3, 4, 5) if one is not None), "")
        parts.append(f"[{index}]" if index is not None else f'."{name}"')
        at = found.end()
    if not parts or at < len(path):
        raise call.wrong(f'cannot follow the path {path!r}: write it like $.store.book[0]["a title"]')
    return string("$" + "".join(parts))


def _json_text(call: Call) -> str:
    of = call.arguments[0]
    if of.type.name not in ("varchar", "json", "unknown"):
        raise call.wrong(f"needs varchar or json as argument 1 and got {of.type}: cast the argument")
    return cast(of.sql, VARCHAR)


def _json_extract_scalar(call: Call) -> Typed:
    call.counts(2)
    return Typed(f"athena_json_at({_json_text(call)}, {_path(call)}, 'text')", VARCHAR)


def _json_extract(call: Call) -> Typed:
    call.counts(2)
    return Typed(cast(f"athena_json_at({_json_text(call)}, {_path(call)}, 'json')", JSON), JSON)


def _json_parse(call: Call) -> Typed:
    call.counts(1)
    return Typed(cast(call.given(0, VARCHAR), JSON), JSON)


def _json_array_length(call: Call) -> Typed:
    call.counts(1)
    return Typed(f"athena_json_array_length({_json_text(call)})", BIGINT)


FUNCTIONS: dict[str, Scalar] = {
    "json_array_length": _json_array_length,
    "json_extract": _json_extract,
    "json_extract_scalar": _json_extract_scalar,
    "json_parse": _json_parse,
}
