"""SMS of one part: for the topic's subscribers, and for the person concerned."""

from __future__ import annotations

from collections.abc import Iterator

from lambdas.alerting.characters import begin, septets, shorten, to_gsm7
from lambdas.alerting.story import LOST_SIGHT, QUIET, SHORTEST_KEY, Story
from lambdas.incidents import ESCALATED, OPENED, RESOLVED

DISPLAY_NAME = "Freshet"  # of the topic; SNS puts it and "> " before each SMS of the topic
ONE_PART = 160  # septets
ROOM = ONE_PART - septets(f"{DISPLAY_NAME}> ")
ROOM_FOR_DETAILS = 40  # kept free beside the headline
ROOM_FOR_SYMPTOM = 60  # one of 40 characters of which each costs two would fill a part
LEAST_ADVICE = 30  # a shorter beginning of what to do says nothing


def topic_sms(story: Story) -> str:
    """As much as one part holds beside the topic's name; nothing of a discreet column."""
    start = f"{story.tag} "
    headline = story.headline(
        start, story.who_discreetly, spell=to_gsm7, most=ROOM - ROOM_FOR_DETAILS - 1, measure=septets
    )
    said = f"{headline}."
    for part in map(to_gsm7, details(story)):
        if septets(f"{said} {part}") <= ROOM:
            said = f"{said} {part}"
    if story.change.state != RESOLVED:
        whole = to_gsm7(f"Do first: {story.do_first}")
        advice = begin(whole, ROOM - septets(said) - 1, septets)
        if advice == whole or len(advice) >= LEAST_ADVICE:
            said = f"{said} {advice}"
    return said


def details(story: Story) -> Iterator[str]:
    """Sentences after the headline, each of which may be left out, the most useful first."""
    if story.change.state != RESOLVED:
        yield f"Since {story.clock(story.change.since)}."
        found = story.measured or story.sentence
        if found and not story.is_discreet:
            yield f"{found[:1].upper()}{found[1:]}."
        return
    if story.change.reason == LOST_SIGHT:
        yield f"No longer watched, last seen {story.clock(story.ended_at)}."
    elif story.change.reason == QUIET:
        yield f"Nothing strange since {story.clock(story.ended_at)}."
    else:
        yield f"Back to normal at {story.clock(story.ended_at)} after {story.lasted}."
    if story.observed and not story.is_discreet:
        yield f"Worst: {story.observed}."
    yield f"{story.findings}."


def direct_sms(story: Story) -> str:
    """For the person concerned, on whose locked screen anybody may read it: what, where and since when alone.

    The operators' `do_first` is not for this reader ("call the customer"), so the request is a general one. A
    long key gives way to it, and it to a key that is cut already.
    """
    start, request = f"{DISPLAY_NAME}: ", direct_request(story)
    symptom = shorten(to_gsm7(story.symptom), ROOM_FOR_SYMPTOM, septets)
    end = f", {symptom}{to_gsm7(direct_news(story))}"
    room = ONE_PART - septets(start) - septets(end)
    room_beside_request = max(SHORTEST_KEY, room - septets(request) - 1)
    who = shorten(to_gsm7(story.who_discreetly), min(room, room_beside_request), septets)
    said = f"{start}{who}{end}"
    return f"{said} {request}" if request and septets(f"{said} {request}") <= ONE_PART else said


def direct_news(story: Story) -> str:
    since, ended = story.clock(story.change.since), story.clock(story.ended_at)
    if story.change.state == OPENED:
        return f" since {since}."
    if story.change.state == ESCALATED:
        return f", worse than before, since {since}."
    if story.change.reason == LOST_SIGHT:
        return f" since {since}; no longer watched."
    if story.change.reason == QUIET:
        return f": over, nothing strange since {ended}."
    return f": over, back to normal since {ended}."


def direct_request(story: Story) -> str:
    if story.change.state != RESOLVED:
        return "Please check now. The operators are told too and may call you."
    return "Please check." if story.change.reason == LOST_SIGHT else ""
