"""The `freshet` command: each verb a few lines that call a room. `python freshet.py --help` lists them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

USER_ERROR = 2
OUR_ERROR = 1
DEMO_START = 1_767_261_600.0  # 2026-01-01 10:00 UTC: a demo of one seed is the same every day


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; 0 is success, 2 what the user can mend, 1 what we must."""
    os.environ.setdefault("JSII_NODE", str(Path(sys.prefix) / "node"))
    parser = argparse.ArgumentParser(
        prog="freshet", description="Anomaly detection on streams, on AWS and on a laptop."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    demo = verbs.add_parser(
        "demo", help="deploy to a laptop's AWS, play an hour of traffic, show what came of it"
    )
    demo.add_argument("pipelines", nargs="*", help="which pipelines; all by default")
    demo.add_argument(
        "--minutes", type=float, default=60.0, help="minutes of traffic, on a simulated clock (60)"
    )
    demo.add_argument("--seed", type=int, default=1, help="another number, other traffic (1)")
    demo.add_argument("--quiet", action="store_true", help="do not print each alert")
    demo.set_defaults(run=run_demo)

    query = verbs.add_parser("query", help="ask the last run's lake in Athena SQL")
    query.add_argument("sql", help="a select statement, or: show tables")
    query.add_argument("--csv", action="store_true", help="as CSV instead of a table")
    query.set_defaults(run=run_query)

    check = verbs.add_parser("check", help="synthesize every pipeline; cdk-nag, cfn-lint and the SQL gate")
    check.set_defaults(run=run_check)

    parsed = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = parsed.run
    return run(parsed)


def run_demo(arguments: argparse.Namespace) -> int:
    from laptop.demo import DemoError, demo

    try:
        return demo(
            arguments.pipelines,
            seconds=arguments.minutes * 60,
            seed=arguments.seed,
            start=DEMO_START,
            quiet=arguments.quiet,
        )
    except DemoError as error:
        print(error, file=sys.stderr)
        return USER_ERROR


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
    from stacks.check import run

    sentences = run()
    for sentence in sentences:
        print(sentence, file=sys.stderr)
    if not sentences:
        print("Templates and SQL of every pipeline: nothing to mend.")
    return OUR_ERROR if sentences else 0


if __name__ == "__main__":
    sys.exit(main())
