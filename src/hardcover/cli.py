"""The command ``hardcover``. Imports nothing heavy before a verb needs it."""

import argparse
import json
import shutil
import sys
import traceback
from typing import Any

from hardcover import __version__
from hardcover.errors import HardcoverError

EXAMPLES = """examples:
  hardcover run                                          every case, through its notebooks
  hardcover run maintenance --data machines.csv          your own raw file
  hardcover run maintenance --data a.csv b.parquet       two sources with different layouts
  hardcover run maintenance --pipeline                   the same without notebooks
  hardcover run maintenance --env ci                     small and fast
  hardcover run maintenance --param maintenance.simulator.rows=5000 --stage data features
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; gives the exit code: 0 well, 1 on any failure and on Ctrl-C, 2 on wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except Exception as error:
        _clear()
        if options.debug:
            print(getattr(error, "traceback", ""), file=sys.stderr)
            traceback.print_exc()
        if options.json:
            print(json.dumps({"error": str(error), "kind": type(error).__name__}))
        print(f"error: {_said(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        _clear()
        print("error: stopped by Ctrl-C before any stage began.", file=sys.stderr)
        return 1


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
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    run = verbs.add_parser(
        "run",
        help="the main job: data, features, train, explain, release",
        description="Run the stages of a case in the order of their datasets, and end with a wheel.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
    run.add_argument("--env", metavar="ENV", help="a folder of conf/: local (default), ci, production")
    run.add_argument(
        "--param",
        action="append",
        default=[],
        type=_assignment,
        metavar="NAME=VALUE",
        help="override a parameter",
    )
    run.add_argument("--json", action="store_true", help="the summary as JSON on standard output")
    run.add_argument("--debug", action="store_true", help="show tracebacks")
    run.set_defaults(face="notebook")
    return parser


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _run(options: argparse.Namespace) -> int:
    from hardcover.run import run

    results = run(
        options.case, options.stage, options.face, options.data, options.env, dict(options.param), say=_say
    )
    _clear()
    if options.json:
        print(json.dumps(results, indent=2))
        return 0
    for facts in results:
        print("\n".join(_table(facts)))
    return 0


def _say(line: str, transient: bool = False) -> None:
    # A log keeps every line; a line for every cell would drown the rest.
    if transient and not sys.stderr.isatty():
        return
    _clear()
    width = shutil.get_terminal_size().columns - 1
    print(line[:width] if transient else line, end="\r" if transient else "\n", file=sys.stderr, flush=True)


def _clear() -> None:
    if sys.stderr.isatty():
        print("\x1b[2K", end="\r", file=sys.stderr)


def _table(facts: dict) -> list[str]:
    rows = [("case", facts["case"])]
    source, data = facts.get("source"), facts.get("data_report")
    if source:
        rows.append(("source", source["description"]))
    if data:
        kept = f"{data['clean']} clean + {data['quarantined']} quarantined, split by {data['split_by']}"
        rows.append(("rows", f"{data['rows']} raw = {kept}"))
    metrics = facts.get("metrics")
    if metrics:
        holdout, interval = metrics["holdout"], metrics["interval"]
        between = f"[{interval['average_precision']['low']:.3f}, {interval['average_precision']['high']:.3f}]"
        folds = metrics["cross_validation"]
        rows.append(("average precision", f"{holdout['average_precision']:.3f} {between} on the holdout"))
        spread = f"{folds['average_precision_mean']:.3f} ± {folds['average_precision_std']:.3f}"
        rows.append(("  in folds", f"{spread}, {folds['folds']} folds"))
        base = metrics["baseline"]
        logistic, constant = base["logistic_regression"], base["constant"]
        lines = f"logistic regression {logistic['average_precision']:.3f}, constant {constant['average_precision']:.3f}"
        rows.append(("baseline", lines))
    if facts.get("registration_report"):
        registered = facts["registration_report"]
        rows.append(
            ("registry", f"{registered['model']} version {registered['version']}, {registered['decision']}")
        )
    if facts.get("release_report"):
        release = facts["release_report"]
        bits = f"{release['rows']} holdout rows equal to the bit with only numpy {release['numpy']}"
        rows.append(("wheel", f"{release['path']} ({bits})"))
    rows.append(("versions", ", ".join(f"{name} {version}" for name, version in facts["versions"].items())))
    rows.append(("run", facts["run"] or "-"))
    rows.append(("time", f"{facts['seconds']:.0f} s"))
    return [f"{name:<18} {value}" for name, value in rows]
