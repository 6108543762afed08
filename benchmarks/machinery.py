"""What versions, origins and skipping cost, each beside what a user of plain Kedro or papermill would run.

    make bench                                        this table and that of main_job.py
    .venv/bin/python benchmarks/machinery.py latest   one measure: latest, table, nodes, skipping or notebooks

Every measure is a ratio taken within one round of one run; the median over rounds is shown, with the lowest and highest.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import page

from hardcover import settings

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
RESULTS = ROOT / "benchmarks" / "results"


def place(folder: Path) -> dict[str, str]:
    """Return the environment of a run that leaves everything in a folder of its own."""
    return {
        **os.environ,
        "HARDCOVER_PROJECT": str(ROOT),
        **settings.apart(folder),
        "HARDCOVER_RUN_PROVE": "no",
    }


def seconds(command: list, **options) -> float:
    """Time a whole process."""
    begin = time.perf_counter()
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **options
    )
    taken = time.perf_counter() - begin
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stderr[-2000:]}")
    return taken


def spread(values: list[float]) -> str:
    """Return the median with the lowest and highest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def latest(rounds: int, folder: Path) -> list[tuple]:
    """Find the latest of 100,000 versions, and of 10; by Kedro as well."""
    from kedro.io.core import Version
    from kedro_datasets.json import JSONDataset

    from hardcover.store import drafts, versions

    places = {}
    for count in (10, 100_000):
        dataset = folder / f"{count}" / "facts.json"
        for number in range(count - 1):
            version = dataset / f"2020-01-01T00.00.00.{number:06d}Z"
            version.mkdir(parents=True)
            (version / "facts.json").write_text("{}")
            (version / versions.MANIFEST).write_text("{}")
        draft = drafts.draft(dataset)
        (draft.folder / "facts.json").write_text("{}")
        draft.commit({})
        places[count] = dataset

    def ours(count: int) -> float:
        begin = time.perf_counter()
        for _ in range(100):
            assert versions.latest(places[count])
        return (time.perf_counter() - begin) / 100

    def kedro(count: int) -> float:
        begin = time.perf_counter()
        JSONDataset(filepath=str(places[count]), version=Version(None, None)).resolve_load_version()
        return time.perf_counter() - begin

    found = [(ours(10), ours(100_000), kedro(100_000)) for _ in range(rounds)]
    ratios = [many / few for few, many, _ in found]
    note = f"{statistics.median(many for _, many, _ in found) * 1e6:.0f} µs; Kedro's own search: {statistics.median(theirs for *_, theirs in found):.2f} s"
    return [("latest of 100,000 versions", "of 10", "2", spread(ratios), note)]


TABLE = """
import json, sys, time
import numpy as np, pandas as pd, pyarrow.parquet
from kedro.io import DataCatalog
from kedro_datasets.pandas import ParquetDataset
from hardcover.store.catalog import VersionedCatalog
kind, folder, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
rng = np.random.default_rng(0)
table = pd.DataFrame({f"c{number}": rng.normal(size=rows) for number in range(16)})
maker = VersionedCatalog if kind == "hardcover" else DataCatalog
catalog = maker.from_config({"table": {"type": "pandas.ParquetDataset", "filepath": folder + "/table.parquet", "versioned": True}})
begin = time.perf_counter(); catalog.save("table", table); saved = time.perf_counter()
del table
fresh = maker.from_config({"table": {"type": "pandas.ParquetDataset", "filepath": folder + "/table.parquet", "versioned": True}})
if kind == "hardcover":
    from hardcover.store import catalog as module
    module._verified.clear()
middle = time.perf_counter(); fresh.load("table"); loaded = time.perf_counter()
print(json.dumps([saved - begin, loaded - middle]))
"""


