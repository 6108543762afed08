"""``hardcover run``: the main job."""

import argparse
import json
import os
from typing import Any

from hardcover import settings
from hardcover.cli import progress, tables

PURPOSE = "the main job: data, features, train, explain, release"
DESCRIPTION = "Run the stages of a case in the order of their datasets, and end with a wheel."
EXAMPLES = """examples:
  hardcover run                                 what settings.ini names, through its notebooks
  hardcover run all                             every case
  hardcover run churn --data customers.csv      your own raw file
  hardcover run churn --data a.csv b.parquet    two sources with different columns
  hardcover run churn --pipeline                the same without notebooks
  hardcover run churn --env ci                  small and fast
  hardcover run churn --param churn.training.rounds=500 --stage data features
  hardcover run --export                        export edited notebooks to their modules first
  hardcover run --why                           what ran or was reused, and why
  hardcover run --force                         re-run every node
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "case", nargs="*", metavar="CASE", help="cases to run, or all (default: run.cases in settings.ini)"
    )
    faces = parser.add_mutually_exclusive_group()
    faces.add_argument("--notebooks", dest="face", action="store_const", const="notebook", help="the default")
    faces.add_argument(
        "--pipeline",
        dest="face",
        action="store_const",
        const="pipeline",
        help="as one Kedro pipeline, no notebooks",
    )
    parser.add_argument("--data", nargs="+", default=[], metavar="PATH", help="raw CSV or Parquet files")
    parser.add_argument("--stage", nargs="+", default=[], metavar="STAGE", help="only these stages")
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        type=assignment,
        metavar="NAME=VALUE",
        help="override a parameter",
    )
    parser.add_argument("--force", action="store_true", help="run every node, changed or not")
    parser.add_argument(
        "--why", action="store_true", help="show of each node why it ran, or that it was reused"
    )
    parser.add_argument("--no-prove", action="store_true", help="do not compare the faces at the end")
    parser.add_argument("--export", action="store_true", help="export the notebooks to their modules first")
    parser.add_argument("--no-verify", action="store_true", help="do not compare versions with their hashes")
    parser.set_defaults(face="notebook")


def assignment(text: str) -> tuple[str, Any]:
    """Return the name and the value of ``NAME=VALUE``; a value that is JSON is read as that."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def do(options: argparse.Namespace) -> int:
    """Run; 1 when a proof failed."""
    from hardcover.execution import run, summary
    from hardcover.execution.request import Request

    if options.no_verify:
        os.environ["HARDCOVER_DATA_VERIFY"] = "no"
    request = Request(
        cases=options.case,
        stages=options.stage,
        face=options.face,
        data=options.data,
        env=options.env,
        params=dict(options.param),
        force=options.force,
        prove=settings.read("run.prove") == "yes" and not options.no_prove,
        export=options.export,
    )
    results = run.run(request, progress.say)
    progress.clear()
    if options.json:
        print(json.dumps(results, indent=2))
    for facts in results if not options.json else ():
        if options.why:
            print("\n".join(tables.whys(facts["nodes"])))
        print("\n".join(summary.lines(facts)))
    if len(results) > 1 and not options.json:
        print("\n".join(["", *tables.aligned(summary.table(results))]))
    return 0 if all(facts.get("proof", {}).get("passed", True) for facts in results) else 1
