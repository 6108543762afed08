"""Round a LightGBM model's leaves to fewer different values, so that its file and its memory are smaller.

The result is a LightGBM model again: every face evaluates it to the same bits. Rounding changes scores slightly. The caller sets
the allowed error; the measured error is returned.
"""

import re

import numpy as np

from hardcover.errors import ModelTextError
from hardcover.forest import lightgbm_text

ROUNDS = 30


def quantised(text: str, bits: int) -> str:
    """Replace each leaf's value by the nearest of at most ``2**bits``.

    The values are chosen for the least squared error, by Lloyd's method (1982, "Least squares quantization in PCM") from
    evenly filled bins on.

    Parameters
    ----------
    text
        What ``Booster.model_to_string()`` gives.
    bits
        8 or 16.

    Raises
    ------
    ModelTextError
        When ``text`` is no model, its trees are linear, or ``bits`` is another number.
    """
    if bits not in (8, 16):
        raise ModelTextError(
            f"leaves cannot be stored in {bits} bits", "", "Use 8, 16, or 64 for what was trained."
        )
    trees = lightgbm_text.parse(text)
    if len(trees.linear_offset):
        raise ModelTextError("the leaves of linear trees have no one value", "", "Use 64 bits.")
    book = _book(trees.leaf_value, 2**bits)
    edges = (book[:-1] + book[1:]) / 2
    values = iter(book[np.searchsorted(edges, trees.leaf_value)].tolist())

    def replaced(found: re.Match) -> str:
        return "leaf_value=" + " ".join(repr(next(values)) for _ in found[1].split(" "))

    changed = re.sub(r"^leaf_value=(.*)$", replaced, text, flags=re.MULTILINE)
    return _with_sizes(changed)


def _book(values: np.ndarray, size: int) -> np.ndarray:
    known, counts = np.unique(values, return_counts=True)
    if len(known) <= size:
        return known
    # Sums up to each value make the mean of any stretch two look-ups.
    weights = np.concatenate([[0.0], np.cumsum(counts)])
    sums = np.concatenate([[0.0], np.cumsum(known * counts)])
    bounds = np.linspace(0, len(known), size + 1).astype(int)
    for _ in range(ROUNDS):
        bounds = np.unique(bounds)
        book = np.diff(sums[bounds]) / np.diff(weights[bounds])
        inner = np.searchsorted(known, (book[:-1] + book[1:]) / 2)
        bounds = np.concatenate([[0], inner, [len(known)]])
    return book


def _with_sizes(text: str) -> str:
    """Write in the header how long each tree's text is now; LightGBM reads trees by it."""
    _, *rest = text.partition("\nend of trees")[0].split("\nTree=")
    # Each tree's text ends with two empty lines, of which the split took one.
    sizes = " ".join(str(len(f"Tree={tree}\n".encode())) for tree in rest)
    return re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", text, count=1, flags=re.MULTILINE)