def table(rounds: int, folder: Path) -> list[tuple]:
    """Save and load a Parquet dataset of 1 GB: hashes, manifest and fsync against Kedro's bare dataset."""
    ratios, shown = [], []
    for number in range(rounds):
        taken = {}
        for kind in ("kedro", "hardcover") if number % 2 else ("hardcover", "kedro"):
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                command = [sys.executable, "-W", "ignore", "-c", TABLE, kind, scratch, "7800000"]
                done = subprocess.run(command, capture_output=True, text=True, check=True, env=place(folder))
                taken[kind] = json.loads(done.stdout.splitlines()[-1])
            os.sync()
        ratios.append(sum(taken["hardcover"]) / sum(taken["kedro"]))
        shown.append(taken)
    save, load = (
        statistics.median(taken["hardcover"][at] - taken["kedro"][at] for taken in shown) for at in (0, 1)
    )
    note = f"saving {save:+.1f} s, loading {load:+.1f} s on {statistics.median(sum(taken['kedro']) for taken in shown):.1f} s"
    return [("save and load 1 GB of Parquet", "Kedro's dataset", "1.2", spread(ratios), note)]


NODES = """
import logging, sys, time
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner
from hardcover.store.catalog import VersionedCatalog
from hardcover.incremental.runner import IncrementalRunner
logging.disable(logging.CRITICAL)
kind, folder, kept = sys.argv[1], sys.argv[2], sys.argv[3] == "kept"
def first():
    return {"value": 0}
def following(before):
    return {"value": before["value"] + 1}
nodes = [node(first, None, "d0", name="n0")]
nodes += [node(following, f"d{number - 1}", f"d{number}", name=f"n{number}") for number in range(1, 200)]
pattern = {"d{number}" if kept else "d199": {"type": "json.JSONDataset", "filepath": folder + ("/d{number}.json" if kept else "/d199.json"), "versioned": True}}
begin = time.perf_counter()
if kind == "kedro":
    SequentialRunner().run(Pipeline(nodes), DataCatalog.from_config(pattern, save_version="2020-01-01T00.00.00.000Z"))
else:
    catalog = VersionedCatalog.from_config(pattern)
    catalog.in_run = True
    IncrementalRunner().run(Pipeline(nodes), catalog)
    makers = {name: each.name for each in nodes for name in each.outputs}
    catalog.commit(lambda name: catalog.origins[makers[name]])
print(time.perf_counter() - begin)
"""


def nodes(rounds: int, folder: Path) -> list[tuple]:
    """Run 200 trivial nodes that keep each output as a version, or only the last one."""
    script = folder / "nodes.py"
    script.write_text(NODES)
    return [_nodes(script, rounds, folder, what) for what in ("last kept", "kept")]


def _nodes(script: Path, rounds: int, folder: Path, what: str) -> tuple:
    inner, whole = [], []
    for _ in range(rounds):
        taken, own = {}, {}
        for kind in ("kedro", "hardcover"):
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                begin = time.perf_counter()
                command = [sys.executable, "-W", "ignore", str(script), kind, scratch, what]
                done = subprocess.run(command, capture_output=True, text=True, check=True, env=place(folder))
                taken[kind], own[kind] = time.perf_counter() - begin, float(done.stdout.splitlines()[-1])
        whole.append(taken["hardcover"] / taken["kedro"])
        inner.append((own["hardcover"], own["kedro"]))
    ours, theirs = (statistics.median(pair[at] for pair in inner) for at in (0, 1))
    note = f"the run alone {ours:.2f} s, Kedro's {theirs:.2f} s"
    name = (
        "200 trivial nodes, each output kept" if what == "kept" else "200 trivial nodes, the last output kept"
    )
    return (name, "Kedro, same nodes", "1.2", spread(whole), note)


