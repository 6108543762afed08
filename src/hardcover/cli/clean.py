"""``hardcover clean``: remove what killed runs left behind."""

import argparse
import json
from pathlib import Path

from hardcover import settings

PURPOSE = DESCRIPTION = "remove what killed runs left behind"
EXAMPLES = ""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options: it has none of its own."""


def do(options: argparse.Namespace) -> int:
    """Remove drafts of killed processes from the data folder."""
    from hardcover.store import drafts, run_lock

    root = Path(settings.read("data.root"))
    with run_lock.hold():
        removed = drafts.clean(root)
    if options.json:
        print(json.dumps({"removed": [str(path) for path in removed]}))
        return 0
    for path in removed:
        print(f"removed {path}")
    print(f"{len(removed)} leftovers removed from {root}")
    return 0
