"""Settings are checked before a stack is made of them; each refusal is a sentence that says where."""

from __future__ import annotations

from typing import Any

import pytest

from lambdas.columns import DeclarationError
from stacks.settings import ExistingStream, Recipient, Settings

STREAM = "arn:aws:kinesis:eu-central-1:111122223333:stream/readings"
KEY = "arn:aws:kms:eu-central-1:111122223333:key/0a1b2c3d-0000-1111-2222-333344445555"


def read(**freshet: Any) -> Settings:
    return Settings.read({"pipelines": ["temperature"], **freshet})


def test_settings_are_typed_and_the_numbers_are_in_the_pipelines() -> None:
    settings = read(
        recipients=[
            {"email": "a@b.example", "severities": ["high"]},
            {"sms": "+491701234567", "audience": "hosts"},
        ],
        set={"temperature.too_hot.above": 85, "casino.chips_run_low.above": 10},
        time_zone="Europe/Berlin",
        existing_streams={
            "temperature": STREAM,
            "casino": {"arn": STREAM, "key_arn": KEY, "start": "oldest"},
        },
    )

    assert [pipeline.name for pipeline in settings.pipelines] == ["temperature"]
    assert "85" in settings.pipelines[0].detectors[0].when.words()  # type: ignore[attr-defined]  # a Threshold
    assert settings.overrides["temperature"] == {"too_hot.above": 85}
    assert settings.recipients == [
        Recipient(email="a@b.example", severities=("high",)),
        Recipient(sms="+491701234567", audience="hosts"),
    ]
    assert settings.time_zone == "Europe/Berlin"
    assert settings.existing_streams["casino"] == ExistingStream(arn=STREAM, key_arn=KEY, start="oldest")
    assert settings.existing_streams["temperature"].start == "latest"


ALL, HOT = {"email": "all@b.example"}, {"email": "hot@b.example", "severities": ["high"]}
ALL_BY_SMS, ENGINEER = {"sms": "+491701234567"}, {"email": "on-call@b.example", "audience": "platform"}
HOSTS = {"email": "hosts@b.example", "audience": "hosts"}


@pytest.mark.parametrize(
    ("recipients", "alarmed"),
    [
        ([ALL, HOT, HOSTS, ALL_BY_SMS], ["all@b.example"]),
        ([ALL, ENGINEER], ["on-call@b.example"]),
        ([ALL, {**ALL, "audience": "platform"}], ["all@b.example"]),
        ([HOT, HOSTS, ALL_BY_SMS], []),
    ],
)
def test_alarms_reach_the_engineers_or_else_those_who_asked_for_everything_by_e_mail(
    recipients: list[dict[str, Any]], alarmed: list[str]
) -> None:
    told = read(recipients=recipients).alarmed

    assert told == [Recipient(email=address) for address in alarmed]


def test_the_command_line_chooses_pipelines_and_numbers() -> None:
    settings = Settings.read(
        {"pipelines": ["temperature"], "set": {"temperature.too_hot.above": 85}},
        pipelines="casino, temperature,casino",
        numbers="temperature.too_hot.above=90",
    )

    assert [pipeline.name for pipeline in settings.pipelines] == ["casino", "temperature"]
    assert settings.overrides == {"temperature": {"too_hot.above": 90.0}}


