"""``hardcover promote``: put a challenger to use."""

import argparse
import json

PURPOSE = "put a challenger to use"
DESCRIPTION = """Make a case's challenger its champion: the pointer that services follow and the registry's alias change together, and the champion
before it can come back."""
EXAMPLES = """examples:
  hardcover promote churn                          the challenger that the last run left
  hardcover promote churn 0.1.0+m1234567           an earlier wheel, by version or file name
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("case", help="the case")
    parser.add_argument("wheel", nargs="?", help="version or file name of a wheel (default: the challenger)")


def do(options: argparse.Namespace) -> int:
    """Make a challenger champion."""
    from hardcover.project import cases
    from hardcover.release import in_use

    cases.check(options.case)
    found = in_use.promote(options.case, options.wheel)
    said = f"{options.case}: {found['wheel']} is champion; {found['registry']}"
    print(json.dumps(found, indent=2) if options.json else said)
    return 0
