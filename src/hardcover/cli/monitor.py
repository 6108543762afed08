"""``hardcover monitor``: what was served, window by window, beside what the champion was measured on."""

import argparse
import json
from pathlib import Path
from typing import Any

from hardcover.cli import progress, tables

PURPOSE = "compare what was served with the champion's holdout, by hour, day or week"
DESCRIPTION = """Compare what was served, as `hardcover serve --log` kept it and `hardcover collect` took it, with the rows that the champion was
measured on: how the mean raw score has changed and which inputs that is due to (Shapley values, which add up to the change), which
inputs lie elsewhere (total variation distance beyond chance, from 0 to 1), and what was missing or never seen. `hardcover cycle` raises alarms; --html writes
a page of what it has seen: what needs doing, what answers cost, where inputs lie, what was decided."""
EXAMPLES = """examples:
  hardcover monitor churn
  hardcover monitor churn --window week
  hardcover monitor churn --html churn.html         the loop's page, as the last hardcover cycle left it
  hardcover monitor churn --json
"""
# Causes and shifts that a line names, and the distance below which a shift is not named.
NAMED, SMALL = 3, 0.02


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("case", metavar="CASE", help="the case")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write the loop's page there, and look at nothing else"
    )
    parser.add_argument(
        "--window", choices=["hour", "day", "week"], default="day", help="how long a window is (%(default)s)"
    )


def do(options: argparse.Namespace) -> int:
    """Compare, or write the page; 0."""
    if options.html:
        return _write_page(options)
    from hardcover.monitoring import monitor

    found = monitor.monitor(options.case, options.window, progress.say)
    progress.clear()
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    reference = found["reference"]
    print(f"{found['wheel']}, measured on {reference['rows']} holdout rows")
    head = ["from", "rows", "raw score", "change", "due to", "elsewhere", "missing or unseen"]
    print("\n".join(tables.aligned([head, *(_line(each) for each in found["windows"])])))
    return 0


def _write_page(options: argparse.Namespace) -> int:
    from hardcover.errors import HardcoverError
    from hardcover.monitoring import cycle, page
    from hardcover.project import cases
    from hardcover.release import publish
    from hardcover.store import disk

    cases.check(options.case)
    state = cycle.newest_state(options.case)
    if state is None:
        what = "there was no pass of the loop yet"
        raise HardcoverError(what, f"case {options.case!r}", f"Run: hardcover cycle {options.case}")
    written = page.page(options.case, state, publish.history(options.case))
    disk.write_atomically(options.html, written.encode())
    facts = {"page": str(options.html), "bytes": len(written.encode())}
    print(json.dumps(facts, indent=2) if options.json else f"{options.html}, {len(written) / 1000:.0f} kB")
    return 0


def _line(window: dict[str, Any]) -> list[str]:
    output = max(range(len(window["change"])), key=lambda at: abs(window["change"][at]))
    causes = [f"{name} {part:+.3f}" for name, part in list(window["causes"].items())[:NAMED]]
    moved = [
        f"{name} {shift:.2f}" for name, shift in list(window["shifts"].items())[:NAMED] if shift >= SMALL
    ]
    absent = [f"{name} {count}" for kind in ("missing", "unseen") for name, count in window[kind].items()]
    return [
        window["begin"][:16].replace("T", " "),
        f"{window['rows']:,}",
        f"{window['score'][output]:.3f}",
        f"{window['change'][output]:+.3f}",
        ", ".join(causes),
        ", ".join(moved) or "nothing",
        ", ".join(absent[:NAMED]) or "nothing",
    ]
