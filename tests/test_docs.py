"""Every command and snippet of the pages is run, or checked where it wants an account; no link is dead."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import botocore.session
import jmespath  # type: ignore[import-untyped] # no types are published for it
import pytest
import yaml
from botocore import xform_name
from markdown_it import MarkdownIt
from markdown_it.token import Token

import freshet
from lambdas.model import HIGH, Finding
from laptop.run_folder import RunFolder
from pipelines import discovery
from sql.lake import Lake
from sql.view import View
from stacks.settings import KNOWN, Settings
from tests.detectors.support import Reading, hear, rows

HOUSE = Path(__file__).parents[1]
GENERATED = ("faults.md", "fidelity.md", "policies.md", "semantics.md")
FRONT = HOUSE / "README.md"
PAGES = [
    FRONT,
    # Next, since its run is of the templates that the front page's replay has synthesized.
    *sorted((HOUSE / "docs").glob("*.md"), key=lambda page: (page.name != "laptop.md", page.name)),
    *sorted((HOUSE / "pipelines").glob("*/README.md")),
    *sorted((HOUSE / "docs" / "decisions").glob("*.md")),
]
WRITTEN = [page for page in PAGES if page.name not in GENERATED]
ROOMS = ("glue_jobs", "lambdas", "laptop", "operate", "pipelines", "sql", "stacks")
FILES = (
    "app.py",
    "cdk.json",
    "freshet",
    "freshet.py",
    "Makefile",
    *(path.name for path in HOUSE.glob("requirements*")),
)
# What tests/laptop/test_demo.py runs at its full length.
SHORTER = {"make demo": "./freshet demo --minutes 10 --quiet"}
# What ends otherwise than well, once on a page, and what it says then.
FAILS = {
    (
        FRONT,
        "./freshet cases boiler_room",
    ): "Write in pipelines/boiler_room/pipeline.py the condition of too_high"
}
NO_CREDENTIALS = {
    "make deploy": "There are no AWS credentials; sign in",
    "make destroy": "There are no AWS credentials; sign in",
    "./freshet smoke": "AWS cannot be asked: Unable to locate credentials",
    "./freshet redrive": "AWS cannot be asked: Unable to locate credentials",
}
# The CLI's own commands and options, which are no operations of a service: docs.aws.amazon.com/cli/latest.
OF_CLI = {("logs", "tail"): {"--since", "--filter-pattern"}, ("s3", "ls"): {"--recursive"}}
GLOBAL = {"--query", "--output", "--cli-binary-format"}
COLUMN = re.compile(r"    \w+ = [A-Z]\w*\(.*\)\n")


@dataclass(frozen=True)
class Block:
    """A page's block of code: what kind it is of, and the file that the words before it name."""

    page: Path
    line: int
    kind: str
    text: str
    file: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(HOUSE)}:{self.line}"


def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())


def inline(page: Path, kind: str) -> Iterator[Token]:
    for token in tokens(page):
        yield from (child for child in token.children or () if child.type == kind)


def blocks(page: Path) -> Iterator[Block]:
    file = ""
    for token in tokens(page):
        for child in token.children or ():
            if child.type == "code_inline" and re.fullmatch(r"[\w/]+\.(py|yaml|json)", child.content):
                file = child.content
        if token.type in ("code_block", "fence"):
            assert token.map is not None  # every block stands in some lines
            yield Block(page, token.map[0] + 1, kind_of(token.content), token.content, file)


def kind_of(text: str) -> str:
    """Raises where nobody has said how such a block is to be checked."""
    first, *_ = text.splitlines()
    if re.match(r"(\./freshet|make|printf|aws) ", first):
        return "shell"
    if re.fullmatch(r"[\w./<>]+/", first):
        return "tree"
    if re.search("[┬│└├─→]", text):
        return "picture"
    if re.match(r"(select|with|--) ", first):
        return "sql"
    for kind, read in (("json", in_braces), ("python", python), ("yaml", yaml.safe_load)):
        try:
            if isinstance(read(text), dict | ast.AST):
                return kind
        except (ValueError, SyntaxError, yaml.YAMLError):
            continue
    raise ValueError(
        f"A block of a kind that tests/test_docs.py does not know; teach it to, or indent less:\n{text}"
    )


def in_braces(text: str) -> Any:
    return json.loads(f"{{{text}}}")


def python(text: str) -> ast.AST:
    """A file's statements, a decorator, arguments, or entries of a dictionary."""
    for form in ("{}", "{}\ndef decorated(): ...", "called({})", "{{{}}}"):
        try:
            return ast.parse(form.format(text))
        except SyntaxError:
            continue
    raise SyntaxError(text)


