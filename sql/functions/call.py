"""One call of a function in a query, and how a function reads its arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sql.duck import cast
from sql.errors import SqlError
from sql.typed import Typed, coerce
from sql.types import DOUBLE, SqlType, common


@dataclass(frozen=True)
class Call:
    """One call in a query: its name, its arguments already understood, and where it stands."""

    name: str
    arguments: tuple[Typed, ...]
    where: str
    now: str = ""

    def wrong(self, problem: str) -> SqlError:
        return SqlError(f"{self.name}() {problem} ({self.where}).")

    def counts(self, *allowed: int) -> None:
        if len(self.arguments) not in allowed:
            wanted = " or ".join(str(number) for number in allowed)
            raise self.wrong(f"takes {wanted} arguments and got {len(self.arguments)}")

    def given(self, index: int, to: SqlType) -> str:
        """An argument as the type that the function declares, turned as Athena turns it by itself."""
        argument = self.arguments[index]
        if common(argument.type, to) != to:
            raise self.wrong(f"needs {to} as argument {index + 1} and got {argument.type}: cast the argument")
        return coerce(argument, to)

    def number(self, index: int = 0) -> Typed:
        argument = self.arguments[index]
        if argument.type.name == "unknown":
            return Typed(cast("null", DOUBLE), DOUBLE, is_stored=True)
        if not argument.type.is_number:
            raise self.wrong(
                f"needs a number as argument {index + 1} and got {argument.type}: cast the argument"
            )
        return argument

    def text(self, index: int) -> str:
        """The value of an argument that must be written out in the query."""
        argument = self.arguments[index]
        if argument.text is None:
            raise self.wrong(f"needs a text written out as argument {index + 1}, not a computed one")
        return argument.text

    def whole(self, index: int) -> int:
        digits = self.arguments[index].digits or ""
        if not digits.isdigit():
            raise self.wrong(f"needs a whole number written out as argument {index + 1}, not a computed one")
        return int(digits)

    def together(self, *, orderable: bool = False) -> tuple[SqlType, list[str]]:
        """All arguments in the type that they share."""
        shared = self.arguments[0].type
        for argument in self.arguments[1:]:
            found = common(shared, argument.type)
            if found is None:
                raise self.wrong(
                    f"has arguments of {shared} and {argument.type}, which do not meet: cast one of them"
                )
            shared = found
        if orderable and not shared.is_orderable and shared.name != "unknown":
            raise self.wrong(f"cannot put {shared} in an order")
        return shared, [coerce(argument, shared) for argument in self.arguments]


Scalar = Callable[[Call], Typed]


def plain(template: str, result: SqlType, *parameters: SqlType) -> Scalar:
    """A function whose arguments have one type each and which one DuckDB expression answers."""

    def answer(call: Call) -> Typed:
        call.counts(len(parameters))
        given = [call.given(index, wanted) for index, wanted in enumerate(parameters)]
        return Typed(template.format(*given), result)

    return answer
