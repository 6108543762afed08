"""Find out on the holdout how sure answers are and how unusual inputs, and whether that holds."""

from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from hardcover import tasks
from hardcover.errors import DataError
from hardcover.modelling.training import rows_of, scores
from hardcover.runtime.confidence import Calibration
from hardcover.tasks import Rows, Task
from hardcover.tasks.confidence import p_values

# Halves that are drawn to see whether a table made of one holds on the other.
DRAWS, SEED = 20, 7


def fit(
    features: pd.DataFrame,
    feature_plan: dict,
    model: str,
    anomaly_model: str,
    confidence: dict,
    task: str,
) -> dict:
    """Make the tables that a release answers by.

    Parameters
    ----------
    features, feature_plan, model, anomaly_model
        As the stages before make them.
    confidence, task
        Of ``conf/``. ``confidence`` has the ``level``.

    Returns
    -------
    dict
        What ``runtime.confidence`` reads; and ``measured``, as ``measured`` returns it.

    Raises
    ------
    DataError
        When the level is no share.
    """
    kind, level = tasks.of(task), confidence["level"]
    if isinstance(level, bool) or not isinstance(level, float) or not 0 < level < 1:
        fix = "Give a share between 0 and 1, such as 0.9."
        raise DataError(f"confidence.level is {level!r}", "parameter confidence.level", fix)
    rows = rows_of(features, feature_plan, kind, "holdout")
    score = scores(lgb.Booster(model_str=model), rows)
    raw = lgb.Booster(model_str=anomaly_model).predict(rows.inputs)
    classes = [str(name) for name in kind.classes(feature_plan["classes"] or None)] if score.ndim == 2 else []
    return {
        "level": level,
        "rows": len(rows),
        "confidence": kind.confidence(rows.target, score, level),
        "anomaly": p_values(np.asarray(raw)),
        "measured": measured(rows, score, level, kind, classes),
    }


def measured(rows: Rows, score: np.ndarray, level: float, task: Task, classes: list[str]) -> dict[str, float]:
    """Make the table of one half of the rows and look at the other, ``DRAWS`` times.

    Returns
    -------
    dict
        ``coverage``, the share of rows whose outcome was among the labels or within the interval; and ``labels``, how many there were of
        them, or ``width`` of the intervals, the mean of those that have both bounds. Empty where nothing is known.
    """
    rng, found = np.random.default_rng(SEED), []
    for _ in range(DRAWS):
        drawn = rng.permutation(len(rows))
        known, asked = np.array_split(drawn, 2)
        table = task.confidence(rows.target[known], score[known], level)
        if table["kind"] == "none":
            return {}
        found.append(_seen(answers_of(table, classes, score[asked]), rows.target[asked]))
    return {name: float(np.mean([each[name] for each in found])) for name in found[0]}


def answers_of(table: dict, classes: list, score: np.ndarray) -> dict[str, Any]:
    """Return how sure answers with these scores are by a table of `runtime.confidence`, as ``Calibration.of_many`` has it; ``classes`` of a decision among several, else empty."""
    # Which level the table was made for changes nothing of it.
    facts = {"level": 0.5, "confidence": table, "anomaly": {"scores": [], "p_values": [1.0]}}
    return Calibration(facts, classes).of_many(score)


def are_within(answers: dict[str, Any], target: np.ndarray) -> np.ndarray:
    """Return which outcomes are among the labels that may come, or within the interval; shape (rows,), of bool."""
    if "labels" in answers:
        return answers["labels"][np.arange(len(target)), target.astype(int)]
    return (answers["low"] <= target) & (target <= answers["high"])


def sizes_of(answers: dict[str, Any]) -> np.ndarray:
    """Return how many labels may come, or how wide intervals are; shape (rows,)."""
    return answers["labels"].sum(axis=1) if "labels" in answers else answers["high"] - answers["low"]


def _seen(answers: dict[str, Any], target: np.ndarray) -> dict[str, float]:
    coverage, sizes = are_within(answers, target).mean(), sizes_of(answers)
    if "labels" in answers:
        return {"coverage": coverage, "labels": sizes.mean()}
    bounded = np.isfinite(sizes)
    return {"coverage": coverage, "width": sizes[bounded].mean() if bounded.any() else np.inf}
