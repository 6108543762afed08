"""The command ``hardcover``. Imports nothing heavy before a verb needs it."""

import argparse
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from hardcover import __version__, settings, verbs
from hardcover.errors import HardcoverError

EXAMPLES = """examples:
  hardcover run                                          every case, through its notebooks
  hardcover run maintenance --data machines.csv          your own raw file
  hardcover run maintenance --data a.csv b.parquet       two sources with different layouts
  hardcover run maintenance --pipeline                   the same without notebooks
  hardcover run maintenance --env ci                     small and fast
  hardcover run maintenance --param maintenance.simulator.rows=5000 --stage data features
  hardcover run --export                                 export edited notebooks to their modules first
  hardcover run --why                                    what ran or was reused, and why
  hardcover run --force                                  everything anew
"""
PROVE_EXAMPLES = """examples:
  hardcover prove maintenance
  hardcover prove maintenance --face module --face wheel     only these two
  hardcover prove maintenance --rows 100000 --seed 7 --json
"""
LIST_EXAMPLES = """examples:
  hardcover list                          the last runs: their ids are what lineage and reproduce take
  hardcover list versions --limit 50
  hardcover list cases
"""
RELEASE_EXAMPLES = """examples:
  hardcover release maintenance                              where the proven wheel is
  hardcover release maintenance --target linux-aarch64       the same for another platform
  hardcover release maintenance --target linux-x86_64 macos-arm64 windows-x86_64
"""
LINEAGE_EXAMPLES = """examples:
  hardcover lineage maintenance.wheel                    the newest wheel: from raw files to it
  hardcover lineage maintenance.raw@2026-11-24T09.21.13.801190Z
  hardcover lineage d0f66511                             a run
  hardcover lineage 3f1c0a9e                             a raw file by its SHA-256: which wheels hold it?
  hardcover lineage maintenance.wheel --html lineage.html
  hardcover lineage d0f66511 --json                      OpenLineage events
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; gives the exit code: 0 well, 1 on any failure and on Ctrl-C, 2 on wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        if options.env:
            settings.enter(options.env)
        return getattr(verbs, options.verb.replace("list", "listing"))(options)
    except BrokenPipeError:
        # Whoever read our output, such as head, has enough of it; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        verbs.clear()
        if options.debug:
            print(getattr(error, "traceback", ""), file=sys.stderr)
            traceback.print_exc()
        if options.json:
            print(json.dumps(_as_json(error), default=str))
        print(f"error: {_said(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        verbs.clear()
        print("error: stopped by Ctrl-C before any stage began.", file=sys.stderr)
        return 1


def _as_json(error: Exception) -> dict[str, Any]:
    """Return an error with ``what`` happened, ``where``, the ``fix``, and the ``facts`` of its class, such as the known names."""
    found = {"error": str(error), "kind": type(error).__name__}
    if isinstance(error, HardcoverError):
        facts = dict(vars(error))
        found |= {name: facts.pop(name) for name in ("what", "where", "fix")}
        found["facts"] = facts
    return found


def _said(error: Exception) -> str:
    if isinstance(error, HardcoverError):
        return str(error)
    return f"{type(error).__name__}: {error}\nRun again with --debug to see where."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hardcover",
        description="From notebooks to a proven, importable model.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"hardcover {__version__}")
    verbs_of = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    run = _verb(
        verbs_of,
        "run",
        "the main job: data, features, train, explain, release",
        "Run the stages of a case in the order of their datasets, and end with a wheel.",
        EXAMPLES,
    )
    run.add_argument("case", nargs="*", metavar="CASE", help="cases to run (default: all)")
    faces = run.add_mutually_exclusive_group()
    faces.add_argument("--notebooks", dest="face", action="store_const", const="notebook", help="the default")
    faces.add_argument(
        "--pipeline",
        dest="face",
        action="store_const",
        const="pipeline",
        help="as one Kedro pipeline, no notebooks",
    )
    run.add_argument("--data", nargs="+", default=[], metavar="PATH", help="raw CSV or Parquet files")
    run.add_argument("--stage", nargs="+", default=[], metavar="STAGE", help="only these stages")
    run.add_argument(
        "--param",
        action="append",
        default=[],
        type=_assignment,
        metavar="NAME=VALUE",
        help="override a parameter",
    )
    run.add_argument("--force", action="store_true", help="run every node, changed or not")
    run.add_argument("--why", action="store_true", help="say of each node why it ran, or that it was reused")
    run.add_argument("--no-prove", action="store_true", help="do not compare the faces at the end")
    run.add_argument("--export", action="store_true", help="export the notebooks to their modules first")
    run.add_argument("--no-verify", action="store_true", help="do not compare versions with their hashes")
    run.set_defaults(face="notebook")
    lineage = _verb(
        verbs_of,
        "lineage",
        "where a version came from, what was made of it, what a run did",
        "Show the tree of a version, the record of a run, or the wheels that hold a raw file.",
        LINEAGE_EXAMPLES,
    )
    lineage.add_argument(
        "what", metavar="DATASET[@VERSION]|RUN|SHA256", help="the first digits of a run or hash will do"
    )
    lineage.add_argument("--all", action="store_true", help="all lines of the trees, not the first 30")
    lineage.add_argument("--html", type=Path, metavar="FILE", help="also write a picture that loads nothing")
    lineage.add_argument("--mermaid", action="store_true", help="print a Mermaid flowchart")
    lineage.add_argument(
        "--send", metavar="URL", help="send OpenLineage events, which --json prints, to an endpoint"
    )
    prove = _verb(
        verbs_of,
        "prove",
        "compare notebook, module, pipeline and wheel, to the bit",
        "Let every face of a case answer the same rows and compare features, scores and labels by bits.",
        PROVE_EXAMPLES,
    )
    prove.add_argument("case", metavar="CASE")
    prove.add_argument(
        "--face", action="append", metavar="FACE", help="only this face; may be given several times"
    )
    prove.add_argument("--rows", type=int, default=10_000, metavar="N", help="generated rows (default 10000)")
    prove.add_argument("--seed", type=int, default=1, metavar="N", help="of the generated rows (default 1)")
    prove.add_argument("--html", type=Path, metavar="FILE", help="also write the page here")
    release = _verb(
        verbs_of,
        "release",
        "the newest wheel for other platforms",
        "Say where a case's proven wheel is, and put its counterparts for other platforms beside it.",
        RELEASE_EXAMPLES,
    )
    release.add_argument("case", metavar="CASE")
    release.add_argument(
        "--target",
        nargs="+",
        default=[],
        metavar="PLATFORM",
        help="linux-x86_64, linux-aarch64, musl-x86_64, musl-aarch64, macos-arm64, windows-x86_64 (default: this one)",
    )
    reproduce = _verb(
        verbs_of,
        "reproduce",
        "run a past run again, from its commit, and compare every output",
        "Check out a run's commit, install its lock file, pin what it read, run, and compare by bytes.",
        "example:\n  hardcover reproduce d0f66511    the first digits of the run's id will do",
    )
    reproduce.add_argument("run", metavar="RUN")
    listing = _verb(
        verbs_of,
        "list",
        "runs, versions or cases, newest first",
        "List runs with what they did, versions with what made them, or cases with what is released.",
        LIST_EXAMPLES,
    )
    listing.add_argument("what", nargs="?", choices=("runs", "versions", "cases"), default="runs")
    listing.add_argument(
        "--limit", type=int, default=20, metavar="N", help="lines at most (default 20; 0: all)"
    )
    verbs_of.add_parser("verify", help="compare all versions with their manifests")
    verbs_of.add_parser("clean", help="remove what killed runs left behind")
    for verb in verbs_of.choices.values():
        verb.add_argument("--env", metavar="ENV", help="a folder of conf/: local (default), ci, production")
        verb.add_argument("--json", action="store_true", help="the result as JSON on standard output")
        verb.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _verb(verbs_of: Any, name: str, purpose: str, description: str, examples: str) -> argparse.ArgumentParser:
    return verbs_of.add_parser(
        name,
        help=purpose,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
