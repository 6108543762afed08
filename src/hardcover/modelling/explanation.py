"""Attribute each score to the inputs by exact Shapley values, check that they add up, and draw them.

Values are in the unit of the raw score (log-odds of classes, the log of a count, the target's own unit of an amount): the base
value and a row's values add up to it. They tell what the *model* uses; what causes what is for an expert to judge.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightgbm as lgb
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hardcover import tasks
from hardcover.errors import DataError
from hardcover.reporting import pictures
from hardcover.tasks import Task
from hardcover.tasks.base import scores_of

MAX_ERROR = 1e-9
BASE, CLASS = "base_value", "class"
UNITS = {"binary": "log-odds", "multiclass": "log-odds", "count": "log of the count"}


def shapley_values(booster: lgb.Booster, inputs: np.ndarray) -> tuple[np.ndarray, float]:
    """Attribute raw scores to inputs.

    Returns
    -------
    tuple
        Shape (rows, outputs, inputs + 1), the base value last, in the unit of the raw score; and the largest error of a sum,
        relative to the largest raw score where that is above 1.

    Raises
    ------
    DataError
        When a row's values do not add up to its raw score within 1e-9.
    """
    # Each row is computed by one thread, so their number changes no bit.
    values = np.asarray(booster.predict(inputs, pred_contrib=True, num_threads=os.cpu_count()))
    values = values.reshape(len(inputs), -1, inputs.shape[1] + 1)
    raw = np.asarray(booster.predict(inputs, raw_score=True)).reshape(len(inputs), -1)
    error = float(np.abs(values.sum(axis=2) - raw).max()) / max(1.0, float(np.abs(raw).max()))
    if error > MAX_ERROR:
        raise DataError(
            f"explanations miss the raw score by {error:.2g}", "node explain", "Report it with the model."
        )
    return values, error


def explain(features: pd.DataFrame, feature_plan: dict, model: str, task: str) -> tuple[pd.DataFrame, dict]:
    """Explain the holdout.

    Returns
    -------
    tuple
        A table with the key, the class where there are several, a column for each input and ``base_value``; and a report:
        ``mean_absolute`` of each input, largest first, ``base_value``, ``largest_sum_error``, ``rows``.

    Raises
    ------
    DataError
        As ``shapley_values`` does.
    """
    rows, booster, names = (
        features[features["split"] == "holdout"],
        lgb.Booster(model_str=model),
        feature_plan["inputs"],
    )
    values, error = shapley_values(booster, rows[names].to_numpy(np.float64))
    outputs, key = values.shape[1], feature_plan["roles"].get("key")
    table = pd.DataFrame(values.reshape(-1, len(names) + 1), columns=[*names, BASE])
    if outputs > 1:
        table.insert(0, CLASS, np.tile(tasks.of(task).classes(feature_plan["classes"]), len(rows)))
    if key in rows:
        table.insert(0, key, np.repeat(rows[key].to_numpy(), outputs))
    mean = table[names].abs().mean().sort_values(ascending=False)
    strength = {name: float(value) for name, value in mean.items()}
    base = [float(value) for value in values[0, :, -1]]
    facts = {"largest_sum_error": error, "base_value": base[0] if outputs == 1 else base, "rows": len(rows)}
    return table, {"mean_absolute": strength, **facts}


def as_explanation(
    explanations: pd.DataFrame, features: pd.DataFrame, feature_plan: dict, output: int = 0
) -> Any:
    """Put values, base value and inputs of the holdout into a ``shap.Explanation``, categories by name; of one output."""
    # Planning, which looks at every stage's module, should not wait for shap.
    import shap

    names = feature_plan["inputs"]
    inputs = features.loc[features["split"] == "holdout", names]
    shown = inputs.astype(object)
    for name, levels in feature_plan["levels"].items():
        known = dict(enumerate(levels))
        shown[name] = [known.get(code, "missing") for code in inputs[name]]
    mine = explanations.iloc[output :: len(explanations) // len(inputs)]
    return shap.Explanation(
        mine[names].to_numpy(),
        base_values=mine[BASE].to_numpy(),
        data=inputs.to_numpy(np.float64),
        display_data=shown.to_numpy(),
        feature_names=names,
    )


def _take_figure(width: float, height: float) -> Figure:
    """Take the figure that a plotting function of shap just drew, so that it is not shown twice."""
    figure = plt.gcf()
    figure.set_size_inches(width, height)
    plt.close(figure)
    return figure


@contextmanager
def _same_jitter() -> Iterator[None]:
    """Let shap spread its dots the same way for the same rows: it takes numpy's global state, and gets it back."""
    state = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(state)


