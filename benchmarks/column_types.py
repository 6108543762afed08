"""Column types on files not trained on, beside the paper's random forest; also trains the forest that ships.

The labelled columns are those of V. Shah et al., SIGMOD 2021 (Apache-2.0). Columns of one file share its ``Record_id``:
grouped by it, no file is on both sides.
"""

import gzip
import math

import lightgbm as lgb
import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from sklearn.model_selection import GroupKFold, KFold

from hardcover.inspection import column_types
from hardcover.inspection.column_types import TYPES, Summary

FOREST = {
    "objective": "multiclass",
    "num_class": len(TYPES),
    "learning_rate": 0.08,
    "num_leaves": 15,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "deterministic": True,
    "force_col_wise": True,
    "num_threads": 1,
    "verbose": -1,
}
# LightGBM answers without these lines of its text; the test of the shipped forest would see otherwise.
NOT_FOR_ANSWERS = ("split_gain=", "leaf_weight=", "leaf_count=", "internal_", "tree_sizes=")
ROUNDS, FOLDS = 100, 5
# The paper's random forest, its table of results on a random split: accuracy, then precision and recall.
PAPER: dict = {
    "accuracy": 0.9265,
    "numeric": "0.936 / 0.987",
    "categorical": "0.910 / 0.954",
    "datetime": "0.986 / 0.972",
    "not-generalizable": "0.946 / 0.888",
}


def read(path: str) -> tuple[list[Summary], np.ndarray, np.ndarray]:
    """Return the columns, the place of each one's type in `TYPES`, and the file that it is of."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    columns = [
        Summary(
            row.Attribute_name,
            *(_number(row[key]) for key in ("total_vals", "num_nans", "num_of_dist_val", "mean", "std_dev")),
            _number(row.min_val),
            _number(row.max_val),
            [row[f"sample_{number}"] for number in range(1, 6)],
        )
        for _, row in table.iterrows()
    ]
    return columns, table.y_act.map(TYPES.index).to_numpy(), table.Record_id.to_numpy()


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0


def train(rows: np.ndarray, types: np.ndarray, files: np.ndarray) -> lgb.Booster:
    """Train on columns; a file with many of them does not outweigh the others."""
    _, place, counts = np.unique(files, return_inverse=True, return_counts=True)
    data = lgb.Dataset(rows, types, weight=1 / np.sqrt(counts[place]))
    return lgb.train(FOREST, data, ROUNDS)


def table(path: str, write: bool = False) -> str:
    """Return accuracy, precision and recall as Markdown; ``write`` trains the forest that ships, on all columns."""
    columns, types, files = read(path)
    measured = [column_types.features(column) for column in columns]
    rows = np.array([list(row.values()) for row in measured])
    rules = [column_types.rule(*pair) for pair in zip(columns, measured, strict=True)]
    largest = pd.Series(files).value_counts().index[0]
    kept = ("numeric", "categorical", "datetime", "not-generalizable")
    lines = [
        f"| {len(types):,} labelled columns | accuracy | {' | '.join(kept)} |",
        "|---|---|" + "---|" * len(kept),
    ]
    for split, folds in (("by file", GroupKFold), ("at random", KFold)):
        found = np.empty_like(types)
        groups = {"groups": files} if folds is GroupKFold else {}
        for inside, outside in folds(FOLDS, shuffle=True, random_state=0).split(rows, types, **groups):
            found[outside] = (
                train(rows[inside], types[inside], files[inside]).predict(rows[outside]).argmax(1)
            )
        found = np.array(
            [TYPES.index(rule) if rule else guess for rule, guess in zip(rules, found, strict=True)]
        )
        for name, which in (
            (split, files == files),
            (f"{split}, without the largest file", files != largest),
        ):
            lines.append(_line(name, types[which], found[which], kept))
    lines.append(
        f"| random forest of the paper, at random | {PAPER['accuracy']:.3f} | "
        + " | ".join(PAPER[name] for name in kept)
        + " |"
    )
    if write:
        text = train(rows, types, files).model_to_string().partition("\nparameters:")[0]
        text = "\n".join(line for line in text.splitlines() if not line.startswith(NOT_FOR_ANSWERS))
        with gzip.GzipFile(column_types.MODEL, "wb", 9, mtime=0) as file:
            file.write(text.encode("ascii"))
    return "\n".join(lines)


def _line(name: str, types: np.ndarray, found: np.ndarray, kept: tuple[str, ...]) -> str:
    precision, recall, *_ = precision_recall_fscore_support(
        types, found, labels=range(len(TYPES)), zero_division=0
    )
    pairs = (f"{precision[TYPES.index(each)]:.3f} / {recall[TYPES.index(each)]:.3f}" for each in kept)
    return f"| {name} | {accuracy_score(types, found):.3f} | {' | '.join(pairs)} |"
