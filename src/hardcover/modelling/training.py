"""Fit gradient-boosted trees. The same rows, parameters and libraries give the same model, byte for byte."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from hardcover import tasks
from hardcover.errors import DataError
from hardcover.ingest import splits
from hardcover.modelling import folds, portfolio, rounding
from hardcover.tasks import Rows, Task

# Parameters of ``training`` that are not LightGBM's.
OURS = (
    "rounds",
    "early_stopping",
    "stopping",
    "recent",
    "recent_rounds",
    "leaf_bits",
    "max_score_error",
    "max_metric_loss",
)
# Ways to stop that learn from training and validation rows together.
JOINT = ("joint", "portfolio")
# Settings are chosen by so many rows at most; where there are more, one fold is enough to know when to stop.
MAX_TRIED = 10_000
# With few rows, large trees learn them by heart.
FEW_ROWS, FEW_LEAVES = 1000, 15


def rows_of(features: pd.DataFrame, feature_plan: dict, task: Task, part: str | None = None) -> Rows:
    """Take rows from the table of features.

    Parameters
    ----------
    features, feature_plan
        As the features stage makes them.
    task
        Says how the target becomes a number.
    part
        ``train``, ``validation`` or ``holdout``; None: all rows that the split uses.
    """
    chosen = features[features["split"] == part] if part else features[features["split"].isin(splits.PARTS)]
    roles, classes = feature_plan["roles"], task.classes(feature_plan["classes"] or None)
    weight, query = (
        chosen[roles[role]].to_numpy() if roles.get(role) in chosen else None for role in ("weight", "query")
    )
    return Rows(
        chosen[feature_plan["inputs"]].to_numpy(np.float64),
        task.codes(chosen[roles["target"]], classes),
        None if weight is None else weight.astype(np.float64),
        query,
    )


def scores(booster: lgb.Booster, rows: Rows) -> np.ndarray:
    """Score rows with LightGBM: shape (rows,), or (rows, classes)."""
    return np.asarray(booster.predict(rows.inputs))


def boost(train: Rows, validation: Rows, feature_plan: dict, training: dict, task: Task) -> lgb.Booster:
    """Fit trees on ``train`` until ``validation`` has not improved for ``training["early_stopping"]`` rounds.

    Deterministic for a given number of threads (LightGBM's parameters ``deterministic``, ``force_row_wise``, ``seed``).
    """
    data = _dataset(train, feature_plan)
    stop = lgb.early_stopping(training["early_stopping"], verbose=False)
    return lgb.train(
        _settings(training, feature_plan, task, len(train)),
        data,
        training["rounds"],
        [_dataset(validation, feature_plan, data)],
        callbacks=[stop],
    )


def boost_jointly(
    features: pd.DataFrame, feature_plan: dict, training: dict, split: dict, task: Task
) -> lgb.Booster:
    """Find the number of rounds that is best over folds together, then fit all rows of training and validation for as many.

    One model from all rows, with a steadier stop than one validation part gives (RealMLP paper, arXiv 2407.04491, table B.3). With
    ``stopping: portfolio``, of the settings that are best in these folds, or in those of a sample where rows are many.
    """
    measure, rows = measured(features, feature_plan, training, split, task, few=True)
    tried, sampled = None, False
    if training["stopping"] == "portfolio":
        sample = _sample(features, feature_plan, split, training["seed"])
        measure_some, some = measured(sample, feature_plan, training, split, task)
        found = side_by_side(partial(portfolio.one, measure_some), (portfolio.CONFIGURED, *portfolio.QUICK))
        tried, sampled = portfolio.best(found, task.loss_is_gain), len(some) < len(rows)
    if tried is None or sampled:
        tried = portfolio.one(measure, tried.name if tried else portfolio.CONFIGURED)
    settings = _settings({**training, **tried.settings}, feature_plan, task, len(rows))
    return lgb.train(settings, _dataset(rows, feature_plan), tried.rounds)


def continued(
    booster: lgb.Booster, features: pd.DataFrame, feature_plan: dict, training: dict, task: Task
) -> lgb.Booster:
    """Add trees that are learned from the newest rows alone: what all rows teach stays, and what has changed since is put right.

    Parameters
    ----------
    booster
        Learned from all rows.
    features, feature_plan, task
        As the features stage makes them, and the kind of problem.
    training
        Of ``conf/``: ``recent``, days before the newest row of training and validation, and ``recent_rounds``, how many trees.

    Raises
    ------
    DataError
        When rows have no time, or these trees are no continuation of such a forest.
    """
    time = feature_plan["roles"].get("time")
    if time not in features:
        fix = "Say in the schema which column is the time, or leave training.recent at 0."
        raise DataError("rows have no time, so none of them are recent", "parameter training.recent", fix)
    if (kind := training.get("boosting", "gbdt")) != "gbdt":
        fix = "Leave training.recent at 0, or training.boosting at gbdt."
        raise DataError(f"a forest of {kind} is not continued", "parameter training.recent", fix)
    used = features[features["split"].isin(["train", "validation"])]
    rows = rows_of(used[_are_recent(used[time], training)], feature_plan, task)
    return _with_more(booster, rows, feature_plan, training, task)


def _are_recent(when: pd.Series, training: dict) -> pd.Series:
    return when > when.max() - pd.Timedelta(days=training["recent"])


def _with_more(
    booster: lgb.Booster, rows: Rows, feature_plan: dict, training: dict, task: Task
) -> lgb.Booster:
    settings = _settings(training, feature_plan, task, len(rows))
    base = lgb.Booster(model_str=booster.model_to_string())
    return lgb.train(settings, _dataset(rows, feature_plan), training["recent_rounds"], init_model=base)


def anew(
    rows: Rows, when: pd.Series, rounds: int, feature_plan: dict, training: dict, task: Task
) -> lgb.Booster:
    """Fit so many trees as ``fit`` would, without choosing how many: what a new model would be, in a moment.

    Parameters
    ----------
    rows, when
        What is known, and the time of each row, NaT where unknown.
    rounds
        How many, besides those of ``training["recent"]``.
    feature_plan, training, task
        As `fit` takes them.
    """
    settings = _settings(training, feature_plan, task, len(rows))
    booster = lgb.train(settings, _dataset(rows, feature_plan), rounds)
    if not training.get("recent"):
        return booster
    recent = rows.take(_are_recent(when, training).to_numpy())
    return _with_more(booster, recent, feature_plan, training, task)


def _sample(features: pd.DataFrame, feature_plan: dict, split: dict, seed: int) -> pd.DataFrame:
    """Return the rows that settings are chosen by: all of them where they are few, else the latest, or some of the queries or entities."""
    used = features[features["split"].isin(["train", "validation"])]
    if len(used) <= MAX_TRIED:
        return used
    if split["by"] in ("time", "entity_time"):
        return used.sort_values(feature_plan["roles"]["time"], kind="stable").tail(MAX_TRIED).sort_index()
    group = folds.group_column(used, feature_plan)
    groups = used[group] if group else pd.Series(used.index, index=used.index)
    drawn = np.random.default_rng(seed).permutation(groups.unique())
    fitting = int((groups.value_counts()[drawn].cumsum() <= MAX_TRIED).sum())
    return used[groups.isin(drawn[: max(2, fitting)])]


def side_by_side(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Return the work's results for some items, in their order. LightGBM computes outside of Python's lock, so threads share the cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, items))


def measured(
    features: pd.DataFrame, feature_plan: dict, training: dict, split: dict, task: Task, few: bool = False
) -> tuple[portfolio.Measure, Rows]:
    """Return what measures settings in folds of the rows that a model learns from, in ``few`` where rows are many; and these rows."""
    used = features[features["split"].isin(["train", "validation"])]
    rows = rows_of(used, feature_plan, task)
    if rows.query is not None:
        order = np.argsort(rows.query, kind="stable")
        used, rows = used.iloc[order], rows.take(order)
    parts = folds.folds(used, rows, feature_plan, split, task, 5, training["seed"])
    if few and len(rows) > MAX_TRIED:
        # The last one is the latest, where there is time.
        parts = parts[-1:]

    def measure(settings: dict, callbacks: Sequence[Callable]) -> tuple[list[float], list[float]]:
        options = portfolio.with_more_rounds(training, settings)
        return history(rows, parts, feature_plan, options, task, callbacks)

    return measure, rows


def history(
    rows: Rows,
    parts: list[tuple[np.ndarray, np.ndarray]],
    feature_plan: dict,
    training: dict,
    task: Task,
    callbacks: Sequence[Callable] = (),
) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation over folds of the loss after each round, up to the best one."""
    settings = _settings(training, feature_plan, task, len(rows))
    stop = lgb.early_stopping(training["early_stopping"], verbose=False)
    found = lgb.cv(
        settings, _dataset(rows, feature_plan), training["rounds"], folds=parts, callbacks=[stop, *callbacks]
    )
    means, deviations = (np.asarray(values, dtype=np.float64).tolist() for values in found.values())
    return means, deviations


def _settings(training: dict, feature_plan: dict, task: Task, rows: int) -> dict:
    rest = {name: value for name, value in training.items() if name not in OURS}
    if rows < FEW_ROWS:
        rest["num_leaves"] = min(rest["num_leaves"], FEW_LEAVES)
    ours = task.settings(task.classes(feature_plan["classes"] or None))
    if rest.get("objective", ours["objective"]) != ours["objective"]:
        # Another objective is measured by its own loss.
        ours["metric"] = rest["objective"]
    return {**ours, "verbosity": -1, **rest, "deterministic": True, "force_row_wise": True}


def _dataset(rows: Rows, feature_plan: dict, reference: lgb.Dataset | None = None) -> lgb.Dataset:
    names = {"feature_name": feature_plan["inputs"], "categorical_feature": feature_plan["categorical"]}
    group = None
    if rows.query is not None:
        # LightGBM wants a query's rows beside each other.
        order = np.argsort(rows.query, kind="stable")
        rows = rows.take(order)
        _, group = np.unique(np.asarray(rows.query), return_counts=True)
    return lgb.Dataset(
        rows.inputs, rows.target, weight=rows.weight, group=group, reference=reference, **names
    )


def fit(
    features: pd.DataFrame, feature_plan: dict, training: dict, costs: dict, split: dict, task: str
) -> tuple[str, dict]:
    """Train a model.

    Parameters
    ----------
    features, feature_plan
        As the features stage makes them.
    training, costs, split, task
        Of ``conf/``. ``training`` has LightGBM's own parameters, and ``rounds`` at most, ``early_stopping`` after rounds without a
        better loss, ``recent`` and ``recent_rounds`` of ``continued``, ``stopping`` by the ``validation`` part, ``joint`` over folds of it and the training rows, or by a ``portfolio``
        of settings over these folds, ``leaf_bits`` and the bounds of ``rounding.compressed``.

    Returns
    -------
    tuple
        LightGBM's text model up to the best round, and what rounding its leaves cost.

    Raises
    ------
    DataError
        When that is more than ``conf/`` allows, or as ``continued``.
    """
    kind = tasks.of(task)
    if training["stopping"] in JOINT:
        booster = boost_jointly(features, feature_plan, training, split, kind)
    else:
        train, validation = (rows_of(features, feature_plan, kind, part) for part in ("train", "validation"))
        booster = boost(train, validation, feature_plan, training, kind)
    if training.get("recent"):
        booster = continued(booster, features, feature_plan, training, kind)
    holdout = rows_of(features, feature_plan, kind, "holdout")
    decision = kind.decision(costs, kind.classes(feature_plan["classes"] or None))
    return rounding.compressed(booster.model_to_string(), holdout, training, kind, decision)
