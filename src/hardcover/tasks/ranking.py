"""An order: candidates of a query, the most relevant first; the score has a meaning only beside others of its query."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hardcover.errors import DataError
from hardcover.tasks import baselines, plots
from hardcover.tasks.base import Metric, Names, Rows, Task

# How many places each metric counts.
PLACES = {"ndcg_at_10": 10, "ndcg_at_5": 5, "ndcg": None}


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
        return dict(zip(PLACES, ndcg(rows, score, PLACES.values()), strict=True))

    def metrics_of_draws(
        self,
        rows: Rows,
        score: np.ndarray,
        groups: list[np.ndarray],
        draws: Iterable[np.ndarray],
        decision: dict,
        costs: dict,
    ) -> list[dict[str, float]]:
        """Measure draws of groups, each of which is a query and has the same gain in every draw."""
        query = np.zeros(len(rows), dtype=np.int64)
        for number, group in enumerate(groups):
            query[group] = number
        weight, found = by_query(replace(rows, query=query), score, PLACES.values())
        return [dict(zip(PLACES, _means(weight[chosen], found[:, chosen]), strict=True)) for chosen in draws]

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
        lines = {
            "model": ndcg(rows, score, places),
            "any order": ndcg(rows, np.zeros(len(rows)), places),
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


def ndcg(rows: Rows, score: np.ndarray, firsts: Iterable[int | None]) -> list[float]:
    """Return the means over queries of the normalised discounted cumulative gains that ``by_query`` finds; 0 where no query says anything."""
    return _means(*by_query(rows, score, firsts))


def by_query(rows: Rows, score: np.ndarray, firsts: Iterable[int | None]) -> tuple[np.ndarray, np.ndarray]:
    """Return what each query counts, and its normalised discounted cumulative gains.

    Gains are the relevances, discounts 1 / log2(place + 1); rows with equal scores share their places' mean gain (McSherry and
    Najork 2008). As scikit-learn's ``ndcg_score``.

    Parameters
    ----------
    rows
        Relevances and queries; a query counts with the mean weight of its rows.
    score
        Shape (rows,).
    firsts
        How many places count; None: all.

    Returns
    -------
    tuple
        Weights, shape (queries,), queries in their order; gains, shape (firsts, queries), NaN of a query without any relevant row,
        which says nothing.
    """
    query = np.zeros(len(rows)) if rows.query is None else rows.query
    _, query, size = np.unique(query, return_inverse=True, return_counts=True)
    owner = np.repeat(np.arange(len(size)), size)
    place = np.arange(len(query)) - (np.cumsum(size) - size)[owner]
    order = np.lexsort((-score, query))
    differs = np.diff(owner, prepend=-1).astype(bool) | np.diff(score[order], prepend=np.nan).astype(bool)
    tie = np.cumsum(differs) - 1
    mine = (np.bincount(tie, weights=rows.target[order]) / np.bincount(tie))[tie]
    best = rows.target[np.lexsort((-rows.target, query))]
    weight = np.ones(len(size)) if rows.weight is None else np.bincount(query, weights=rows.weight) / size
    found = []
    for first in firsts:
        discount = np.where(place < (np.inf if first is None else first), 1 / np.log2(place + 2), 0)
        gain, most = (np.bincount(owner, weights=each * discount) for each in (mine, best))
        found.append(np.divide(gain, most, out=np.full(len(size), np.nan), where=most > 0))
    return weight, np.array(found)


def _means(weight: np.ndarray, found: np.ndarray) -> list[float]:
    says = ~np.isnan(found[0])
    if not says.any():
        return [0.0] * len(found)
    return np.average(found[:, says], axis=1, weights=weight[says]).tolist()


TASK = Ranking()
