"""What the machinery costs: the main job by each face against the same functions in one plain Python process.

    make bench                                   three rounds, all faces in turn
    .venv/bin/python benchmarks/main_job.py --rounds 1

Times are whole processes, imports included; the ratio is taken within a round, and the median over rounds is
shown with the lowest and highest. The plain process calls every function of the pipeline except ``register``,
which needs a tracking server; it saves nothing.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import page

from hardcover import settings

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
FACES = {
    "plain functions": [sys.executable, __file__, "--plain"],
    "kedro run": [str(BIN / "kedro"), "run", "--pipeline", "maintenance"],
    "hardcover run --pipeline": [str(BIN / "hardcover"), "run", "--pipeline"],
    "hardcover run": [str(BIN / "hardcover"), "run"],
}


def plain() -> None:
    """Call the functions one after the other; prints seconds by stage as JSON."""
    marks, begin = {}, time.perf_counter()

    def mark(name: str) -> None:
        nonlocal begin
        marks[name] = time.perf_counter() - begin
        begin = time.perf_counter()

    from casebook.maintenance import data
    from casebook.maintenance import features as module
    from hardcover import Case, ingest
    from hardcover.modelling import evaluation, explanation, features, training
    from hardcover.release import stage as release

    mark("imports")
    case = Case("maintenance")
    names = (
        "files",
        "simulator",
        "column_mapping",
        "units",
        "split",
        "task",
        "training",
        "costs",
        "evaluation",
    )
    files, simulator, mapping, units, split, task, options, costs, how = map(case.parameter, names)
    table = ingest.as_data(data.SCHEMA)
    raw, source = data.read(files, simulator, mapping)
    unified = ingest.unify_files(raw, source, mapping, units, table=table)
    checked, quarantine = ingest.quarantine_rows(unified, table=table)
    clean, parts = ingest.split_rows(checked, split, task, table=table)
    schema = ingest.to_json_schema(table)
    ingest.report_rows(raw, source, clean, quarantine, parts, mapping, task, table=table)
    mark("data")
    made, plan = features.table_of(clean, schema, features.discover(module))
    mark("features")
    model, compression = training.fit(made, plan, options, costs, split, task)
    metrics, predictions = evaluation.evaluate(made, plan, model, options, costs, how, split, task)
    evaluation.draw(plan, predictions, metrics, costs, task)
    mark("train")
    explanations, _ = explanation.explain(made, plan, model, task)
    explanation.draw_overview(explanations, made, plan, task)
    explanation.draw_dependence(explanations, made, plan, case.parameter("explanation"), task)
    explanation.draw_errors(explanations, made, plan, predictions, task)
    mark("explain")
    given = map(case.parameter, ("name", "features_module", "release"))
    wheel = release.build_wheel(*given, clean, schema, source, plan, model, predictions, metrics, compression)
    release.check_wheel(wheel, clean, schema, predictions, model)
    mark("release")
    print(json.dumps(marks))


def call(command: list[str], folder: Path) -> tuple[float, str]:
    """Run one face in a folder of its own; gives seconds and standard output."""
    environment = {
        **os.environ,
        **settings.apart(folder),
        # The comparison of all faces is no part of any one of them.
        "HARDCOVER_RUN_PROVE": "no",
    }
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return seconds, done.stdout


def where_it_goes(folder: Path, seconds: float) -> dict[str, float]:
    """Divide the notebook face's time by what the executed copies say of their cells."""
    parts = {
        "opening catalog and parameters": 0.0,
        "the stages' nodes": 0.0,
        "worked examples and pictures": 0.0,
    }
    executed, times = 0.0, []
    for path in sorted(folder.glob("data/08_reporting/maintenance/*/*.ipynb")):
        notebook = json.loads(path.read_text())
        facts = notebook["metadata"]["papermill"]
        executed += facts["duration"]
        times += [datetime.fromisoformat(facts[name]).timestamp() for name in ("start_time", "end_time")]
        for cell in notebook["cells"]:
            duration = cell["metadata"].get("papermill", {}).get("duration") or 0.0
            source = "".join(cell["source"])
            if source.startswith("here = Case("):
                parts["opening catalog and parameters"] += duration
            elif source.startswith("result = here.run("):
                parts["the stages' nodes"] += duration
            else:
                parts["worked examples and pictures"] += duration
    parts["starting and ending kernels"] = executed - sum(parts.values())
    parts["before the first and after the last notebook"] = seconds - (max(times) - min(times))
    parts["two notebooks at the same time"] = max(times) - min(times) - executed
    return parts


def main() -> None:
    """Measure all faces in turn and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each face is run (default 3)")
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        return plain()
    times: dict[str, list[float]] = {name: [] for name in FACES}
    stages, spent = {}, {}
    for number in range(options.rounds):
        for name, command in FACES.items():
            with tempfile.TemporaryDirectory(prefix="hardcover-bench-") as folder:
                seconds, output = call(command, Path(folder))
                times[name].append(seconds)
                print(f"round {number + 1}/{options.rounds}: {name} {seconds:.1f} s", file=sys.stderr)
                if name == "plain functions":
                    stages = json.loads(output.splitlines()[-1])
                if name == "hardcover run":
                    spent = where_it_goes(Path(folder), seconds)
    report(times, stages, spent)
    return None


def report(times: dict[str, list[float]], stages: dict[str, float], spent: dict[str, float]) -> None:
    """Print the tables and keep them."""
    base = times["plain functions"]
    lines = ["| face | seconds, median | ratio to plain functions (lowest to highest) |", "|---|---|---|"]
    for name, seconds in times.items():
        ratios = [ours / theirs for ours, theirs in zip(seconds, base, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(f"| {name} | {statistics.median(seconds):.1f} | {spread} |")
    lines += ["", "| plain functions, last round | seconds |", "|---|---|"]
    lines += [f"| {name} | {seconds:.1f} |" for name, seconds in stages.items()]
    lines += ["", "| hardcover run, last round | seconds |", "|---|---|"]
    lines += [f"| {name} | {seconds:.1f} |" for name, seconds in spent.items()]
    page.keep("main_job", "\n".join(lines))


if __name__ == "__main__":
    main()
