"""What stands of a pipeline in an account, and how whoever asks is told what AWS refuses."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any  # what AWS answers is as mixed as JSON

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

LOST_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
}
DENIALS = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException"}


class Refused(RuntimeError):
    """What the user can mend before anything has changed: a sentence."""


class Stuck(RuntimeError):
    """The pipeline does not do its work, or AWS did not answer: a sentence."""


@contextmanager
def asking(name: str, policy: str, begun: Callable[[], str], nothing: str) -> Iterator[None]:
    """Makes a sentence of what AWS does not do: `Refused` where the user can mend it, else `Stuck`.

    `policy` is the stack's output that names what the user needs; `begun` says what became of what was begun,
    and is empty while that is nothing, which `nothing` says.
    """
    try:
        yield
    except (
        InvalidRegionError,
        NoCredentialsError,
        NoRegionError,
        PartialCredentialsError,
        ProfileNotFound,
    ) as error:
        raise Refused(
            f"AWS cannot be asked: {str(error).rstrip('.')}. Say --profile and --region, or set AWS_PROFILE "
            "and AWS_REGION."
        ) from error
    except ClientError as error:
        raise_for_user(error, name, policy)
        refusal = f"AWS refused {error.operation_name}: {str(error).rstrip('.')}."
        raise Stuck(f"{refusal} {begun() or nothing}") from error
    except BotoCoreError as error:
        sentence = f"AWS was not reached: {str(error).rstrip('.')}."
        if not begun():
            raise Refused(f"{sentence} {nothing}") from error
        raise Stuck(f"{sentence} {begun()}") from error


def raise_for_user(error: ClientError, name: str, policy: str) -> None:
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code in LOST_CREDENTIALS:
        raise Refused(f"AWS does not take the credentials ({code}): log in again.") from error
    if code in DENIALS or "not authorized" in message:
        raise Refused(
            f"{error.operation_name} is not allowed: {message.rstrip('.')}. Attach the policy that the stack "
            f"{stack_of(name)} names as {policy} to who runs this."
        ) from error


def stack_of(name: str) -> str:
    return f"freshet-{name.replace('_', '-')}"


def outputs_of(session: Any, stack: str, pipeline: str) -> dict[str, str]:
    """A deployed stack's outputs by their names."""
    client = session.client("cloudformation")
    try:
        (about,) = client.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if "does not exist" not in error.response["Error"].get("Message", ""):
            raise
        raise Refused(
            f"{pipeline} is not deployed in {client.meta.region_name}: there is no stack {stack} there. "
            "Deploy it, or say --region or --profile of where it is."
        ) from error
    status = about["StackStatus"]
    if not status.endswith("_COMPLETE") or status in ("DELETE_COMPLETE", "ROLLBACK_COMPLETE"):
        raise Refused(f"The stack {stack} is in state {status}: wait until it stands, or mend it.")
    return {each["OutputKey"]: each["OutputValue"] for each in about.get("Outputs", [])}


def needed(outputs: dict[str, str], names: set[str], pipeline: str) -> dict[str, str]:
    """The outputs, which have all of these names."""
    if lacking := names - outputs.keys():
        raise Refused(
            f"The stacks of {pipeline} do not say their {', '.join(sorted(lacking))}: an older "
            "Freshet made them. Deploy them again."
        )
    return outputs


@dataclass(frozen=True)
class Terminal:
    """How to speak with whoever asks; tests speak in their place."""

    say: Callable[[str], None] = print
    ask: Callable[[str], str] = input
    is_there: Callable[[], bool] = field(default=lambda: sys.stdin.isatty())

    def agree(self, question: str, *, yes: bool) -> None:
        """Raises `Refused` unless somebody says yes, here or by `--yes`."""
        if yes:
            return
        if not self.is_there():
            raise Refused("Nobody is here to be asked; say --yes if that is what you want. Nothing was done.")
        if self.ask(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
            raise Refused("Nothing was done.")
