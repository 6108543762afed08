"""``hardcover materialize``: fill a store of histories from a case's table, as it was known at a moment."""

import argparse
import importlib
import json
from pathlib import Path
from typing import Any, cast

from hardcover import settings
from hardcover.cli import progress
from hardcover.errors import HardcoverError

PURPOSE = "fill a store of histories from a case's rows, as of a moment"
DESCRIPTION = "Observe the events of the newest clean rows that had arrived before a moment, with the labels that were known by then."
EXAMPLES = """examples:
  hardcover materialize fraud                                       all, into online/fraud.db in the data folder
  hardcover materialize fraud --at 2026-02-01T00:00:00
  hardcover materialize fraud --into /srv/fraud.db
  hardcover materialize fraud --into valkey://localhost:6379/fraud  a server, and the prefix of its keys
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("case", metavar="CASE")
    parser.add_argument(
        "--at", metavar="TIME", help="by ISO 8601, UTC unless it says otherwise (default: all)"
    )
    parser.add_argument("--into", metavar="STORE", help="a file of SQLite, or valkey://HOST:PORT/PREFIX")


def do(options: argparse.Namespace) -> int:
    """Fill a store."""
    import pandas as pd

    from hardcover.project import cases
    from hardcover.project.case import Case
    from hardcover.release import events
    from hardcover.runtime import windows
    from hardcover.runtime.events import microseconds
    from hardcover.runtime.online import Online

    cases.check(options.case)
    until = None
    if options.at:
        try:
            until = pd.Timestamp(microseconds(options.at), unit="us")
        except ValueError as error:
            raise HardcoverError(
                f"--at {options.at}: {error}", "", "Give it as 2026-02-01T00:00:00."
            ) from error
    case = Case(options.case, options.env)
    module = importlib.import_module(case.parameter("features_module"))
    if not windows.discover(module):
        fix = "Declare windows in its features notebook; docs/windows.md says how."
        raise HardcoverError(f"the features of {options.case!r} have no windows", module.__name__, fix)
    online = cast(Online, events.online_of(module, case.load("schema"), case.load("feature_plan")))
    place = options.into or str(Path(settings.read("data.root")) / "online" / f"{options.case}.db")
    online.histories = _store(online.plan, place)
    progress.say(f"filling {place}", transient=True)
    count = events.fill(online, case.load("clean"), case.load("feature_plan"), until)
    progress.clear()
    facts = {"case": options.case, "store": place, "at": options.at, **online.histories.counts, "new": count}
    print(json.dumps(facts, indent=2) if options.json else _sentence(facts))
    return 0


def _sentence(facts: dict[str, Any]) -> str:
    when = f" before {facts['at']}" if facts["at"] else ""
    return f"{facts['observed']} events{when} in {facts['store']}, {facts['repeated']} were there, {facts['learned']} labels are new"


def _store(plan: Any, place: str) -> Any:
    if place.startswith("valkey://"):
        import valkey

        from hardcover.runtime.histories_valkey import ValkeyHistories

        address, _, prefix = place.removeprefix("valkey://").partition("/")
        host, _, port = address.partition(":")
        return ValkeyHistories(
            plan, valkey.Valkey(host or "localhost", int(port or 6379)), prefix or "histories"
        )
    from hardcover.runtime.histories_sqlite import SqliteHistories

    Path(place).parent.mkdir(parents=True, exist_ok=True)
    return SqliteHistories(plan, place)
