"""Athena's two languages for writing a moment, MySQL's (`date_format`) and Joda's (`format_datetime`).

A letter that is not in these tables is refused: a format that is only almost right gives a wrong string.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sql.errors import SqlError

# MySQL's letter → DuckDB's strftime. https://trino.io/docs/current/functions/datetime.html
_MYSQL = {
    "a": "%a",
    "b": "%b",
    "c": "%-m",
    "d": "%d",
    "e": "%-d",
    "f": "%f",
    "H": "%H",
    "h": "%I",
    "I": "%I",
    "i": "%M",
    "j": "%j",
    "k": "%-H",
    "l": "%-I",
    "M": "%B",
    "m": "%m",
    "p": "%p",
    "r": "%I:%M:%S %p",
    "S": "%S",
    "s": "%S",
    "T": "%H:%M:%S",
    "v": "%V",
    "W": "%A",
    "x": "%G",
    "Y": "%Y",
    "y": "%y",
    "%": "%%",
}

# Joda's run of letters → DuckDB's strftime; `Y` is the year of the era, which is the year after Christ.
_JODA = {
    "yyyy": "%Y",
    "YYYY": "%Y",
    "yy": "%y",
    "xxxx": "%G",
    "ww": "%V",
    "MMMM": "%B",
    "MMM": "%b",
    "MM": "%m",
    "M": "%-m",
    "dd": "%d",
    "d": "%-d",
    "DDD": "%j",
    "EEEE": "%A",
    "EEE": "%a",
    "e": "%u",
    "a": "%p",
    "HH": "%H",
    "H": "%-H",
    "hh": "%I",
    "h": "%-I",
    "mm": "%M",
    "m": "%-M",
    "ss": "%S",
    "s": "%-S",
    "SSS": "%g",
}

# What may be read back, with what its digits look like; the rest is for printing only.
_READ = {
    "%Y": "[0-9]{4}",
    "%m": "[0-9]{1,2}",
    "%d": "[0-9]{1,2}",
    "%H": "[0-9]{1,2}",
    "%M": "[0-9]{1,2}",
    "%S": "[0-9]{1,2}",
    "%f": "[0-9]{1,6}",
    "%g": "[0-9]{3}",
    "%H:%M:%S": "[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}",
    "%%": "%",
}


def mysql(text: str) -> str:
    """`%Y-%m-%d %H:%i` → DuckDB's strftime format."""
    return "".join(_mysql_parts(text))


def joda(text: str) -> str:
    """`yyyy-MM-dd HH:mm` → DuckDB's strftime format."""
    return "".join(_joda_parts(text))


def read_mysql(text: str) -> tuple[str, str]:
    """A format for reading: DuckDB's strptime format, and the pattern of the texts that it may read."""
    return _reading(text, list(_mysql_parts(text)))


def read_joda(text: str) -> tuple[str, str]:
    return _reading(text, list(_joda_parts(text)))


def _mysql_parts(text: str) -> Iterator[str]:
    for letter, other in re.findall(r"%(.)|([^%]+|%$)", text, re.DOTALL):
        if other == "%":
            raise SqlError(f"The time format {text!r} ends with a lone %: write %% for a percent sign.")
        if other:
            yield other
        elif letter in _MYSQL:
            yield _MYSQL[letter]
        else:
            raise SqlError(
                f"%{letter} in the time format {text!r} is not supported: use "
                + " ".join(f"%{known}" for known in _MYSQL)
                + "."
            )


def _joda_parts(text: str) -> Iterator[str]:
    for found in re.finditer(r"'((?:[^']|'')*)'|(([A-Za-z])\3*)|[^A-Za-z']+|'", text):
        quoted, letters, whole = found.group(1), found.group(2), found.group(0)
        if letters is not None:
            if letters not in _JODA:
                raise SqlError(
                    f"{letters} in the time format {text!r} is not supported: use {' '.join(_JODA)}, "
                    "and put words into single quotes."
                )
            yield _JODA[letters]
        elif whole == "'":
            raise SqlError(f"A quote in the time format {text!r} is not closed: close it.")
        else:
            literal = whole if quoted is None else quoted.replace("''", "'") or "'"
            yield literal.replace("%", "%%")


def _reading(text: str, parts: list[str]) -> tuple[str, str]:
    pattern = []
    for part in parts:
        if part in _READ:
            pattern.append(_READ[part])
        elif part.startswith("%"):
            raise SqlError(
                f"The time format {text!r} can be printed but not read on the laptop: read four-digit years, "
                "numeric months and days, hours from 0 to 23, minutes, seconds and fractions."
            )
        else:
            pattern.append("".join(one if one.isalnum() or one == " " else f"[{one}]" for one in part))
    if "%Y" not in parts:
        raise SqlError(f"The time format {text!r} has no four-digit year: add one.")
    return "".join(parts), "".join(pattern)
