"""What `hardcover add` and `hardcover run` get from a file and a column's name, beside AutoGluon and LightGBM's defaults.

    python benchmarks/first_models.py --tables FOLDER [--minutes 5] [TABLE ...]

Its seconds are those to a measured model; AutoGluon's and LightGBM's those to their answers. All learn from the same rows and are measured on the same holdout, that of the case's own split. LightGBM has the case's inputs;
AutoGluon also has the columns that the case leaves out, but for its leaks. What AutoGluon answered is kept in
``benchmarks/autogluon.json`` by the rows' hash, so that a rerun costs minutes instead of an hour.
"""

import argparse
import hashlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import lightgbm as lgb
import numpy as np
import page
import pandas as pd
from sklearn.metrics import log_loss, root_mean_squared_error

from hardcover import tasks
from hardcover.modelling import training
from hardcover.project import exported
from hardcover.tasks.base import scores_of
from hardcover.template import new

ROOT = page.ROOT
KEPT = ROOT / "benchmarks" / "autogluon.json"
# By case: the file's name, the target, and what else is said.
TABLES: dict[str, tuple[str, str, list[str]]] = {
    "ai4i": ("ai4i2020.csv", "Machine failure", []),
    "bikes": ("bike.csv", "count", []),
    "hotel": ("hotel_bookings.parquet", "is_canceled", []),
    "elec2": ("elec2.csv", "up", []),
    "credit_card": ("AER-CreditCard.csv", "card", []),
    "nass": ("DAAG-nassCDS.csv", "dead", []),
    "ames": ("modeldata-ames.csv", "Sale_Price", []),
    "diamonds": ("ggplot2-diamonds.csv", "price", []),
    "movies": ("dslabs-movielens.csv", "rating", []),
    "digits": ("digits.csv", "target", ["--task", "multiclass"]),
    "churn": ("churn.csv", "Churn", []),
    "nursery": ("nursery.csv", "class", []),
}


class Result(NamedTuple):
    """The losses on one table, and the seconds that each took; the primary metric beside the best baseline's."""

    rows: int
    loss: str
    losses: dict[str, float]
    seconds: dict[str, float]
    primary: str


def measure(project: Path, name: str, tables: Path, minutes: float) -> Result:
    """Make a case of a table, run it, and let the peers learn from the same rows."""
    file, target, options = TABLES[name]
    started = time.monotonic()
    _call(project, "add", name, "--data", str(tables / file), "--target", target, "--yes", *options)
    _call(project, "run", name, "--stage", "data", "features", "train")
    ours = time.monotonic() - started
    load = _loader(project, name)
    clean, features, plan, metrics = (load(what) for what in ("clean", "features", "feature_plan", "metrics"))
    task = tasks.of(metrics["task"])
    kind = metrics["task"] if task.has_classes else "regression"
    loss = "log loss" if task.has_classes else "RMSE"
    holdout = training.rows_of(features, plan, task, "holdout")
    used = features[features["split"].isin(["train", "validation"])]
    learn = training.rows_of(used, plan, task)
    losses = {"Hardcover": _loss(kind, holdout.target, scores_of(load("predictions")))}
    started = time.monotonic()
    losses["LightGBM"] = _loss(kind, holdout.target, _defaults(kind, learn, holdout, plan))
    seconds = {"Hardcover": ours, "LightGBM": time.monotonic() - started}
    question = {"kind": kind, "loss": loss}
    written = importlib.import_module(f"{project.name}.{name}.data")
    # What the case made of a time, AutoGluon makes for itself.
    away = [plan["roles"].get("key"), *getattr(written, "LEAKS", {}), *getattr(written, "DAYS", {})]
    rows = clean.drop(columns=[each for each in away if each in clean])
    rows = rows.rename(columns={plan["roles"]["target"]: "target"})
    labels = [str(each) for each in task.classes(plan["classes"] or None)]
    losses["AutoGluon"], seconds["AutoGluon"] = autogluon(name, rows, question, labels, minutes)
    return Result(len(features), loss, losses, seconds, _beside_baselines(metrics))


