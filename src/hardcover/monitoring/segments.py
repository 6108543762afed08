"""Segments: the rows that have one level of a category, such as one product, plant or market."""

from collections.abc import Iterator

import numpy as np

from hardcover.monitoring.reference import Reference

# Rows of a segment in a window, and in the holdout, below which nothing is said of it.
LEAST = 20


def of(reference: Reference, inputs: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each segment of a model's inputs, shape (rows, inputs): its name, and which rows it has."""
    for at, name in enumerate(reference.model.inputs):
        for code, level in enumerate(reference.levels.get(name, [])):
            yield f"{name} {level}", inputs[:, at] == code


def worst(reference: Reference, inputs: np.ndarray, loss: np.ndarray) -> str | None:
    """Name the segment to which most of the loss beyond the holdout's is due; None where none has enough rows, or costs more.

    Parameters
    ----------
    inputs, loss
        Of rows: shape (rows, inputs), and (rows,).
    """
    before = dict(of(reference, reference.holdout.inputs))
    found: tuple[float, str] = (0.0, "")
    for name, mine in of(reference, inputs):
        theirs = before[name]
        if min(mine.sum(), theirs.sum()) < LEAST:
            continue
        now, usual = float(loss[mine].mean()), float(reference.loss[theirs].mean())
        more = (now - usual) * int(mine.sum())
        if more > found[0]:
            found = (
                more,
                f"{name}: {now:.4g} a row, {usual:.4g} in the holdout, {mine.mean():.0%} of the rows",
            )
    return found[1] or None