class Copy:
    """A copy of the house for one page, in which its commands are run as they stand there."""

    def __init__(self, folder: Path, runs: Path) -> None:
        self.folder, self.runs = folder, runs
        for room in ROOMS:
            shutil.copytree(HOUSE / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
        for name in FILES:
            shutil.copy(HOUSE / name, folder / name)
        # The packages of whoever tests, under stamps that are newer than the locks: nothing is installed.
        (folder / ".venv").mkdir()
        for path in Path(sys.prefix).iterdir():
            if path.name not in ("cdk", "dev", "runtime", "uv"):
                (folder / ".venv" / path.name).symlink_to(path)
        for stamp in ("uv", "runtime", "dev"):
            (folder / ".venv" / stamp).touch()

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "MAKE", "PYTHON"))
        }
        nobody = {
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.folder,
            env=kept | nobody | {"FRESHET_RUNS": str(self.runs)},
            capture_output=True,
            text=True,
            check=False,
        )


class House:
    """Makes copies that share what was synthesized, and the demo's run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "made").mkdir()
        self._demo = self._copy("demo")
        done = self._demo.run(SHORTER["make demo"])
        assert done.returncode == 0, done.stderr
        self.demo = RunFolder.latest(self._demo.runs)
        (assembly,) = (folder / "made" / "assemblies").iterdir()
        self.templates = {
            path.name.split(".")[0]: json.loads(path.read_text()) for path in assembly.glob("*.template.json")
        }

    def copy_for(self, page: Path) -> Copy:
        name = "-".join(page.relative_to(HOUSE).parts)
        copy = self._copy(name)
        shutil.copytree(self._demo.runs, copy.runs)
        return copy

    def _copy(self, name: str) -> Copy:
        copy = Copy(self._folder / name, self._folder / f"runs-of-{name}")
        (copy.folder / ".freshet").symlink_to(self._folder / "made")
        return copy

    def lake(self) -> Lake:
        return Lake(self.demo.path, now=self.demo.ended)

    def outputs(self, stack: str) -> set[str]:
        return set(self.templates[stack]["Outputs"])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"))


def name_of(page: Path) -> str:
    return str(page.relative_to(HOUSE))


@pytest.mark.parametrize("page", [page for page in WRITTEN if any(blocks(page))], ids=name_of)
def test_page_does_what_it_shows(house: House, page: Path) -> None:
    copy, expected = house.copy_for(page), dict(FAILS)
    for block in blocks(page):
        if block.kind == "shell":
            for command in block.text.splitlines():
                run_command(copy, block, command, expected.pop((page, command), ""))
        elif block.kind == "json":
            read_settings(in_braces(block.text))
        elif block.kind == "sql":
            ask(house, block)
        elif block.kind == "tree":
            see_files(house, block)
        elif block.kind in ("python", "yaml"):
            write(copy, block)
        else:
            assert block.kind == "picture"
    assert not [command for at, command in expected if at == page], (
        "a command that is to fail is no longer shown"
    )


def run_command(copy: Copy, block: Block, command: str, fails: str) -> None:
    if command.startswith("aws "):
        check_aws(command)
        return
    if re.fullmatch(r"make (?!demo|deploy|destroy)\w+", command):
        command = command.replace("make", "make --dry-run", 1)
    elif command == "make demo":
        return  # it is the run that the copy was given
    refusal = next((words for begin, words in NO_CREDENTIALS.items() if command.startswith(begin)), fails)

    done = copy.run(command)

    assert done.returncode == (2 if refusal else 0), f"{block}: {command}\n{done.stdout}{done.stderr}"
    assert refusal in done.stdout + done.stderr, f"{block}: {command}"
    assert "Traceback" not in done.stderr
    if command.startswith("./freshet query"):
        assert len(done.stdout.splitlines()) > 1 or "incidents_open" in command, (
            f"{block}: nothing is answered"
        )


def check_aws(command: str) -> None:
    """A command of the AWS CLI: its operation, its options, and what is JSON or JMESPath in them."""
    _, service, verb, *rest = shlex.split(command)
    given = {word for word in rest if word.startswith("--")}
    values = dict(pairwise(rest))
    if (service, verb) in OF_CLI:
        assert given <= OF_CLI[service, verb], command
        return
    model = botocore.session.get_session().get_service_model(service)
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    assert verb in operations, command
    shape = model.operation_model(operations[verb]).input_shape
    options = {f"--{xform_name(name, '-')}": member for name, member in shape.members.items()}
    assert given <= options.keys() | GLOBAL, command
    assert {f"--{xform_name(name, '-')}" for name in shape.required_members} <= given, command
    for option in given & options.keys():
        if options[option].type_name in ("map", "structure"):
            json.loads(values[option])
    if "--query" in given:
        jmespath.compile(values["--query"])


def read_settings(given: dict[str, Any]) -> None:
    Settings.read(given.get("freshet") or {"pipelines": discovery.names(), **given})


def ask(house: House, block: Block) -> None:
    """A view through the gate and then, as any question, of the demo's lake."""
    for sql in re.split(r";\n", block.text):
        if sql.startswith("-- one row per"):
            sql = View.parse("shown", sql).sql
        answer = house.lake().query(sql)
        assert answer.rows or "_curated" in sql, f"{block}: nothing is answered"


