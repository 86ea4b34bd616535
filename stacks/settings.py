"""What a user sets in cdk.json's context `freshet`, checked before anything is made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from lambdas.columns import DeclarationError
from lambdas.model import Pipeline, Severity
from pipelines import discovery

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
STREAM = re.compile(r"arn:aws[a-z-]*:kinesis:[a-z0-9-]+:[0-9]{12}:stream/[a-zA-Z0-9_.-]{1,128}")
KEY = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[a-zA-Z0-9-]+")
LATEST, OLDEST = "latest", "oldest"  # where reading an existing stream starts
PLATFORM = "platform"  # the audience of Freshet's own alarms, which no detector speaks to
KNOWN = ("pipelines", "recipients", "set", "time_zone", "existing_streams")


@dataclass(frozen=True, kw_only=True)
class Recipient:
    """Somebody who is told: by e-mail or by SMS; of all alerts, or of those that every non-empty list allows.

    The audience `platform` gets Freshet's own alarms (an alert undelivered, a shard behind) and no alerts.
    While nobody is of it, the alarms go by e-mail to those who asked for all alerts.
    """

    email: str = ""
    sms: str = ""
    pipelines: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    audience: str = ""

    @property
    def address(self) -> str:
        return self.email or self.sms

    @property
    def is_told_all(self) -> bool:
        return not (self.pipelines or self.severities or self.audience)


@dataclass(frozen=True, kw_only=True)
class ExistingStream:
    """A Kinesis stream of the same account and Region that somebody else owns.

    `key_arn` is its customer-managed key, if it has one. From the `start` "latest" what it held before the
    deploy wakes nobody; from "oldest" all of that is detected too.
    """

    arn: str
    key_arn: str = ""
    start: str = LATEST


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The pipelines to deploy, with the user's numbers in them, and who is told what.

    `overrides` are those numbers as the handlers get them: by pipeline, then by `detector.number`.
    """

    pipelines: Sequence[Pipeline]
    recipients: Sequence[Recipient] = ()
    overrides: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    time_zone: str = "UTC"
    existing_streams: Mapping[str, ExistingStream] = field(default_factory=dict)

    @property
    def alarmed(self) -> list[Recipient]:
        """Who is told of Freshet's own alarms, without a filter."""
        engineers = [each for each in self.recipients if each.audience == PLATFORM]
        told = engineers or [each for each in self.recipients if each.email and each.is_told_all]
        return [Recipient(email=each.email, sms=each.sms) for each in told]

    @classmethod
    def read(cls, freshet: object, *, pipelines: object = None, numbers: object = None) -> Settings:
        """Settings from the context `freshet` and the command line: `-c pipelines=a,b -c set=a.b.c=1`.

        Raises `DeclarationError` with one sentence.
        """
        given = _mapping("freshet", freshet)
        for name in given:
            if name not in KNOWN:
                raise _wrong(f"freshet.{name}", f"there is no such setting; {discovery.nearest(name, KNOWN)}")
        known = discovery.names()
        chosen = (
            str(pipelines).split(",")
            if pipelines
            else _texts("freshet.pipelines", given.get("pipelines", []))
        )
        chosen = list(dict.fromkeys(name.strip() for name in chosen))
        if not chosen:
            raise _wrong("freshet.pipelines", f"no pipeline is named; {discovery.nearest('', known)}")
        for name in chosen:
            _known_pipeline("freshet.pipelines", name, known)
            if name in discovery.TAKEN:
                raise DeclarationError(
                    f"{name}: Freshet has a stack or a table of that name; rename the folder."
                )
        overrides = _overrides(
            {**_mapping("freshet.set", given.get("set", {})), **dict(_assignments(numbers))}, known
        )
        deployed = [_overridden(discovery.load(name), overrides.get(name, {})) for name in chosen]
        recipients = given.get("recipients", [])
        if not isinstance(recipients, list):
            raise _wrong("freshet.recipients", 'it is no list; say [{"email": "somebody@example.com"}]')
        settings = cls(
            pipelines=deployed,
            recipients=[
                _recipient(f"freshet.recipients[{place}]", each, known)
                for place, each in enumerate(recipients)
            ],
            overrides=overrides,
            time_zone=_time_zone(given.get("time_zone", "UTC")),
            existing_streams={
                name: _existing_stream(f"freshet.existing_streams.{name}", name, each, known)
                for name, each in _mapping(
                    "freshet.existing_streams", given.get("existing_streams", {})
                ).items()
            },
        )
        settings._check_addresses()
        settings._check_audiences(known)
        return settings

    def _check_addresses(self) -> None:
        """A topic has one subscription of an address, and that has one filter."""
        first: dict[tuple[str, bool], int] = {}
        for place, recipient in enumerate(self.recipients):
            before = first.setdefault((recipient.address.lower(), recipient.audience == PLATFORM), place)
            if before != place:
                raise _wrong(
                    f"freshet.recipients[{place}]",
                    f"{recipient.address!r} is recipients[{before}] already, and an address is subscribed "
                    "once; make one of the two",
                )

    def _check_audiences(self, known: Sequence[str]) -> None:
        """An audience that no detector speaks to would be told nothing, for ever."""
        spoken_to = _audiences(self.pipelines)
        for place, recipient in enumerate(self.recipients):
            if recipient.audience and recipient.audience not in spoken_to:
                # A recipient may wait for a pipeline that is not deployed this time.
                spoken_to |= _audiences(discovery.discover().values())
                if recipient.audience not in spoken_to:
                    raise _wrong(
                        f"freshet.recipients[{place}]",
                        f"no detector speaks to the audience {recipient.audience!r}; "
                        f"{discovery.nearest(recipient.audience, sorted(spoken_to))}",
                    )


