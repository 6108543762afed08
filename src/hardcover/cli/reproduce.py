"""``hardcover reproduce``: run a past run again, from its commit, and compare every output."""

import argparse
import json

from hardcover.cli import progress

PURPOSE = "run a past run again, from its commit, and compare every output"
DESCRIPTION = "Check out a run's commit, install its lock file, pin what it read, run, and compare by bytes."
EXAMPLES = """example:
  hardcover reproduce d0f66511    the first digits of the run's id will do
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("run", metavar="RUN")


def do(options: argparse.Namespace) -> int:
    """Run a past run again and compare every output; 1 when any differs."""
    from hardcover.lineage import reproduce

    found = reproduce.reproduce(options.run, progress.say)
    progress.clear()
    print(json.dumps(found, indent=2) if options.json else "\n".join(reproduce.lines(found)))
    return 0 if found["identical"] else 1
