"""``hardcover verify``: compare all versions with their manifests."""

import argparse
import json
import time
from pathlib import Path

from hardcover import settings
from hardcover.cli import progress
from hardcover.errors import HardcoverError

PURPOSE = DESCRIPTION = "compare all versions with their manifests"
EXAMPLES = ""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options: it has none of its own."""


def do(options: argparse.Namespace) -> int:
    """Compare all committed versions with their manifests; 1 when any differs."""
    from hardcover.store import versions

    folders, problems, size = list(versions.all_committed(Path(settings.read("data.root")))), [], 0
    begin = time.monotonic()
    for number, folder in enumerate(folders, start=1):
        progress.say(f"verifying {number}/{len(folders)}", transient=True)
        try:
            size += sum(facts["bytes"] for facts in versions.verify(folder)["files"].values())
        except HardcoverError as error:
            problems.append({"version": str(folder), "problem": str(error)})
    progress.clear()
    if options.json:
        print(json.dumps({"versions": len(folders), "bytes": size, "problems": problems}, indent=2))
        return 1 if problems else 0
    for problem in problems:
        print(problem["problem"])
    seconds = time.monotonic() - begin
    print(f"{len(folders)} versions, {size / 1e6:.1f} MB in {seconds:.1f} s: {len(problems) or 'no'} damaged")
    return 1 if problems else 0
