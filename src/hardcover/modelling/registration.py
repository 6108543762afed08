"""Register a model as challenger, and compare it with the champion."""

import lightgbm as lgb
import numpy as np
import pandas as pd

from hardcover import tasks
from hardcover.modelling.training import rows_of, scores
from hardcover.tasks import Task
from hardcover.tasks.base import scores_of
from hardcover.tracking import registry


def compare(
    champion: lgb.Booster, ours: dict, features: pd.DataFrame, feature_plan: dict, costs: dict, task: Task
) -> tuple[bool, str]:
    """Check whether the challenger's primary metric on the holdout is better than the champion's; also returns both in words.

    Parameters
    ----------
    champion
        The model in use.
    ours
        The challenger's metrics.
    features, feature_plan, costs, task
        What both are measured on and by.
    """
    missing = sorted(set(champion.feature_name()) - set(feature_plan["inputs"]))
    if missing:
        return False, f"stays challenger: the champion needs {', '.join(missing)} and cannot be compared"
    rows = rows_of(features, {**feature_plan, "inputs": champion.feature_name()}, task, "holdout")
    score = scores(champion, rows)
    outputs = len(task.classes(feature_plan["classes"] or None)) if task.name == "multiclass" else 1
    if (score.shape[1] if score.ndim > 1 else 1) != outputs:
        return False, "stays challenger: the champion answers another question and cannot be compared"
    metric = task.primary
    theirs = task.metrics(rows, score, ours["decision"], costs)[metric.name]
    mine = ours["holdout"][metric.name]
    values = f"{metric.label} {mine:.4f}, the champion's {theirs:.4f} on the same holdout"
    return (True, values) if metric.improves(mine, theirs) else (False, f"stays challenger: {values}")


def register(
    name: str,
    model: str,
    features: pd.DataFrame,
    feature_plan: dict,
    predictions: pd.DataFrame,
    metrics: dict,
    costs: dict,
    task: str,
    promotion: dict,
) -> dict:
    """Register the model as challenger and compare it with the champion; it is promoted when its wheel is proven.

    Not pure: it reads and writes the model registry. Where ``promotion`` of ``conf/`` says ``by: hand``, it stays challenger until ``hardcover promote``
    or ``hardcover cycle`` promotes it.

    Returns
    -------
    dict
        The registered ``model``, its ``version``, whether it is ``better`` than the version it was compared ``against``, its
        primary ``metric``, how that is written ``short``, its ``value``, and the ``decision`` in words.
    """
    kind = tasks.of(task)
    holdout = features.loc[features["split"] == "holdout", feature_plan["inputs"]]
    score = scores_of(predictions)
    version = registry.log_model(name, model, holdout, np.asarray(score))
    better, decision = True, "there was none"
    against, champion = registry.champion(name)
    if champion is not None and promotion["by"] == "hand":
        better, decision = (
            False,
            "stays challenger: it is promoted by hand, or by what hardcover cycle sees of it",
        )
    elif champion is not None:
        better, decision = compare(champion, metrics, features, feature_plan, costs, kind)
    primary = metrics["primary"]
    facts = {
        "metric": primary["name"],
        "short": primary["short"],
        "value": metrics["holdout"][primary["name"]],
        "decision": decision,
    }
    return {"model": name, "version": version, "better": better, "against": against, **facts}