def _outputs(feature_plan: dict, task: Task) -> list[str]:
    """Name the outputs by a suffix of pictures: one without a name, or the classes."""
    return (
        [f"_{name}" for name in task.classes(feature_plan["classes"])] if task.name == "multiclass" else [""]
    )


def draw_overview(
    explanations: pd.DataFrame, features: pd.DataFrame, feature_plan: dict, task: str
) -> dict[str, Figure]:
    """Draw the beeswarm and the bar chart of all inputs, of each class where there are several: by file name."""
    kind, found = tasks.of(task), {}
    for output, suffix in enumerate(_outputs(feature_plan, kind)):
        values = as_explanation(explanations, features, feature_plan, output)
        found[f"beeswarm{suffix}.png"], found[f"importance{suffix}.png"] = _overview(values, _unit(kind))
    return found


def _unit(task: Task) -> str:
    return UNITS.get(task.name, "unit of the raw score")


@pictures.styled
def _overview(values: Any, unit: str) -> tuple[Figure, Figure]:
    import shap

    count = len(values.feature_names)
    with _same_jitter(), pictures.shap_colors():
        shap.plots.beeswarm(values, max_display=count, color=pictures.LOW_TO_HIGH, show=False)
        plt.xlabel(f"Shapley value: change of the raw score, {unit}")
        beeswarm = _take_figure(8, 0.45 * count + 1)
        shap.plots.bar(values, max_display=count, show=False)
        plt.xlabel(f"mean |Shapley value|, {unit}")
        bar = _take_figure(7, 0.4 * count + 1)
    swarm = "Each dot is a holdout row. To the right, the input raised its score; red is a large value of the input."
    sentence = "How far each input moves a score, on average over the holdout rows."
    return pictures.caption(beeswarm, swarm), pictures.caption(bar, sentence)


def draw_dependence(
    explanations: pd.DataFrame, features: pd.DataFrame, feature_plan: dict, explanation: dict, task: str
) -> dict[str, Figure]:
    """Draw value against input for the strongest inputs, as many as ``explanation["dependence"]``: by file name."""
    kind, found = tasks.of(task), {}
    for output, suffix in enumerate(_outputs(feature_plan, kind)):
        values = as_explanation(explanations, features, feature_plan, output)
        found[f"dependence{suffix}.png"] = _dependence(
            values, feature_plan, explanation["dependence"], _unit(kind)
        )
    return found


@pictures.styled
def _dependence(values: Any, feature_plan: dict, count: int, unit: str) -> Figure:
    import shap

    values.display_data = None
    strength = np.abs(values.values).mean(axis=0)
    strongest = np.argsort(-strength)[:count]
    figure, axes = plt.subplots(len(strongest), 1, figsize=(7, 3.2 * len(strongest)), squeeze=False)
    for place, number in zip(axes[:, 0], strongest, strict=True):
        with _same_jitter():
            shap.plots.scatter(
                values[:, int(number)], color=values, cmap=pictures.LOW_TO_HIGH, ax=place, show=False
            )
        name = feature_plan["inputs"][number]
        levels = feature_plan["levels"].get(name)
        if levels:
            place.set_xticks(range(len(levels)), levels)
        place.set(xlabel=feature_plan["labels"][name], ylabel=f"Shapley value, {unit}")
    figure.tight_layout()
    sentence = "Each dot is a holdout row: how far the input moved its score, by the input's size. The colour is a second input."
    return pictures.caption(figure, sentence)


def draw_errors(
    explanations: pd.DataFrame,
    features: pd.DataFrame,
    feature_plan: dict,
    predictions: pd.DataFrame,
    task: str,
) -> dict[str, Figure]:
    """Draw a waterfall for each of the task's worst errors: by file name."""
    kind, found = tasks.of(task), {}
    target = kind.codes(
        predictions[feature_plan["roles"]["target"]], kind.classes(feature_plan["classes"] or None)
    )
    score = scores_of(predictions)
    key = feature_plan["roles"].get("key")
    for title, (row, output) in kind.worst(target, score).items():
        values = as_explanation(explanations, features, feature_plan, output)
        name = predictions[key][row] if key in predictions else row
        value = score[row] if score.ndim == 1 else score[row, output]
        words = f"{title.replace('_', ' ').capitalize()}: row {name}, score {value:.4f}"
        found[f"{title}.png"] = _waterfall(values[row], words, _unit(kind))
    return found


@pictures.styled
def _waterfall(row: Any, title: str, unit: str) -> Figure:
    """Draw how a row's inputs lead from the base value, at the bottom, to its raw score."""
    import shap

    with pictures.shap_colors():
        shap.plots.waterfall(row, max_display=12, show=False)
    plt.title(title)
    sentence = f"From the mean raw score E[f(x)], below, each input moves this row to its own, f(x); values are in {unit}."
    return pictures.caption(_take_figure(8, 5), sentence)
