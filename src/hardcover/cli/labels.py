"""``hardcover labels``: what became known of answers."""

import argparse
import json
from pathlib import Path

PURPOSE = "save what became known of answers as a version of CASE.labels"
DESCRIPTION = """Save labels that come late. A file has the column id, which the answer had as x-request-id, the case's target, and row where a request had several
records (counted from 0); and known, the time at which the label became known, if that is not now. A label that is there already is not
saved again; one that says something else than before corrects it. Labels whose answers were not collected yet wait for them."""
EXAMPLES = """examples:
  hardcover labels churn --data outcomes.csv
  hardcover labels churn --data monday.parquet tuesday.parquet
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("case", metavar="CASE", help="the case")
    parser.add_argument(
        "--data", nargs="+", required=True, type=Path, metavar="FILE", help="CSV or Parquet files"
    )


def do(options: argparse.Namespace) -> int:
    """Save labels; 1 when some were refused."""
    from hardcover.monitoring import labels

    found = labels.take(options.case, options.data, options.env)
    if options.json:
        print(json.dumps(found, indent=2))
        return 1 if found["refused"] else 0
    counts = ", ".join(f"{found[name]} {name}" for name in ("new", "corrected", "repeated", "refused"))
    print(f"{options.case}.labels  {found['version'] or 'nothing new'}  {counts}")
    if found["unserved"]:
        print(f"{found['unserved']} of them wait for their answers: run hardcover collect")
    print("".join(f"refused: {reason}\n" for reason in found["reasons"]), end="")
    return 1 if found["refused"] else 0
