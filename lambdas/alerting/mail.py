"""An e-mail's body: plain text that is read from the top, on a phone, by somebody who was just woken."""

from __future__ import annotations

from collections.abc import Iterator

from lambdas.alerting.characters import one_line
from lambdas.alerting.keys import noun
from lambdas.alerting.saved_query import WORKGROUP, query_of_events
from lambdas.alerting.story import CLEAR, LOST_SIGHT, QUIET, Story, bulleted, duration
from lambdas.columns import number
from lambdas.incidents import ESCALATED, OPENED, RESOLVED

MOST_LINES = 8  # of contributions, or of further columns
WAYS = {"high": "too high", "low": "too low"}


def mail(story: Story) -> str:
    return "\n\n".join(block for block in blocks(story) if block) + "\n"


def blocks(story: Story) -> Iterator[str]:
    """What the mail says, the most urgent first; an empty block is left out."""
    yield impact(story)
    yield first_step(story)
    yield "\n".join(bulleted(shown(story), MOST_LINES))
    yield "\n".join(facts(story))
    yield "\n".join(contributors(story))
    if story.detector is not None and story.detector.runbook:
        yield f"Runbook: {story.detector.runbook}"
    if story.keys:
        yield f"For an analyst, in Athena (workgroup {WORKGROUP}):"
        yield query_of_events(story.change, story.pipeline, story.keys)
    change = story.change
    yield (
        f"Incident {change.incident_id}, change {change.version}\n"
        f"Pipeline {change.pipeline}, detector {change.detector}"
    )


def impact(story: Story) -> str:
    """The one sentence that stands in a phone's preview."""
    start = f"{story.where[:1].upper()}{story.where[1:]}, {story.who}"
    if story.change.state != RESOLVED:
        worse = f", worse than before and now {story.severity}" if story.change.state == ESCALATED else ""
        return f"{start}: {story.symptom}{worse}{f' – {story.sentence}' if story.sentence else ''}."
    if story.change.reason == LOST_SIGHT:
        return f"{start}: no longer watched, nobody knows if it is well ({story.symptom} when last seen)."
    if story.change.reason == QUIET:
        return f"{start}: over, nothing strange was seen{story.quiet} ({story.symptom})."
    return f"{start}: back to normal after {story.lasted} ({story.symptom})."


def first_step(story: Story) -> str:
    if story.change.state != RESOLVED:
        return f"Do first: {story.do_first}"
    if story.change.reason == CLEAR:
        return "Nothing needs to be done for this alert any more."
    return f"If not yet done: {story.do_first}"


def facts(story: Story) -> Iterator[str]:
    """What was seen, since when, how bad: a label and its value a line."""
    return ended(story) if story.change.state == RESOLVED else going_on(story)


def going_on(story: Story) -> Iterator[str]:
    change = story.change
    is_new = change.state == OPENED
    if story.observed:
        yield f"{'Observed' if is_new else 'Worst so far'}: {story.measured}"
    yield f"Began: {story.time(change.since)}"
    delay = change.detected_at - change.since
    noticed = f"{story.time(change.detected_at)}, {duration(delay)} later"
    yield f"Noticed: {noticed if delay >= 1 else 'at once'}"
    if not is_new:
        yield f"Became worse: {story.time(change.changed_at)}, after {story.lasted}"
    yield f"State: {'new' if is_new else 'worse than before'}, {story.findings} so far"
    yield f"Severity: {story.severity}"
    yield f"Next: you are told {'if it gets worse, and ' if story.can_get_worse else ''}when it is over."


def ended(story: Story) -> Iterator[str]:
    change = story.change
    if story.observed:
        yield f"At its worst: {story.measured}"
    elif story.sentence:
        yield f"What was found: {story.sentence}"
    yield f"Began: {story.time(change.since)}"
    if change.reason == LOST_SIGHT:
        yield f"Last seen: {story.time(story.ended_at)}"
    else:
        yield f"Ended: {story.time(story.ended_at)}"
        yield f"Lasted: {story.lasted}"
    yield f"State: resolved, {why(story)}"
    yield f"Severity: {story.severity}"
    yield f"Count: {story.findings} in all"


def why(story: Story) -> str:
    if story.change.reason == QUIET:
        return f"as nothing strange was seen{story.quiet}"
    if story.change.reason == CLEAR:
        return "as it is back to normal"
    if story.detector is None:
        return "as what watched it has been removed from the pipeline"
    return "as it is no longer watched: too many others needed watching"


def contributors(story: Story) -> Iterator[str]:
    """What adds to it, the largest share first; a single one says no more than the mail's first line."""
    if len(story.change.contributions) < 2:
        return
    yield "What adds to it:"
    lines = []
    for each in sorted(story.change.contributions, key=lambda contribution: -contribution.share):
        observed = "" if each.observed is None else number(each.observed, one_line(each.unit))
        parts = [f"{100 * each.share:.0f} %", WAYS.get(each.direction, ""), observed]
        lines.append(
            f"- {one_line(story.column_words(each.name))}: {', '.join(part for part in parts if part)}"
        )
    yield from bulleted(iter(lines), MOST_LINES)


def shown(story: Story) -> Iterator[str]:
    for name, value in story.change.shown.items():
        yield f"{one_line(noun(name)).capitalize()}: {one_line(str(value)) or '(blank)'}"
