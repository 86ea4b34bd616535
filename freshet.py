"""The `freshet` command: each verb a few lines that call a room. `./freshet --help` lists them."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

USER_ERROR = 2
OUR_ERROR = 1
STOPPED = 130
DEMO_START = 1_767_261_600.0  # 2026-01-01 10:00 UTC: a demo of one seed is the same every day
FAILURES = Path(__file__).parent / ".freshet" / "failure.log"


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

    demo = verbs.add_parser(
        "demo", help="deploy to a laptop's AWS, play an hour of traffic, show what came of it"
    )
    demo.add_argument("pipelines", nargs="*", help="which pipelines; all by default")
    demo.add_argument(
        "--minutes", type=float, default=60.0, help="minutes of traffic, on a simulated clock (60)"
    )
    demo.add_argument("--seed", type=int, default=1, help="another number, other traffic (1)")
    add_numbers(demo, "PIPELINE.DETECTOR.NUMBER")
    demo.set_defaults(run=run_demo)

    replay = verbs.add_parser("replay", help="play your own file through a pipeline, by the file's clock")
    replay.add_argument("pipeline", help="which pipeline")
    replay.add_argument(
        "file", type=Path, help="CSV with a heading, JSON Lines, Parquet, or lines as they are"
    )
    replay.add_argument(
        "--map", type=pair, action="append", default=[], metavar="COLUMN=NAME",
        help="what the file calls a column, where that is not evident",
    )  # fmt: skip
    replay.add_argument(
        "--fill", type=pair, action="append", default=[], metavar="COLUMN=VALUE",
        help="a value for a column that the file does not have",
    )  # fmt: skip
    replay.add_argument(
        "--reference", type=pair, action="append", default=[], metavar="REFERENCE=FILE",
        help="a file with the rows of a reference",
    )  # fmt: skip
    replay.add_argument("--from", type=moment, metavar="TIME", dest="since", help="leave out what was before")
    replay.add_argument("--until", type=moment, metavar="TIME", help="leave out what was from then on")
    add_numbers(replay, "DETECTOR.NUMBER")
    replay.set_defaults(run=run_replay)

    query = verbs.add_parser("query", help="ask the last run's lake in Athena SQL")
    query.add_argument("sql", help="a select statement, or: show tables")
    query.add_argument("--csv", action="store_true", help="as CSV instead of a table")
    query.set_defaults(run=run_query)

    check = verbs.add_parser("check", help="synthesize every pipeline; cdk-nag, cfn-lint and the SQL gate")
    check.set_defaults(run=run_check)

    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and not given[0].startswith("-") and given[0] not in verbs.choices:
        alike = difflib.get_close_matches(given[0], verbs.choices)
        hint = f"did you mean {' or '.join(alike)}?" if alike else f"say one of {', '.join(verbs.choices)}."
        print(f"freshet has no verb {given[0]!r}; {hint}", file=sys.stderr)
        return USER_ERROR
    parsed = parser.parse_args(given)
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        return run(parsed)
    except KeyboardInterrupt:
        print("\nStopped; what was begun is left unfinished and in nobody's way.", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        # Whoever reads the output, as `head` does, has enough of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is no number; say one, as {name}=32") from None


def moment(text: str) -> float:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no date or time; say one such as 2026-01-31 or 2026-01-31T10:00:00Z (UTC)"
        ) from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def run_demo(arguments: argparse.Namespace) -> int:
    from laptop.demo import DemoError, demo

    try:
        demo(
            arguments.pipelines,
            seconds=arguments.minutes * 60,
            seed=arguments.seed,
            start=DEMO_START,
            numbers=dict(arguments.numbers),
            quiet=arguments.quiet,
        )
    except DemoError as error:
        print(error, file=sys.stderr)
        return USER_ERROR
    return 0


def run_replay(arguments: argparse.Namespace) -> int:
    from laptop.replay import ReplayError, replay

    name = arguments.pipeline
    try:
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
    except ReplayError as error:
        print(error, file=sys.stderr)
        return USER_ERROR
    return 0


def run_query(arguments: argparse.Namespace) -> int:
    from laptop.run_folder import NoRun, RunFolder
    from sql.errors import SqlError
    from sql.lake import Lake, render

    try:
        run = RunFolder.latest()
        answer = Lake(run.path, now=run.ended).query(arguments.sql)
    except (NoRun, SqlError) as error:
        print(error, file=sys.stderr)
        return USER_ERROR
    print(render(answer, csv=arguments.csv).rstrip("\n"))
    return 0


def run_check(_: argparse.Namespace) -> int:
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


if __name__ == "__main__":
    sys.exit(main())
