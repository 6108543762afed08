"""``hardcover upgrade``: what a newer version of the library writes, merged into this project's files."""

import argparse
import json

from hardcover import settings
from hardcover.cli import tables

PURPOSE = "merge what a newer version of the library writes into this project's files"
DESCRIPTION = (
    "Merge three ways: what the template wrote before, this project's files, and what the template writes now. "
    "A place that both changed gets git's conflict marks, in a notebook within its cell."
)
EXAMPLES = """examples:
  pip install --upgrade hardcover && hardcover upgrade
  hardcover upgrade --check                              for CI: exit 1 if something would change; nothing is written
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if something would change"
    )


def do(options: argparse.Namespace) -> int:
    """Merge, or say what would be; exit 1 on a conflict."""
    from hardcover.template import upgrade

    root = settings.project_root()
    changes = upgrade.plan(root)
    if not options.check:
        upgrade.apply(root, changes)
    conflicts = [change.path for change in changes if change.kind == upgrade.CONFLICT]
    if options.json:
        print(json.dumps([{"path": c.path, "change": c.kind, "why": c.why} for c in changes], indent=2))
    elif not changes:
        print("up to date with the template")
    else:
        print("\n".join(tables.aligned([[c.kind, c.path, c.why] for c in changes])))
        if conflicts and not options.check:
            print(f"\nresolve the marks in {', '.join(conflicts)}, then: hardcover run --export")
    return 1 if conflicts or (options.check and changes) else 0