def test_the_whole_context_may_come_as_text_from_the_command_line() -> None:
    settings = Settings.read('{"pipelines": ["casino"]}')

    assert [pipeline.name for pipeline in settings.pipelines] == ["casino"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": (
        {"recipient": []},
        "cdk.json, freshet.recipient: there is no such setting; did you mean recipients.",
    ),
    "no pipeline": (
        {"pipelines": []},
        "cdk.json, freshet.pipelines: no pipeline is named; there are casino, heart_rate, temperature.",
    ),
    "pipelines no list": (
        {"pipelines": "temperature"},
        'cdk.json, freshet.pipelines: it is no list of names; say ["…"].',
    ),
    "unknown pipeline": (
        {"pipelines": ["temprature"]},
        "cdk.json, freshet.pipelines: there is no pipeline 'temprature'; did you mean temperature.",
    ),
    "recipients no list": (
        {"recipients": {"email": "a@b.example"}},
        'cdk.json, freshet.recipients: it is no list; say [{"email": "somebody@example.com"}].',
    ),
    "recipient's key": (
        {"recipients": [{"mail": "a@b.example"}]},
        "cdk.json, freshet.recipients[0]: a recipient has no 'mail'; did you mean email.",
    ),
    "two addresses": (
        {"recipients": [{"email": "a@b.example", "sms": "+491701234567"}]},
        "cdk.json, freshet.recipients[0]: a recipient has one address; say either email or sms.",
    ),
    "no address": (
        {"recipients": [{"pipelines": ["temperature"]}]},
        "cdk.json, freshet.recipients[0]: a recipient has one address; say either email or sms.",
    ),
    "e-mail": (
        {"recipients": [{"email": "a@b"}]},
        "cdk.json, freshet.recipients[0]: 'a@b' is no e-mail address; say one such as somebody@example.com.",
    ),
    "mobile": (
        {"recipients": [{"email": "a@b.example"}, {"sms": "0170 1234567"}]},
        "cdk.json, freshet.recipients[1]: '0170 1234567' is no mobile number; say it with country code and "
        "digits only, as +491701234567.",
    ),
    "recipient's pipeline": (
        {"recipients": [{"email": "a@b.example", "pipelines": ["casinos"]}]},
        "cdk.json, freshet.recipients[0].pipelines: there is no pipeline 'casinos'; did you mean casino.",
    ),
    "recipient's severity": (
        {"recipients": [{"email": "a@b.example", "severities": ["urgent"]}]},
        "cdk.json, freshet.recipients[0].severities: there is no severity 'urgent'; there are low, "
        "medium, high, critical.",
    ),
    "audience": (
        {"recipients": [{"email": "a@b.example", "audience": "operator"}]},
        "cdk.json, freshet.recipients[0]: no detector speaks to the audience 'operator'; did you mean "
        "operators.",
    ),
    "alarms are not filtered": (
        {"recipients": [{"email": "a@b.example", "audience": "platform", "severities": ["high"]}]},
        "cdk.json, freshet.recipients[0]: the audience 'platform' gets every alarm; leave out pipelines and "
        "severities.",
    ),
    "address again": (
        {"recipients": [{"email": "a@b.example"}, {"email": "A@b.example", "severities": ["high"]}]},
        "cdk.json, freshet.recipients[1]: 'A@b.example' is recipients[0] already, and an address is "
        "subscribed once; make one of the two.",
    ),
    "number's pipeline": (
        {"set": {"temprature.too_hot.above": 1}},
        "cdk.json, freshet.set, 'temprature.too_hot.above': there is no pipeline 'temprature'; did you mean "
        "temperature.",
    ),
    "no number": (
        {"set": {"temperature.too_hot.above": "85"}},
        "cdk.json, freshet.set, 'temperature.too_hot.above': \"85\" is no number; say one, without quotes.",
    ),
    "number's detector": (
        {"set": {"temperature.hot.above": 85}},
        "cdk.json, freshet.set, 'temperature.hot.above': temperature: 'hot.above' names none of its "
        "detectors (too_hot); say detector.number=value, as too_hot.above=85.",
    ),
    "detector's number": (
        {"set": {"temperature.too_hot.abov": 3}},
        "cdk.json, freshet.set, 'temperature.too_hot.abov': too_hot: it has no number 'abov'; it has above, "
        "high, critical, settle, quiet, max_keys, times, lasting.",
    ),
    "time zone": (
        {"time_zone": "Berlin"},
        "cdk.json, freshet.time_zone: 'Berlin' is no IANA time zone; say one such as Europe/Berlin.",
    ),
    "existing stream": (
        {"existing_streams": {"temperature": "readings"}},
        "cdk.json, freshet.existing_streams.temperature: 'readings' is no ARN of a Kinesis stream; say "
        "arn:aws:kinesis:<region>:<account>:stream/<name>.",
    ),
    "existing stream's key": (
        {"existing_streams": {"temperature": {"arn": STREAM, "key_arn": "alias/mine"}}},
        "cdk.json, freshet.existing_streams.temperature: 'alias/mine' is no ARN of a KMS key; say "
        "arn:aws:kms:<region>:<account>:key/<id>.",
    ),
    "existing stream's pipeline": (
        {"existing_streams": {"temp": STREAM}},
        "cdk.json, freshet.existing_streams: there is no pipeline 'temp'; there are casino, "
        "heart_rate, temperature.",
    ),
    "existing stream's part": (
        {"existing_streams": {"temperature": {"arn": STREAM, "key": KEY}}},
        "cdk.json, freshet.existing_streams.temperature: an existing stream has no 'key'; there are arn, "
        "key_arn, start.",
    ),
    "existing stream's start": (
        {"existing_streams": {"temperature": {"arn": STREAM, "start": "TRIM_HORIZON"}}},
        "cdk.json, freshet.existing_streams.temperature: reading cannot start at 'TRIM_HORIZON'; say latest "
        "(what comes from now on) or oldest.",
    ),
}


@pytest.mark.parametrize(("freshet", "sentence"), REFUSED.values(), ids=list(REFUSED))
def test_a_wrong_setting_is_refused_in_one_sentence(freshet: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        read(**freshet)

    assert str(refused.value) == sentence


def test_a_wrong_number_on_the_command_line_is_refused() -> None:
    with pytest.raises(
        DeclarationError, match=r"cdk\.json, -c set: 'temperature\.too_hot\.above' sets no number"
    ):
        Settings.read({"pipelines": ["temperature"]}, numbers="temperature.too_hot.above")


def test_a_context_that_is_no_object_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"cdk\.json, freshet: it is no JSON object"):
        Settings.read("pipelines=temperature")
