"""``hardcover simulate``: the loop over data with time."""

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

from hardcover import settings
from hardcover.cli import progress, run, tables

PURPOSE = "replay the loop, day after day, over a case or a file with time"
DESCRIPTION = """Let the first days train a champion, answer the rows of the others with whichever champion there is, deliver their labels late, and do a pass of the
loop every few days: with the commands, versions, wheels and proofs of production, in a folder of its own. No number is given by hand. With --days, the data is
taken for so many days, however many it spans."""
EXAMPLES = """examples:
  hardcover simulate churn --data bookings.csv --learn 120 --step 14 --delay 30
  hardcover simulate churn --days 730 --rollback 400 --param churn.monitoring.window=week
"""
# What tells a replay's folder from others.
MARK = ".replay"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("case", metavar="CASE", help="the case")
    parser.add_argument(
        "--days",
        type=int,
        default=0,
        metavar="N",
        help="how many days the data is taken for (default: those it spans)",
    )
    parser.add_argument(
        "--data", nargs="+", default=[], metavar="PATH", help="raw files (default: those of conf/)"
    )
    parser.add_argument(
        "--learn",
        type=int,
        default=180,
        metavar="N",
        help="days that the first champion learns from (%(default)s)",
    )
    parser.add_argument(
        "--step", type=int, default=7, metavar="N", help="days between two passes (%(default)s)"
    )
    parser.add_argument(
        "--delay", type=int, default=7, metavar="N", help="days until a label is known (%(default)s)"
    )
    parser.add_argument(
        "--recent", type=int, default=0, metavar="N", help="days that new models learn from (default: all)"
    )
    parser.add_argument(
        "--rollback", type=int, default=0, metavar="DAY", help="roll the champion back on this day"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="FOLDER",
        help="where everything lands (default: replay/CASE)",
    )
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        type=run.assignment,
        metavar="NAME=VALUE",
        help="override a parameter",
    )


def do(options: argparse.Namespace) -> int:
    """Replay."""
    from hardcover.errors import HardcoverError
    from hardcover.project import cases

    cases.check(options.case)
    if (
        min(options.learn, options.step) < 1
        or min(options.days, options.delay, options.recent, options.rollback) < 0
    ):
        fix = "Learn from at least a day, step by at least one, and give no negative number."
        raise HardcoverError("an option is out of range", "--learn, --step and the others in days", fix)
    folder = options.folder or settings.project_root() / "replay" / options.case
    _make_way(folder)
    os.environ.update(settings.apart(folder.resolve()))
    from hardcover.monitoring import replay

    plan = replay.Plan(
        options.days, options.learn, options.step, options.delay, options.recent, options.rollback
    )
    params = {name.removeprefix(f"{options.case}."): value for name, value in options.param}
    found = replay.replay(options.case, plan, options.data, params, options.env, progress.say)
    progress.clear()
    print(json.dumps(found, indent=2) if options.json else "\n".join(_lines(found, folder)))
    return 0


def _make_way(folder: Path) -> None:
    """Remove an earlier replay; anything else stays."""
    from hardcover.errors import HardcoverError

    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        what = "there is something already, which is no earlier replay"
        raise HardcoverError(what, str(folder), "Name a folder that is new, or empty, by --folder.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()


def _lines(found: dict[str, Any], folder: Path) -> list[str]:
    state = found["state"]
    rows = [["from", "rows", "expected loss", "labelled rows", "loss", "champion", "elsewhere"]]
    for each in state["windows"]:
        known = each["labelled"]
        loss = f"{known['loss'] / known['rows']:.4g}" if known["rows"] else ""
        wheel = each["wheel"].split("-")[1]
        rows.append(
            [
                each["begin"][:16],
                str(each["rows"]),
                f"{each['expected']['estimate']:.4g}",
                str(known["rows"]),
                loss,
                wheel,
                ", ".join(list(each["shifts"])[:3]),
            ]
        )
    lines = tables.aligned(rows)
    lines += [
        "",
        *(
            f"{each['since'][:16]} {each['tier']} {each['test']}: {each['what']}; {'; '.join(each['why'][:1])}"
            for each in state["episodes"]
        ),
    ]
    lines += [
        "",
        *(
            f"{each['at'][:16]} {each['kind']} {each.get('outcome', '')} {each.get('words') or each.get('why', '')}"
            for each in state["decisions"]
        ),
    ]
    return [*lines, "", f"{len(found['history'])} changes of the champion; all of it is in {folder}"]