def configured(*, pipelines: object = None) -> Settings:
    """What cdk.json says, for these pipelines or for those that it names. Raises `DeclarationError`."""
    path = discovery.ROOT.parent / "cdk.json"
    try:
        context = _mapping("context", json.loads(path.read_text()).get("context"))
    except json.JSONDecodeError as error:
        raise _wrong(f"line {error.lineno}", f"it is no JSON ({error.msg}); mend it there") from None
    return Settings.read(context.get("freshet"), pipelines=pipelines)


def _audiences(pipelines: Iterable[Pipeline]) -> set[str]:
    detectors = [detector for pipeline in pipelines for detector in pipeline.detectors]
    return {PLATFORM, *(str(getattr(detector, "audience", "")) for detector in detectors)}


def _wrong(where: str, what: str) -> DeclarationError:
    return DeclarationError(f"cdk.json, {where}: {what}.")


def _mapping(where: str, given: object) -> Mapping[str, Any]:
    """What the CLI hands over as text is JSON."""
    if given is None and where == "freshet":
        return {}
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            given = None
    if not isinstance(given, Mapping):
        raise _wrong(where, "it is no JSON object; say {…} with names and values")
    return given


def _texts(where: str, given: object) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise _wrong(where, 'it is no list of names; say ["…"]')
    return given


