"""A small portfolio of settings for the trees, tried in folds of the rows that a model learns from; the holdout is never seen.

Each was good on many tables: LightGBM's own defaults with AutoGluon's learning rate, and two of AutoGluon's portfolio of December 2025
(``_r177`` and ``_r163`` of ``zeroshot_portfolio_cpu_2025_12_18``), besides the settings of ``conf/``, which come first.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import lightgbm as lgb
import pandas as pd

from hardcover import tasks
from hardcover.modelling import folds, training

CONFIGURED = "as configured"
PORTFOLIO: dict[str, dict[str, Any]] = {
    "LightGBM's own": {
        "learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 20, "bagging_fraction": 1.0, "min_sum_hessian_in_leaf": 0.001,
    },
    "small trees, some of the features": {
        "learning_rate": 0.03, "num_leaves": 10, "min_data_in_leaf": 20, "feature_fraction": 0.6, "bagging_fraction": 0.8, "rounds": 3000,
    },
    "thresholds by chance": {
        "learning_rate": 0.018, "num_leaves": 39, "extra_trees": True, "feature_fraction": 0.462, "bagging_fraction": 0.877, "bagging_freq": 1,
        "min_data_in_leaf": 3, "lambda_l1": 0.238, "lambda_l2": 0.355, "min_data_per_group": 9, "cat_smooth": 15.4, "cat_l2": 0.342,
        "max_cat_to_onehot": 16, "rounds": 3000,
    },
    "large trees, half of the features": {
        "learning_rate": 0.0114, "num_leaves": 84, "feature_fraction": 0.528, "bagging_fraction": 0.978, "bagging_freq": 1, "min_data_in_leaf": 3,
        "lambda_l1": 0.027, "lambda_l2": 0.838, "min_data_per_group": 75, "cat_smooth": 0.0093, "cat_l2": 0.155, "max_cat_to_onehot": 42,
        "rounds": 3000,
    },
}  # fmt: skip
FOLDS = 5


class Tried(NamedTuple):
    """One set of settings, and what it came to.

    Attributes
    ----------
    name, settings
        Of `PORTFOLIO`, or `CONFIGURED` and nothing.
    loss, error
        The mean over the folds of the metric that rounds are stopped by, at the best round, and its standard error.
    rounds, seconds
        The best number of rounds, and how long it took.
    """

    name: str
    settings: dict[str, Any]
    loss: float
    error: float
    rounds: int
    seconds: float


def tried(
    features: pd.DataFrame,
    feature_plan: dict,
    options: dict,
    split: dict,
    task: str,
    minutes: float,
    say: Callable[[str], None],
) -> Iterator[Tried]:
    """Yield what each set of settings comes to, as long as there is time; the configured ones first, whatever they take.

    Parameters
    ----------
    features, feature_plan
        As the features stage makes them.
    options, split, task
        ``training``, ``split`` and ``task`` of ``conf/``.
    minutes
        After so many no other set begins, and a running one ends with the rounds that it has.
    say
        What is told of each before it begins.
    """
    kind = tasks.of(task)
    used = features[features["split"].isin(["train", "validation"])]
    rows = training.rows_of(used, feature_plan, kind)
    parts = folds.folds(used, rows, feature_plan, split, kind, FOLDS, options["seed"])
    deadline = time.monotonic() + 60 * minutes
    for name, settings in {CONFIGURED: {}, **PORTFOLIO}.items():
        if settings and time.monotonic() > deadline:
            return
        say(f"trying {name}")
        started = time.monotonic()
        stop = [_until(deadline)] if settings else []
        means, deviations = training.history(rows, parts, feature_plan, {**options, **settings}, kind, stop)
        error = deviations[-1] / len(parts) ** 0.5
        yield Tried(name, settings, means[-1], error, len(means), time.monotonic() - started)


def best(found: list[Tried], task: str) -> Tried:
    """Return the best of those that were tried; of equals the first."""
    sign = -1 if tasks.of(task).name == "ranking" else 1
    return min(found, key=lambda each: sign * each.loss)


def _until(deadline: float) -> Callable:
    def stop(state: Any) -> None:
        if time.monotonic() > deadline:
            raise lgb.callback.EarlyStopException(state.iteration, state.evaluation_result_list)

    stop.order = 40  # type: ignore[attr-defined]
    return stop
