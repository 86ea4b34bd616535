"""The command's own part: whose fault an end is, in a sentence and an exit code."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import freshet


def verb(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    def run(_: argparse.Namespace) -> None:
        raise error

    monkeypatch.setitem(freshet.VERBS, "check", (run, "try", lambda _: None))
    return freshet.main(["check"])


def test_a_fault_of_ours_is_told_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(freshet, "FAILURES", tmp_path / "new" / "failure.log")

    assert verb(monkeypatch, KeyError("lake")) == 1

    told = capsys.readouterr().err
    assert told == (
        "freshet check failed, which is a fault of Freshet and not of what you gave it: KeyError: 'lake'. "
        f"Report it with {tmp_path}/new/failure.log.\n"
    )
    assert "Traceback" in (tmp_path / "new" / "failure.log").read_text()


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (freshet.UserError("Say more."), 2, "Say more.\n"),
        (freshet.Failed("The other program failed."), 1, "The other program failed.\n"),
        (KeyboardInterrupt(), 130, "\nStopped.\n"),
    ],
)
def test_exit_code_tells_whose_it_is_to_mend(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    told: str,
) -> None:
    assert verb(monkeypatch, error) == code
    assert capsys.readouterr().err == told


def test_what_a_room_refuses_is_the_users_to_mend() -> None:
    with pytest.raises(freshet.UserError, match=r"no such day"), freshet.refused(LookupError):
        raise LookupError("There is no such day.")
    with pytest.raises(ZeroDivisionError), freshet.refused(LookupError):
        raise ZeroDivisionError


@pytest.mark.parametrize("given", [["demo", "--seed", "one"], ["query"], ["new"], ["smoke", "a", "b"]])
def test_wrong_options_are_one_sentence_and_where_to_look(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        freshet.main(given)

    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert told.count("\n") == 1
    assert "--help" in told


@pytest.mark.parametrize("value", ["nan", "inf", "1e400", "warm"])
def test_number_is_a_finite_one(value: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no finite number; say one"):
        freshet.number(f"too_hot.above={value}")


def test_reader_that_has_enough_ends_nothing_with_a_fault() -> None:
    house = Path(freshet.__file__).parent
    words = f"{sys.executable} {house / 'freshet.py'} cases temperature | true; echo ${{PIPESTATUS[0]}}"

    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=False)  # noqa: S607 - any bash

    assert (done.stdout.strip(), done.stderr) == ("0", "")


def test_what_a_linked_environment_leads_to_is_not_emptied(tmp_path: Path) -> None:
    # given a checkout whose environment is a link to another's
    house = Path(freshet.__file__).parent
    for file in [house / "Makefile", *house.glob("requirements*.txt")]:
        shutil.copy(file, tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "theirs").touch()
    (tmp_path / ".venv").symlink_to(other)
    # when it is to be made
    command = ["make", f"PYTHON={sys.executable}", ".venv/dev"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    # then make says what to do, and nothing is gone
    assert done.returncode != 0
    assert ".venv is a link, and what it leads to would be emptied: remove the link" in done.stderr
    assert [path.name for path in other.iterdir()] == ["theirs"]