def _known_pipeline(where: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise _wrong(where, f"there is no pipeline {name!r}; {discovery.nearest(name, known)}")


def _assignments(numbers: object) -> Iterator[tuple[str, float]]:
    """`temperature.too_hot.above=32,…` as given on the command line."""
    for assignment in str(numbers).split(",") if numbers else []:
        path, _, value = assignment.partition("=")
        try:
            yield path.strip(), float(value)
        except ValueError:
            raise _wrong(
                "-c set",
                f"{assignment!r} sets no number; say pipeline.detector.number=value, as "
                "temperature.too_hot.above=32",
            ) from None


def _overrides(numbers: Mapping[str, Any], known: Sequence[str]) -> dict[str, dict[str, float]]:
    """By pipeline; whether a detector has such a number is for the pipeline to say."""
    overrides: dict[str, dict[str, float]] = {}
    for path, value in numbers.items():
        name, _, number = path.partition(".")
        _known_pipeline(f"freshet.set, {path!r}", name, known)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong(
                f"freshet.set, {path!r}", f"{json.dumps(value)} is no number; say one, without quotes"
            )
        overrides.setdefault(name, {})[number] = value
    return overrides


def _overridden(pipeline: Pipeline, numbers: Mapping[str, float]) -> Pipeline:
    for path, value in numbers.items():
        try:
            pipeline = pipeline.overridden({path: value})
        except DeclarationError as error:
            raise _wrong(f"freshet.set, '{pipeline.name}.{path}'", str(error).rstrip(".")) from error
    return pipeline


def _recipient(where: str, given: object, known: Sequence[str]) -> Recipient:
    recipient = _mapping(where, given)
    allowed = tuple(Recipient.__dataclass_fields__)
    for name in recipient:
        if name not in allowed:
            raise _wrong(where, f"a recipient has no {name!r}; {discovery.nearest(name, allowed)}")
    email, sms, audience = (str(recipient.get(name, "")) for name in ("email", "sms", "audience"))
    if bool(email) == bool(sms):
        raise _wrong(where, "a recipient has one address; say either email or sms")
    if email and not EMAIL.fullmatch(email):
        raise _wrong(where, f"{email!r} is no e-mail address; say one such as somebody@example.com")
    if sms and not E164.fullmatch(sms):
        raise _wrong(
            where, f"{sms!r} is no mobile number; say it with country code and digits only, as +491701234567"
        )
    pipelines = _texts(f"{where}.pipelines", recipient.get("pipelines", []))
    for name in pipelines:
        _known_pipeline(f"{where}.pipelines", name, known)
    severities = _texts(f"{where}.severities", recipient.get("severities", []))
    names = [severity.name.lower() for severity in Severity]
    for name in severities:
        if name not in names:
            raise _wrong(
                f"{where}.severities", f"there is no severity {name!r}; there are {', '.join(names)}"
            )
    if audience == PLATFORM and (pipelines or severities):
        raise _wrong(where, "the audience 'platform' gets every alarm; leave out pipelines and severities")
    return Recipient(
        email=email, sms=sms, pipelines=tuple(pipelines), severities=tuple(severities), audience=audience
    )


def _time_zone(given: object) -> str:
    try:
        return ZoneInfo(str(given)).key
    except (KeyError, OSError, ValueError):
        raise _wrong(
            "freshet.time_zone", f"{given!r} is no IANA time zone; say one such as Europe/Berlin"
        ) from None


def _existing_stream(where: str, name: str, given: object, known: Sequence[str]) -> ExistingStream:
    _known_pipeline("freshet.existing_streams", name, known)
    stream = {"arn": given} if isinstance(given, str) else _mapping(where, given)
    parts = tuple(ExistingStream.__dataclass_fields__)
    for part in stream:
        if part not in parts:
            raise _wrong(where, f"an existing stream has no {part!r}; {discovery.nearest(part, parts)}")
    arn, key_arn = str(stream.get("arn", "")), str(stream.get("key_arn", ""))
    start = str(stream.get("start", LATEST))
    if not STREAM.fullmatch(arn):
        raise _wrong(
            where,
            f"{arn!r} is no ARN of a Kinesis stream; say arn:aws:kinesis:<region>:<account>:stream/<name>",
        )
    if key_arn and not KEY.fullmatch(key_arn):
        raise _wrong(
            where, f"{key_arn!r} is no ARN of a KMS key; say arn:aws:kms:<region>:<account>:key/<id>"
        )
    if start not in (LATEST, OLDEST):
        raise _wrong(
            where, f"reading cannot start at {start!r}; say {LATEST} (what comes from now on) or {OLDEST}"
        )
    return ExistingStream(arn=arn, key_arn=key_arn, start=start)
