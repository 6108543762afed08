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
    rows = np.bincount(part, minlength=len(edges) + 1).tolist()
    ones = np.bincount(part, weights=target, minlength=len(edges) + 1).astype(int).tolist()
    low, high = ([_with_one_more(rows, ones, at, label) for at in range(len(rows))] for label in (0, 1))
    kept = [at for at in range(1, len(rows)) if (low[at], high[at]) != (low[at - 1], high[at - 1])]
    return {
        "kind": "probability",
        "edges": [float(edges[at - 1]) for at in kept],
        "low": [low[at] for at in (0, *kept)],
        "high": [high[at] for at in (0, *kept)],
        "no": _negative(_least(-score[target == 0], level)),
        "yes": _least(score[target == 1], level),
    }


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _with_one_more(rows: list[int], ones: list[int], at: int, label: int) -> float:
    """Return what isotonic regression says of a part to which a row of this label was added."""
    blocks: list[list[int]] = []
    for number, (count, mine) in enumerate(zip(rows, ones, strict=True)):
        added = number == at
        blocks.append([count + added, mine + (label if added else 0), number])
        # In whole numbers, so that no rounding decides what is pooled.
        while len(blocks) > 1 and blocks[-2][1] * blocks[-1][0] >= blocks[-1][1] * blocks[-2][0]:
            count, mine, _ = blocks.pop()
            blocks[-1][0] += count
            blocks[-1][1] += mine
            blocks[-1][2] = number
    count, mine, _ = next(block for block in blocks if block[2] >= at)
    return mine / count


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
