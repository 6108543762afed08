"""``hardcover cycle``: one pass of the loop that watches, retrains and promotes."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hardcover.cli import progress

PURPOSE = (
    "one pass of the loop: watch what was served, tell what is wrong, retrain, promote what is proven better"
)
DESCRIPTION = """Look at what `hardcover collect` and `hardcover labels` brought since the last pass: do answers cost more than on the holdout, by labels or by what scores
meant there, and do inputs lie elsewhere. Each test may be looked at as often as one likes; false alarms are at most as many a year as monitoring.pages_per_year
in conf/ says. Where an alert asks for it, a new model is trained, and promoted when it is proven better than the champion on rows that neither has
learned from. Made for cron: safe to kill, to start twice, and to run with nothing new."""
EXAMPLES = """examples:
  hardcover cycle churn
  hardcover cycle churn --log /var/log/hardcover          collect first
  hardcover cycle churn --data customers-2026.csv         train new models from these files
  */15 * * * * cd /srv/churn && .venv/bin/hardcover cycle churn --log /var/log/hardcover     in a crontab
"""
OPEN = 3


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("case", metavar="CASE", help="the case")
    parser.add_argument(
        "--log", type=Path, metavar="FOLDER", help="what hardcover serve --log named: collect it first"
    )
    parser.add_argument(
        "--data",
        nargs="+",
        default=[],
        metavar="PATH",
        help="raw files that new models learn from (default: those of conf/)",
    )
    parser.add_argument(
        "--metrics",
        type=Path,
        metavar="FILE",
        help="write the state for Prometheus there, such as into node_exporter's folder of text files",
    )


def do(options: argparse.Namespace) -> int:
    """Do a pass; 3 while a page is open, else 0."""
    from hardcover.monitoring import cycle

    if options.log:
        from hardcover.execution import collect

        collect.collect(options.log, options.env, progress.say)
    found = cycle.cycle(options.case, data=tuple(options.data), env=options.env, say=progress.say)
    progress.clear()
    if options.metrics and (state := cycle.newest_state(options.case)):
        from hardcover.monitoring import metrics
        from hardcover.store import disk

        disk.write_atomically(options.metrics, metrics.text(state, datetime.now(UTC)).encode())
    print(json.dumps(found, indent=2) if options.json else "\n".join(_lines(found)))
    return OPEN if any(each["tier"] == "page" for each in found["open"]) else 0


def _lines(found: dict[str, Any]) -> list[str]:
    from hardcover.monitoring import outbox

    skipped = [f"{count} {name}" for name, count in found["skipped"].items() if count]
    counts = f"{found['rows']} rows, {found['labels']} labels" + (
        f"; skipped: {', '.join(skipped)}" if skipped else ""
    )
    lines = [f"{found['case']}: {counts if found['version'] else 'nothing new'}"]
    for event in found["events"]:
        lines += [f"{event['event']}:", outbox.words(event)]
    told = {event["id"] for event in found["events"]}
    lines += [outbox.words(each) for each in found["open"] if each["id"] not in told]
    for each in found["decisions"]:
        parts = [each["kind"], each.get("challenger"), each.get("outcome"), each.get("words") or each["why"]]
        lines.append(", ".join(filter(None, parts)))
    return lines
