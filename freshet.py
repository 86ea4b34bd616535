"""The `freshet` command: each verb a few lines that call a room. `./freshet --help` lists them."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

USER_ERROR = 2
OUR_ERROR = 1
STOPPED = 130
DEMO_START = 1_767_261_600.0  # 2026-01-01 10:00 UTC: a demo of one seed is the same every day
FAILURES = Path(__file__).parent / ".freshet" / "failure.log"


class Failed(Exception):
    """What is neither the user's to mend nor a fault here: a sentence that says it all."""


class UserError(Exception):
    """What the user can mend; the message says what is wrong, where, and how."""


class Words(argparse.ArgumentParser):
    """What argparse refuses, in one sentence and a hint instead of a page of usage."""

    def error(self, message: str) -> NoReturn:
        print(f"{message[:1].upper()}{message[1:].rstrip('.')}. See: {self.prog} --help", file=sys.stderr)
        sys.exit(USER_ERROR)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; 0 is success, 2 what the user can mend, 1 what we must."""
    os.environ.setdefault("JSII_NODE", str(Path(sys.prefix) / "node"))
    parser = Words(prog="freshet", description="Anomaly detection on streams, on AWS and on a laptop.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Words)
    for verb, (run, words, declare) in VERBS.items():
        declared = verbs.add_parser(verb, help=words, description=f"{words[:1].upper()}{words[1:]}.")
        declare(declared)
        declared.set_defaults(run=run)
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and not given[0].startswith("-") and given[0] not in VERBS:
        alike = difflib.get_close_matches(given[0], VERBS, n=1)
        hint = f"did you mean {alike[0]}?" if alike else f"say one of {', '.join(VERBS)}."
        print(f"freshet has no verb {given[0]!r}; {hint}", file=sys.stderr)
        return USER_ERROR
    try:
        parsed = parser.parse_args(given)
    finally:
        flush()
    try:
        code = int(parsed.run(parsed) or 0)
        sys.stdout.flush()
        return code
    except (Failed, UserError) as error:
        print(error, file=sys.stderr)
        return OUR_ERROR if isinstance(error, Failed) else USER_ERROR
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        flush()
        return 0
    except Exception as error:
        FAILURES.parent.mkdir(exist_ok=True)
        FAILURES.write_text(traceback.format_exc())
        print(
            f"freshet {parsed.verb} failed, which is a fault of Freshet and not of what you gave it: "
            f"{type(error).__name__}: {error}. Report it with {FAILURES}.",
            file=sys.stderr,
        )
        return OUR_ERROR


def flush() -> None:
    """Whoever reads the output, as `head` does, may have enough of it."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def failed(error: type[Exception]) -> Iterator[None]:
    """What another program could not do, in its own words."""
    try:
        yield
    except error as told:
        raise Failed(str(told)) from told


@contextlib.contextmanager
def refused(*errors: type[BaseException]) -> Iterator[None]:
    """What a room refuses is the user's to mend, by the sentence that it gives."""
    try:
        yield
    except errors as error:  # a policy that cannot be judged is no Exception, so that no handler hides it
        raise UserError(str(error)) from error


def add_numbers(verb: argparse.ArgumentParser, path: str) -> None:
    verb.add_argument(
        "--set", type=number, action="append", default=[], metavar=f"{path}=VALUE", dest="numbers",
        help="override a number of a detector, as too_hot.above=32",
    )  # fmt: skip
    verb.add_argument("--quiet", action="store_true", help="do not print each alert")


def pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE; say the two with = between them")
    return name.strip(), value.strip()


def number(text: str) -> tuple[str, float]:
    name, value = pair(text)
    try:
        if math.isfinite(found := float(value)):
            return name, found
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{value!r} is no finite number; say one, as {name}=32")


