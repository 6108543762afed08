"""The inference runtime beside what a service could use instead: one row, one record, batches, contributions, start, release.

    make bench                                                this table and the others
    .venv/bin/python benchmarks/runtime.py --models middle    one model: small, middle, large or case

Peers are installed into an environment of their own, ``.tools/peers``. Every round measures all of them in turn, each in a
fresh process with one thread unless said otherwise; ratios are taken within a round. The median over rounds is shown with the
lowest and highest.
"""

import argparse
import ctypes
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import page
from starting import AT_HALF, BENCH, ROWS, call, keep, release_case, release_large, say, starts

# Trees and leaves; thirty inputs, one in twenty values missing, one of them a category.
MODELS = {"small": (100, 31), "middle": (300, 63), "large": (2000, 255)}
# Compilers and converters of the model itself take minutes for the large one.
NOT_COMPILED = {"large"}


# ---- What each worker measures, in a process of its own -------------------------------------------------------


def one_by_one(function, rows: list, seconds: float = 1.5) -> list[float]:
    """Time a function row by row; gives the median and the 99th percentile in µs."""
    for row in rows[:50]:
        function(row)
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 20:
        row = rows[len(times) % len(rows)]
        begin = time.perf_counter_ns()
        function(row)
        times.append(time.perf_counter_ns() - begin)
    times.sort()
    return [times[len(times) // 2] / 1e3, times[len(times) * 99 // 100] / 1e3]


def together(function, rows, seconds: float = 1.0) -> float:
    """Time a function on a batch; gives rows per second, the best of what fits into the time."""
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end or not best:
        begin = time.perf_counter()
        function(rows)
        best = max(best, len(rows) / (time.perf_counter() - begin))
    return best


def loaded(name: str):
    """Return a model's text, its rows, and what LightGBM scores them."""
    import numpy as np

    folder = BENCH / name
    return (folder / "model.txt").read_text(), np.load(folder / "rows.npy"), np.load(folder / "scores.npy")


def equal(scores, expected) -> float:
    """Return the share of scores with the bits of ``Booster.predict``."""
    import numpy as np

    return float((np.asarray(scores, np.float64).ravel() == expected[: len(scores)]).mean())


def ours(name: str) -> dict:
    """Measure the kernel."""
    from hardcover.forest import flatten, lightgbm_text
    from hardcover.release import compiler
    from hardcover.runtime import arrays
    from hardcover.runtime.forest import Forest
    from hardcover.runtime.kernel import Kernel

    text, rows, scores = loaded(name)
    library = str(compiler.kernel().path)
    begin = time.perf_counter()
    content = bytearray(flatten.to_bytes(lightgbm_text.parse(text)))
    kernel = Kernel(Forest(*arrays.parse(content), check=False), library)
    built = time.perf_counter() - begin
    few = list(rows[:2000])
    kernel.explain(few[0])
    with tempfile.TemporaryDirectory() as folder:
        model = as_release(Path(folder), bytes(content), rows.shape[1], library)
        records = [dict(zip(model.inputs, row, strict=True)) for row in rows[:2000].tolist()]
        as_record = one_by_one(model.predict, records)
    some = rows[: 3000 if name != "large" else 200]
    return {
        "Hardcover": {
            "one": one_by_one(kernel.predict, few),
            "batch": together(lambda rows: kernel.predict_many(rows, threads=1), rows),
            "batch of two threads": together(lambda rows: kernel.predict_many(rows, threads=2), rows),
            "contributions": one_by_one(kernel.explain, few),
            "batch of contributions": together(lambda rows: kernel.explain_many(rows, threads=1), some),
            "record": as_record,
            "equal": equal(kernel.predict_many(rows), scores),
            "build": built,
        }
    }


def as_release(folder: Path, content: bytes, count: int, library: str):
    """Make a released model of bare numbers, so that records are checked and turned into inputs as a wheel does."""
    import hashlib
    import types

    from hardcover import runtime
    from hardcover.release import row_code
    from hardcover.runtime.model import Model

    names = [f"Column_{number}" for number in range(count)]
    schema = {"properties": {name: {"type": "number"} for name in names}}
    files = {
        "model.safetensors": content,
        "schema.json": json.dumps(schema).encode(),
        "kernel.so": Path(library).read_bytes(),
    }
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    about = {"files": digests, "inputs": names, "decision": AT_HALF, "version": "0"}
    for name, data in {**files, "manifest.json": json.dumps(about).encode()}.items():
        (folder / name).write_bytes(data)
    package, row = types.ModuleType("released"), types.ModuleType("released.row")
    # A wheel has the runtime beside its features.
    package.__path__, package.features, row.__package__ = (
        [str(Path(runtime.__file__).parents[1])],
        types.ModuleType("released.features"),
        "released",
    )
    sys.modules |= {"released": package, "released.features": package.features}
    exec(row_code.row_code(schema, package.features, names), row.__dict__)
    return Model(folder, package.features, row.row_of)


def lightgbm(name: str) -> dict:
    """Measure LightGBM: its Python API, its C API for single rows, and its Shapley values."""
    import lightgbm as lgb
    import numpy as np

    text, rows, scores = loaded(name)
    booster = lgb.Booster(model_str=text)
    few = [row.reshape(1, -1) for row in rows[:2000]]
    some = rows[: 300 if name != "large" else 20]
    fast, found = ctypes.c_void_p(), ctypes.c_double()
    library, length = lgb.basic._LIB, ctypes.c_int64()
    library.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle, 0, 0, -1, 1, rows.shape[1], b"num_threads=1", ctypes.byref(fast)
    )

    def single(row) -> float:
        library.LGBM_BoosterPredictForMatSingleRowFast(
            fast, ctypes.c_void_p(row.ctypes.data), ctypes.byref(length), ctypes.byref(found)
        )
        return found.value

    return {
        "LightGBM, Booster.predict": {
            "one": one_by_one(lambda row: booster.predict(row, num_threads=1), few),
            "batch": together(lambda rows: booster.predict(rows, num_threads=1), rows),
            "contributions": one_by_one(
                lambda row: booster.predict(row, pred_contrib=True, num_threads=1), few
            ),
            "batch of contributions": together(
                lambda rows: booster.predict(rows, pred_contrib=True, num_threads=1), some
            ),
            "equal": 1.0,
        },
        "LightGBM, SingleRowFast": {
            "one": one_by_one(single, few),
            "equal": equal(np.array([single(row) for row in few]), scores),
        },
    }


def others(name: str) -> dict:
    """Measure lleaves, ONNX Runtime, treelite and tl2cgen."""
    import lightgbm as lgb
    import lleaves
    import numpy as np
    import onnxruntime
    import tl2cgen
    import treelite
    from onnxmltools.convert import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    text, rows, scores = loaded(name)
    path, found = str(BENCH / name / "model.txt"), {}
    few, floats = [row.reshape(1, -1) for row in rows[:2000]], rows.astype(np.float32)

    def measure(peer: str, build, predict, rows=rows, few=few) -> None:
        begin = time.perf_counter()
        try:
            model = build()
            built = time.perf_counter() - begin
            found[peer] = {
                "one": one_by_one(lambda row: predict(model, row), few),
                "batch": together(lambda rows: predict(model, rows), rows),
                "equal": equal(predict(model, rows), scores),
                "build": built,
            }
        except Exception as error:
            found[peer] = {"failed": f"{type(error).__name__}: {str(error)[:80]}"}

    def build_lleaves():
        model = lleaves.Model(model_file=path)
        model.compile()
        return model

    def build_onnx():
        kind = [("rows", FloatTensorType([None, rows.shape[1]]))]
        graph = convert_lightgbm(lgb.Booster(model_str=text), initial_types=kind, zipmap=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        return onnxruntime.InferenceSession(graph.SerializeToString(), options)

    def build_tl2cgen():
        with tempfile.TemporaryDirectory() as folder:
            library = f"{folder}/model.so"
            model = treelite.frontend.load_lightgbm_model(path)
            tl2cgen.export_lib(model, toolchain="gcc", libpath=library, params={"parallel_comp": 32})
            return tl2cgen.Predictor(library, nthread=1)

    if name not in NOT_COMPILED:
        measure("lleaves", build_lleaves, lambda model, rows: model.predict(rows, n_jobs=1))
        measure(
            "ONNX Runtime, float32",
            build_onnx,
            lambda model, rows: model.run(None, {"rows": rows})[1][:, 1],
            floats,
            [row.reshape(1, -1) for row in floats[:2000]],
        )
        measure("tl2cgen", build_tl2cgen, lambda model, rows: model.predict(tl2cgen.DMatrix(rows)).ravel())
    measure(
        "treelite GTIL",
        lambda: treelite.frontend.load_lightgbm_model(path),
        lambda model, rows: treelite.gtil.predict(model, rows, nthread=1).ravel(),
    )
    return found


def tools(name: str) -> dict:
    """Measure MLflow's pyfunc and shap."""
    import lightgbm as lgb
    import mlflow
    import pandas as pd
    import shap

    text, rows, scores = loaded(name)
    booster = lgb.Booster(model_str=text)
    names = booster.feature_name()
    with tempfile.TemporaryDirectory() as folder:
        mlflow.lightgbm.save_model(booster, f"{folder}/model")
        served = mlflow.pyfunc.load_model(f"{folder}/model")
    records = [dict(zip(names, row, strict=True)) for row in rows[:200].tolist()]
    explainer = shap.TreeExplainer(booster)
    few = [row.reshape(1, -1) for row in rows[:200]]
    seconds = 1.5 if name != "large" else 6
    return {
        "MLflow pyfunc, a record": {
            "record": one_by_one(lambda record: served.predict(pd.DataFrame([record])), records),
            "equal": equal(served.predict(pd.DataFrame(rows[:200], columns=names)), scores),
        },
        "shap.TreeExplainer": {
            "contributions": one_by_one(lambda row: explainer.shap_values(row), few, seconds)
        },
    }


def record(name: str) -> dict:
    """Measure the released wheel: a raw record in, a score or contributions out; runs where the wheel is installed."""
    from casebook_maintenance import model

    records = json.loads((BENCH / name / "records.json").read_text())
    model.predict(records[0], explain=True)
    return {
        "the wheel, a raw record": {
            "record": one_by_one(model.predict, records),
            "record with contributions": one_by_one(
                lambda record: model.predict(record, explain=True), records
            ),
        }
    }


WORKERS = {"ours": ours, "lightgbm": lightgbm, "others": others, "tools": tools, "record": record}


# ---- Preparing --------------------------------------------------------------------------------------------------


def train(name: str) -> None:
    """Train a model on seeded rows, once."""
    import lightgbm as lgb
    import numpy as np

    folder = BENCH / name
    if (folder / "scores.npy").exists():
        return
    say(f"training the {name} model")
    rng, (trees, leaves) = np.random.default_rng(0), MODELS[name]
    rows = rng.normal(size=(100_000, 30))
    rows[rng.random(rows.shape) < 0.05] = np.nan
    rows[:, 29] = rng.integers(0, 12, size=len(rows))
    known = np.nan_to_num(rows)
    signal = known[:, :29] @ rng.normal(size=29) + known[:, 29] % 3 + 2 * np.sin(3 * known[:, 0])
    target = (signal + rng.normal(size=len(rows)) > 1).astype(int)
    options = {"objective": "binary", "num_leaves": leaves, "learning_rate": 0.05, "verbose": -1}
    booster = lgb.train(options, lgb.Dataset(rows, target, categorical_feature=[29]), trees)
    keep(folder, booster.model_to_string(), rows[:ROWS])


# ---- The tables ----------------------------------------------------------------------------------------------------


def spread(values: list[float], digits: int = 1) -> str:
    """Return the median with the lowest and highest."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def table(rounds: list[dict[str, dict]]) -> list[str]:
    """Make one model's table; ratios say how many times ours is faster, within each round."""
    lines = [
        "| | one row, µs, p50 | p99 | ours faster | batch, rows/s | ours faster | contributions, one row, µs | ours faster | contributions, batch, rows/s | ours faster | a record, µs | ours faster | equal bits | build, s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for peer in dict.fromkeys(peer for found in rounds for peer in found):
        facts = [found[peer] for found in rounds]
        if "failed" in facts[0]:
            lines.append(f"| {peer} | {facts[0]['failed']} " + "| " * 13 + "|")
            continue
        cells = [peer]
        for key in ("one", "batch", "contributions", "batch of contributions", "record"):
            if key not in facts[0]:
                cells += ["", "", ""] if key == "one" else ["", ""]
                continue
            mine = [found["Hardcover"][key] for found in rounds]
            theirs = [fact[key] for fact in facts]
            if key in ("one", "contributions", "record"):
                ratios = [other[0] / own[0] for own, other in zip(mine, theirs, strict=True)]
                cells.append(f"{statistics.median(other[0] for other in theirs):,.1f}")
                if key == "one":
                    cells.append(f"{statistics.median(other[1] for other in theirs):,.1f}")
            else:
                ratios = [own / other for own, other in zip(mine, theirs, strict=True)]
                cells.append(f"{statistics.median(theirs):,.0f}")
            cells.append("" if peer == "Hardcover" or peer.startswith("the wheel") else spread(ratios))
        cells.append(f"{facts[0]['equal']:.1%}" if "equal" in facts[0] else "")
        cells.append(f"{facts[0]['build']:.2f}" if "build" in facts[0] else "")
        lines.append(f"| {' | '.join(cells)} |")
    both = [found["Hardcover"]["batch of two threads"] / found["Hardcover"]["batch"] for found in rounds]
    lines += ["", f"Two threads: {spread(both, 2)} times one."]
    if "the wheel, a raw record" in rounds[0]:
        times = [found["the wheel, a raw record"]["record with contributions"][0] for found in rounds]
        lines.append(
            f"The wheel, a raw record with all its contributions: {statistics.median(times):.1f} µs."
        )
    return lines


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured (default 3)")
    parser.add_argument("--models", nargs="+", default=[*MODELS, "case"], choices=[*MODELS, "case"])
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        kind, name = options.worker
        print(json.dumps(WORKERS[kind](name)))
        return
    for name in options.models:
        if name in MODELS:
            train(name)
    wheel_python = release_case()
    pythons = {
        "ours": sys.executable,
        "lightgbm": sys.executable,
        "others": page.peers("peers"),
        "tools": sys.executable,
        "record": wheel_python,
    }
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONWARNINGS": "ignore",
    }
    lines = []
    for name in options.models:
        rounds = []
        for number in range(options.rounds):
            found: dict[str, dict] = {}
            for kind, python in pythons.items():
                if kind == "record" and name != "case":
                    continue
                say(f"{name}, round {number + 1}/{options.rounds}: {kind}")
                said = call([python, __file__, "--worker", kind, name], env=environment)
                found |= json.loads(said.splitlines()[-1])
            rounds.append(found)
        shape = "the case's own model" if name == "case" else "{} trees, {} leaves".format(*MODELS[name])
        lines += [f"### {name}: {shape}", "", *table(rounds), ""]
    say("starting fresh interpreters")
    lines += [
        "### From nothing to a first answer",
        "",
        "| fresh interpreter | ms | most memory, MB |",
        "|---|---|---|",
    ]
    for name, facts in starts(wheel_python).items():
        lines.append(
            f"| {name} | {facts['ms']:.0f} | {facts['MB']:.0f} |"
            if "MB" in facts
            else f"| {name} | {facts['ms']:.0f} | |"
        )
    if (BENCH / "large" / "model.txt").exists():
        say("releasing the large model")
        lines += [
            "",
            f"Release of the large model, from its text to an installed wheel: {release_large():.1f} s",
        ]
    (wheel,) = (BENCH / "place" / "dist").glob("*.whl")
    lines += [f"The case's wheel: {wheel.stat().st_size:,} bytes"]
    page.keep("runtime", "\n".join(lines))


if __name__ == "__main__":
    main()
