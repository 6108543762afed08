"""The kernel beside lignum, which compiles the trees of a model, on models of many shapes: one process, one processor, in turn.

    python benchmarks/kernel.py                        every shape, as `make bench` does
    python benchmarks/kernel.py "100 x 31" --rounds 3  one shape

A round measures each evaluator once; shown is the median over rounds, and how many times faster the kernel is than the better of lignum
compiled and interpreted, in the same round. ``walking`` is the kernel without lanes. Compiled libraries are kept in ``.tools/bench``, and which model did
not compile in ten minutes.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import lightgbm as lgb
import numpy as np
import page
import starting

from hardcover.forest import flatten, lightgbm_text
from hardcover.release import compiler
from hardcover.runtime.kernel import Kernel

# Lignum compiles for so long at most, in seconds.
PATIENCE = 600
BATCH = "batch, up to 20,000"
CALLS = {BATCH: 20_000, "64 rows": 64, "16 rows": 16, "one row": 1}
EVICTED = "one row, caches evicted"
FOR_LARGE_TREES = 3.0
GOALS = {BATCH: 4.0, "64 rows": 3.0, "16 rows": 1.4, "one row": 2.0, EVICTED: 1.2}


class Shape(NamedTuple):
    """A model to train: its trees, leaves, numeric columns, the levels of its categories, and LightGBM's further options."""

    trees: int
    leaves: int
    numbers: int = 30
    categories: tuple[int, ...] = ()
    options: Mapping[str, Any] = MappingProxyType({})


SHAPES = {
    "100 x 31": Shape(100, 31),
    "300 x 63": Shape(300, 63),
    "256 x 7": Shape(256, 7),
    "300 trees, max_depth 6": Shape(300, 64, options={"max_depth": 6}),
    "200 x 31, 8 of 20 columns categorical": Shape(200, 31, 12, (5, 10, 20, 40, 60, 100, 150, 200)),
    "the case's": Shape(0, 0),
    "200 x 255": Shape(200, 255),
    "2000 x 255": Shape(2000, 255),
}


class Evaluator(NamedTuple):
    """How many rows are scored, and one, as an array of so many dimensions."""

    many: Callable
    one: Callable
    dimensions: int

    def calls(self, rows: np.ndarray, size: int) -> tuple[Callable, list[np.ndarray]]:
        """Return the function for calls of a size, and what to call it with."""
        if size == 1:
            shape = (-1,) if self.dimensions == 1 else (1, -1)
            return self.one, [row.reshape(shape) for row in rows[:200]]
        size = min(size, len(rows))
        return self.many, [
            rows[at : at + size] for at in range(0, min(len(rows), 200 * size) - size + 1, size)
        ]


def trained(name: str) -> tuple[str, np.ndarray]:
    """Return LightGBM's text of a model, trained once, and rows."""
    shape, folder = SHAPES[name], starting.BENCH / ("case" if name == "the case's" else _file_name(name))
    if not (folder / "scores.npy").exists():
        if not shape.trees:
            starting.release_case()
        else:
            starting.say(f"training {name}")
            _train(shape, folder)
    return (folder / "model.txt").read_text(), np.load(folder / "rows.npy")


def _file_name(name: str) -> str:
    return re.sub("[^a-z0-9_]+", "-", name)


def _train(shape: Shape, folder: Any) -> None:
    chance, count = np.random.default_rng(3), 100_000
    categories = [chance.integers(0, levels, size=count) for levels in shape.categories]
    rows = np.column_stack([chance.normal(size=(count, shape.numbers)), *categories])
    rows[chance.random(rows.shape) < 0.02] = np.nan
    known = np.nan_to_num(rows)
    signal = known[:, 0] + known[:, 1] * known[:, 2] + np.sin(3 * known[:, 3]) + chance.normal(size=count)
    for column in range(shape.numbers, rows.shape[1]):
        signal += 0.5 * (known[:, column] % 3 == 0)
    options = {"objective": "binary", "num_leaves": shape.leaves, "learning_rate": 0.05, "verbosity": -1}
    options |= {"cat_smooth": 1, "min_data_per_group": 5, **shape.options}
    columns = list(range(shape.numbers, rows.shape[1]))
    data = lgb.Dataset(rows, (signal > 0.3).astype(int), categorical_feature=columns)
    booster = lgb.train(options, data, shape.trees)
    starting.keep(folder, booster.model_to_string(), rows[: starting.ROWS])


def evaluators(name: str, text: str) -> dict[str, Evaluator]:
    """Return the kernel, with lanes and without, and lignum, where it takes the model."""
    forest = flatten.forest_of(lightgbm_text.parse(text))
    library = str(compiler.kernel().path)
    found: dict[str, Evaluator] = {}
    for ours, lanes in (("Hardcover", {}), ("walking", {"lanes": 0})):
        kernel = Kernel(forest, library, **lanes)
        found[ours] = _ours(kernel)
    sys.path.append(str(next(page.peers("peers").parent.parent.glob("lib/*/site-packages"))))
    import lignum

    file = starting.BENCH / f"{_file_name(name)}.txt"
    file.write_text(text)
    try:
        interpreted = lignum.load(str(file))
    except (RuntimeError, ValueError) as error:
        starting.say(f"lignum refuses {name}: {error}")
        return found
    found["lignum interpreted"] = _lignum(interpreted)
    compiled = file.with_suffix(".so")
    if _compiled(file, compiled):
        model = lignum.load(str(file))
        model.load_compiled(str(compiled))
        model.compiled_min_rows = 1
        found["lignum compiled"] = _lignum(model)
    return found