def see_files(house: House, block: Block) -> None:
    """A folder and what lies in it; the folder of a run is that of the demo."""
    first, *lines = block.text.splitlines()
    folder = house.demo.path if "<run>" in first else HOUSE / first
    for line in lines:
        names = re.findall(r"(?:^|   )\s*([\w*]+(?:[./][\w*./]*)+)", line)
        assert names, f"{block}: {line} begins with no file"
        for name in names:
            assert list(folder.glob(name.rstrip("/"))), f"{block}: there is no {name} in {folder}"


def write(copy: Copy, block: Block) -> None:
    """Puts a snippet where the page says that it belongs; the page's next command meets it there."""
    path = copy.folder / block.file
    before = path.read_text() if path.exists() else ""
    argument = re.match(r"(\w+=).*,\n$", block.text)
    if block.kind == "yaml":
        after = before + "\n" + textwrap.indent(block.text, "  ")
    elif argument:
        after = re.sub(rf"(?m)^( +){argument[1]}.*\n", rf"\g<1>{block.text}", before)
    elif block.text.startswith("@"):
        check_mark(block)
        return
    elif re.match('"\\w', block.text):
        check_type(block)
        return
    elif block.text.startswith('"""'):
        after = block.text
    elif block.text.startswith("from "):
        after = before.replace("\n\n\nclass ", f"\n{block.text}\n\nclass ", 1)
    elif COLUMN.fullmatch(f"    {block.text}"):
        after = COLUMN.sub(lambda found: f"{found[0]}    {block.text}", before, count=1)
    else:
        after = before.replace(
            "\n    ],\n)", f"\n{textwrap.indent(block.text.rstrip(), ' ' * 8)},\n    ],\n)"
        )
    assert after != before, f"{block}: it changes nothing in {block.file}"
    path.write_text(after)


def check_mark(block: Block) -> None:
    """A fidelity mark, as conftest's page is made of them."""
    (call,) = (node for node in ast.walk(python(block.text)) if isinstance(node, ast.Call))
    said = {keyword.arg for keyword in call.keywords}
    assert {"service", "behaviour", "source"} <= said <= {"service", "behaviour", "source", "falls_short"}, (
        block
    )


def check_type(block: Block) -> None:
    """Rows of laptop/resources.py: types that are not there yet, by operations that there are."""
    module = vars(import_module(block.file.removesuffix(".py").replace("/", ".")))
    for name, kind in eval(f"{{{block.text}}}", dict(module)).items():  # noqa: S307 - a page of ours
        operations = botocore.session.get_session().get_service_model(kind.service).operation_names
        assert name not in module["TYPES"], block
        assert kind.operation in map(xform_name, operations), block