def moment(text: str) -> float:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no date or time; say one such as 2026-01-31 or 2026-01-31T10:00:00Z (UTC)"
        ) from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def declare_demo(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("pipelines", nargs="*", help="which pipelines; all by default")
    verb.add_argument("--minutes", type=float, default=60.0, help="minutes of traffic, simulated (60)")
    verb.add_argument("--seed", type=int, default=1, help="another number, other traffic (1)")
    add_numbers(verb, "PIPELINE.DETECTOR.NUMBER")


def demo(arguments: argparse.Namespace) -> None:
    from laptop.demo import DemoError, demo

    with refused(DemoError):
        demo(
            arguments.pipelines,
            seconds=arguments.minutes * 60,
            seed=arguments.seed,
            start=DEMO_START,
            numbers=dict(arguments.numbers),
            quiet=arguments.quiet,
        )


def declare_replay(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("pipeline", help="which pipeline")
    verb.add_argument("file", type=Path, help="CSV with a heading, JSON Lines, Parquet, or other lines")
    for option, metavar, words in (
        ("--map", "COLUMN=NAME", "what the file calls a column, where that is not evident"),
        ("--fill", "COLUMN=VALUE", "a value for a column that the file does not have"),
        ("--reference", "REFERENCE=FILE", "a file with the rows of a reference"),
    ):
        verb.add_argument(option, type=pair, action="append", default=[], metavar=metavar, help=words)
    verb.add_argument("--from", type=moment, metavar="TIME", dest="since", help="leave out what was before")
    verb.add_argument("--until", type=moment, metavar="TIME", help="leave out what was from then on")
    add_numbers(verb, "DETECTOR.NUMBER")


def replay(arguments: argparse.Namespace) -> None:
    from laptop.replay import ReplayError, replay

    name = arguments.pipeline
    with refused(ReplayError):
        replay(
            name,
            arguments.file,
            columns=dict(arguments.map),
            constants=dict(arguments.fill),
            references={each: Path(file) for each, file in arguments.reference},
            numbers={f"{name}.{path.removeprefix(f'{name}.')}": value for path, value in arguments.numbers},
            since=arguments.since,
            until=arguments.until,
            quiet=arguments.quiet,
        )


def declare_query(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("sql", nargs="+", help="a select statement, in quotes; or: show tables")
    verb.add_argument("--csv", action="store_true", help="as CSV instead of a table")


def query(arguments: argparse.Namespace) -> None:
    from laptop.run_folder import NoRun, RunFolder
    from sql.errors import SqlError
    from sql.lake import Lake, render

    with refused(NoRun, SqlError):
        run = RunFolder.latest()
        try:
            answer = Lake(run.path, now=run.ended).query(" ".join(arguments.sql))
        except SqlError as error:
            played = ", ".join(one["pipeline"] for one in run.read_json("summary.json")["pipelines"])
            raise SqlError(f"{error} (The last run played {played}.)") from error
    print(render(answer, csv=arguments.csv).rstrip("\n"))


def declare_pipelines(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("pipelines", nargs="*", help="which pipelines; all by default")


def curate(arguments: argparse.Namespace) -> None:
    from laptop.curate import REFUSALS, curate

    with refused(*REFUSALS):
        curate(arguments.pipelines)


def declare_new(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("name", help="the pipeline's and its folder's name, in lower snake case")
    verb.add_argument("--from", type=Path, metavar="FILE", dest="source", help="your own events")
    for option, words in (
        ("--watch", "the column to watch"),
        ("--key", "the column that says whose each row is"),
        ("--time", "the column that says when"),
    ):
        verb.add_argument(option, default="", metavar="NAME", help=f"{words}, where that is not evident")


def new(arguments: argparse.Namespace) -> None:
    from pipelines.new import NotMade, new

    with refused(NotMade):
        lines = new(
            arguments.name,
            source=arguments.source,
            watch=arguments.watch,
            key=arguments.key,
            time=arguments.time,
        )
    print("\n".join(lines))


def cases(arguments: argparse.Namespace) -> int:
    from lambdas.columns import DeclarationError
    from pipelines.cases import CaseError, report

    with refused(CaseError, DeclarationError):
        return 0 if report(arguments.pipelines, say=print) else USER_ERROR


def declare_costs(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("pipelines", nargs="*", help="which pipelines; by default those that cdk.json names")


def costs(arguments: argparse.Namespace) -> None:
    from lambdas.columns import DeclarationError
    from stacks.costs import costs, table

    with refused(DeclarationError):
        print(table(costs(arguments.pipelines)))


def declare_yes(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--yes", action="store_true", help="go on without asking")


def deploy(arguments: argparse.Namespace) -> None:
    from lambdas.columns import DeclarationError
    from stacks.account import Refused
    from stacks.command import CommandError
    from stacks.deploy import deploy

    with refused(DeclarationError, Refused), failed(CommandError):
        deploy(yes=arguments.yes)


def destroy(arguments: argparse.Namespace) -> None:
    from stacks.account import Refused
    from stacks.command import CommandError
    from stacks.deploy import destroy

    with refused(Refused), failed(CommandError):
        destroy(yes=arguments.yes)


def declare_smoke(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("pipeline", help="which deployed pipeline")
    verb.add_argument(
        "--timeout", type=float, help="seconds to wait, by default until the lake's next file is due"
    )
    declare_account(verb)


def declare_account(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--region", help="where it is deployed, unless the environment says it")
    verb.add_argument("--profile", help="whose credentials to use, unless the environment says it")


def smoke(arguments: argparse.Namespace) -> int:
    from operate.deployment import Refused
    from operate.smoke import TIMEOUT, smoke

    with refused(Refused):
        return smoke(
            arguments.pipeline,
            timeout=TIMEOUT if arguments.timeout is None else arguments.timeout,
            # The CDK's command takes it so; boto3 alone would not.
            region=arguments.region or os.environ.get("AWS_REGION"),
            profile=arguments.profile,
        )


def declare_redrive(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("pipeline", help="which deployed pipeline")
    verb.add_argument(
        "--quarantine", action="store_true", help="what was quarantined and can be read by now, as new events"
    )
    verb.add_argument("--to", type=Path, metavar="FILE", help="write what still cannot be read into a file")
    verb.add_argument("--mended", type=Path, metavar="FILE", help="such a file, mended: send what is in it")
    declare_yes(verb)
    declare_account(verb)


def redrive(arguments: argparse.Namespace) -> int:
    from operate.deployment import Refused
    from operate.mended import Records
    from operate.redrive import redrive

    given = {"mended": arguments.mended, "to": arguments.to}
    if any(given.values()) and not arguments.quarantine:
        raise UserError("--to and --mended are of the quarantine; say --quarantine with them.")
    with refused(Refused):
        return redrive(
            arguments.pipeline,
            partial(Records, **given) if arguments.quarantine else None,
            yes=arguments.yes,
            region=arguments.region,
            profile=arguments.profile,
        )


def check(_: argparse.Namespace) -> int:
    from stacks.check import run, size

    words, is_small = size()
    print(f"{words}.")
    sentences = run()
    if not is_small:
        sentences.append(f"{words}, which is to stay below half: take out of laptop/ what a library does.")
    for sentence in sentences:
        print(sentence, file=sys.stderr)
    if not sentences:
        print("Templates and SQL of every pipeline: nothing to mend.")
    return OUR_ERROR if sentences else 0


Run = Callable[[argparse.Namespace], int | None]
Declare = Callable[[argparse.ArgumentParser], None]
VERBS: dict[str, tuple[Run, str, Declare]] = {
    "demo": (demo, "deploy to a laptop's AWS, play an hour of traffic, show what came of it", declare_demo),
    "replay": (replay, "play your own file through a pipeline, by the file's clock", declare_replay),
    "query": (query, "ask the last run's lake in Athena SQL", declare_query),
    "curate": (curate, "run the curating job on the last run's lake, on Spark", declare_pipelines),
    "new": (new, "make a new pipeline's folder", declare_new),
    "cases": (cases, "play the cases of pipelines and say what to write where one fails", declare_pipelines),
    "costs": (costs, "say what a month costs, idle and at the declared load", declare_costs),
    "deploy": (deploy, "deploy what cdk.json says, after saying what that makes and costs", declare_yes),
    "destroy": (destroy, "take down what is deployed, after saying what is kept", declare_yes),
    "smoke": (smoke, "send a marked event through a deployed pipeline and wait for its alert", declare_smoke),
    "redrive": (redrive, "detect what a deployed pipeline gave up, or send mended records", declare_redrive),
    "check": (check, "synthesize every pipeline; cdk-nag, cfn-lint and the SQL gate", lambda _: None),
}


if __name__ == "__main__":
    sys.exit(main())
