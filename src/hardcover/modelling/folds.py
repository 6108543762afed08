"""Which rows belong together: in folds, and in what a bootstrap draws."""

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from hardcover.errors import DataError
from hardcover.tasks import Rows, Task

BLOCKS = 50


def group_column(features: pd.DataFrame, feature_plan: dict) -> str | None:
    """Return the column whose rows belong together: the query, else the entity; None where rows name none."""
    roles = feature_plan["roles"]
    column = roles.get("query") or roles.get("entity")
    return column if column in features and features[column].notna().all() else None


def folds(
    features: pd.DataFrame,
    rows: Rows,
    feature_plan: dict,
    split: dict,
    task: Task,
    count: int,
    seed: int,
    random: bool = False,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide rows into folds as the split's policy does: by time, or by query or entity, else by chance; classes in equal shares.

    Parameters
    ----------
    features, rows
        The same rows, as a table and as arrays.
    feature_plan, split, task
        Name the columns, the policy and whether there are classes.
    count, seed
        How many folds, or as many as there are entities where these are fewer, and the seed of the chance.
    random
        Whether to ignore time and entities, which shows what that would pretend.

    Returns
    -------
    list
        Positions to learn from and positions to measure on.

    Raises
    ------
    DataError
        When all rows are of one query or entity.
    """
    time, group = feature_plan["roles"].get("time"), group_column(features, feature_plan)
    if split["by"] in ("time", "entity_time") and not random:
        entities = features[group].to_numpy() if group and split["by"] == "entity_time" else None
        return _forward(features[time], split["gap"], entities, count)
    options = {"shuffle": True, "random_state": seed}
    query = feature_plan["roles"].get("query")
    # Rows of a query are ranked against each other; no split can part them.
    group = group if not random else query
    if group is None:
        folding = StratifiedKFold if task.has_classes else KFold
        return list(folding(count, **options).split(rows.inputs, rows.target))
    count = min(count, features[group].nunique())
    if count < 2:
        what = f"all rows to learn from are of one {group}"
        fix = "Bring rows of more, or split otherwise in conf/."
        raise DataError(what, f"{len(rows.target)} rows", fix)
    folding = StratifiedGroupKFold if task.has_classes else GroupKFold
    return list(folding(count, **options).split(rows.inputs, rows.target, features[group].to_numpy()))


def _forward(
    times: pd.Series, gap: float, entities: np.ndarray | None, count: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Learn from what was before, measure on what came next; without the entities that are measured, where given."""
    values = times.to_numpy()
    order = np.argsort(values, kind="stable")
    blocks, found = np.array_split(order, count + 1), []
    for block in blocks[1:]:
        before = values < values[block].min() - np.timedelta64(round(gap * 86_400_000_000), "us")
        if entities is not None:
            before &= ~np.isin(entities, entities[block])
        if before.any():
            found.append((np.flatnonzero(before), np.sort(block)))
    return found


def groups_of(predictions: pd.DataFrame, feature_plan: dict, split: dict) -> list[np.ndarray]:
    """Return the rows that a bootstrap draws together: of a query or an entity, of a stretch of time, else each alone."""
    column, time = group_column(predictions, feature_plan), feature_plan["roles"].get("time")
    if column is not None:
        return list(predictions.groupby(column).indices.values())
    if split["by"] == "time" and time in predictions:
        order = np.argsort(predictions[time].to_numpy(), kind="stable")
        return [block for block in np.array_split(order, min(BLOCKS, len(order))) if len(block)]
    return [np.array([row]) for row in range(len(predictions))]
