"""A published message reaches each subscription that wants it, as its channel carries it."""

import json
from collections.abc import Iterator

import pytest

from laptop.messages import Mailbox, Message
from laptop.services import NotHonoured
from tests.laptop.small_cloud import SmallCloud, small_cloud


@pytest.fixture
def cloud() -> Iterator[SmallCloud]:
    with small_cloud() as cloud:
        yield cloud


def topic(cloud: SmallCloud, display_name: str = "") -> str:
    made = cloud.client("sns").create_topic(Name="alerts", Attributes={"DisplayName": display_name})
    return str(made["TopicArn"])


def subscribe(cloud: SmallCloud, arn: str, channel: str, to: str, **attributes: str) -> None:
    cloud.client("sns").subscribe(TopicArn=arn, Protocol=channel, Endpoint=to, Attributes=attributes)


def attributes(**values: str) -> dict[str, dict[str, str]]:
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}


@pytest.mark.fidelity(
    service="SNS",
    behaviour="a filter policy wants each of its attributes, with one of its values",
    source="https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html",
)
def test_subscription_gets_what_its_filter_policy_matches(cloud: SmallCloud) -> None:
    # given
    arn = topic(cloud)
    subscribe(cloud, arn, "email", "all@example.com")
    both = json.dumps({"severity": ["high", "critical"], "audience": ["operators"]})
    subscribe(cloud, arn, "email", "some@example.com", FilterPolicy=both)
    publish = cloud.client("sns").publish
    # when
    publish(TopicArn=arn, Message="one", MessageAttributes=attributes(severity="high", audience="operators"))
    publish(TopicArn=arn, Message="two", MessageAttributes=attributes(severity="low", audience="operators"))
    publish(TopicArn=arn, Message="three", MessageAttributes=attributes(severity="high"))
    # then: each named attribute has to be there, with one of its values
    got = [(message.to.partition("@")[0], message.body) for message in Mailbox(cloud).collect()]
    assert got == [("all", "one"), ("some", "one"), ("all", "two"), ("all", "three")]


@pytest.mark.fidelity(
    service="SNS",
    behaviour="a message in JSON has a text for each channel, else `default`; a subject is for e-mail",
    source="https://docs.aws.amazon.com/sns/latest/api/API_Publish.html",
    falls_short="a JSON object with `default` is taken so even where MessageStructure did not say it",
)
def test_each_channel_gets_its_own_text_and_only_an_email_its_subject(cloud: SmallCloud) -> None:
    # given
    arn = topic(cloud)
    subscribe(cloud, arn, "email", "me@example.com")
    subscribe(cloud, arn, "sms", "+15555550100")
    texts = json.dumps({"default": "what all get", "sms": "short"})
    # when
    cloud.client("sns").publish(TopicArn=arn, Subject="[HIGH]", Message=texts, MessageStructure="json")
    # then
    assert [(m.channel, m.subject, m.body) for m in Mailbox(cloud).collect()] == [
        ("email", "[HIGH]", "what all get"),
        ("sms", "", "short"),
    ]


@pytest.mark.fidelity(
    service="SNS",
    behaviour="a topic's text message begins with its display name in capitals and `> `",
    source="https://docs.aws.amazon.com/sns/latest/dg/sms_publish-to-topic.html",
)
def test_text_message_begins_with_the_topics_display_name_in_capitals(cloud: SmallCloud) -> None:
    # given
    arn = topic(cloud, display_name="Freshet")
    subscribe(cloud, arn, "sms", "+15555550100")
    # when
    cloud.client("sns").publish(TopicArn=arn, Message="Too hot.")
    # then
    assert [message.body for message in Mailbox(cloud).collect()] == ["FRESHET> Too hot."]


@pytest.mark.fidelity(
    service="SNS",
    behaviour="a text sent to a number has no display name before it",
    source="recorded by the project, no public source found",
)
def test_number_without_a_topic_gets_the_bare_text(cloud: SmallCloud) -> None:
    cloud.client("sns").publish(PhoneNumber="+15555550100", Message="Too hot.")
    assert list(Mailbox(cloud).collect()) == [
        Message("sms", "+15555550100", "", "Too hot.", {"direct": "yes"})
    ]


def test_message_is_collected_once(cloud: SmallCloud) -> None:
    # given
    arn = topic(cloud)
    subscribe(cloud, arn, "email", "me@example.com")
    mailbox = Mailbox(cloud)
    # when
    for text in ("one", "two"):
        cloud.client("sns").publish(TopicArn=arn, Message=text)
        # then
        assert [message.body for message in mailbox.collect()] == [text]


def test_channel_that_is_not_shown_is_named(cloud: SmallCloud) -> None:
    cloud.add("AWS::SNS::Subscription", "Hook", {"Protocol": "https"})
    with pytest.raises(NotHonoured, match="Hook is by https"):
        Mailbox(cloud)