def autogluon(
    name: str, rows: pd.DataFrame, question: dict, labels: list[str], minutes: float
) -> tuple[float, float]:
    """Return AutoGluon's loss on the holdout and its seconds, as they were kept if the rows are the same."""
    hashed = hashlib.sha256(pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes())
    digest = f"{hashed.hexdigest()[:16]}, {minutes:g} minutes"
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    if kept.get(name, {}).get("rows") == digest:
        return kept[name]["loss"], kept[name]["seconds"]
    part = rows.pop("split")
    holdout = rows[part == "holdout"]
    with tempfile.TemporaryDirectory() as folder:
        rows[part.isin(["train", "validation"])].to_parquet(Path(folder) / "learn.parquet")
        holdout.to_parquet(Path(folder) / "holdout.parquet")
        (Path(folder) / "question.json").write_text(json.dumps(question))
        started = time.monotonic()
        command = [page.peers("autogluon"), ROOT / "benchmarks" / "autogluon_peer.py", folder, str(minutes)]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - started
        answers = pd.read_parquet(Path(folder) / "answers.parquet")
    kind, truth = question["kind"], holdout["target"]
    if kind == "regression":
        found = _loss(kind, truth.to_numpy(), answers["score"].to_numpy())
    else:
        codes = truth.astype(str).map({label: code for code, label in enumerate(labels)}).to_numpy()
        scores = answers[labels].to_numpy(np.float64)
        found = _loss(kind, codes, scores[:, 1] if kind == "binary" else scores)
    kept[name] = {"rows": digest, "loss": found, "seconds": round(seconds, 1)}
    KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    return found, seconds


def _defaults(kind: str, learn: tasks.Rows, holdout: tasks.Rows, plan: dict) -> np.ndarray:
    options = {"verbosity": -1, "num_threads": os.cpu_count(), "seed": 1}
    model = (lgb.LGBMRegressor if kind == "regression" else lgb.LGBMClassifier)(**options)
    categories = [plan["inputs"].index(column) for column in plan["categorical"]]
    model.fit(learn.inputs, learn.target, categorical_feature=categories)
    if kind == "regression":
        return model.predict(holdout.inputs)
    found = model.predict_proba(holdout.inputs)
    return found[:, 1] if kind == "binary" else found


def _loss(kind: str, truth: np.ndarray, score: np.ndarray) -> float:
    if kind == "regression":
        return float(root_mean_squared_error(truth, score))
    labels = None if kind == "binary" else np.arange(score.shape[1])
    return float(log_loss(truth, score, labels=labels))


def _beside_baselines(metrics: dict) -> str:
    """Return the primary metric with its standard error, and the best baseline's."""
    primary = metrics["primary"]
    name, sign = primary["name"], 1 if primary["greater_is_better"] else -1
    ours, interval = metrics["holdout"][name], metrics["interval"][name]
    error = (interval["high"] - interval["low"]) / (2 * 1.96)
    best, its = max(metrics["baseline"].items(), key=lambda item: sign * item[1][name])
    ahead = sign * (ours - its[name]) / error if error else 0.0
    return f"{primary['short']} {ours:.4g} ± {error:.2g}; {best.replace('_', ' ')} {its[name]:.4g} ({ahead:+.1f} SE)"


def _call(project: Path, *command: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("hardcover"), *command],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def _loader(project: Path, name: str):
    os.environ["HARDCOVER_PROJECT"] = str(project)
    from hardcover import Case

    return Case(name).load


def table(results: dict[str, Result]) -> str:
    """Return the table, and what it comes to."""
    lines = [
        "| table | rows | loss | Hardcover | LightGBM's defaults | AutoGluon | to AutoGluon | to LightGBM | seconds H / L / A | primary metric; best baseline |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        ours, defaults, best = (result.losses[who] for who in ("Hardcover", "LightGBM", "AutoGluon"))
        took = " / ".join(f"{result.seconds[who]:.0f}" for who in ("Hardcover", "LightGBM", "AutoGluon"))
        lines.append(
            f"| {name} | {result.rows:,} | {result.loss} | {ours:.4g} | {defaults:.4g} | {best:.4g} | {ours / best:.3f} | "
            f"{ours / defaults:.3f} | {took} | {result.primary} |"
        )
    peers = {
        who: np.array([r.losses["Hardcover"] / r.losses[who] for r in results.values()])
        for who in ("AutoGluon", "LightGBM")
    }
    return "\n".join(lines) + (
        f"\n\nMedian loss: {np.median(peers['AutoGluon']):.3f} of AutoGluon's, {np.median(peers['LightGBM']):.3f} of LightGBM's defaults; "
        f"below those in {np.mean(peers['LightGBM'] < 1):.0%} of the tables. {json.loads(KEPT.read_text()).get('remark', '')}"
    )


def main() -> None:
    """Measure all tables, or those named, and write the section of the page when it was all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="TABLE", choices=[[], *TABLES])
    parser.add_argument("--tables", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--minutes", type=float, default=5, help="AutoGluon's time limit")
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "twelve_tables"
        new.stamp(project, project.name, example=False)
        exported.export(project)
        sys.path.insert(0, str(project / "src"))
        for name in options.names or TABLES:
            results[name] = measure(project, name, options.tables.resolve(), options.minutes)
            print(table({name: results[name]}).splitlines()[2], flush=True)
    if options.names:
        print(table(results))
    else:
        page.keep("first_models", table(results))


if __name__ == "__main__":
    main()
