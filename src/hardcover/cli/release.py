"""``hardcover release``: the newest wheel, also for other platforms."""

import argparse
import json
from pathlib import Path

from hardcover.cli import progress
from hardcover.errors import ReleaseError, UnknownName

PURPOSE = "the newest wheel for other platforms"
DESCRIPTION = "Show where a case's proven wheel is, and put its counterparts for other platforms beside it."
EXAMPLES = """examples:
  hardcover release churn                           where the proven wheel is
  hardcover release churn --target linux-aarch64    the same for another platform
  hardcover release churn --target linux-x86_64 macos-arm64 windows-x86_64
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("case", metavar="CASE")
    parser.add_argument(
        "--target",
        nargs="+",
        default=[],
        metavar="PLATFORM",
        help="linux-x86_64, linux-aarch64, musl-x86_64, musl-aarch64, macos-arm64, windows-x86_64 (default: this one)",
    )


def do(options: argparse.Namespace) -> int:
    """Show where a case's proven wheel is, and put its counterparts for other platforms beside it."""
    from hardcover.project import cases
    from hardcover.release import compiler

    cases.check(options.case)
    for target in options.target:
        if target not in compiler.TARGETS:
            raise UnknownName("target", target, list(compiler.TARGETS))
    # Kedro and LightGBM take long to import, and a wrong name can be told without.
    from hardcover.project.context import open_context
    from hardcover.proof import prove
    from hardcover.release import publish, wheel, wheel_file

    newest = open_context(options.env, None).catalog.load(f"{options.case}.wheel")
    found = prove.passing_proof(options.case)
    if found is None:
        what = f"the newest wheel of {options.case!r} is not proven"
        fix = f"Run: hardcover prove {options.case}. A wheel is published with its proof."
        raise ReleaseError(what, wheel_file.file_name(newest), fix)
    paths = {} if options.target else {"this machine": Path(found["published"]["path"])}
    for target in options.target:
        # Zig compiles a platform's C library at the first time, which can take a minute.
        progress.say(f"building the wheel for {target}", transient=True)
        paths[target] = publish.add(found["published"], wheel.for_target(newest, target))
    progress.clear()
    if options.json:
        print(json.dumps({name: str(path) for name, path in paths.items()}, indent=2))
        return 0
    for name, path in paths.items():
        print(f"{name:<16}{path} ({path.stat().st_size:,} bytes)")
    return 0
