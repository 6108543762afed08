"""``hardcover tune``: a small portfolio of settings for the trees, tried on what a case learns from."""

import argparse
import datetime
import json
from functools import partial
from pathlib import Path

from hardcover import settings
from hardcover.cli import progress, tables

PURPOSE = "try a few settings for a case's trees, and keep what wins"
DESCRIPTION = "Try a portfolio of settings in folds of the rows that a model learns from; the holdout is not looked at. What wins is written to conf/base."
EXAMPLES = """examples:
  hardcover tune churn                     five minutes
  hardcover tune churn --minutes 30
  hardcover run churn                      then: the model with what has won
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("case", metavar="CASE")
    parser.add_argument("--minutes", type=float, default=5, metavar="N", help="at most (default 5)")


def do(options: argparse.Namespace) -> int:
    """Run data and features where they changed, try, and write what won."""
    from hardcover import tasks
    from hardcover.execution import run
    from hardcover.execution.request import Request
    from hardcover.modelling import portfolio, training
    from hardcover.project import cases
    from hardcover.project.case import Case

    cases.check(options.case)
    request = Request(cases=[options.case], stages=["data", "features"], env=options.env, export=True)
    run.run(request, progress.say)
    case = Case(options.case, options.env)
    kind, trees = tasks.of(case.parameter("task")), case.parameter("training")
    measure, _ = training.measured(
        case.load("features"), case.load("feature_plan"), trees, case.parameter("split"), kind
    )
    say = partial(progress.say, transient=True)
    found = list(portfolio.tried(measure, tuple(portfolio.PORTFOLIO), options.minutes, say))
    progress.clear()
    best = portfolio.best(found, kind.loss_is_gain)
    lines = [
        f"    {name}: {json.dumps(value)}"
        for name, value in {**portfolio.with_more_rounds(trees, best.settings), "stopping": "joint"}.items()
        if trees.get(name) != value
    ]
    file = settings.project_root() / "conf" / "base" / f"parameters_{options.case}.yml"
    written = bool(best.settings) and _write(file, _note(found[0], best), lines)
    if options.json:
        print(
            json.dumps({"tried": [each._asdict() for each in found], "best": best.name, "written": written})
        )
        return 0
    head = ["settings", "loss in folds", "deviation", "rounds", "seconds"]
    rows = [[e.name, f"{e.loss:.5g}", f"{e.deviation:.2g}", str(e.rounds), f"{e.seconds:.0f}"] for e in found]
    print("\n".join(tables.aligned([head, *rows])))
    if not best.settings:
        print("\nnothing is better than what is configured")
    elif written:
        print(f"\nwritten to {file}: {_note(found[0], best)}\nnext: hardcover run {options.case}")
    else:
        print(f"\n{best.name} wins. Write below 'training:' in {file}:\n" + "\n".join(lines))
    return 0


def _note(before, best) -> str:
    share = abs(before.loss - best.loss) / abs(before.loss)
    day = datetime.date.today().isoformat()
    return (
        f"{best.name}, tried on {day}: loss in folds {before.loss:.5g} -> {best.loss:.5g}, {share:.1%} better"
    )


def _write(file: Path, note: str, lines: list[str]) -> bool:
    """Put lines below ``training:`` of a case, in place of those of the same names; returns whether there is such a line."""
    from hardcover.store import disk

    text = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    places = [number for number, line in enumerate(text) if line.split("#")[0].rstrip() == "  training:"]
    if len(places) != 1:
        return False
    (place,) = places
    end = next((n for n in range(place + 1, len(text)) if not text[n].startswith("    ")), len(text))
    names = {line.split(":")[0] for line in lines}
    kept = [line for line in text[place + 1 : end] if line.split(":")[0] not in names]
    made = [*text[: place + 1], f"    # {note}", *lines, *kept, *text[end:]]
    disk.write_atomically(file, ("\n".join(made) + "\n").encode("utf-8"))
    return True
