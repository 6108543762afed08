"""Estimates without labels beside NannyML's CBPE: chunks of 2,000 rows whose inputs have moved, by models that are too sure of themselves; part of `monitoring.py`."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import monitoring_streams as streams
from benchmarks.monitoring_streams import Year
from hardcover import tasks
from hardcover.monitoring.estimate import meaning_of
from hardcover.tasks import Rows
from tests.conftest import environment

HERE = Path(__file__).parent
CHUNK, DRAWS = 2000, 100
COSTS = {"missed": streams.MISSED, "false_alarm": streams.FALSE_ALARM}
# Ours, and what NannyML calls it.
NAMES = {"roc_auc": "roc_auc", "average_precision": "average_precision", "f1": "f1", "cost": "business_value"}


class WithF1(type(tasks.of("binary"))):  # type: ignore[misc]
    """The task, with F1, which it does not report."""

    def metrics(self, rows: Rows, score: np.ndarray, decision: dict, costs: dict) -> dict[str, float]:
        """Return its metrics and F1."""
        alarms = score >= decision["threshold"]
        f1 = 2 * float((rows.target * alarms).sum()) / float(rows.target.sum() + alarms.sum())
        return {**super().metrics(rows, score, decision, costs), "f1": f1}


TASK = WithF1()
DECISION = TASK.decision(COSTS, [0, 1])


def _table(seed: int, part: str, inputs: np.ndarray) -> pd.DataFrame:
    true = streams.score(inputs)
    chance = np.random.default_rng([73, seed, len(inputs)])
    proba = 1 / (1 + np.exp(-1.4 * streams.raw_score(inputs) - 0.3))
    facts = {
        "seed": seed,
        "part": part,
        "true": true,
        "proba": proba,
        "pred": (proba >= streams.THRESHOLD).astype(int),
    }
    return pd.DataFrame(inputs, columns=streams.NAMES).assign(
        **facts, y=(chance.random(len(true)) < true).astype(int)
    )


def _measured(label: np.ndarray, score: np.ndarray) -> np.ndarray:
    rows = Rows(np.empty((len(label), 0)), label.astype(float))
    found = TASK.metrics(rows, score, DECISION, COSTS)
    return np.array([found[name] for name in NAMES])


def estimates(models: int) -> None:
    """Print mean absolute errors of ours and of NannyML's CBPE, and how often the intervals cover."""
    tables, seen, expected, ours = [], [], [], []
    for seed in range(models):
        year = Year(2000 + seed)
        reference = _table(seed, "reference", year.reference().inputs)
        # Chunks of one model share its calibration's error, so each has one.
        inputs = np.concatenate([year.day(number).inputs for number in range(CHUNK // streams.ROWS)])
        inputs[:, 0] += 0.7
        later = _table(seed, "later", inputs)
        tables += [reference, later]
        calibration = meaning_of(
            TASK, reference["proba"].to_numpy(), reference["y"].to_numpy(float), DECISION, COSTS
        )
        chance = np.random.default_rng([74, seed])
        for begin in range(0, len(later), CHUNK):
            chunk = later.iloc[begin : begin + CHUNK]
            score, true = chunk["proba"].to_numpy(), chunk["true"].to_numpy()
            seen.append(_measured(chunk["y"].to_numpy(), score))
            expected.append(
                np.mean([_measured(chance.random(CHUNK) < true, score) for _ in range(DRAWS)], axis=0)
            )
            found = calibration.metrics(score, draws=2 * DRAWS)
            ours.append([[found[name][key] for key in ("estimate", "low", "high")] for name in NAMES])
    file = Path(tempfile.mkdtemp()) / "rows.parquet"
    pd.concat(tables).to_parquet(file)
    made = peers("nannyml", "monitoring_nannyml.py", "estimates", str(file))
    print(
        f"\nestimates without labels, {len(seen)} chunks of {CHUNK} rows of {models} models; ours / NannyML's CBPE:"
    )
    for at, (name, theirs) in enumerate(NAMES.items()):
        mine = np.array([each[at] for each in ours])
        other = np.array([row[1:] for row in made[theirs]], dtype=float) * (
            -1 / CHUNK if name == "cost" else 1
        )
        values, means = np.array(seen)[:, at], np.array(expected)[:, at]
        lines = [
            _of(found, values, means)
            for found in (mine, np.column_stack([other[:, 0], np.sort(other[:, 1:], axis=1)]))
        ]
        (near, exact, covers), (their_near, their_exact, their_covers) = lines
        chance = np.abs(means - values).mean() / their_near
        print(
            f"  {name}: error by what labels show {near:.4f} / {their_near:.4f} = {near / their_near:.2f} ({chance:.2f} of who knows each row's probability), by what they show on average "
            f"{exact:.4f} / {their_exact:.4f} = {exact / their_exact:.2f}; interval covers {covers:.1%} / {their_covers:.1%}"
        )


def _of(found: np.ndarray, values: np.ndarray, means: np.ndarray) -> tuple[float, float, float]:
    covers = ((found[:, 1] <= values) & (values <= found[:, 2])).mean()
    return (
        float(np.abs(found[:, 0] - values).mean()),
        float(np.abs(found[:, 0] - means).mean()),
        float(covers),
    )


def peers(name: str, program: str, *arguments: str) -> dict:
    """Let a peer's program answer in its environment; returns what it prints last."""
    python = environment(name) / "python"
    # They would tell their makers of it.
    quiet = {**os.environ, "NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}
    command = [python, HERE / program, *arguments]
    done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1][:200]}
    return json.loads(done.stdout.splitlines()[-1])
