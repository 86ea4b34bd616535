"""Each role may do what it does, and nothing else: proven grant by grant, or listed with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import policies as page
from laptop.cloud import Cloud
from laptop.policies import ASSUME_ROLE
from tests.policies.exercise import exercised
from tests.policies.proof import UNATTACHED, UNPROVEN, Grant, Proof


@pytest.fixture(scope="module")
def cloud(cdk_out: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with exercised(cdk_out, tmp_path_factory.mktemp("runs")) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def proof(cloud: Cloud) -> Proof:
    return Proof(cloud)


def excuses(grant: Grant) -> list[str]:
    return [entry.why for entry in UNPROVEN if entry.names(grant)]


def test_nothing_that_was_done_was_denied(cloud: Cloud) -> None:
    assert cloud.policies.denied == []


def test_every_role_that_was_deployed_did_something(proof: Proof, cloud: Cloud) -> None:
    roles = {role.logical_id for role in cloud.of_type("AWS::IAM::Role")}
    assert {grant.role.logical_id for grant in proof.grants if grant.requests} == roles


def test_nothing_is_granted_that_nothing_uses(proof: Proof) -> None:
    unused = [str(grant) for grant in proof.grants if not grant.requests and not excuses(grant)]
    assert unused == [], (
        "Take these grants away; or let tests/policies/exercise.py do what they are for; or, where AWS asks "
        "for them and the laptop cannot need them, say so in tests/policies/proof.py."
    )


def test_each_used_grant_taken_out_alone_is_missed_by_name(proof: Proof) -> None:
    # given the exercise, judged again by the same policies without one grant
    covered = [str(grant) for grant in proof.grants if grant.requests and not grant.is_proven]
    # then something is denied, with the name of the action
    assert covered == [], "Another grant covers each of these. Take one of the two away."


def test_what_is_said_to_be_unproven_is_granted_and_was_not_used(proof: Proof) -> None:
    for entry in UNPROVEN:
        named = [grant for grant in proof.grants if entry.names(grant)]
        actions = {grant.action for grant in named}
        assert actions == set(entry.actions.split()), f"Nothing has these grants any more: {entry}"
        used = [str(grant) for grant in named if grant.requests]
        assert used == [], f"These are proven. Take them out of the entry {entry}"


def test_no_grant_has_two_excuses(proof: Proof) -> None:
    assert [str(grant) for grant in proof.grants if len(excuses(grant)) > 1] == []


def test_every_action_is_granted_by_its_whole_name(proof: Proof) -> None:
    assert [str(grant) for grant in proof.grants if "*" in grant.action] == []


def test_every_role_is_trusted_to_one_service_which_takes_it(proof: Proof) -> None:
    trusts = [grant for grant in proof.grants if grant.action == ASSUME_ROLE]
    assert len(trusts) == len({(grant.role.stack, grant.role.logical_id) for grant in proof.grants})
    assert all(grant.is_proven for grant in trusts)


def test_every_policy_that_no_role_has_is_proven_by_tests_of_its_own(proof: Proof) -> None:
    assert proof.unattached == UNATTACHED.keys()
    assert all((page.PAGE.parents[1] / path).is_file() for path in UNATTACHED.values())


def test_page_is_as_the_exercise_shows_it(cloud: Cloud) -> None:
    assert page.page(cloud) == page.PAGE.read_text(), "docs/policies.md is stale. Write it anew: make docs"
