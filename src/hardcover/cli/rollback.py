"""``hardcover rollback``: go back to the champion before."""

import argparse
import json

PURPOSE = "go back to the champion before"
DESCRIPTION = """Make the champion before the current one champion again, within the second in which services look for a new pointer."""
EXAMPLES = """examples:
  hardcover rollback churn
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("case", help="the case")


def do(options: argparse.Namespace) -> int:
    """Make the champion before the current one champion again."""
    from hardcover.project import cases
    from hardcover.release import in_use

    cases.check(options.case)
    found = in_use.roll_back(options.case)
    said = f"{options.case}: {found['wheel']} is champion; {found['registry']}"
    print(json.dumps(found, indent=2) if options.json else said)
    return 0
