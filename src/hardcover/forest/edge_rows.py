"""Rows that try to make faces differ, drawn from a schema and a model."""

import math
from typing import Any

SPECIAL = (
    math.nan,
    math.inf,
    -math.inf,
    0.0,
    -0.0,
    5e-324,
    1e-36,
    -1e-36,
    1.7e308,
    -1.7e308,
    2147483648.0,
    -1.0,
    0.5,
)


def plain(value: Any) -> Any:
    """Return a cell of a table as text, a float, or None where it is missing."""
    if isinstance(value, str):
        return value
    return None if value is None or value != value else float(value)


def columns(
    schema: dict, texts: list[str], names: list[str], forest: Any, rows: int, seed: int
) -> dict[str, list]:
    """Draw raw rows: within the schema's ranges, on and beside thresholds, at extremes, missing; and unseen categories."""
    import numpy as np

    rng = np.random.default_rng(seed)
    made, everywhere = {}, forest.splits()
    for name, rule in schema["properties"].items():
        if name in texts:
            made[name] = rng.choice([*rule["enum"], "unseen"], rows).tolist()
            continue
        low = rule.get("minimum", min(rule.get("maximum", 0.0), 0.0) - 1e3)
        high = rule.get("maximum", max(low, 0.0) + 1e3)
        splits = [at for feature, at in everywhere if name in names and feature == names.index(name)]
        on = rng.choice([*splits, low, high], rows)
        kinds = [
            rng.uniform(low, high, rows),
            on,
            np.nextafter(on, rng.choice([-np.inf, np.inf], rows)),
            rng.choice([low, high, low - 1, high + 1, *SPECIAL], rows),
            np.full(rows, np.nan),
        ]
        kind = rng.choice(len(kinds), rows, p=[0.4, 0.3, 0.15, 0.1, 0.05])
        made[name] = [plain(value) for value in np.choose(kind, kinds).tolist()]
    return made


def inputs(forest: Any, rows: int, seed: int):
    """Draw rows of model inputs that try to be misread.

    Each split has a row on its threshold and one beside it on either side; all else are other splits' thresholds, NaN,
    infinities, zeros of both signs, subnormals, the largest numbers, and categories that are unseen, negative or fractional.

    Parameters
    ----------
    forest
        The model, as ``runtime.forest.Forest``.
    rows
        How many rows at least; three for each split otherwise.
    seed
        Of the generator.

    Returns
    -------
    numpy.ndarray
        Shape (rows or more, inputs), float64.
    """
    import numpy as np

    rng, splits = np.random.default_rng(seed + 1), forest.splits()
    count = max(rows, 3 * len(splits))
    table = rng.choice([at for _, at in splits] or [0.0], (count, forest.features))
    table = np.where(rng.random(table.shape) < 0.1, rng.choice(SPECIAL, table.shape), table)
    for number, (feature, at) in enumerate(splits):
        for row, value in enumerate((at, math.nextafter(at, math.inf), math.nextafter(at, -math.inf))):
            table[3 * number + row, feature] = value
    return table
