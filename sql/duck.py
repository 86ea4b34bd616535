"""DuckDB's side: pieces of its SQL, the macros that give it Athena's meanings, and how a connection is set.

A macro stands here when Athena's function needs its argument more than once; what needs it once is written in
`sql.functions`. All errors at run time are made by `failure`.
"""

from __future__ import annotations

import re
import textwrap

import duckdb

from sql.errors import SqlError
from sql.types import SqlType

# DuckDB's error() is volatile, and TRY() takes nothing volatile. A cast of words to a number is neither.
_MARK = "athena: "


def quoted(name: str) -> str:
    """A name in DuckDB's SQL."""
    return '"' + name.replace('"', '""') + '"'


def string(text: str) -> str:
    """A string in DuckDB's SQL."""
    return "'" + text.replace("'", "''") + "'"


def cast(sql: str, to: SqlType) -> str:
    return f"cast({sql} as {to.duckdb})"


def failure(sentence: str, to: SqlType, *, about: str = "") -> str:
    """An expression that stops the query with a sentence; `about` is DuckDB SQL whose value follows it."""
    words = string(_MARK + sentence) + (
        f" || ' It is: ' || coalesce(cast({about} as VARCHAR), 'null')" if about else ""
    )
    return cast(f"cast(cast({words} as INTEGER) as VARCHAR)", to)


# Java's Character.isWhitespace, which is what Athena's trim() takes off; DuckDB's takes off blanks only.
_BLANK_CODES = (
    *(*range(9, 14), *range(28, 33), 0x1680, *range(0x2000, 0x2007), *range(0x2008, 0x200B)),
    *(0x2028, 0x2029, 0x205F, 0x3000),
)
_WHITESPACE = " || ".join(f"chr({code})" for code in _BLANK_CODES)

_CUT_OFF = (
    "The text begins like JSON and is not whole; what Athena finds in it depends on where it breaks off."
)
_NUMBER_AS_TEXT = (
    "A number in the JSON is written in a way that DuckDB does not keep (such as 1e5 or 0.10); "
    "cast json_extract to a number instead of taking its text."
)
_VARCHAR = SqlType("varchar")
_BIGINT = SqlType("bigint")
_BOOLEAN = SqlType("boolean")
_DOUBLE = SqlType("double")

