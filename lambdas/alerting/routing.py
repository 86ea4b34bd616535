"""Who is told of an incident's change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lambdas.columns import Unfit, Value
from lambdas.detectors.detector import Detector
from lambdas.incidents import STATES, IncidentChange
from lambdas.model import Pipeline

TOPIC, SMS = "topic", "sms"
LAKE = "lake"  # no channel, but a step that is taken once too
NOBODY_SAID = "operators"

# Whoever was told that something began is told how it goes on and that it is over: a person left with the
# first message alone would worry, or call, for nothing.
STATES_BY_SMS = frozenset(STATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """Where the number of the person concerned stands: the reference, its key's column and value, and the
    number's column.
    """

    reference: str
    key: tuple[str, Value]
    column: str


def detector_of(change: IncidentChange, pipeline: Pipeline) -> Detector[Any] | None:
    """The declaration behind a change; none where a redeploy has removed it since."""
    found = (each for each in pipeline.detectors if each.name == change.detector)
    return next((each for each in found if isinstance(each, Detector)), None)


def audience_of(change: IncidentChange, pipeline: Pipeline) -> str:
    detector = detector_of(change, pipeline)
    return (detector and detector.audience) or NOBODY_SAID


def attributes(change: IncidentChange, pipeline: Pipeline) -> Mapping[str, str]:
    """What a subscription of the topic can be filtered by."""
    return {
        "pipeline": change.pipeline,
        "severity": change.severity.name.lower(),
        "audience": audience_of(change, pipeline),
        "state": change.state,
    }


def has_direct_sms(change: IncidentChange, pipeline: Pipeline) -> bool:
    """Whether the person concerned is told by SMS, where a number is known."""
    detector = detector_of(change, pipeline)
    return detector is not None and detector.sms is not None and change.state in STATES_BY_SMS


def sms_lookup(change: IncidentChange, pipeline: Pipeline) -> Lookup | None:
    """Where the number of the person concerned stands; none where the change tells nobody by SMS."""
    detector = detector_of(change, pipeline)
    if detector is None or detector.sms is None or not has_direct_sms(change, pipeline):
        return None
    reference = pipeline.references[detector.sms.reference]
    try:
        # Such a detector is keyed by the one column that holds the reference's key: its text is the key's.
        key = reference.key.read(change.key)
    except Unfit:
        return None  # a key from before a redeploy with another one
    return Lookup(reference=reference.name, key=(reference.key.name, key), column=detector.sms.name)
