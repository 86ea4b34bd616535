"""`freshet deploy` and `destroy` in an account of the laptop's AWS in which nothing of Freshet stands."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    InvalidRegionError,
    NoCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    TokenRetrievalError,
)

from laptop.clock import Clock
from laptop.cloud import Cloud
from stacks import command, deploy
from stacks.account import Account, Refused
from stacks.command import CommandError
from stacks.settings import Settings
from tests.stacks.fake_cdk import BOOTSTRAP, DEPLOY, SYNTH, Cdk, Somebody, install


@pytest.fixture
def cdk(tmp_path: Path, cdk_out: Path, monkeypatch: pytest.MonkeyPatch) -> Cdk:
    return install(tmp_path, cdk_out, monkeypatch)


@pytest.fixture(autouse=True)
def empty() -> Iterator[Cloud]:
    with Cloud(Clock(0)) as cloud:
        yield cloud


def test_first_deploy_says_what_it_makes_and_bootstraps_before(cdk: Cdk, cdk_out: Path) -> None:
    somebody = Somebody("y")

    deploy.deploy(terminal=somebody.terminal)

    assert cdk.calls == [SYNTH, BOOTSTRAP, DEPLOY]
    assert somebody.heard[0].startswith("To account 123456789012, Region us-east-1, as arn:aws:")
    resources = json.loads((cdk_out / "freshet-lake.template.json").read_text())["Resources"]
    made = sum(each["Type"] != "AWS::CDK::Metadata" for each in resources.values())
    assert somebody.heard_of("freshet-lake ") == f"  {'freshet-lake':<28}new: creates {made}"
    assert "Glue::Table" in somebody.heard_of("Created are")
    assert "A month costs about $" in somebody.heard_of("at the declared load")
    assert "this account has none in us-east-1" in somebody.heard_of("First cdk bootstrap")
    assert somebody.heard_of("hosts@") == (
        "hosts@example.com will get a mail from AWS, and is told nothing until its link is followed."
    )
    assert somebody.asked == ["Deploy this? [y/N] "]
    assert "./freshet smoke" in somebody.heard[-1]


@pytest.mark.parametrize(
    ("somebody", "sentence"),
    [
        (Somebody("n"), "Nothing was changed."),
        (Somebody(""), "Nothing was changed."),
        (
            Somebody(is_there=False),
            "Nobody is here to be asked; say --yes if that is what you want. Nothing was changed.",
        ),
    ],
    ids=["no", "return", "no terminal"],
)
def test_without_a_yes_nothing_is_deployed(cdk: Cdk, somebody: Somebody, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        deploy.deploy(terminal=somebody.terminal)

    assert str(refused.value) == sentence
    assert cdk.calls == [SYNTH]


def test_yes_needs_nobody(cdk: Cdk) -> None:
    deploy.deploy(yes=True, terminal=Somebody(is_there=False).terminal)

    assert cdk.calls == [SYNTH, BOOTSTRAP, DEPLOY]


@pytest.mark.parametrize("step", ["synth", "bootstrap", "deploy"])
def test_a_step_that_fails_is_the_last(
    cdk: Cdk, step: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAILS", step)

    with pytest.raises(CommandError, match=f"cdk {step} failed, as it says above"):
        deploy.deploy(yes=True, terminal=Somebody().terminal)

    assert cdk.calls[-1][1] == step
    assert "the reason" in "".join(capfd.readouterr())


@pytest.mark.usefixtures("cdk")
def test_whoever_stops_the_command_is_told_that_cloudformation_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = subprocess.run

    def stopped(arguments: list[str], **more: Any) -> Any:
        if "deploy" in arguments:
            raise KeyboardInterrupt
        return run(arguments, check=False, **{name: more[name] for name in more.keys() - {"check"}})

    monkeypatch.setattr(subprocess, "run", stopped)

    with pytest.raises(KeyboardInterrupt):
        deploy.deploy(yes=True, terminal=Somebody().terminal)

    assert capsys.readouterr().err == "\nWhat CloudFormation has begun goes on without this command.\n"


def test_an_old_bootstrap_is_made_anew(empty: Cloud, cdk: Cdk) -> None:
    empty.client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="5", Type="String")
    somebody = Somebody()

    deploy.deploy(yes=True, terminal=somebody.terminal)

    assert "has version 5 of it, and 6 is needed" in somebody.heard_of("First cdk bootstrap")
    assert BOOTSTRAP in cdk.calls


RECIPIENT_SETS: list[tuple[list[Mapping[str, Any]], str]] = [
    ([], "Nobody is told of anything: cdk.json names no recipients"),
    ([{"email": "a@b.example", "audience": "platform"}], "Nobody is told of incidents: all recipients"),
    ([{"email": "a@b.example", "severities": ["high"]}], "Nobody is told when Freshet itself fails"),
    ([{"sms": "+15555550100"}], "SMS do not reach +15555550100: the account is in the SMS sandbox"),
]


@pytest.mark.usefixtures("cdk")
@pytest.mark.parametrize(("recipients", "part"), RECIPIENT_SETS, ids=[part for _, part in RECIPIENT_SETS])
def test_who_would_hear_nothing_is_said(recipients: list[Mapping[str, Any]], part: str) -> None:
    settings = Settings.read({"pipelines": ["temperature"], "recipients": recipients})

    assert any(line.startswith(part) for line in deploy.told(settings, Account.signed_in()))


@pytest.mark.usefixtures("cdk")
def test_numbers_that_are_verified_or_out_of_the_sandbox_are_not_spoken_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = Account.signed_in()
    verified = Settings.read({"pipelines": ["temperature"], "recipients": [{"sms": "+491701234567"}]})
    looked_up = Settings.read({"pipelines": ["heart_rate"]})

    assert list(deploy.unheard(verified, account)) == []
    assert "numbers that heart_rate looks up" in next(deploy.unheard(looked_up, account))

    monkeypatch.setattr(Account, "sandboxed", lambda _: None)
    assert list(deploy.unheard(looked_up, account)) == []


def client_error(code: str, operation: str = "GetCallerIdentity") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no."}}, operation)


CREDENTIALS = [
    (
        NoCredentialsError(),
        "There are no AWS credentials; sign in (aws sso login, aws configure) or set AWS_PROFILE.",
    ),
    (
        ProfileNotFound(profile="x"),
        "The config profile (x) could not be found; set AWS_PROFILE to one of ~/.aws/config.",
    ),
    (
        TokenRetrievalError(provider="sso", error_msg="Token has expired"),
        "The AWS credentials cannot be used: Error when retrieving token from sso: Token has expired; sign "
        "in again (aws sso login).",
    ),
    (
        EndpointConnectionError(endpoint_url="https://sts.mars-1.amazonaws.com"),
        'AWS cannot be reached: Could not connect to the endpoint URL: "https://sts.mars-1.amazonaws.com"; '
        "see whether the network and the Region are right.",
    ),
    (
        InvalidRegionError(region_name="EU Central"),
        "Provided region_name 'EU Central' doesn't match a supported format; say a Region such as "
        "AWS_REGION=eu-central-1.",
    ),
    (
        ReadTimeoutError(endpoint_url="https://sts.eu-central-1.amazonaws.com"),
        'AWS cannot be reached: Read timeout on endpoint URL: "https://sts.eu-central-1.amazonaws.com"; see '
        "whether the network and the Region are right.",
    ),
    (
        client_error("ExpiredToken"),
        "The AWS credentials have expired; sign in again (aws sso login) or fetch new ones.",
    ),
    (
        client_error("InvalidClientTokenId"),
        "AWS does not know these credentials; see AWS_PROFILE, AWS_ACCESS_KEY_ID and the others.",
    ),
    (
        client_error("AccessDenied", "DescribeStacks"),
        "AWS refused DescribeStacks (AccessDenied: no); use credentials that may do it.",
    ),
]


@pytest.mark.parametrize(
    ("error", "sentence"), CREDENTIALS, ids=[type(error).__name__ for error, _ in CREDENTIALS]
)
@pytest.mark.parametrize("verb", [deploy.deploy, deploy.destroy], ids=["deploy", "destroy"])
def test_credentials_that_do_not_serve_are_refused_with_a_sentence(
    verb: Any, error: Exception, sentence: str, cdk: Cdk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def client(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setattr(boto3, "client", client)

    with pytest.raises(Refused) as refused:
        verb(yes=True, terminal=Somebody().terminal)

    assert str(refused.value) == sentence
    assert cdk.calls == []


def test_no_region_is_refused(cdk: Cdk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    with pytest.raises(Refused, match="No Region is set; say AWS_REGION=eu-central-1"):
        deploy.deploy(yes=True, terminal=Somebody().terminal)

    assert cdk.calls == []


def test_nothing_to_destroy_is_said(cdk: Cdk) -> None:
    somebody = Somebody()

    deploy.destroy(terminal=somebody.terminal)

    assert somebody.heard[-1] == "Nothing of Freshet stands there."
    assert cdk.calls == []


def test_a_stack_without_a_folder_is_to_be_deleted_by_hand() -> None:
    with pytest.raises(Refused, match="freshet-old-one stands and there is no folder pipelines/old_one"):
        deploy.deployed_pipelines(["freshet-lake", "freshet-old-one"])


def test_half_a_command_is_not_taken_for_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "HOME", tmp_path / "cdk")
    monkeypatch.setattr(command, "NODE", sys.executable)  # to which npm is no program

    with pytest.raises(CommandError, match="npm could not fetch the CDK's command"):
        command.installed()

    assert not command.is_current()


@pytest.mark.skipif(
    not command.is_current(), reason="the CDK's command is not installed: freshet deploy does it"
)
def test_the_locked_command_knows_this_app() -> None:
    said = subprocess.run([*command.installed(), "--version"], capture_output=True, text=True, check=True)

    wanted = json.loads((command.LOCK / "package.json").read_text())["dependencies"]["aws-cdk"]
    assert said.stdout.startswith(f"{wanted} ")
