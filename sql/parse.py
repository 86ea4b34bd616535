"""Reading Athena's SELECT with sqlglot, held to what Athena accepts.

sqlglot reads SQL generously (`==`, `::`, a comma before `from`, `string` as a type); Athena does not. What
sqlglot forgives is found again in the tokens and refused here, so that a query that runs on the laptop runs
in Athena. Functions stay as they were written: `sql.functions` alone decides what a name means.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.trino import Trino
from sqlglot.errors import ParseError, TokenError
from sqlglot.parsers.trino import TrinoParser
from sqlglot.tokenizer_core import Token, TokenType

from sql.errors import SqlError
from sql.types import from_trino

# Athena's reserved words for SELECT; sqlglot takes some of them as names.
# https://docs.aws.amazon.com/athena/latest/ug/reserved-words.html
_RESERVED = """
alter and as between by case cast constraint create cross cube current_catalog current_date current_path
current_schema current_time current_timestamp current_user deallocate delete describe distinct drop else end
escape except execute exists extract false first for from full group grouping having in inner insert intersect
into is join json_array json_exists json_object json_query json_table json_value last left like listagg
localtime localtimestamp natural normalize not null of on or order outer prepare recursive right rollup select
skip start table then trim true uescape union unnest using values when where with
"""
RESERVED = frozenset(_RESERVED.split())

_SPECIAL_SYNTAX = ("CAST", "TRY_CAST", "EXTRACT", "POSITION", "TRIM")


class AthenaReader(Trino):
    """sqlglot's Trino, except that a call keeps the name and the order in which it was written."""

    INDEX_OFFSET = 0

    class Parser(TrinoParser):
        FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {}
        FUNCTION_PARSERS: ClassVar = {
            name: parse for name, parse in TrinoParser.FUNCTION_PARSERS.items() if name in _SPECIAL_SYNTAX
        }
        FUNCTIONS_WITH_ALIASED_ARGS: ClassVar[set[str]] = set()


def place(text: str, offset: int) -> str:
    """Where an offset lies, for a sentence."""
    line = text.count("\n", 0, offset) + 1
    column = offset - (text.rfind("\n", 0, offset) + 1) + 1
    return f"line {line}, column {column}"


def place_of(text: str, node: exp.Expr) -> str:
    """Where a node begins; a node without a place of its own takes that of the first part that has one."""
    offsets = [int(part.meta["start"]) for part in node.walk() if "start" in part.meta]
    return place(text, min(offsets)) if offsets else "line 1"


def parse(text: str) -> exp.Query:
    """Read one query; raises SqlError with the place of what Athena would not accept."""
    # It would print that it reads `explain` and the like as a bare command, which is refused below.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    dialect = AthenaReader()
    try:
        tokens = list(dialect.tokenize(text))
        _refuse_what_athena_refuses(text, tokens)
        statements = [one for one in dialect.parse(text) if one and not isinstance(one, exp.Semicolon)]
    except TokenError as error:
        raise SqlError(
            f"The SQL cannot be split into words ({str(error).splitlines()[0].strip()}): "
            "a quote or a comment is probably not closed; close it."
        ) from error
    except ParseError as error:
        raise SqlError(_sentence(error)) from error
    if not statements:
        raise SqlError("There is no SQL here: write a select.")
    statement = statements[0]
    if len(statements) > 1 or isinstance(statement, exp.Block):
        raise SqlError("There are several statements: ask one query at a time.")
    if not isinstance(statement, exp.Query):
        word = tokens[0].text.lower()
        raise SqlError(f"Only a select can be asked (also show tables, describe <table>), not {word!r}.")
    return statement


def _sentence(error: ParseError) -> str:
    first = error.errors[0] if error.errors else {}
    problem = str(first.get("description") or error).rstrip(".")
    if problem.startswith("Required keyword"):
        problem = "Something is missing"
    where = f"line {first.get('line')}, column {first.get('col')}"
    word = first.get("highlight")
    return f"This is not Athena SQL: {problem} at {word!r}, {where}; mend it there or just before."