@pytest.fixture
def stuck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The detector that docs/lambdas.md writes."""
    (block,) = (each for each in blocks(HOUSE / "docs" / "lambdas.md") if each.kind == "python")
    written = tmp_path / Path(block.file).name
    written.write_text(block.text)
    ruff = [sys.executable, "-m", "ruff", "check", "--config", str(HOUSE / "pyproject.toml"), str(written)]
    assert subprocess.run(ruff, check=False).returncode == 0
    monkeypatch.syspath_prepend(tmp_path)
    return import_module(Path(block.file).stem).Stuck


def test_detector_of_the_page_keeps_the_contract(stuck: Any) -> None:
    detector = stuck(name="stuck", column=Reading.temperature, times=3, severity=HIGH, do_first="Look.")

    said = hear(detector, rows(temperature=[20.0, 20.0, 20.0, 20.0, 21.0]))
    saved = json.loads(json.dumps(detector.save(detector.begin())))

    assert [type(each).__name__ for each in said] == ["Finding", "Finding", "Clear"]
    assert isinstance(said[0], Finding)
    assert said[0].sentence == "temperature has been 20.0 for 3 events."
    assert list(detector.problems()) == []
    assert detector.overridden("times", 5).times == 5
    assert detector.restore(saved) == detector.begin()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [str(link.attrs["href"]) for link in inline(page, "link_open")]

    assert [
        each for each in targets if "://" not in each and not (page.parent / each.partition("#")[0]).exists()
    ] == []


def test_every_page_is_in_the_index_and_every_room_has_one() -> None:
    listed = {str(link.attrs["href"]) for link in inline(HOUSE / "docs" / "README.md", "link_open")}
    shown = {str(link.attrs["href"]) for link in inline(FRONT, "link_open")}

    assert {page.name for page in (HOUSE / "docs").glob("*.md")} - {"README.md"} <= listed
    assert {f"docs/{room}.md" for room in ROOMS} <= shown


@cache
def options() -> set[str]:
    """Every option of every verb."""
    found = set[str]()
    for _, _, declare in freshet.VERBS.values():
        parser = ArgumentParser()
        declare(parser)
        found |= {option for action in parser._actions for option in action.option_strings}
    return found


@cache
def house_files() -> set[str]:
    """Every file of the rooms, the pages and the tests, and those at the top."""
    folders = [HOUSE / name for name in (*ROOMS, "docs", "tests")]
    found = [path for folder in folders for path in folder.rglob("*")] + list(HOUSE.glob("*.*"))
    return {str(path.relative_to(HOUSE)) for path in found}


def make_targets() -> set[str]:
    return set(re.findall(r"(?m)^([a-z]+):", (HOUSE / "Makefile").read_text()))


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_words_in_the_text_are_of_the_command_the_settings_and_the_house(page: Path) -> None:
    made = {block.file for block in blocks(page)}
    for token in inline(page, "code_inline"):
        text = token.content
        first, _, rest = text.partition(" ")
        if first in ("./freshet", "freshet") and rest:
            verb = rest.split()[0]
            assert verb in freshet.VERBS or verb == "--help", text
        elif first == "aws":
            check_aws(text)
        elif first == "make" and rest:
            assert rest.split()[0] in make_targets(), text
        elif text.startswith("--") and page.parent.name != "decisions":
            assert first.partition("=")[0] in options(), text
        elif setting := re.match(r'"(\w+)": ', text):
            assert setting[1] in {*KNOWN, "start"}, text
        elif re.fullmatch(r"[\w/]+\.(py|sql|yaml|json|toml)", text) and text not in made:
            is_there = any(each == text or each.endswith(f"/{text}") for each in house_files())
            assert is_there or text in RUN_FILES, text


RUN_FILES = {"catalog.json", "messages.json", "summary.json"}


def alarm_names(house: House) -> set[str]:
    return {
        resource["Properties"]["AlarmName"]
        for template in house.templates.values()
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def test_operator_finds_each_alarm_by_its_text(house: House) -> None:
    text = (HOUSE / "docs" / "operate.md").read_text().partition("## The alarms")[2].partition("\n## ")[0]

    told = re.findall(r"(?m)^- \*\*(.+?)\*\*", text)

    assert set(told) == {name.partition(" - ")[2] for name in alarm_names(house)}
    assert len(told) == len(set(told))


def test_operator_finds_each_count() -> None:
    text = (HOUSE / "docs" / "operate.md").read_text()
    told = text.partition("## What is counted")[2].partition("\n## ")[0]
    sources = "".join(path.read_text() for path in (HOUSE / "lambdas").rglob("*.py"))

    places = re.findall(r"counts\[.+?\] \+=|metrics\.count\([^(){}]+\{.+?:", sources)
    counted = set(re.findall(r'"(\w+)"', "".join(places)))

    assert {"redriven", "mended"} < counted
    assert set(re.findall(r"`([a-z_]+)`", told)) - {"max_keys"} == counted


def test_names_that_the_operator_is_to_put_in_can_be_looked_up(house: House) -> None:
    """Outputs of a pipeline's stack; a bucket by its logical id; what the command before it answers."""
    buckets = {
        name
        for name, resource in house.templates["freshet-lake"]["Resources"].items()
        if resource["Type"] == "AWS::S3::Bucket"
    }
    shell = [block.text for block in blocks(HOUSE / "docs" / "operate.md") if block.kind == "shell"]

    for name in re.findall("<(.+?)>", "".join(shell)):
        is_bucket = any(each.startswith(name) for each in buckets)
        assert is_bucket or name in house.outputs("freshet-temperature") | {"QueueArn"}, name
