"""An order: candidates of a query, the most relevant first; the score has a meaning only beside others of its query."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hardcover.errors import DataError
from hardcover.tasks import baselines, plots
from hardcover.tasks.base import Metric, Names, Rows, Task, mean


class Ranking(Task):
    """Tell what comes first. The target is a relevance, 0, 1, 2, ...; rows with the same ``query`` are ranked together."""

    name = "ranking"
    primary = Metric("ndcg_at_10", "NDCG@10", "NDCG@10", greater_is_better=True)
    loss_is_gain = True

    def settings(self, classes: list) -> dict[str, Any]:
        """Return LightGBM's objective, LambdaRank (Burges et al. 2006)."""
        return {"objective": "lambdarank", "metric": "ndcg", "eval_at": [10]}

    def check_target(self, target: pd.Series, where: str) -> None:
        """Check that relevances are whole and from 0 to 30, as LightGBM's gains ask."""
        super().check_target(target, where)
        values = target.to_numpy(np.float64)
        if (values != np.round(values)).any() or values.min() < 0 or values.max() > 30:
            raise DataError(
                f"the target {target.name!r} is no relevance", where, "Use whole numbers from 0 to 30."
            )

    def metrics(self, rows: Rows, score: np.ndarray, decision: dict, costs: dict) -> dict[str, float]:
        """Return the normalised discounted cumulative gain of the first 10 and 5, and of all; means over queries."""
        return {
            "ndcg_at_10": ndcg(rows, score, 10),
            "ndcg_at_5": ndcg(rows, score, 5),
            "ndcg": ndcg(rows, score, None),
        }

    def losses(self, target: np.ndarray, score: np.ndarray, decision: dict, costs: dict) -> np.ndarray:
        """Refuse: a row has no loss without the others of its query.

        Raises
        ------
        DataError
            Always.
        """
        raise DataError(
            "a row of a ranking has no loss of its own", "task ranking", "Compare queries by NDCG."
        )

    def confidence(self, target: np.ndarray, score: np.ndarray, level: float) -> dict:
        """Return that there is none."""
        return {"kind": "none", "why": "a ranking orders; its scores say nothing of what comes"}

    def baselines(self, train: Rows, holdout: Rows, categories: list[int]) -> dict[str, np.ndarray]:
        """Return equal scores, which stand for any order, and those of a ridge regression of the relevance."""
        ridge = baselines.ridge(categories)
        baselines.fit(ridge, train)
        return {"constant": np.zeros(len(holdout)), "ridge_regression": ridge.predict(holdout.inputs)}

    def draw(
        self, rows: Rows, score: np.ndarray, decision: dict, costs: dict, names: Names
    ) -> dict[str, Figure]:
        """Draw the gain of the first places beside any order and the best one, and scores by relevance."""
        places = [1, 2, 3, 5, 10, 20]
        any_order = np.zeros(len(rows))
        lines = {
            "model": [ndcg(rows, score, place) for place in places],
            "any order": [ndcg(rows, any_order, place) for place in places],
        }
        return {
            "gain": plots.lines(places, lines, names),
            "relevance": plots.by_level(rows.target, score, names),
        }

    def worst(self, target: np.ndarray, score: np.ndarray) -> dict[str, tuple[int, int]]:
        """Find the relevant row with the lowest score and the irrelevant one with the highest."""
        most, least = target == target.max(), target == target.min()
        low, high = np.where(most, score, np.inf), np.where(least, score, -np.inf)
        return {"missed": (int(low.argmin()), 0), "false_first": (int(high.argmax()), 0)}


def ndcg(rows: Rows, score: np.ndarray, first: int | None) -> float:
    """Return the mean over queries of the normalised discounted cumulative gain of the ``first`` places.

    Gains are the relevances, discounts 1 / log2(place + 1); rows with equal scores share their places' mean gain (McSherry and
    Najork 2008). As scikit-learn's ``ndcg_score``. A query without any relevant row says nothing, and is left out.

    Parameters
    ----------
    rows
        Relevances and queries; a query counts with the mean weight of its rows.
    score
        Shape (rows,).
    first
        None: all.
    """
    query = np.zeros(len(rows)) if rows.query is None else rows.query
    found, weights = [], []
    for members in pd.Series(query).groupby(query, sort=True).indices.values():
        truth, mine = rows.target[members], score[members]
        discount = 1 / np.log2(np.arange(len(members)) + 2)
        if first is not None:
            discount[first:] = 0
        best = float((np.sort(truth)[::-1] * discount).sum())
        if best > 0:
            found.append(_gain(truth, mine, discount) / best)
            weights.append(1.0 if rows.weight is None else rows.weight[members].mean())
    return mean(np.array(found or [0.0]), np.array(weights) if rows.weight is not None and found else None)


def _gain(truth: np.ndarray, score: np.ndarray, discount: np.ndarray) -> float:
    order = np.argsort(-score, kind="stable")
    _, tie, counts = np.unique(-score[order], return_inverse=True, return_counts=True)
    shared = np.bincount(tie, weights=truth[order]) / counts
    return float((shared[tie] * discount).sum())


TASK = Ranking()
