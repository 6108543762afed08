"""``hardcover inspect``: what a file holds, before a model is made of it."""

import argparse
import json
from functools import partial
from pathlib import Path

from hardcover.cli import progress, tables

PURPOSE = "what a file holds: columns, types, leaks, what a model could be asked"
DESCRIPTION = "Show what files of one table hold. Reads CSV in any dialect, Parquet, JSON lines, Excel, and these packed with gzip; of a notebook or Python file, what it fits before it splits."
EXAMPLES = """examples:
  hardcover inspect sales.csv
  hardcover inspect sales.csv --target returned        with task, split and suspected leaks
  hardcover inspect 2025.csv 2026.parquet --html sales.html
  hardcover inspect analysis.ipynb                     fits that see rows which a later split sets apart
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

    if all(Path(file).suffix in {".ipynb", ".py"} for file in options.files):
        return _code(options)
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


def _code(options: argparse.Namespace) -> int:
    """Print what notebooks and Python files fit before they split."""
    from hardcover.inspection import code_leaks

    found = {file: code_leaks.find(Path(file)) for file in options.files}
    leaks = [
        {
            "file": file,
            "where": leak.where,
            "kind": "fit before split",
            "evidence": leak.code,
            "split": leak.split,
        }
        for file, all_of_it in found.items()
        for leak in all_of_it
    ]
    if options.json:
        print(json.dumps({"leaks": leaks}, indent=2, ensure_ascii=False))
    elif not leaks:
        print("nothing is fitted before a split")
    else:
        head = ["file", "where", "fitted before the split", "in"]
        rows = [[each["file"], each["where"], each["evidence"], each["split"]] for each in leaks]
        print("\n".join(tables.aligned([head, *rows])))
        print(
            "\nFit on training rows alone: after the split, or inside a scikit-learn Pipeline that the split is given."
        )
    return 0