def _ours(kernel: Kernel) -> Evaluator:
    return Evaluator(lambda rows: kernel.predict_many(rows, threads=1), lambda row: kernel.predict(row), 1)


def _lignum(model: Any) -> Evaluator:
    def predict(rows: np.ndarray) -> Any:
        return model.predict(rows, n_jobs=1)

    return Evaluator(predict, predict, 2)


def _compiled(file: Any, library: Any) -> bool:
    gave_up = library.with_suffix(".failed")
    if library.exists() or gave_up.exists():
        return library.exists()
    starting.say(f"lignum compiles {file.stem}, for up to {PATIENCE} s")
    code = "import sys, lignum; lignum.load(sys.argv[1]).compile(library=sys.argv[2])"
    command = [str(page.peers("peers")), "-c", code, str(file), str(library)]
    try:
        subprocess.run(command, check=True, timeout=PATIENCE, capture_output=True)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        starting.say(f"lignum did not compile it: {type(error).__name__}")
        library.unlink(missing_ok=True)
        gave_up.touch()
        return False
    return True


def call_seconds(evaluator: Evaluator, rows: np.ndarray, size: int) -> float:
    """Return the median seconds of calls with so many rows, in a tenth of a second."""
    predict, parts = evaluator.calls(rows, size)
    predict(parts[0])
    times, end = [], time.perf_counter() + 0.1
    while not times or time.perf_counter() < end:
        part = parts[len(times) % len(parts)]
        begin = time.perf_counter()
        predict(part)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def evicted_seconds(evaluator: Evaluator, rows: np.ndarray, memory: np.ndarray) -> float:
    """Return the median seconds of a call with one row after everything else was pushed out of the caches."""
    predict, parts = evaluator.calls(rows, 1)
    times = []
    for row in parts[:15]:
        memory += 1
        begin = time.perf_counter()
        predict(row)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def measured(name: str, rounds: int) -> list[str]:
    """Measure one shape; returns the lines of its table."""
    text, rows = trained(name)
    wanted = lgb.Booster(model_str=text).predict(rows)
    found = evaluators(name, text)
    same = {peer: (np.ravel(evaluator.many(rows)) == wanted).all() for peer, evaluator in found.items()}
    memory = np.zeros(1 << 24)
    seconds: dict[str, dict[str, list[float]]] = {call: {peer: [] for peer in found} for call in GOALS}
    for number in range(rounds):
        starting.say(f"{name}, round {number + 1}/{rounds}")
        for call, size in CALLS.items():
            for peer, evaluator in found.items():
                seconds[call][peer].append(call_seconds(evaluator, rows, size))
        for peer, evaluator in found.items():
            seconds[EVICTED][peer].append(evicted_seconds(evaluator, rows, memory))
    peers = [peer for peer in found if peer.startswith("lignum")]
    lines = []
    for call, of in seconds.items():
        ratios = (
            [min(of[peer][number] for peer in peers) / of["Hardcover"][number] for number in range(rounds)]
            if peers
            else []
        )
        shown = [
            _shown(statistics.median(of[peer]), same[peer]) if peer in of else "not compiled"
            for peer in ("Hardcover", "walking", "lignum compiled", "lignum interpreted")
        ]
        goal = FOR_LARGE_TREES if call == BATCH and "255" in name else GOALS[call]
        times = (
            f"**{statistics.median(ratios):.1f}** ({min(ratios):.1f} to {max(ratios):.1f}); {goal:g}"
            if ratios
            else ""
        )
        lines.append(f"| {name} | {call} | {' | '.join(shown)} | {times} |")
    return lines


def _shown(seconds: float, same: bool) -> str:
    shown = f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.2f} µs"
    return shown if same else f"{shown}, other bits"


def main() -> None:
    """Measure all shapes, or those named, and write the section of the page when it was all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="SHAPE", choices=[[], *SHAPES])
    parser.add_argument("--rounds", type=int, default=9, help="how often everything is measured (default 9)")
    options = parser.parse_args()
    for name in options.names or SHAPES:
        trained(name)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    lines = [
        "| model | a call of | Hardcover | walking | lignum compiled | lignum interpreted | times faster than the better of lignum; goal |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in options.names or SHAPES:
        lines += measured(name, options.rounds)
        print("\n".join(lines[-len(GOALS) :]), flush=True)
    if not options.names:
        page.keep("kernel", "\n".join(lines))


if __name__ == "__main__":
    main()
