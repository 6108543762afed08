"""The command line of a released wheel: ``python -m <package>``."""

import argparse
import importlib
import json
import os
import sys
from typing import Any

from .arrays import DamagedRelease
from .confidence import NotCalibrated
from .model import Model
from .prediction import Prediction, as_json, present
from .records import InvalidRecord, Problem


def main(model: Model, name: str, arguments: list[str] | None = None) -> int:
    """Run one verb; returns the exit code: 0 well, 1 a refused record or a failed self-test, 2 wrong usage."""
    try:
        code = _main(model, name, arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader, such as head, closed the pipe; redirect stdout so that the final flush does not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _main(model: Model, name: str, arguments: list[str] | None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["serve"]:
        return _serve(model, name, given[1:])
    parser = argparse.ArgumentParser(
        prog=f"python -m {name}",
        description=f"Score records with the released model {name}.",
        epilog=f"examples:\n  python -m {name} predict --explain 3 < rows.jsonl > scores.jsonl\n"
        f"  python -m {name} predict --key order < orders.jsonl     each answer repeats its record's order\n"
        f"  python -m {name} serve --port 8000     by HTTP, where hardcover[serve] is installed; serve --help tells more",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{name} {_version(model)}")
    parser.add_argument(
        "verb",
        choices=["predict", "selftest", "about", "schema"],
        help="predict: a JSON record a line in, a prediction a line out; selftest: golden rows, to the bit; "
        "about: the release's manifest and its proof; schema: the JSON Schema of a record",
    )
    parser.add_argument(
        "--explain",
        nargs="?",
        type=int,
        const=None,
        default=0,
        metavar="N",
        help="with predict: contributions, the N strongest or all; they and base_value add up to the raw score",
    )
    parser.add_argument(
        "--confidence", action="store_true", help="with predict: what else may come, and how often that holds"
    )
    parser.add_argument(
        "--anomaly", action="store_true", help="with predict: how rare so unusual an input is, 0 to 1"
    )
    parser.add_argument(
        "--key", metavar="FIELD", help="with predict: a field that is no input and comes back with the answer"
    )
    options = parser.parse_args(given)
    verb = options.verb
    taken = {*Prediction._fields, "line", "problems"}
    if options.key is not None and (options.key in taken or options.key in model.schema["properties"]):
        parser.error(f"--key {options.key}: this is an input of the model or a field of its answers")
    if verb == "predict":
        more = {"confidence": options.confidence, "anomaly": options.anomaly}
        try:
            return _predict(model, options.key, top=options.explain, explain=options.explain != 0, **more)
        except NotCalibrated as error:
            print(f"error: this model cannot say: {error}", file=sys.stderr)
            return 1
    if verb == "selftest":
        rows, differences = model.selftest()
        print(*differences, f"{rows} golden rows, {len(differences)} differences", sep="\n")
        return 1 if differences else 0
    about = {**model.about, "proof": model.proof}
    print(json.dumps(about if verb == "about" else model.schema, indent=2))
    return 0


def _serve(model: Model, name: str, arguments: list[str]) -> int:
    try:
        command = importlib.import_module("hardcover.cli.main")
    except ImportError:
        print("error: to serve by HTTP, run: pip install 'hardcover[serve]'", file=sys.stderr)
        return 1
    return command.main(["serve", str(model._folder), *arguments])


def _version(model: Model) -> str:
    try:
        return model.about["version"]
    except DamagedRelease as error:
        return f"unknown: {error}"


def _predict(model: Model, key: str | None, **asked: Any) -> int:
    refused = 0
    for number, line in enumerate(sys.stdin, start=1):
        if not line.strip():
            continue
        given: dict = {}
        try:
            record = json.loads(line)
            if key is not None and isinstance(record, dict):
                given = {key: record.pop(key, None)}
        except (ValueError, RecursionError) as error:
            answer = [Problem("record", f"is not JSON: {error}")]
        else:
            try:
                answer = model.predict(record, **asked)
            except InvalidRecord as error:
                answer = error.problems
        if isinstance(answer, Prediction):
            answer = as_json(answer)
        else:
            refused += 1
            answer = {"line": number, "problems": [present(problem) for problem in answer]}
        print(json.dumps({**given, **answer}))
    if refused:
        print(f"{refused} records refused; see their lines", file=sys.stderr)
    return 1 if refused else 0