def skipping(rounds: int, folder: Path) -> list[tuple]:
    """Run when nothing changed, against running all; with and without tracking."""
    environment = place(folder)
    kedro = [BIN / "kedro", "run", "--pipeline", "maintenance"]
    everything, nothing, through, bare = [], [], [], []
    seconds([BIN / "hardcover", "run", "--pipeline"], env=environment, cwd=ROOT)
    for _ in range(rounds):
        everything.append(seconds(kedro, env=environment, cwd=ROOT))
        bare.append(
            seconds(
                [sys.executable, "-W", "ignore", ROOT / "benchmarks" / "bare_kedro.py"],
                env=environment,
                cwd=ROOT,
            )
        )
        # Kedro's own run made new versions; this notes that nothing is left to do.
        seconds([BIN / "hardcover", "run", "--pipeline"], env=environment, cwd=ROOT)
        nothing.append(seconds([BIN / "hardcover", "run", "--pipeline"], env=environment, cwd=ROOT))
        through.append(seconds([BIN / "hardcover", "run"], env=environment, cwd=ROOT))

    def row(name: str, peer: str, ours: list[float], theirs: list[float]) -> tuple:
        ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
        note = f"{statistics.median(ours):.2f} s, goal 0.5 s, against {statistics.median(theirs):.1f} s"
        return (name, peer, "0.1", spread(ratios), note)

    return [
        row("nothing changed: hardcover run --pipeline", "kedro run, no tracking", nothing, bare),
        row("nothing changed: hardcover run --pipeline", "kedro run with kedro-mlflow", nothing, everything),
        row("nothing changed: hardcover run", "kedro run, no tracking", through, bare),
        row("nothing changed: hardcover run", "kedro run with kedro-mlflow", through, everything),
    ]


def notebooks(rounds: int, folder: Path) -> list[tuple]:
    """Execute the five notebooks, against papermill's own command, one after the other, and the pipeline face."""
    order = [
        "maintenance/01_data",
        "maintenance/02_features",
        "model/03_train",
        "model/04_explain",
        "model/05_release",
    ]
    ours, theirs, pipelines = [], [], []
    for number in range(rounds):
        mine = place(folder / f"ours{number}")
        (folder / f"ours{number}").mkdir()
        ours.append(seconds([BIN / "hardcover", "run"], env=mine, cwd=ROOT))
        other = folder / f"papermill{number}"
        other.mkdir()
        total = 0.0
        for name in order:
            path = ROOT / "notebooks" / f"{name}.ipynb"
            command = [
                BIN / "papermill",
                path,
                other / f"{path.name}",
                "--cwd",
                path.parent,
                "--no-progress-bar",
            ]
            total += seconds(command, env=place(other), cwd=ROOT)
        theirs.append(total)
        (folder / f"pipeline{number}").mkdir()
        pipelines.append(
            seconds(
                [BIN / "hardcover", "run", "--pipeline"], env=place(folder / f"pipeline{number}"), cwd=ROOT
            )
        )
    by = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    over = [mine / other for mine, other in zip(ours, pipelines, strict=True)]
    first, second, third = (statistics.median(values) for values in (ours, theirs, pipelines))
    return [
        (
            "five notebooks: hardcover run",
            "papermill, one by one",
            "0.45",
            spread(by),
            f"{first:.1f} s against {second:.1f} s",
        ),
        (
            "five notebooks: hardcover run",
            "the pipeline face",
            "1.3",
            spread(over),
            f"{first:.1f} s against {third:.1f} s",
        ),
    ]


MEASURES = {measure.__name__: measure for measure in (latest, nodes, table, skipping, notebooks)}


def main() -> None:
    """Measure what is asked for and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measure", nargs="*", choices=[[], *MEASURES], help="default: all")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default 3)")
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    rows = []
    for name in options.measure or MEASURES:
        print(f"measuring {name}", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="hardcover-bench-", dir=RESULTS) as folder:
            rows += MEASURES[name](options.rounds, Path(folder))
    lines = ["| measure | peer | goal | ratio, median (lowest to highest) | |", "|---|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    text = "\n".join(lines)
    if options.measure:
        print(text)
    else:
        page.keep("machinery", text)


if __name__ == "__main__":
    main()
