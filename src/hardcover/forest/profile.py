"""The bins of a model's profile: its thresholds, and where the reference's rows lie."""

from collections.abc import Sequence

import numpy as np

from hardcover.forest.lightgbm_text import Trees
from hardcover.runtime.profile import Bins, Profile

# Edges of an input at most; two are its ends, and half of the others may be thresholds.
EDGES, ENDS = 63, 2
_CATEGORICAL = 1


def bins_of(
    trees: Trees, names: Sequence[str], inputs: np.ndarray, scores: np.ndarray, outputs: Sequence[str]
) -> Bins:
    """Return bins for a model and its reference rows.

    Parameters
    ----------
    trees
        The model.
    names, inputs
        Its inputs' names, and the reference's, shape (rows, inputs), float64.
    scores, outputs
        The reference's scores, shape (rows,) or (rows, outputs), float64, and the outputs' names.
    """
    is_category = (trees.decision & _CATEGORICAL).astype(bool)
    edges = []
    for number, column in enumerate(inputs.T):
        mine = trees.feature == number
        if (mine & is_category).any():
            edges.append(_edges_of_categories(column))
        else:
            edges.append(_edges_of_numbers(column, trees.threshold[mine & ~is_category], (EDGES - ENDS) // 2))
    edges += [_edges_of_numbers(column, np.empty(0), EDGES - ENDS) for column in np.column_stack([scores]).T]
    return Bins([*names, *outputs], edges)


def profile_of(
    trees: Trees, names: Sequence[str], inputs: np.ndarray, scores: np.ndarray, outputs: Sequence[str]
) -> Profile:
    """Return the profile of a model's reference rows, in bins of their own; takes what ``bins_of`` does."""
    return Profile.of(bins_of(trees, names, inputs, scores, outputs), inputs, scores)


def _edges_of_numbers(column: np.ndarray, thresholds: np.ndarray, quantiles: int) -> list[float]:
    values, used = np.unique(thresholds, return_counts=True)
    most = values[np.argsort(-used, kind="stable")[: EDGES - ENDS - quantiles]]
    known = column[np.isfinite(column)]
    shares = np.arange(1, quantiles + 1) / (quantiles + 1)
    places = np.quantile(known, shares, method="lower") if len(known) else np.empty(0)
    # What lies outside of all that the reference had is in bins of its own.
    ends = [np.nextafter(known.min(), -np.inf), known.max()] if len(known) else []
    found = np.unique(np.concatenate([most, places, ends]))
    # Of two zeros one is enough.
    return [float(edge) for edge in found[np.isfinite(found)] + 0.0]


def _edges_of_categories(column: np.ndarray) -> list[float]:
    known = column[np.isfinite(column)]
    levels = min(int(known.max(initial=0)) + 1, EDGES - 1)
    # What was unseen is -1, and below all.
    return [-0.5, *map(float, range(levels))]
