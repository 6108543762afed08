"""``hardcover collect``: make tables of what a service answered."""

import argparse
import json
from pathlib import Path

from hardcover.cli import progress

PURPOSE = "make versions of CASE.served of what a service logged"
DESCRIPTION = """Collect the segments that `hardcover serve --log FOLDER` wrote and no worker writes any more into a version of CASE.served
for each case, each answer once, then remove them. Safe to kill and to run again."""
EXAMPLES = """examples:
  hardcover collect /var/log/hardcover
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="what --log named")


def do(options: argparse.Namespace) -> int:
    """Collect."""
    from hardcover.execution import collect

    made = collect.collect(options.folder, options.env, progress.say)
    progress.clear()
    if options.json:
        print(json.dumps(made, indent=2))
        return 0
    for case, facts in made["cases"].items():
        print(f"{case}.served  {facts['version']}  {facts['answers']} answers")
    print(f"{made['segments']} segments collected")
    return 0
