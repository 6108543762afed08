"""The command line of a released wheel: ``python -m casebook_<case>``."""

import argparse
import json
import sys

from .model import Model
from .records import InvalidRecord


def main(model: Model, name: str, arguments: list[str] | None = None) -> int:
    """Run one verb; gives the exit code: 0 well, 1 a refused record or a failed self-test, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {name}",
        description=f"Score records with the released model {name}.",
        epilog=f"example: python -m {name} predict < rows.jsonl > scores.jsonl",
    )
    parser.add_argument(
        "verb",
        choices=["predict", "selftest", "about", "schema"],
        help="predict: a JSON record a line in, a prediction a line out; selftest: golden rows, to the bit; "
        "about: the release's manifest and its proof; schema: the JSON Schema of a record",
    )
    verb = parser.parse_args(arguments).verb
    if verb == "predict":
        return _predict(model)
    if verb == "selftest":
        rows, differences = model.selftest()
        print(*differences, f"{rows} golden rows, {len(differences)} differences", sep="\n")
        return 1 if differences else 0
    about = {**model.about, "proof": model.proof}
    print(json.dumps(about if verb == "about" else model.schema, indent=2))
    return 0


def _predict(model: Model) -> int:
    refused = 0
    for number, line in enumerate(sys.stdin, start=1):
        if not line.strip():
            continue
        try:
            answer = model.predict(json.loads(line))._asdict()
        except InvalidRecord as error:
            answer = {"line": number, "problems": [problem._asdict() for problem in error.problems]}
            refused += 1
        except (ValueError, RecursionError) as error:
            answer = {"line": number, "problems": [{"field": "record", "message": f"is not JSON: {error}"}]}
            refused += 1
        print(json.dumps(answer))
    if refused:
        print(f"{refused} records refused; see their lines", file=sys.stderr)
    return 1 if refused else 0
