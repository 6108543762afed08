"""Smaller models: leaves rounded to few values, within what ``conf/`` allows it to cost."""

import lightgbm as lgb
import numpy as np

from hardcover.errors import DataError
from hardcover.forest import flatten, lightgbm_text
from hardcover.forest.leaf_codebook import quantised
from hardcover.tasks import Rows, Task

BOUNDS = {"score_error": "max_score_error", "metric_loss": "max_metric_loss"}


def compressed(text: str, rows: Rows, options: dict, task: Task, decision: dict) -> tuple[str, dict]:
    """Round a model's leaves to ``options["leaf_bits"]`` and measure what that costs; 64 changes nothing.

    Parameters
    ----------
    text
        What ``Booster.model_to_string()`` returns.
    rows
        To measure on.
    options
        ``leaf_bits``, and the bounds ``max_score_error`` and ``max_metric_loss``.
    task, decision
        The kind of problem, and what follows from a score.

    Returns
    -------
    tuple
        The model, and ``leaf_bits`` with the ``bytes`` of the released arrays before and after, ``score_error``, the largest
        difference of a score (a probability's as it is, an amount's in standard deviations of the scores), and
        ``metric_loss``, of the primary metric, relative to it.

    Raises
    ------
    DataError
        When a bound is passed.
    """
    bits = options["leaf_bits"]
    if bits == 64:
        return text, {"leaf_bits": bits}
    smaller = quantised(text, bits)
    before, after = (np.asarray(lgb.Booster(model_str=one).predict(rows.inputs)) for one in (text, smaller))
    values = [task.metrics(rows, score, decision, {})[task.primary.name] for score in (before, after)]
    worse = values[0] - values[1] if task.primary.greater_is_better else values[1] - values[0]
    scale = 1.0 if task.has_classes else float(before.std()) or 1.0
    cost = {
        "bytes": [len(flatten.to_bytes(lightgbm_text.parse(one))) for one in (text, smaller)],
        "score_error": float(np.abs(before - after).max()) / scale,
        "metric_loss": worse / abs(values[0]) if values[0] else worse,
    }
    for name, bound in BOUNDS.items():
        if cost[name] > options[bound]:
            what = f"leaves of {bits} bits: {name} {cost[name]:.3g} is above {bound} {options[bound]}"
            raise DataError(what, "", "Use more leaf_bits, or allow more in conf/.")
    return smaller, {"leaf_bits": bits, **cost}
