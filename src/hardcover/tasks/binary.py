"""Two classes: the score is the probability of the second, and a threshold follows from what mistakes cost."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hardcover.errors import DataError
from hardcover.tasks import baselines, confidence, measures, plots
from hardcover.tasks.base import Metric, Names, Rows, Task, decided, mean

TINY = 1e-15


class Binary(Task):
    """Tell whether something is the case, such as a fraud.

    ``costs`` in ``conf/``: ``missed`` and ``false_alarm``, the price of each mistake, and its ``unit``.
    """

    name = "binary"
    primary = Metric("average_precision", "average precision", "AP", greater_is_better=True)
    has_classes = True

    def settings(self, classes: list) -> dict[str, Any]:
        """Return LightGBM's objective, the log loss."""
        return {"objective": "binary", "metric": "binary_logloss"}

    def classes(self, levels: list | None) -> list:
        """Return the two classes; without levels, 0 and 1."""
        return list(levels or [0, 1])

    def codes(self, target: pd.Series, classes: list) -> np.ndarray:
        """Return 0 for the first class, 1 for the second."""
        if isinstance(classes[0], str):
            return target.map({name: code for code, name in enumerate(classes)}).to_numpy(np.float64)
        return target.to_numpy(np.float64)

    def check_target(self, target: pd.Series, where: str) -> None:
        """Check that both classes are there."""
        found = target.dropna().unique()
        if len(found) != 2:
            rare = (
                f"is {found[0]} in all {len(target)} rows" if len(found) == 1 else f"has {len(found)} classes"
            )
            fix = "Bring rows of both classes, or change 'split' or 'task' in conf/."
            raise DataError(f"the target {target.name!r} {rare}", where, fix)

    def describe_target(self, target: pd.Series) -> dict[str, float]:
        """Count each class."""
        return {str(name): int(count) for name, count in target.value_counts().sort_index().items()}

    def decision(self, costs: dict, classes: list) -> dict[str, Any]:
        """Return the probability from which an alarm is cheaper than a miss.

        An alarm costs ``false_alarm`` x (1 - p) on average, none costs ``missed`` x p; they meet at the threshold.
        """
        missed, false_alarm = costs.get("missed", 1), costs.get("false_alarm", 1)
        return {"kind": "threshold", "threshold": false_alarm / (false_alarm + missed)}

    def metrics(self, rows: Rows, score: np.ndarray, decision: dict, costs: dict) -> dict[str, float]:
        """Return average precision, areas, losses, precision, recall, and the mean cost a row."""
        target, weight = rows.target, rows.weight
        alarms = decided(score, decision) == 1
        counted = np.ones(len(rows)) if weight is None else weight
        caught = float(counted[(target == 1) & alarms].sum())
        safe = np.clip(score, TINY, 1 - TINY)
        return {
            **measures.areas(target, score, weight)._asdict(),
            "log_loss": mean(-np.log(np.where(target == 1, safe, 1 - safe)), weight),
            "brier": mean((score - target) ** 2, weight),
            "precision": caught / max(float(counted[alarms].sum()), 1.0),
            "recall": caught / float(counted[target == 1].sum()),
            "cost": cost_of(rows, score, decision["threshold"], costs),
        }

    def losses(self, target: np.ndarray, score: np.ndarray, decision: dict, costs: dict) -> np.ndarray:
        """Return the cost of each miss and each false alarm, in the unit of ``costs``."""
        alarms = score >= decision["threshold"]
        missed = ((target == 1) & ~alarms) * costs.get("missed", 1)
        return missed + ((target == 0) & alarms) * float(costs.get("false_alarm", 1))

    def confidence(self, target: np.ndarray, score: np.ndarray, level: float) -> dict:
        """Return bounds of the probability, and sets of the two labels."""
        return confidence.probability(score, target, level)

    def baselines(self, train: Rows, holdout: Rows, categories: list[int]) -> dict[str, np.ndarray]:
        """Fit a constant and a logistic regression."""
        logistic = baselines.logistic_regression(categories)
        baselines.fit(logistic, train)
        return {
            "constant": np.full(len(holdout), mean(train.target, train.weight)),
            "logistic_regression": logistic.predict_proba(holdout.inputs)[:, 1],
        }

    def draw(
        self, rows: Rows, score: np.ndarray, decision: dict, costs: dict, names: Names
    ) -> dict[str, Figure]:
        """Draw precision against recall, calibration, and the cost of every threshold."""
        threshold = decision["threshold"]

        def cost(candidate: float) -> float:
            return cost_of(rows, score, candidate, costs)

        return {
            "precision_recall": plots.precision_recall(rows.target, score, threshold, names),
            "calibration": plots.calibration(rows.target, score, names),
            "cost": plots.costs(cost, threshold, costs.get("unit", "units"), names),
        }

    def worst(self, target: np.ndarray, score: np.ndarray) -> dict[str, tuple[int, int]]:
        """Find the most confident miss and the most confident false alarm."""
        missed = int(np.argmin(np.where(target == 1, score, np.inf)))
        alarm = int(np.argmax(np.where(target == 0, score, -np.inf)))
        return {"missed": (missed, 0), "false_alarm": (alarm, 0)}


def cost_of(rows: Rows, score: np.ndarray, threshold: float, costs: dict) -> float:
    """Return the mean cost a row of an alarm wherever the score reaches the threshold, in the unit of ``costs``."""
    alarms, target = score >= threshold, rows.target
    missed = mean((target == 1) & ~alarms, rows.weight)
    needless = mean((target == 0) & alarms, rows.weight)
    return float(missed * costs.get("missed", 1) + needless * costs.get("false_alarm", 1))


TASK = Binary()
