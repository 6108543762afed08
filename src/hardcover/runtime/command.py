"""The command line of a released wheel: ``python -m casebook_<case>``."""

import argparse
import json
import math
import sys

from .model import Model, Prediction
from .records import InvalidRecord, Problem


def main(model: Model, name: str, arguments: list[str] | None = None) -> int:
    """Run one verb; gives the exit code: 0 well, 1 a refused record or a failed self-test, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {name}",
        description=f"Score records with the released model {name}.",
        epilog=f"example: python -m {name} predict --explain 3 < rows.jsonl > scores.jsonl",
    )
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
        help="with predict: reasons, the N strongest or all; they and base_value add up to the raw score",
    )
    options = parser.parse_args(arguments)
    verb = options.verb
    if verb == "predict":
        return _predict(model, options.explain)
    if verb == "selftest":
        rows, differences = model.selftest()
        print(*differences, f"{rows} golden rows, {len(differences)} differences", sep="\n")
        return 1 if differences else 0
    about = {**model.about, "proof": model.proof}
    print(json.dumps(about if verb == "about" else model.schema, indent=2))
    return 0


def _predict(model: Model, reasons: int | None) -> int:
    refused = 0
    for number, line in enumerate(sys.stdin, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            answer = [Problem("record", f"is not JSON: {error}")]
        else:
            try:
                answer = model.predict(record, explain=reasons != 0, top=reasons)
            except InvalidRecord as error:
                answer = error.problems
        if isinstance(answer, Prediction):
            answer = _as_json(answer)
        else:
            refused += 1
            answer = {"line": number, "problems": [problem._asdict() for problem in answer]}
        print(json.dumps(answer))
    if refused:
        print(f"{refused} records refused; see their lines", file=sys.stderr)
    return 1 if refused else 0


def _as_json(prediction: Prediction) -> dict:
    answer = prediction._asdict()
    if prediction.reasons is None:
        return {name: value for name, value in answer.items() if value is not None}
    # JSON has neither NaN nor infinities.
    reasons = [
        reason if math.isfinite(reason.value) else reason._replace(value=None)
        for reason in prediction.reasons
    ]
    return {**answer, "reasons": [reason._asdict() for reason in reasons]}
