"""Whether an incident tells of a labelled anomaly."""

from __future__ import annotations

import pytest

from laptop.figures import Incident, told

SENT = 1_769_853_600.12345  # s since 1970; the stream gives it to the millisecond
LABEL = "too_high/device-1/1"


@pytest.mark.parametrize("arrived", [1_769_853_600.123, 1_769_853_600.124])
def test_arrival_rounded_to_the_millisecond_is_still_the_anomalys_time(arrived: float) -> None:
    incident = Incident("tanks", "too_high", "device-1", arrived, arrived, "high", 1)

    assert told(LABEL, [SENT], incident)


@pytest.mark.parametrize("by", [-0.01, 0.01])
def test_incident_at_another_time_tells_of_something_else(by: float) -> None:
    incident = Incident("tanks", "too_high", "device-1", SENT + by, SENT + by, "high", 1)

    assert not told(LABEL, [SENT], incident)


def test_incident_that_lasts_tells_of_what_is_within_it() -> None:
    incident = Incident("tanks", "too_high", "device-1", SENT - 60, None, "high", 1)

    assert told(LABEL, [SENT], incident)