def _refuse_what_athena_refuses(text: str, tokens: Sequence[Token]) -> None:
    for before, token in _pairs(tokens):
        here = place(text, token.start)
        written = text[token.start : token.end + 1]
        if token.token_type == TokenType.DCOLON:
            raise SqlError(f"Athena has no '::' ({here}): write cast(value as type).")
        if token.token_type == TokenType.EQ and written == "==":
            raise SqlError(f"Athena has no '==' ({here}): write =.")
        if token.token_type == TokenType.PARAMETER or token.token_type == TokenType.PLACEHOLDER:
            raise SqlError(f"There is a placeholder {written!r} ({here}): write the value itself.")
        if before is None:
            continue
        ends_list = token.token_type in (TokenType.FROM, TokenType.R_PAREN, TokenType.R_BRACKET)
        if before.token_type == TokenType.COMMA and ends_list:
            raise SqlError(f"A comma stands before {written!r} ({here}): remove the comma.")
        if before.token_type == TokenType.NUMBER and before.end + 1 == token.start and written[0] in "_'\"":
            raise SqlError(f"{before.text}{written} ({here}) is not a number: write the digits alone.")
        if before.token_type == TokenType.STRING and token.token_type == TokenType.STRING:
            raise SqlError(f"Two strings stand side by side ({here}): join them with ||.")
        if token.token_type == TokenType.STRING and before.text.lower() in _TYPED_LITERALS_REFUSED:
            raise SqlError(
                f"A literal such as {before.text} '…' ({here}) is not supported: "
                f"write cast('…' as {before.text})."
            )
    if tokens and tokens[-1].token_type == TokenType.COMMA:
        raise SqlError(f"The SQL ends with a comma ({place(text, tokens[-1].start)}): remove it.")
    for name in _cast_types(text, tokens):
        from_trino(name)


# `decimal '1.50'` has the digits of the literal as its type, which a cast does not: neither is guessed.
_TYPED_LITERALS_REFUSED = frozenset(
    """
    bigint boolean char decimal double int integer json real smallint time tinyint varbinary varchar
    """.split()  # noqa: SIM905 - a list of words is read as words
)


def _pairs(tokens: Sequence[Token]) -> Iterator[tuple[Token | None, Token]]:
    before: Token | None = None
    for token in tokens:
        yield before, token
        before = token


def _cast_types(text: str, tokens: Sequence[Token]) -> Iterator[str]:
    """The text of each type in a cast: sqlglot reads `string`, `float` or `int[]` there, Athena does not."""
    for start, token in enumerate(tokens):
        if token.text.lower() not in ("cast", "try_cast") or start + 1 == len(tokens):
            continue
        if tokens[start + 1].token_type != TokenType.L_PAREN:
            continue
        depth = 0
        begin: int | None = None
        for following in tokens[start + 1 :]:
            if following.token_type == TokenType.L_PAREN:
                depth += 1
            elif following.token_type == TokenType.R_PAREN:
                depth -= 1
                if depth == 0:
                    if begin is not None:
                        yield text[begin : following.start].strip()
                    break
            elif following.token_type == TokenType.ALIAS and depth == 1:
                begin = following.end + 1


def name_of(text: str, identifier: exp.Identifier) -> str:
    """A name as Athena knows it: in lower case; a reserved word must be quoted."""
    name = identifier.name.lower()
    if not identifier.quoted and name in RESERVED:
        raise SqlError(
            f"{name!r} is a reserved word of Athena ({place_of(text, identifier)}): "
            f'write "{name}" in double quotes, or choose another name.'
        )
    return name


def capitals(text: str) -> SqlError | None:
    """The house style's first capital outside strings and quoted names, if there is one."""
    quoted = (TokenType.STRING, TokenType.IDENTIFIER)
    for token in AthenaReader().tokenize(text):
        if token.token_type not in quoted and token.text != token.text.lower() and token.text.isidentifier():
            return SqlError(
                f"{token.text!r} has capitals ({place(text, token.start)}): write SQL in lower case."
            )
    return None
