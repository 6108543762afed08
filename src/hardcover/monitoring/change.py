"""How two sets of rows differ: in where their inputs lie, and in what moved the mean score."""

from collections.abc import Collection

import numpy as np

from hardcover.runtime.profile import Profile


def shifts(reference: Profile, window: Profile) -> dict[str, float]:
    """Return how far each input and output has moved: the total variation distance, less what chance alone makes of it.

    With shares ``p`` of both together and ``n`` and ``m`` rows, a bin's difference has by chance the mean absolute value
    ``sqrt(2 / pi * p * (1 - p) * (1 / n + 1 / m))`` (that of a normal distribution with a difference of two shares' variance); rows that
    depend on each other make more.

    Returns
    -------
    dict
        By name, from 0, no more than chance, to 1, no bin in common; 0 where either has no rows.
    """
    found, after = {}, window.arrays
    for name, before in reference.arrays.items():
        now = after[name]
        n, m = before.sum(), now.sum()
        if not n or not m:
            found[name] = 0.0
            continue
        pooled = (before + now) / (n + m)
        chance = np.sqrt(2 / np.pi * pooled * (1 - pooled) * (1 / n + 1 / m)).sum() / 2
        distance = np.abs(before / n - now / m).sum() / 2
        found[name] = float(max(0.0, distance - chance))
    return found


def causes(reference: np.ndarray, window: np.ndarray, names: list[str]) -> dict[str, float]:
    """Divide the change of the mean raw score among the inputs, the largest part first.

    Shapley values of a row add up to its raw score, so the changes of their means add up to the change of the mean.

    Parameters
    ----------
    reference, window
        Contributions, shape (rows, inputs + 1), the base value last.
    names
        Of the inputs.
    """
    change = window.mean(axis=0) - reference.mean(axis=0)
    parts = dict(zip(names, change[:-1].tolist(), strict=True))
    return dict(sorted(parts.items(), key=lambda part: -abs(part[1])))


def largest(found: dict[str, float], least: float = 0.01, without: Collection[str] = ()) -> dict[str, float]:
    """Return shifts with three digits, the largest first, without those below ``least`` and of some names."""
    order = sorted(
        ((name, value) for name, value in found.items() if name not in without), key=lambda each: -each[1]
    )
    return {name: round(value, 3) for name, value in order if value >= least}


def excess(loss: np.ndarray, usual: np.ndarray) -> dict[str, float]:
    """Return how much ``more`` rows cost in the mean than usual, with the ``low`` and ``high`` limits of 95 % of a normal distribution."""
    more = float(loss.mean() - usual.mean())
    error = float(np.sqrt(loss.var() / len(loss) + usual.var() / len(usual)))
    return {"more": more, "low": more - 1.96 * error, "high": more + 1.96 * error}
