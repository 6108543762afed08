"""Several classes: a probability for each; the label is the likeliest, or the one that costs least."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hardcover.errors import DataError
from hardcover.tasks import baselines, confidence, measures, plots
from hardcover.tasks.base import Metric, Names, Rows, Task, decided, mean

TINY = 1e-15


class Multiclass(Task):
    """Tell which of several classes something is.

    ``costs`` in ``conf/``: nothing, for the likeliest class; or ``matrix``, for each true class what each label costs.
    """

    name = "multiclass"
    primary = Metric("log_loss", "log loss", "log loss", greater_is_better=False)
    has_classes = True

    def settings(self, classes: list) -> dict[str, Any]:
        """Return LightGBM's objective: cross-entropy over as many trees a round as classes."""
        return {"objective": "multiclass", "metric": "multi_logloss", "num_class": len(classes)}

    def classes(self, levels: list | None) -> list:
        """Return the schema's levels as text."""
        if not levels:
            fix = "Give the target its levels, as schema.category does."
            raise DataError("the target of a multiclass task has no known classes", "schema", fix)
        return [str(level) for level in levels]

    def codes(self, target: pd.Series, classes: list) -> np.ndarray:
        """Return each class's position."""
        return target.astype(str).map({name: code for code, name in enumerate(classes)}).to_numpy(np.float64)

    def check_target(self, target: pd.Series, where: str) -> None:
        """Check that there are at least two classes."""
        found = target.dropna().unique()
        if len(found) < 2:
            what = f"the target {target.name!r} is {found[0] if len(found) else 'missing'} in all {len(target)} rows"
            raise DataError(what, where, "Bring rows of other classes, or change 'split' in conf/.")

    def describe_target(self, target: pd.Series) -> dict[str, float]:
        """Count each class."""
        return {str(name): int(count) for name, count in target.value_counts().sort_index().items()}

    def decision(self, costs: dict, classes: list) -> dict[str, Any]:
        """Return the classes, and the costs of each label by true class if there are some."""
        matrix = costs.get("matrix")
        if matrix:
            try:
                matrix = [[float(matrix[truth][label]) for label in classes] for truth in classes]
            except KeyError as error:
                fix = f"Give each of {', '.join(classes)} a row with a cost for each of them."
                raise DataError(f"the costs have no {error}", "parameter costs.matrix", fix) from error
        return {"kind": "classes", "classes": list(classes), "costs": matrix or None}

    def metrics(self, rows: Rows, score: np.ndarray, decision: dict, costs: dict) -> dict[str, float]:
        """Return log loss, accuracy, F1 of the classes alike, and the mean cost a row where there are costs."""
        target, weight = rows.target, rows.weight
        safe = np.clip(score, TINY, 1)
        given = (safe / safe.sum(axis=1, keepdims=True))[np.arange(len(rows)), target.astype(int)]
        table = measures.confusion(target, decided(score, decision), score.shape[1], weight)
        right, there, said = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
        # A class that is neither there nor said has no F1, which counts as 0; one that is not there has no share of right answers.
        found = {
            "log_loss": mean(-np.log(given), weight),
            "accuracy": float(right.sum() / table.sum()),
            "balanced_accuracy": float((right[there > 0] / there[there > 0]).mean()),
            "f1_macro": float((2 * right / np.maximum(there + said, TINY)).mean()),
        }
        if decision.get("costs") is not None:
            found["cost"] = mean(self.losses(target, score, decision, costs), weight)
        return found

    def losses(self, target: np.ndarray, score: np.ndarray, decision: dict, costs: dict) -> np.ndarray:
        """Return the cost of each label by its true class; without costs, 1 for a wrong one."""
        label = decided(score, decision)
        if decision.get("costs") is None:
            return (label != target).astype(np.float64)
        return np.array(decision["costs"], dtype=np.float64)[target.astype(int), label.astype(int)]

    def confidence(self, target: np.ndarray, score: np.ndarray, level: float) -> dict:
        """Return sets of classes."""
        return confidence.classes(score, target, level)

    def baselines(self, train: Rows, holdout: Rows, categories: list[int]) -> dict[str, np.ndarray]:
        """Fit the classes' shares and a multinomial logistic regression."""
        weight = np.ones(len(train)) if train.weight is None else train.weight
        # The classes that train has; scores of the others are zero.
        every = np.unique(train.target).astype(int)
        width = int(max(train.target.max(), holdout.target.max())) + 1
        share = np.bincount(train.target.astype(int), weights=weight, minlength=width)
        logistic = baselines.logistic_regression(categories)
        baselines.fit(logistic, train)
        found = np.zeros((len(holdout), width))
        found[:, every] = logistic.predict_proba(holdout.inputs)
        return {"constant": np.tile(share / share.sum(), (len(holdout), 1)), "logistic_regression": found}

    def draw(
        self, rows: Rows, score: np.ndarray, decision: dict, costs: dict, names: Names
    ) -> dict[str, Figure]:
        """Draw which classes are taken for which, and calibration of the labels' probabilities."""
        label = decided(score, decision).astype(int)
        right = (label == rows.target).astype(np.float64)
        chosen = score[np.arange(len(score)), label]
        return {
            "confusion": plots.confusion(rows.target.astype(int), label, names),
            "calibration": plots.calibration(right, chosen, names, "share of right labels"),
        }

    def worst(self, target: np.ndarray, score: np.ndarray) -> dict[str, tuple[int, int]]:
        """Find the most confident mistake, explained by the class that it was taken for."""
        label = score.argmax(axis=1)
        confidence = np.where(label == target, -np.inf, score.max(axis=1))
        row = int(confidence.argmax())
        return {"mistake": (row, int(label[row]))}


TASK = Multiclass()
