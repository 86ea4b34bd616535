"""Every kind of message as its reader gets it, one file a detector and state.

After a wanted change: WRITE_GOLDEN=1 .venv/bin/python -m pytest tests/alerting/test_golden.py, then read the
difference as the person whom it wakes.
"""

import os
import re
from dataclasses import replace
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from lambdas.alerting.message import Message, compose
from lambdas.incidents import IncidentChange
from tests.alerting.support import fast_heart, hot_sensor, lucky_guest, pipeline_named, worse

GOLDEN = Path(__file__).parent / "golden"
BERLIN, LOS_ANGELES = ZoneInfo("Europe/Berlin"), ZoneInfo("America/Los_Angeles")


def told() -> dict[str, tuple[IncidentChange, tzinfo]]:
    hot, heart, guest = hot_sensor(), fast_heart(), lucky_guest()
    return {
        "threshold_opened": (hot[0], UTC),
        "threshold_escalated": (hot[1], UTC),
        "threshold_resolved": (hot[2], UTC),
        "threshold_lost_sight": (replace(hot[2], reason="lost sight", changed_at=hot[2].since + 360), UTC),
        "window_opened": (heart[0], BERLIN),
        "window_escalated": (worse(heart[0]), BERLIN),
        "window_resolved": (heart[1], BERLIN),
        "sequence_opened": (guest[0], LOS_ANGELES),
        "sequence_escalated": (worse(guest[0]), LOS_ANGELES),
        "sequence_resolved": (guest[1], LOS_ANGELES),
    }


def as_read(message: Message) -> str:
    parts = [f"Subject: {message.subject}", "", message.email, f"--- SMS\nFreshet> {message.sms}"]
    if message.direct_sms:
        parts.append(f"--- SMS to the person concerned\n{message.direct_sms}")
    return "\n".join(parts) + "\n"


@pytest.mark.parametrize("name", told())
def test_message_reads_as_it_was_approved(name: str) -> None:
    change, zone = told()[name]

    text = as_read(compose(change, pipeline=pipeline_named(change.pipeline), zone=zone))

    path = GOLDEN / f"{name}.txt"
    if os.environ.get("WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), (
        "see this module's first lines for how to approve a new one"
    )


def test_no_golden_message_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(told())


@pytest.mark.parametrize("name", told())
def test_reader_meets_no_word_of_the_code(name: str) -> None:
    text = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    prose = text.replace("detector ", "")  # among the ids, where it names what an administrator looks for

    assert not re.search(
        r"threshold|sequence|direction|score|none|null|true|false|\{|\}", prose, re.IGNORECASE
    )
    assert not re.search(r"\d\.\d{5,}", prose), "a float's tail"
