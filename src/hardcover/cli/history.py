"""``hardcover history``: which wheels were champions, and when."""

import argparse
import json

from hardcover.cli import tables

PURPOSE = "which wheels were in use, and when"
DESCRIPTION = "List how the champion of a case changed, newest first: when, by what (a run, promote or rollback), and which wheel of which run."
EXAMPLES = """examples:
  hardcover history churn
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("case", help="the case")


def do(options: argparse.Namespace) -> int:
    """List the champions of a case."""
    from hardcover.project import cases
    from hardcover.release import publish

    cases.check(options.case)
    found = publish.history(options.case)
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    rows = [[each["at"], each["how"], each["wheel"], (each.get("run") or "")[:8]] for each in found]
    print(
        "\n".join(tables.aligned(rows))
        or f"{options.case} has no champion yet; run: hardcover run {options.case}"
    )
    return 0
