"""Measure a model on rows that it has not seen: with intervals, baselines, folds, and beside a careless split."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hardcover import tasks
from hardcover.errors import DataError
from hardcover.ingest import splits
from hardcover.modelling import folds, portfolio
from hardcover.modelling.training import JOINT, boost, rows_of, scores, side_by_side
from hardcover.tasks import Rows, Task
from hardcover.tasks.base import SCORE, Names, score_columns, scores_of


def resampled(groups: list[np.ndarray], evaluation: dict) -> Iterator[list[np.ndarray]]:
    """Yield ``evaluation["bootstrap"]`` draws of as many groups of rows as there are, with replacement."""
    for chosen in _draws(len(groups), evaluation):
        yield [groups[group] for group in chosen]


def _draws(count: int, evaluation: dict) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(evaluation["seed"])
    for _ in range(evaluation["bootstrap"]):
        yield rng.integers(0, count, count)


def intervals(
    rows: Rows,
    score: np.ndarray,
    groups: list[np.ndarray],
    decision: dict,
    costs: dict,
    evaluation: dict,
    task: Task,
) -> dict[str, dict]:
    """Bootstrap the metrics over groups of rows, as ``Task.metrics_of_draws`` measures them; returns ``low`` and ``high`` of each."""
    draws = task.metrics_of_draws(rows, score, groups, _draws(len(groups), evaluation), decision, costs)
    table, tail = pd.DataFrame(draws), (1 - evaluation["level"]) / 2
    return {
        name: {"low": float(table[name].quantile(tail)), "high": float(table[name].quantile(1 - tail))}
        for name in table
    }


def cross_validate(
    features: pd.DataFrame,
    feature_plan: dict,
    options: dict,
    evaluation: dict,
    split: dict,
    task: Task,
    costs: dict,
    random: bool = False,
) -> dict[str, Any]:
    """Refit in folds over all rows; returns mean and standard deviation of the primary metric.

    Parameters
    ----------
    options
        ``training`` of ``conf/``.
    random
        Whether to ignore entities and time, in one fold: what a careless split would have shown.
    """
    used = features[features["split"].isin(splits.PARTS)]
    rows = rows_of(used, feature_plan, task)
    decision = task.decision(costs, task.classes(feature_plan["classes"] or None))
    shared = (feature_plan, split, task)
    parts = folds.folds(used, rows, *shared, evaluation["folds"], evaluation["seed"], random)

    def measured(part: tuple[np.ndarray, np.ndarray]) -> float:
        learn, test = part
        inner, stop = _stop_rows(used.iloc[learn], rows.take(learn), shared, evaluation["seed"], random)
        booster = boost(rows.take(learn[inner]), rows.take(learn[stop]), feature_plan, options, task)
        tested = rows.take(test)
        return task.metrics(tested, scores(booster, tested), decision, costs)[task.primary.name]

    # The last fold is the largest under a split by time, so it begins first.
    found = side_by_side(measured, parts[:1] if random else parts[::-1])[::-1]
    name = task.primary.name
    return {"folds": len(found), f"{name}_mean": float(np.mean(found)), f"{name}_std": float(np.std(found))}


def _stop_rows(features: pd.DataFrame, rows: Rows, shared: tuple, seed: int, random: bool) -> tuple:
    """Set rows apart for early stopping: the last ones in time, else a sixth of the entities or rows."""
    feature_plan, split, task = shared
    parts = folds.folds(features, rows, feature_plan, split, task, 6, seed, random)
    forward = split["by"] in ("time", "entity_time") and not random
    if not parts:
        raise DataError(
            "too few rows to stop early in a fold", "parameter evaluation.folds", "Use fewer folds."
        )
    return parts[-1] if forward else parts[0]


def evaluate(
    features: pd.DataFrame,
    feature_plan: dict,
    model: str,
    training: dict,
    costs: dict,
    evaluation: dict,
    split: dict,
    task: str,
    *,
    decide: Callable | None = None,
    replaced: dict[str, str] | None = None,
) -> tuple[dict, pd.DataFrame]:
    """Measure the model on the holdout.

    Parameters
    ----------
    features, feature_plan, model
        As the stages before make them.
    training, costs, evaluation, split, task
        Of ``conf/``.
    decide
        A project's own way from costs and classes to a decision, as ``runtime.decision`` describes it.
    replaced
        The stage's functions that are the project's own, for the report.

    Returns
    -------
    tuple
        The metrics: ``primary``, ``holdout``, their ``interval``, those of each ``baseline``, ``cross_validation``, the
        ``decision``, the number of ``trees``; and where the split keeps entities or times apart, ``random_split``, the
        primary metric that a random one would have shown. And the holdout's predictions.
    """
    kind, columns = tasks.of(task), _kept(features, feature_plan)
    classes = kind.classes(feature_plan["classes"] or None)
    decision = (decide or kind.decision)(costs, classes)
    rows = rows_of(features, feature_plan, kind, "holdout")
    booster = lgb.Booster(model_str=model)
    score = scores(booster, rows)
    predictions = features.loc[features["split"] == "holdout", columns].reset_index(drop=True)
    names = score_columns(decision.get("classes", []))
    predictions = predictions.assign(**dict(zip(names, score.reshape(len(rows), -1).T, strict=True)))
    learned = ["train", "validation"] if training["stopping"] in JOINT else ["train"]
    train = rows_of(features[features["split"].isin(learned)], feature_plan, kind)
    categories = [feature_plan["inputs"].index(name) for name in feature_plan["categorical"]]
    baselines = kind.baselines(train, rows, categories) | last_value(features, feature_plan, kind)
    options = portfolio.settings_of(booster.params, training)
    apart = rows.query is None and folds.group_column(features, feature_plan)
    careless = split["by"] in ("time", "entity_time") or bool(apart)
    refit = partial(cross_validate, features, feature_plan, options, evaluation, split, kind, costs)
    groups = folds.groups_of(predictions, feature_plan, split)
    bootstrap = partial(intervals, rows, score, groups, decision, costs, evaluation, kind)
    works = [refit, bootstrap, *([partial(refit, random=True)] if careless else [])]
    in_folds, interval, *at_random = side_by_side(lambda work: work(), works)
    metrics = {
        "task": kind.name,
        "primary": kind.primary._asdict(),
        "holdout": kind.metrics(rows, score, decision, costs),
        "interval": interval,
        "baseline": {name: kind.metrics(rows, found, decision, costs) for name, found in baselines.items()},
        "cross_validation": in_folds,
        "decision": decision,
        "trees": booster.num_trees(),
        "replaced": replaced or {},
    }
    for found in at_random:
        metrics["random_split"] = {kind.primary.name: found[f"{kind.primary.name}_mean"]}
    return metrics, predictions


def _kept(features: pd.DataFrame, feature_plan: dict) -> list[str]:
    roles = feature_plan["roles"]
    names = [roles.get(role) for role in ("key", "query", "entity", "time", "weight", "target")]
    found = [name for name in names if name in features]
    taken = [name for name in found if name == SCORE or name.startswith(f"{SCORE}_")]
    if taken:
        what = f"the column {taken[0]!r} has the name of what the model answers"
        raise DataError(what, "schema", "Give it another name in the schema and under 'column_mapping'.")
    return found


def last_value(features: pd.DataFrame, feature_plan: dict, task: Task) -> dict[str, np.ndarray]:
    """Return for the holdout what the entity's target was the time before, where there is time and an amount; else nothing."""
    roles = feature_plan["roles"]
    time, entity, target = roles.get("time"), roles.get("entity"), roles["target"]
    if task.has_classes or task.name == "ranking" or time not in features or features[time].isna().any():
        return {}
    ordered = features.sort_values(time, kind="stable")
    grouped = ordered.groupby(entity, dropna=False)[target] if entity in features else ordered[target]
    before = grouped.shift(1).reindex(features.index).astype("float64")
    holdout = before[features["split"] == "holdout"]
    return {
        "last_value": holdout.fillna(features.loc[features["split"] == "train", target].mean()).to_numpy()
    }


def draw(
    feature_plan: dict, predictions: pd.DataFrame, metrics: dict, costs: dict, task: str
) -> dict[str, Figure]:
    """Draw how good the holdout's predictions are: a picture by file name."""
    kind = tasks.of(task)
    classes = kind.classes(feature_plan["classes"] or None)
    roles = feature_plan["roles"]
    weight, query = (
        predictions[roles[role]].to_numpy() if roles.get(role) in predictions else None
        for role in ("weight", "query")
    )
    target = kind.codes(predictions[roles["target"]], classes)
    rows = Rows(np.zeros((len(predictions), 0)), target, weight, query)
    score = scores_of(predictions)
    names = Names(roles["target"], classes, "holdout")
    figures = kind.draw(rows, score, metrics["decision"], costs, names)
    return {f"{name}.png": figure for name, figure in figures.items()}
