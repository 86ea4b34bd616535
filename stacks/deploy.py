"""`freshet deploy` and `freshet destroy`: say what will be, ask, and let the CDK's command do it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any  # a template's properties are as mixed as JSON

from botocore.exceptions import BotoCoreError, ClientError

from lambdas.columns import DeclarationError
from pipelines import discovery
from stacks import command
from stacks.account import PREFIX, TOOLKIT, Account, Refused, Stack, sentence
from stacks.check import stack_manifest
from stacks.costs import HOURS, PRICES, reckon
from stacks.settings import PLATFORM, Settings, configured

ROOT = command.ROOT
ASSEMBLY = ROOT / ".freshet" / "deploy"
SHARED = ("lake", "operators", "dashboard")
RETAINED = ("Retain", "RetainExceptOnCreate")
MOST_TYPES = 8  # of resources that are named; the others are counted
# What outlives its stack: what keeping it costs, and what deletes it for good.
KEPT = {
    "AWS::DynamoDB::Table": ("$0.25 a GB and month", "aws dynamodb delete-table --table-name {}"),
    "AWS::KMS::Key": (
        "$1 a month",
        "aws kms schedule-key-deletion --pending-window-in-days 7 --key-id {}  # the last: "
        "it opens all the others",
    ),
    "AWS::Kinesis::Stream": (
        f"${PRICES['shard'].of(HOURS):.2f} a shard and month",
        "aws kinesis delete-stream --enforce-consumer-deletion --stream-name {}",
    ),
    "AWS::S3::Bucket": (
        f"${PRICES['stored'].dollars:g} a GB and month",
        "aws s3 rb s3://{}  # when it is empty, of old versions too",
    ),
}


@dataclass(frozen=True)
class Terminal:
    """How to speak with whoever deploys; tests speak in their place."""

    say: Callable[[str], None] = print
    ask: Callable[[str], str] = input
    is_there: Callable[[], bool] = field(default=lambda: sys.stdin.isatty())

    def agree(self, question: str, *, yes: bool) -> None:
        """Raises `Refused` unless somebody says yes, here or by `--yes`."""
        if yes:
            return
        if not self.is_there():
            raise Refused(
                "Nobody is here to be asked; say --yes if that is what you want. Nothing was changed."
            )
        if self.ask(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
            raise Refused("Nothing was changed.")


def deploy(*, yes: bool = False, terminal: Terminal | None = None) -> None:
    """Deploy what cdk.json says. Raises `Refused`, `DeclarationError` and `command.CommandError`."""
    terminal = terminal or Terminal()
    settings = configured()
    try:
        account = Account.signed_in()
        terminal.say(f"To {account.words}.")
        terminal.say("Synthesizing; the first time, the functions' packages are fetched as well.")
        # The very assembly that is shown is deployed; its functions' packages are fetched now.
        command.run(["synth", "--output", str(ASSEMBLY)], region=account.region, is_quiet=True)
        manifest = stack_manifest(ASSEMBLY)
        needs_bootstrap = bootstrap_words(account, manifest)
        for line in [*plan(ASSEMBLY, account), *prices(ASSEMBLY, settings), *told(settings, account)]:
            terminal.say(line)
        if needs_bootstrap:
            terminal.say(needs_bootstrap)
        terminal.agree("Deploy this?", yes=yes)
        if needs_bootstrap:
            command.run(["bootstrap", f"aws://{account.number}/{account.region}"], region=account.region)
        # What is about to change has been shown and agreed to.
        go = ["deploy", "--all", "--app", str(ASSEMBLY), "--require-approval", "never"]
        command.run(go, region=account.region)
        for line in afterwards(Account.signed_in(), settings):
            terminal.say(line)
    except (BotoCoreError, ClientError) as error:
        raise Refused(sentence(error)) from None


def destroy(*, yes: bool = False, terminal: Terminal | None = None) -> None:
    """Delete every stack of Freshet; what is retained stays. Raises as `deploy` does."""
    terminal = terminal or Terminal()
    try:
        account = Account.signed_in()
        terminal.say(f"In {account.words}.")
        if not account.stacks:
            terminal.say("Nothing of Freshet stands there.")
            return
        names = deployed_pipelines(account.stacks)
        for line in leftovers(account.stacks.values()):
            terminal.say(line)
        terminal.agree("Destroy these stacks?", yes=yes)
        context = ["--context", f"pipelines={','.join(names)}"] if names else []
        output = ["--output", str(ASSEMBLY.with_name("destroy"))]
        command.run(["destroy", "--all", "--force", *context, *output], region=account.region)
        terminal.say("Destroyed. What is kept is listed above, with what deletes it for good.")
    except DeclarationError as error:
        raise Refused(str(error)) from None
    except (BotoCoreError, ClientError) as error:
        raise Refused(sentence(error)) from None


def bootstrap_words(account: Account, manifest: Mapping[str, Any]) -> str:
    """What has to be made before the first deploy in an account and Region; nothing where it is there."""
    wanted = max(each["requiresBootstrapStackVersion"] for each in manifest.values())
    found = account.bootstrapped(next(iter(manifest.values()))["bootstrapStackVersionSsmParameter"])
    if found >= wanted:
        return ""
    why = f"has version {found} of it, and {wanted} is needed" if found else "has none"
    return (
        f"First cdk bootstrap makes the stack {TOOLKIT}, a bucket for code and the roles that deploy: this "
        f"account {why} in {account.region}."
    )


def plan(assembly: Path, account: Account) -> Iterator[str]:
    """What a deployment creates, changes, deletes and leaves, by stack and by type."""
    created = Counter[str]()
    manifest = stack_manifest(assembly)
    for name, properties in manifest.items():
        wanted = json.loads((assembly / properties["templateFile"]).read_text())["Resources"]
        before = account.stacks[name].resources if name in account.stacks else {}
        counts, new = compared(before, wanted)
        created += new
        told = ", ".join(f"{verb} {number}" for verb, number in counts.items() if number)
        yield f"  {name:<28}{told if before else f'new: {told}'}"
    if created:
        types = [f"{number} {kind.removeprefix('AWS::')}" for kind, number in created.most_common(MOST_TYPES)]
        rest = sum(created.values()) - sum(number for _, number in created.most_common(MOST_TYPES))
        yield f"Created are {', '.join(types)}{f' and {rest} others' if rest else ''}."
    for name in sorted(account.stacks.keys() - manifest.keys()):
        yield f"{name} stands and cdk.json does not name it: it is left as it is."


def compared(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[dict[str, int], Counter[str]]:
    """How many resources are created, changed and so on, and the types of those that are created."""
    before, wanted = without_metadata(before), without_metadata(wanted)
    new = [name for name in wanted if name not in before]
    changed = sum(before[name] != wanted[name] for name in wanted if name in before)
    gone = [before[name] for name in before if name not in wanted]
    kept = sum(each.get("UpdateReplacePolicy", each.get("DeletionPolicy")) in RETAINED for each in gone)
    counts = {
        "creates": len(new),
        "changes": changed,
        "deletes": len(gone) - kept,
        "lets go of": kept,
        "leaves": len(wanted) - len(new) - changed,
    }
    return counts, Counter(wanted[name]["Type"] for name in new)


def without_metadata(resources: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {part: value for part, value in each.items() if part != "Metadata"}
        for name, each in resources.items()
        if each["Type"] != "AWS::CDK::Metadata"
    }


def prices(assembly: Path, settings: Settings) -> Iterator[str]:
    found = reckon(assembly, settings.pipelines)
    idle, loaded = (sum(getattr(each, name) for each in found) for name in ("idle", "loaded"))
    yield (
        f"A month costs about ${idle:.0f} idle and ${loaded:.0f} at the declared load, at list prices of "
        "us-east-1; ./freshet costs says of what."
    )


def told(settings: Settings, account: Account) -> Iterator[str]:
    """Who is told nothing, or less than cdk.json says."""
    if not settings.recipients:
        yield 'Nobody is told of anything: cdk.json names no recipients; say [{"email": "…"}] there.'
    elif all(each.audience == PLATFORM for each in settings.recipients):
        yield "Nobody is told of incidents: all recipients of cdk.json are of the audience 'platform'."
    elif not settings.alarmed:
        yield "Nobody is told when Freshet itself fails: no recipient is of the audience 'platform'."
    for address in account.unconfirmed():
        yield f"{address} is told nothing until the link in the mail from AWS is followed."
    known = {address for stack in account.stacks.values() for address in subscribed(stack)}
    for each in settings.recipients:
        if each.email and each.email not in known:
            yield f"{each.email} will get a mail from AWS, and is told nothing until its link is followed."
    yield from unheard(settings, account)


def unheard(settings: Settings, account: Account) -> Iterator[str]:
    """Whom no SMS reaches."""
    numbers = [each.sms for each in settings.recipients if each.sms]
    looking_up = [
        each.name for each in settings.pipelines if any(one.sms is not None for one in each.detectors)
    ]
    if not numbers and not looking_up:
        return
    try:
        verified = account.sandboxed()
    except ClientError as error:
        yield f"Whether SMS arrive cannot be seen. {sentence(error)}"
        return
    if verified is None:
        return
    silent = [number for number in numbers if number not in verified]
    whom = ", ".join([*silent, *(f"numbers that {name} looks up" for name in looking_up)])
    if whom:
        yield (
            f"SMS do not reach {whom}: the account is in the SMS sandbox, which sends to verified numbers "
            "only; verify them in the console of SNS, or ask there to leave it."
        )


def subscribed(stack: Stack) -> Iterator[str]:
    for each in stack.resources.values():
        if each["Type"] == "AWS::SNS::Subscription":
            yield str(each["Properties"]["Endpoint"])


def afterwards(account: Account, settings: Settings) -> Iterator[str]:
    """What is left to do once everything stands."""
    yield "Deployed."
    for address in account.unconfirmed():
        yield f"{address} has to follow the link in the mail from AWS, and is told nothing before."
    for stack in account.stacks.values():
        if "Dashboard" in stack.outputs:
            yield f"The dashboard: {stack.outputs['Dashboard']}"
    name = settings.pipelines[0].name
    yield f"See one event go all the way: ./freshet smoke {name}"


def deployed_pipelines(stacks: Iterable[str]) -> list[str]:
    """The pipelines whose stacks stand; the app has to know each, or it cannot delete its stack."""
    found = []
    for stack in stacks:
        part = stack.removeprefix(PREFIX)
        if part in SHARED:
            continue
        name = part.replace("-", "_")
        if name not in discovery.names():
            raise Refused(
                f"The stack {stack} stands and there is no folder pipelines/{name}; delete that stack in "
                "CloudFormation, then again."
            )
        found.append(name)
    return found


def leftovers(stacks: Iterable[Stack]) -> Iterator[str]:
    """Which stacks go, and what of them stays: its name, what it costs, and what deletes it for good."""
    kept: dict[str, list[str]] = {}
    for stack in stacks:
        held = [
            (each["Type"], stack.ids[name])
            for name, each in stack.resources.items()
            if each.get("DeletionPolicy") in RETAINED and stack.ids.get(name)
        ]
        left = f"deletes {len(stack.resources) - len(held)}, keeps {len(held)}"
        yield f"  {stack.name:<28}{left if stack.resources else 'deletes what a failed deployment left'}"
        for kind, physical in held:
            kept.setdefault(kind, []).append(physical)
    if kept:
        yield "Kept, since it holds data; a later deploy makes new ones and does not find it:"
    for kind, names in sorted(kept.items(), key=lambda item: item[0] == "AWS::KMS::Key"):
        costs, deletes = KEPT.get(kind, ("", "delete it in the console: {}"))
        yield f"  {kind.removeprefix('AWS::')}{f', {costs}' if costs else ''}; to delete for good:"
        yield from (f"    {deletes.format(name)}" for name in names)
