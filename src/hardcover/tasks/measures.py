"""Measures of how good scores are, each a few operations on arrays.

An interval asks for them some hundred times, and scikit-learn's, beside which the tests hold these, mostly check their arguments.
"""

from typing import NamedTuple

import numpy as np


class Areas(NamedTuple):
    """Areas under curves over all thresholds of a score.

    Attributes
    ----------
    average_precision
        Under the steps of precision over recall: the sum over thresholds of what each adds to recall, times precision there; 0
        without any row that is looked for. As scikit-learn's ``average_precision_score``.
    roc_auc
        How often a row that is looked for has a higher score than another, equal scores counted half (A. Bradley, 1997); NaN where
        there is only one kind. As scikit-learn's ``roc_auc_score``.
    """

    average_precision: float
    roc_auc: float


def areas(target: np.ndarray, score: np.ndarray, weight: np.ndarray | None = None) -> Areas:
    """Measure the order of scores; rows with equal ones are taken together.

    Parameters
    ----------
    target
        Shape (rows,): 1 for what is looked for, else 0.
    score
        Shape (rows,).
    weight
        Shape (rows,); None where all count alike.
    """
    hits, alarms = _at_thresholds(target, score, weight)
    more, seen = np.diff(hits, prepend=0.0), hits + alarms
    # Rows that count nothing may come first.
    precision = np.divide(hits, seen, out=np.zeros(len(seen)), where=seen > 0)
    pairs = (np.diff(alarms, prepend=0.0) * (np.concatenate([[0.0], hits[:-1]]) + hits)).sum()
    return Areas(
        float((more * precision).sum() / hits[-1]) if hits[-1] else 0.0,
        float(pairs / (2 * hits[-1] * alarms[-1])) if hits[-1] and alarms[-1] else float("nan"),
    )


def _at_thresholds(
    target: np.ndarray, score: np.ndarray, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight of rows with target 1, and of others, at or above each score that occurs, from the highest."""
    order = np.argsort(-score, kind="stable")
    ordered, found = score[order], target[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    counted = np.ones(len(order)) if weight is None else weight[order]
    return np.cumsum(counted * found)[last], np.cumsum(counted * (1 - found))[last]


def confusion(
    target: np.ndarray, label: np.ndarray, classes: int, weight: np.ndarray | None = None
) -> np.ndarray:
    """Return the weight of rows by true class and label, both positions among the classes: shape (classes, classes)."""
    cell = target.astype(np.int64) * classes + label.astype(np.int64)
    return np.bincount(cell, weights=weight, minlength=classes**2).reshape(classes, classes)
