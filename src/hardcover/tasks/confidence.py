"""Tables of how sure answers are, from rows that no model learned from, in the form that ``runtime.confidence`` reads.

Sets and intervals are split-conformal: what comes of a row like those that the table was made from is among them with at least the probability
``level``, of each class and in each part of the scores by itself (V. Vovk, A. Gammerman, G. Shafer, *Algorithmic Learning in a Random
World*, 2nd ed. 2022, sections 4.2 and 4.6.1, "Mondrian"). Probabilities are Venn-Abers predictions of scores put into parts (V. Vovk, I. Petej,
V. Fedorova, *Large-scale probabilistic predictors with and without guarantees of validity*, NIPS 2015, section 4).
"""

import math

import numpy as np

# At most so many parts; of an amount's scores those have at least so many rows.
PARTS, AMOUNT_PARTS, AMOUNT_ROWS = 160, 10, 200


def probability(score: np.ndarray, target: np.ndarray, level: float) -> dict:
    """Return the table of two classes.

    Parameters
    ----------
    score, target
        Shape (rows,): any score that grows with the probability of the second class; 0 or 1.
    level
        Of the sets of labels.
    """
    edges = _edges(score, PARTS)
    part = np.searchsorted(edges, score, side="right")
    rows = np.bincount(part, minlength=len(edges) + 1)
    ones = np.bincount(part, weights=target, minlength=len(edges) + 1).astype(int)
    low, high = (_with_one_more(rows, ones, label) for label in (0, 1))
    most = _least(-score[target == 0], level)
    kept = [at for at in range(1, len(rows)) if (low[at], high[at]) != (low[at - 1], high[at - 1])]
    return {
        "kind": "probability",
        "edges": [float(edges[at - 1]) for at in kept],
        "low": [low[at] for at in (0, *kept)],
        "high": [high[at] for at in (0, *kept)],
        "no": None if most is None else -most,
        "yes": _least(score[target == 1], level),
    }


def _with_one_more(rows: np.ndarray, ones: np.ndarray, label: int) -> list[float]:
    """Return for each part what isotonic regression says of it once a row of this label was added to it.

    By the max-min formula (R. Barlow et al., *Statistical Inference under Order Restrictions*, 1972, section 1.2): of all runs of parts that begin here or before,
    the largest of the least means of those that end here or after.
    """
    rows, ones = (np.concatenate([[0], counts.cumsum()]) for counts in (rows, ones))
    found = []
    for at in range(len(rows) - 1):
        count, mine = (total[None, at + 1 :] - total[: at + 1, None] for total in (rows, ones))
        found.append(float(((mine + label) / (count + 1)).min(axis=1).max()))
    return found


def classes(score: np.ndarray, target: np.ndarray, level: float) -> dict:
    """Return the table of several classes: ``score`` has shape (rows, classes), ``target`` the position of each row's class."""
    return {
        "kind": "classes",
        "least": [_least(score[target == at, at], level) for at in range(score.shape[1])],
    }


def interval(score: np.ndarray, target: np.ndarray, level: float, least: float | None) -> dict:
    """Return the table of an amount of which none is below ``least``; ``score`` and ``target`` have shape (rows,)."""
    edges = _edges(score, min(AMOUNT_PARTS, len(score) // AMOUNT_ROWS))
    part = np.searchsorted(edges, score, side="right")
    over = [np.sort((target - score)[part == at]) for at in range(len(edges) + 1)]
    bounds = [_both_sides(values, level) for values in over]
    return {
        "kind": "interval",
        "edges": edges.tolist(),
        "low": [low for low, _ in bounds],
        "high": [high for _, high in bounds],
        "least": least,
    }


def _both_sides(ordered: np.ndarray, level: float) -> tuple[float | None, float | None]:
    """Return between what another value lies with at least the probability ``level``, as rarely below as above; None where so few cannot tell."""
    beyond = _beyond(len(ordered), level)
    below, above = beyond // 2, beyond - beyond // 2
    return float(ordered[below - 1]) if below else None, float(ordered[-above]) if above else None


def _edges(score: np.ndarray, parts: int) -> np.ndarray:
    """Return scores between which about as many lie; none of the parts is empty."""
    if parts < 2:
        return np.zeros(0)
    found = np.unique(np.quantile(score, np.arange(1, parts) / parts, method="higher"))
    return found[found > score.min()]


def _least(values: np.ndarray, level: float) -> float | None:
    """Return what another value reaches with at least the probability ``level``; None where so few values cannot tell."""
    beyond = _beyond(len(values), level)
    return float(np.partition(values, beyond - 1)[beyond - 1]) if beyond else None


def _beyond(rows: int, level: float) -> int:
    # Rounded, since 1 - 0.9 is a little less than a tenth.
    return math.floor(round((1 - level) * (rows + 1), 9))


def p_values(raw: np.ndarray) -> dict:
    """Return the table from how unlike an input is to how rare that is: of rows that the model did not learn from, shape (rows,).

    A share is never less than the exact one, and at most a twentieth more; the 64 most unusual rows have each their own.
    """
    ordered, size = np.sort(raw), len(raw)
    ranks = [*range(1, min(64, size) + 1)]
    while ranks[-1] < size:
        ranks.append(min(size, math.floor(ranks[-1] * 1.05)))
    scores = np.unique(ordered[size - np.array(ranks)])
    beyond = [size, *(size - np.searchsorted(ordered, scores, side="left")).tolist()]
    return {"scores": scores.tolist(), "p_values": [(count + 1) / (size + 1) for count in beyond]}
