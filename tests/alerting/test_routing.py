"""Who is told of which change."""

from dataclasses import replace

import pytest

from lambdas.alerting.routing import attributes, has_direct_sms, sms_lookup
from lambdas.incidents import STATES
from tests.alerting.support import fast_heart, hot_sensor, lucky_guest, pipeline_named

HEART = pipeline_named("heart_rate")


def test_subscriptions_can_be_filtered_by_four_things() -> None:
    assert attributes(lucky_guest()[0], pipeline_named("casino")) == {
        "pipeline": "casino",
        "severity": "high",
        "audience": "security",
        "state": "opened",
    }


def test_detector_that_is_gone_is_told_to_the_operators() -> None:
    change = replace(lucky_guest()[0], detector="removed")

    assert attributes(change, pipeline_named("casino"))["audience"] == "operators"


@pytest.mark.parametrize("state", STATES)
def test_person_concerned_is_told_of_beginning_change_and_end(state: str) -> None:
    change = replace(fast_heart()[0], state=state)

    lookup = sms_lookup(change, HEART)

    assert has_direct_sms(change, HEART)
    assert lookup is not None
    assert (lookup.reference, lookup.key, lookup.column) == ("registrations", ("device_id", 7), "mobile")


def test_nobody_is_looked_up_where_the_detector_names_nobody() -> None:
    assert sms_lookup(hot_sensor()[0], pipeline_named("temperature")) is None
    assert sms_lookup(replace(fast_heart()[0], detector="removed"), HEART) is None


def test_key_that_no_row_can_have_is_not_looked_up() -> None:
    assert sms_lookup(replace(fast_heart()[0], key="strap seven"), HEART) is None
