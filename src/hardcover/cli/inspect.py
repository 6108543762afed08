"""``hardcover inspect``: what a file holds, before a model is made of it."""

import argparse
import json
from functools import partial
from pathlib import Path

from hardcover.cli import progress, tables

PURPOSE = "what a file holds: columns, types, leaks, what a model could be asked"
DESCRIPTION = "Show what files of one table hold. Reads CSV in any dialect, Parquet, JSON lines, Excel, and these packed with gzip."
EXAMPLES = """examples:
  hardcover inspect sales.csv
  hardcover inspect sales.csv --target returned        with task, split and suspected leaks
  hardcover inspect 2025.csv 2026.parquet --html sales.html
  hardcover inspect sales.csv --json | jq '.columns[] | select(.type == "numeric").name'
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="a file, or several of one table")
    parser.add_argument("--target", metavar="COLUMN", help="what a model would predict")
    parser.add_argument("--html", metavar="FILE", help="also write a page")


def do(options: argparse.Namespace) -> int:
    """Print what files hold, and change nothing."""
    from hardcover.inspection import report
    from hardcover.store import disk

    found = report.inspect(options.files, options.target, partial(progress.say, transient=True))
    progress.clear()
    if options.html:
        disk.write_atomically(Path(options.html), report.as_html(found).encode())
    if options.json:
        print(json.dumps(report.as_json(found), indent=2, ensure_ascii=False))
        return 0
    print("\n".join(report.title(found)))
    for heading, rows in report.sections(found):
        print(f"\n{heading}")
        print("\n".join(f"  {line}" for line in tables.aligned(rows)))
    if found.warnings:
        print("\nwarnings")
        print("\n".join(f"  {warning}" for warning in found.warnings))
    return 0
