"""What a channel can carry: one safe line of text, ASCII for a subject, GSM-7 for an SMS."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

ASCII = frozenset(map(chr, range(0x20, 0x7F)))

# 3GPP TS 23.038: the basic alphabet without line ends, and the characters that cost an escape before them.
BASIC = frozenset(
    "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("^{}\\[~]|€")
GSM7 = BASIC | EXTENSION

SPELLINGS = {
    "–": "-",
    "—": "-",
    "−": "-",  # noqa: RUF001  the minus sign itself
    "‘": "'",  # noqa: RUF001  the quotation mark itself
    "’": "'",
    "`": "'",
    "“": '"',
    "”": '"',
    "„": '"',
    "«": '"',
    "»": '"',
    "×": "x",
    "·": ".",
    "≤": "<=",
    "≥": ">=",
    "≠": "<>",
    "µ": "u",
    "μ": "u",
    "€": "EUR",
    "£": "GBP",
    "¥": "JPY",
    "ß": "ss",
    "Æ": "AE",
    "æ": "ae",
    "Œ": "OE",
    "œ": "oe",
    "Ø": "O",
    "ø": "o",
    "Ł": "L",
    "ł": "l",
    "Đ": "D",
    "đ": "d",
}
MOST = 200


def one_line(text: str, most: int = MOST) -> str:
    """A text from the outside world as one harmless line of at most `most` characters.

    Line breaks, control characters and those that change a text's direction become spaces.

    >>> one_line("pump\\r\\nSubject: all is well\\u202e")
    'pump Subject: all is well'
    """
    # Far beyond `most` nothing can be seen, and a text from outside may be a megabyte.
    cut = text if len(text) <= 4 * most else text[: 2 * most] + text[-2 * most :]
    shown = "".join(" " if unicodedata.category(each)[0] in "CZ" else each for each in cut)
    return shorten(" ".join(shown.split()), most)


def to_ascii(text: str) -> str:
    """
    >>> to_ascii("Fühler 7 · 35 °C · 東")
    'Fuhler 7 . 35 C . ?'
    """
    return spelled(text, ASCII)


def to_gsm7(text: str) -> str:
    """
    >>> to_gsm7("Fühler 7: 35 °C – Łódź")
    'Fühler 7: 35 C - Lodz'
    """
    return spelled(text, GSM7)


def spelled(text: str, allowed: frozenset[str]) -> str:
    """The text in allowed characters alone: others by another spelling, without their accent, else as `?`."""
    degrees = re.sub("°(?=[CFK])", "", text).replace("°", " deg")
    return "".join(each if each in allowed else spelling(each, allowed) for each in degrees)


def spelling(character: str, allowed: frozenset[str]) -> str:
    if character in SPELLINGS:
        return SPELLINGS[character]
    parts = unicodedata.normalize("NFKD", character)
    kept = "".join(each for each in parts if each in allowed)
    if kept:
        return kept
    return "" if unicodedata.combining(character) else "?"


def septets(text: str) -> int:
    """How many of an SMS's 160 septets a text of GSM-7 takes.

    >>> septets("[HIGH]"), septets("HIGH")
    (8, 4)
    """
    return sum(2 if each in EXTENSION else 1 for each in text)


def shorten(text: str, most: int, measure: Callable[[str], int] = len) -> str:
    """The text within `most`, its middle given up for three dots: what tells two keys apart is often the end.

    >>> shorten("arn:aws:iot:eu-west-1:thing/pump-0042", 20)
    'arn:aws:i...ump-0042'
    """
    if measure(text) <= most:
        return text
    for kept in range(min(len(text) - 1, most - 3), -1, -1):
        tail = kept // 2
        short = f"{text[: kept - tail]}...{text[len(text) - tail :]}"
        if measure(short) <= most:
            return short
    return "."[:most] * min(most, 3)


def begin(text: str, most: int, measure: Callable[[str], int] = len) -> str:
    """The beginning of a sentence in whole words within `most`, with three dots where something is left out.

    >>> begin("Check the cooling at the sensor.", 22)
    'Check the cooling...'
    """
    if measure(text) <= most:
        return text
    words = text.split(" ")
    for kept in range(len(words) - 1, 0, -1):
        short = " ".join(words[:kept]).rstrip(".,;:") + "..."
        if measure(short) <= most:
            return short
    return ""
