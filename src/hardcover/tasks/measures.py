"""Measures of how good scores are, each a few operations on arrays.

An interval asks for them some hundred times, and scikit-learn's, beside which the tests hold these, mostly check their arguments.
"""

import numpy as np


def average_precision(target: np.ndarray, score: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Return the area under the steps of precision over recall; rows with equal scores are taken together.

    As scikit-learn's ``average_precision_score``: the sum over thresholds of what each adds to recall, times precision there.

    Parameters
    ----------
    target
        Shape (rows,): 1 for what is looked for, else 0. Without any 1, the area is 0.
    score
        Shape (rows,).
    weight
        Shape (rows,); None where all count alike.
    """
    hits, alarms = _at_thresholds(target, score, weight)
    seen = hits + alarms
    # Rows that count nothing may come first.
    precision = np.divide(hits, seen, out=np.zeros(len(seen)), where=seen > 0)
    return float((np.diff(hits, prepend=0.0) * precision).sum() / hits[-1]) if hits[-1] else 0.0


def roc_auc(target: np.ndarray, score: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Return how often a row with target 1 has the higher score of it and one with 0, equal scores counted half (A. Bradley, 1997).

    As scikit-learn's ``roc_auc_score``. Parameters as of ``average_precision``; NaN where all rows have one target.
    """
    hits, alarms = _at_thresholds(target, score, weight)
    if not hits[-1] or not alarms[-1]:
        return float("nan")
    before = np.concatenate([[0.0], hits[:-1]])
    return float((np.diff(alarms, prepend=0.0) * (before + hits)).sum() / (2 * hits[-1] * alarms[-1]))


def _at_thresholds(
    target: np.ndarray, score: np.ndarray, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight of rows with target 1, and of others, at or above each score that occurs, from the highest."""
    order = np.argsort(-score, kind="stable")
    ordered, found = score[order], target[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    counted = np.ones(len(order)) if weight is None else weight[order]
    return np.cumsum(counted * found)[last], np.cumsum(counted * (1 - found))[last]


def log_loss(probability: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Return the mean of -log of the probability that each row's true class was given, shape (rows,), none of them 0."""
    return float(-np.average(np.log(probability), weights=weight))


def confusion(
    target: np.ndarray, label: np.ndarray, classes: int, weight: np.ndarray | None = None
) -> np.ndarray:
    """Return the weight of rows by true class and label, both positions among the classes: shape (classes, classes)."""
    cell = target.astype(np.int64) * classes + label.astype(np.int64)
    return (
        np.bincount(cell, weights=weight, minlength=classes**2).reshape(classes, classes).astype(np.float64)
    )
