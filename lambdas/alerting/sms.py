"""SMS of one part: for the topic's subscribers, and for the person concerned."""

from __future__ import annotations

from collections.abc import Iterator

from lambdas.alerting.characters import begin, septets, shorten, to_gsm7
from lambdas.alerting.story import LOST_SIGHT, QUIET, Story
from lambdas.incidents import ESCALATED, OPENED, RESOLVED

DISPLAY_NAME = "Freshet"  # of the topic; SNS puts it and "> " before each SMS of the topic
ONE_PART = 160  # septets
ROOM = ONE_PART - septets(f"{DISPLAY_NAME}> ")
ROOM_FOR_DETAILS = 40  # kept free beside the headline
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

    The operators' `do_first` is not for this reader ("call the customer"), so the request is a general one.
    """
    since = story.clock(story.change.since)
    if story.change.state == OPENED:
        end = f" since {since}. Please see to it; the operators are told too."
    elif story.change.state == ESCALATED:
        end = f", worse than before, since {since}. Please see to it now; the operators are told too."
    elif story.change.reason == LOST_SIGHT:
        end = f" since {since}; no longer watched. Please see to it."
    elif story.change.reason == QUIET:
        end = f": over, nothing strange since {story.clock(story.ended_at)}."
    else:
        end = f": over, back to normal since {story.clock(story.ended_at)}."
    start, end = f"{DISPLAY_NAME}: ", to_gsm7(f", {story.symptom}{end}")
    who = to_gsm7(story.who_discreetly)
    return f"{start}{shorten(who, ONE_PART - septets(start) - septets(end), septets)}{end}"
