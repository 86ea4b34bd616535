"""Regular expressions: what Athena's engine (Java's syntax) and DuckDB's (RE2) both understand, and no more.

Their difference is silent: `\\s`, `$` before a last line break, `\\w` on letters outside ASCII. So a pattern
is read here piece by piece. What both take alike goes through, what can be said in RE2 is translated, what
differs only on some texts is reported in the result for a check at run time, and everything else is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sql.errors import SqlError

_BLANKS = r"\t\n\v\f\r "


@dataclass(frozen=True)
class Pattern:
    """A pattern for DuckDB.

    `ascii_only`: the two engines agree on ASCII texts only. `one_line`: on texts without a line break only.
    `optional_groups`: a group may take no part in a match, which Athena answers with null and DuckDB with ''.
    `matches_nothing`: the empty text matches, where the engines walk on differently after a match.
    """

    text: str
    groups: int
    ascii_only: bool
    one_line: bool
    optional_groups: bool
    matches_nothing: bool


def translate(pattern: str) -> Pattern:
    return _Translation(pattern).result()


class _Translation:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._parts: list[str] = []
        self._groups = 0
        self._ascii_only = False
        self._one_line = False
        self._optional_groups = False

    def result(self) -> Pattern:
        if self._pattern.startswith("(?i)"):
            self._ascii_only = True
            self._parts.append("(?i)")
            self._at = 4
        while self._at < len(self._pattern):
            self._piece()
        try:
            compiled = re.compile(self._pattern)
        except re.error as error:
            raise self._refusal(f"it is not a pattern: {error}") from error
        return Pattern(
            text="".join(self._parts),
            groups=self._groups,
            ascii_only=self._ascii_only,
            one_line=self._one_line,
            optional_groups=self._optional_groups,
            matches_nothing=compiled.search("") is not None,
        )

    def _refusal(self, problem: str) -> SqlError:
        return SqlError(
            f"The pattern {self._pattern!r} is not answered on the laptop as Athena does: {problem}; "
            "write it with plain characters, classes, groups, | and * + ? {n,m}."
        )

    def _take(self, count: int = 1) -> str:
        taken = self._pattern[self._at : self._at + count]
        self._at += count
        return taken

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _piece(self) -> None:
        one = self._take()
        match one:
            case "\\":
                self._parts.append(self._escape(inside_class=False))
            case "[":
                self._class()
            case "(":
                self._open_group()
            case "*" | "+" | "?":
                self._quantifier(one)
            case "{":
                self._bounds()
            case "^" | "$":
                self._one_line = True
                self._parts.append(one)
            case "|":
                self._optional_groups = True
                self._parts.append(one)
            case _:
                self._parts.append(one)

    def _escape(self, *, inside_class: bool) -> str:
        one = self._take()
        if one == "s":
            return _BLANKS if inside_class else f"[{_BLANKS}]"
        if one == "S" and not inside_class:
            self._ascii_only = True
            return f"[^{_BLANKS}]"
        if one in ("d", "w") or (one in ("D", "W", "b", "B") and not inside_class):
            self._ascii_only = True
            return "\\" + one
        if one in ("t", "n", "r", "f"):
            return "\\" + one
        if one and not one.isalnum():
            return "\\" + one
        raise self._refusal(f"it has \\{one}")

    def _class(self) -> None:
        parts = ["["]
        if self._peek() == "^":
            parts.append(self._take())
        if self._peek() in ("]", ""):
            raise self._refusal("it has an empty class [], write \\] for a bracket")
        while (one := self._take()) != "]":
            if one == "":
                raise self._refusal("a class [ is not closed")
            if one == "[" or (one == "&" and self._peek() == "&"):
                raise self._refusal("it has a class inside a class")
            parts.append(self._escape(inside_class=True) if one == "\\" else one)
        self._parts.append("".join(parts) + "]")

    def _open_group(self) -> None:
        if self._peek() != "?":
            self._groups += 1
            self._parts.append("(")
            return
        if self._take(2) != "?:":
            raise self._refusal("it has a group with (?, of which only (?:…) and a leading (?i) are alike")
        self._parts.append("(?:")

    def _quantifier(self, one: str) -> None:
        if one in "*?" and self._parts and self._parts[-1] == ")":
            self._optional_groups = True
        self._parts.append(one)
        self._after_quantifier()

    def _bounds(self) -> None:
        bounds = re.match(r"([0-9]+)(,[0-9]*)?\}", self._pattern[self._at :])
        if bounds is None:
            raise self._refusal("it has a { that is not a number of times, write \\{ for the character")
        if bounds.group(1) == "0" and self._parts and self._parts[-1] == ")":
            self._optional_groups = True
        self._at += bounds.end()
        self._parts.append("{" + bounds.group(0))
        self._after_quantifier()

    def _after_quantifier(self) -> None:
        if self._peek() == "?":
            self._parts.append(self._take())
        elif self._peek() in ("+", "*"):
            raise self._refusal("it has a possessive quantifier")


def replacement(text: str, groups: int) -> str:
    """`$1 and \\$` of Athena → `\\1 and $` of DuckDB."""
    parts: list[str] = []
    for found in re.finditer(r"\\(.)|\$([0-9])(?![0-9])|(\$|\\)|([^$\\]+)", text, re.DOTALL):
        escaped, group, alone, plain = found.groups()
        if alone or (group and int(group) > groups):
            raise SqlError(
                f"The replacement {text!r} is not understood at {found.group(0)!r}: write $1 for a group "
                "that the pattern has, \\$ for the character."
            )
        if group:
            parts.append("\\" + group)
        else:
            parts.append((escaped or plain).replace("\\", "\\\\"))
    return "".join(parts)
