"""A number of events: the score is its expected value, by Poisson's law or Tweedie's."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import mean_absolute_error, mean_poisson_deviance, root_mean_squared_error

from hardcover.errors import DataError
from hardcover.tasks import baselines, confidence, plots
from hardcover.tasks.base import Metric, Names, Rows, Task, mean

TINY = 1e-12


class Count(Task):
    """Tell how often. ``training.objective`` in ``conf/`` may be ``tweedie``, for many zeros and a long tail."""

    name = "count"
    primary = Metric("poisson_deviance", "Poisson deviance", "deviance", greater_is_better=False)

    def settings(self, classes: list) -> dict[str, Any]:
        """Return LightGBM's objective, Poisson's log likelihood."""
        return {"objective": "poisson", "metric": "poisson"}

    def check_target(self, target: pd.Series, where: str) -> None:
        """Check that nothing is negative, and that not all is the same."""
        super().check_target(target, where)
        if (target.to_numpy(np.float64) < 0).any():
            raise DataError(
                f"the target {target.name!r} is negative in some rows", where, "Use task: regression."
            )

    def metrics(self, rows: Rows, score: np.ndarray, decision: dict, costs: dict) -> dict[str, float]:
        """Return the mean Poisson deviance, root mean squared and mean absolute error."""
        weight, score = rows.weight, np.maximum(score, TINY)
        return {
            "poisson_deviance": float(mean_poisson_deviance(rows.target, score, sample_weight=weight)),
            "rmse": float(root_mean_squared_error(rows.target, score, sample_weight=weight)),
            "mae": float(mean_absolute_error(rows.target, score, sample_weight=weight)),
        }

    def confidence(self, target: np.ndarray, score: np.ndarray, level: float) -> dict:
        """Return intervals of which none is below 0."""
        return confidence.interval(score, target, level, 0.0)

    def baselines(self, train: Rows, holdout: Rows, categories: list[int]) -> dict[str, np.ndarray]:
        """Fit a constant and a Poisson regression."""
        poisson = baselines.poisson_regression(categories)
        baselines.fit(poisson, train)
        return {
            "constant": np.full(len(holdout), mean(train.target, train.weight)),
            "poisson_regression": poisson.predict(holdout.inputs),
        }

    def draw(
        self, rows: Rows, score: np.ndarray, decision: dict, costs: dict, names: Names
    ) -> dict[str, Figure]:
        """Draw calibration by deciles, and what is left over."""
        return {
            "deciles": plots.deciles(rows.target, score, names),
            "residuals": plots.residuals(rows.target, score, names),
        }

    def worst(self, target: np.ndarray, score: np.ndarray) -> dict[str, tuple[int, int]]:
        """Find the largest miss in either direction."""
        return {
            "too_low": (int((target - score).argmax()), 0),
            "too_high": (int((score - target).argmax()), 0),
        }


TASK = Count()
