"""``hardcover prove``: compare notebook, module, pipeline and wheel, to the bit."""

import argparse
import json
from contextlib import nullcontext
from pathlib import Path

from hardcover import settings
from hardcover.cli import progress

PURPOSE = "compare notebook, module, pipeline and wheel, to the bit"
DESCRIPTION = "Let every face of a case answer the same rows and compare features, scores and labels by bits."
EXAMPLES = """examples:
  hardcover prove churn
  hardcover prove churn --face module --face wheel    only these two
  hardcover prove churn --rows 100000 --seed 7 --json
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("case", metavar="CASE")
    parser.add_argument(
        "--face", action="append", metavar="FACE", help="only this face; may be given several times"
    )
    parser.add_argument(
        "--rows", type=int, metavar="N", help="generated rows (default: prove.rows in settings.ini, 10000)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the generated rows (default 1)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write the page here")


def do(options: argparse.Namespace) -> int:
    """Compare the faces of a case by bits; 1 when any differs."""
    from hardcover.project import cases

    # Kedro, MLflow and LightGBM take long to import, and an unknown case can be told without.
    cases.check(options.case)
    from hardcover.notebooks import forkserver

    settings.make_importable()
    # Only wheels do without it; for the rest, its imports go on beside ours.
    wheels = bool(options.face) and all(name.startswith("wheel") for name in options.face)
    with nullcontext() if wheels else forkserver.warm():
        from hardcover.proof import prove, report

        asked = (options.case, options.env, options.face, options.rows, options.seed)
        found = prove.prove(*asked, say=progress.say)
    progress.clear()
    if options.html:
        options.html.write_text(report.page(found), encoding="utf-8")
    print(json.dumps(found, indent=2) if options.json else "\n".join(report.lines(found)))
    return 0 if found["passed"] else 1