_MACROS = {
    "athena_trim(x)": f"trim(x, {_WHITESPACE})",
    "athena_ltrim(x)": f"ltrim(x, {_WHITESPACE})",
    "athena_rtrim(x)": f"rtrim(x, {_WHITESPACE})",
    # Java turns a letter into one letter, so ß stays; DuckDB makes ẞ of it. U+FDD0 is never a character.
    "athena_upper(x)": "replace(upper(replace(x, 'ß', chr(64976))), chr(64976), 'ß')",
    "athena_substr(x, start)": (
        "case when x is null or start is null then null"
        " when start = 0 or -start > length(x) then '' else substr(x, start) end"
    ),
    "athena_substr_of(x, start, count)": (
        "case when x is null or start is null or count is null then null"
        " when start = 0 or count <= 0 or -start > length(x) then '' else substr(x, start, count) end"
    ),
    "athena_split_part(x, delimiter, place)": (
        "case when place < 1 then "
        + failure("split_part() counts its fields from 1.", _VARCHAR)
        + " else list_extract(string_split(x, delimiter), place) end"
    ),
    "athena_split(x, delimiter)": (
        "case when delimiter = '' then "
        + failure("split() needs a delimiter that is not empty.", SqlType("array", (_VARCHAR,)))
        + " else string_split(x, delimiter) end"
    ),
    "athena_replace(x, search, put)": (
        "case when search = '' then "
        + failure("replace() of an empty text differs between Athena and DuckDB.", _VARCHAR)
        + " else replace(x, search, put) end"
    ),
    "athena_pad(padded, size, pad)": (
        "case when size < 0 or pad = '' then "
        + failure("lpad() and rpad() need a size from 0 and a padding that is not empty.", _VARCHAR)
        + " else padded end"
    ),
    "athena_ascii(x)": (
        "case when strlen(x) <> length(x) then "
        + failure(
            "The pattern's \\w, \\d, \\s, \\b or (?i) may mean something else in Athena on letters outside "
            "ASCII; write the characters out as a class.",
            _VARCHAR,
            about="x",
        )
        + " else x end"
    ),
    "athena_one_line(x)": (
        "case when contains(x, chr(10)) then "
        + failure(
            "The pattern's ^ or $ may mean something else in Athena on a text of several lines.", _VARCHAR
        )
        + " else x end"
    ),
    "athena_contains(x, element)": (
        "case when x is null or element is null then null when list_contains(x, element) then true"
        " when len(list_filter(x, lambda one: one is null)) > 0 then null else false end"
    ),
    # DuckDB may work out a branch of a case before it is chosen, so no branch is given what is not JSON.
    "athena_json(x)": "case when json_valid(x) then x end",
    # Athena reads a text up to what it looks for and answers null where that is not JSON.
    "athena_json_at(x, path, kind)": (
        "case when x is null or not regexp_matches(x, '^[ \\t\\r\\n]*[\\[{]') then null"
        f" when not json_valid(x) then {failure(_CUT_OFF, _VARCHAR, about='x')}"
        " when kind = 'json' then cast(json_extract(athena_json(x), path) as VARCHAR)"
        " when json_type(athena_json(x), path) in ('OBJECT', 'ARRAY', 'NULL') then null"
        " when json_type(athena_json(x), path) = 'DOUBLE' and not regexp_matches(x, '(^|[^0-9.eE+-])'"
        " || regexp_escape(json_extract_string(athena_json(x), path)) || '($|[^0-9.eE])')"
        f" then {failure(_NUMBER_AS_TEXT, _VARCHAR, about='json_extract_string(athena_json(x), path)')}"
        " else json_extract_string(athena_json(x), path) end"
    ),
    "athena_json_text(x)": (
        "case json_type(x) when 'NULL' then null when 'VARCHAR' then json_extract_string(x, '$')"
        f" when 'OBJECT' then {failure('A JSON object cannot be cast to varchar.', _VARCHAR)}"
        f" when 'ARRAY' then {failure('A JSON array cannot be cast to varchar.', _VARCHAR)}"
        " else cast(x as VARCHAR) end"
    ),
    "athena_json_array_length(x)": (
        "case when json_type(athena_json(x)) = 'ARRAY'"
        " then cast(json_array_length(athena_json(x)) as BIGINT) end"
    ),
    # NaN is less than, equal to and greater than nothing in Athena, and the greatest number in DuckDB.
    "athena_ordered(x, y, holds, otherwise)": "case when isnan(x) or isnan(y) then otherwise else holds end",
    "athena_number(x)": (
        "case when isnan(x) then "
        + failure(
            "NaN is sorted differently by Athena and DuckDB; leave it out with nullif() or where.", _DOUBLE
        )
        + " else x end"
    ),
    "athena_unscaled(x)": "cast(replace(cast(x as VARCHAR), '.', '') as HUGEINT)",
    "athena_divide(x, y)": "(((2 * abs(x) + abs(y)) // (2 * abs(y))) * sign(x) * sign(y))",
}

_SETTINGS = (
    "set timezone = 'UTC'",
    "set autoinstall_known_extensions = false",
    "set autoload_known_extensions = false",
    # A file read before would count as no bytes read.
    "set enable_external_file_cache = false",
)


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make a connection ready for what `sql.transpile` writes."""
    for setting in _SETTINGS:
        connection.execute(setting)
    for signature, body in _MACROS.items():
        connection.execute(f"create or replace temp macro {signature} as ({body})")


def explained(error: duckdb.Error) -> SqlError:
    """What DuckDB said, as a sentence for the analyst."""
    made = re.search(rf"string '{_MARK}(.*)' to INT32", str(error), re.DOTALL)
    if made is not None:
        return SqlError(textwrap.shorten(made.group(1), 400, placeholder=" …"))
    first = " ".join(str(error).split("\n\n")[0].split())
    if "Division by zero" in first:
        return SqlError(
            "A division by zero: guard the divisor with nullif(divisor, 0), or put try(…) around it."
        )
    cut = re.sub(r"^\w+( \w+)? Error: ", "", first)
    cut = re.sub(r" (LINE \d+:|Candidate functions:|Candidate bindings:|Did you mean).*$", "", cut)
    return SqlError(f"The query stopped: {cut.rstrip('.')} (said by DuckDB, which stands for Athena here).")
