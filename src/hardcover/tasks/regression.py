"""An amount: the score is the expected value of the target."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from hardcover.tasks import baselines, plots
from hardcover.tasks.base import Metric, Names, Rows, Task, mean


class Regression(Task):
    """Tell how much."""

    name = "regression"
    primary = Metric("rmse", "root mean squared error", "RMSE", greater_is_better=False)

    def settings(self, classes: list) -> dict[str, Any]:
        """Return LightGBM's objective, the squared error."""
        return {"objective": "regression", "metric": "rmse"}

    def metrics(self, rows: Rows, score: np.ndarray, decision: dict, costs: dict) -> dict[str, float]:
        """Return root mean squared error, mean absolute error and R2."""
        weight = rows.weight
        return {
            "rmse": float(root_mean_squared_error(rows.target, score, sample_weight=weight)),
            "mae": float(mean_absolute_error(rows.target, score, sample_weight=weight)),
            "r2": float(r2_score(rows.target, score, sample_weight=weight)),
        }

    def baselines(self, train: Rows, holdout: Rows, categories: list[int]) -> dict[str, np.ndarray]:
        """Fit a constant and a ridge regression."""
        ridge = baselines.ridge(categories)
        baselines.fit(ridge, train)
        return {
            "constant": np.full(len(holdout), mean(train.target, train.weight)),
            "ridge_regression": ridge.predict(holdout.inputs),
        }

    def draw(
        self, rows: Rows, score: np.ndarray, decision: dict, costs: dict, names: Names
    ) -> dict[str, Figure]:
        """Draw truth against score, and what is left over."""
        return {
            "truth": plots.truth(rows.target, score, names),
            "residuals": plots.residuals(rows.target, score, names),
        }

    def worst(self, target: np.ndarray, score: np.ndarray) -> dict[str, tuple[int, int]]:
        """Find the largest miss in either direction."""
        return {
            "too_low": (int((target - score).argmax()), 0),
            "too_high": (int((score - target).argmax()), 0),
        }


TASK = Regression()
