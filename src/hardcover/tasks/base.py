"""What every kind of problem has to say: how it is learned, measured, decided and drawn."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hardcover.errors import DataError
from hardcover.tasks import confidence


class Metric(NamedTuple):
    """A task's primary metric: its key in reports, how it is written, and whether more of it is better."""

    name: str
    label: str
    short: str
    greater_is_better: bool

    def improves(self, ours: float, theirs: float) -> bool:
        """Check whether one value is better than another."""
        return ours > theirs if self.greater_is_better else ours < theirs


@dataclass(frozen=True)
class Rows:
    """Rows to learn from or to measure on.

    Attributes
    ----------
    inputs
        Shape (rows, inputs), float64; a category is its position among its levels.
    target
        Shape (rows,), float64; a class is its position among the classes.
    weight
        Shape (rows,), float64; None where all count alike.
    query
        Shape (rows,): rows with the same one are ranked against each other; None otherwise.
    """

    inputs: np.ndarray
    target: np.ndarray
    weight: np.ndarray | None = None
    query: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.target)

    def take(self, which: np.ndarray) -> "Rows":
        """Return some of the rows, by position or by a mask."""
        optional = (None if part is None else part[which] for part in (self.weight, self.query))
        return Rows(self.inputs[which], self.target[which], *optional)


class Task(ABC):
    """A kind of problem. It has no state: an instance stands for the kind.

    Attributes
    ----------
    name
        As ``conf/`` names it.
    primary
        The metric that models are compared by.
    has_classes
        Whether the target is one of a few classes, whose shares a split keeps.
    loss_is_gain
        Whether more is better of what rounds are stopped by, as of a ranking's NDCG.
    """

    name: str
    primary: Metric
    has_classes = False
    loss_is_gain = False

    @abstractmethod
    def settings(self, classes: list) -> dict[str, Any]:
        """Return LightGBM's objective and metric, and what else follows from the classes."""

    @abstractmethod
    def metrics(self, rows: Rows, score: np.ndarray, decision: dict, costs: dict) -> dict[str, float]:
        """Measure scores against the truth.

        Parameters
        ----------
        rows
            The truth, and weights and queries where there are some.
        score
            Shape (rows,), or (rows, classes) of several classes.
        decision, costs
            As ``decision`` returns it, and what it was made from.
        """

    def metrics_of_draws(
        self,
        rows: Rows,
        score: np.ndarray,
        groups: list[np.ndarray],
        draws: Iterable[np.ndarray],
        decision: dict,
        costs: dict,
    ) -> list[dict[str, float]]:
        """Measure draws of groups of rows, with replacement; those in which a metric has no value, for want of a class, are left out.

        Parameters
        ----------
        rows, score, decision, costs
            As ``metrics`` takes them.
        groups
            Rows that are drawn together.
        draws
            Positions among the groups, of each draw.
        """
        found, without = [], replace(rows, inputs=np.zeros((len(rows), 0)))
        for chosen in draws:
            drawn = np.concatenate([groups[group] for group in chosen])
            sample = without.take(drawn)
            if not self.has_classes or len(np.unique(sample.target)) > 1:
                found.append(self.metrics(sample, score[drawn], decision, costs))
        return found

    def losses(self, target: np.ndarray, score: np.ndarray, decision: dict, costs: dict) -> np.ndarray:
        """Return what each row's answer costs, shape (rows,): 0 or more; here, absolute errors.

        Parameters
        ----------
        target
            Shape (rows,).
        score, decision, costs
            As ``metrics`` takes them.
        """
        return np.abs(target - score)

    def confidence(self, target: np.ndarray, score: np.ndarray, level: float) -> dict:
        """Return the table of how sure answers are, as ``runtime.confidence`` describes it: here, intervals.

        Parameters
        ----------
        target, score
            As ``losses`` takes them, of rows that the model did not learn from.
        level
            So often is what comes within.
        """
        return confidence.interval(score, target, level, None)

    @abstractmethod
    def baselines(self, train: Rows, holdout: Rows, categories: list[int]) -> dict[str, np.ndarray]:
        """Return the scores of models that ours must beat, by name; ``categories`` are positions among the inputs."""

    @abstractmethod
    def draw(
        self, rows: Rows, score: np.ndarray, decision: dict, costs: dict, names: "Names"
    ) -> dict[str, Figure]:
        """Draw how good scores are, by name; the first is the one to look at first."""

    @abstractmethod
    def worst(self, target: np.ndarray, score: np.ndarray) -> dict[str, tuple[int, int]]:
        """Find the rows that are worth an explanation: by title, the row, and which output to explain."""

    def decision(self, costs: dict, classes: list) -> dict[str, Any]:
        """Return what follows from a score, as ``runtime.decision`` describes it: nothing, where a task decides nothing."""
        return {"kind": "none"}

    def classes(self, levels: list | None) -> list:
        """Return the classes in the order of their codes; empty where there are none. ``levels`` are those of the schema."""
        return []

    def codes(self, target: pd.Series, classes: list) -> np.ndarray:
        """Return the target as float64, a class as its position."""
        return target.to_numpy(np.float64)

    def check_target(self, target: pd.Series, where: str) -> None:
        """Check whether a model can be learned from, or measured on, these rows.

        Raises
        ------
        DataError
            Says what is missing.
        """
        values = target.to_numpy(np.float64)
        if not np.isfinite(values).all():
            raise DataError(
                f"the target {target.name!r} is not finite in some rows", where, "Correct the rows."
            )
        if len(values) and (values == values[0]).all():
            what = f"the target {target.name!r} is {values[0]:g} in all {len(values)} rows"
            raise DataError(what, where, "Bring rows of other values, or change 'split' in conf/.")

    def describe_target(self, target: pd.Series) -> dict[str, float]:
        """Describe the target in a few numbers, for the report."""
        values = target.to_numpy(np.float64)
        return {"mean": float(values.mean()), "least": float(values.min()), "most": float(values.max())}


SCORE = "score"


def score_columns(classes: list) -> list[str]:
    """Name the columns of scores in predictions: ``score``, or one for each of several classes."""
    return [f"{SCORE}_{name}" for name in classes] or [SCORE]


def scores_of(predictions: pd.DataFrame) -> np.ndarray:
    """Take the scores from predictions: shape (rows,), or (rows, classes)."""
    if SCORE in predictions:
        return predictions[SCORE].to_numpy()
    return predictions[[name for name in predictions if name.startswith(f"{SCORE}_")]].to_numpy()


class Names(NamedTuple):
    """Words for pictures: the target, its classes, and the part that is drawn."""

    target: str
    classes: list
    part: str


def mean(values: np.ndarray, weight: np.ndarray | None) -> float:
    """Return the mean, weighted where there are weights."""
    return float(values.mean() if weight is None else np.average(values, weights=weight))


def decided(score: np.ndarray, decision: dict) -> np.ndarray:
    """Return the labels of rows as numbers: 0 or 1 by threshold, a class's position; empty where nothing is decided.

    The bits of expected costs are those of ``runtime.decision``: added up class by class.
    """
    if decision["kind"] == "threshold":
        return (score >= decision["threshold"]).astype(np.float64)
    if decision["kind"] == "none":
        return np.zeros(0)
    if decision.get("costs") is None:
        return score.argmax(axis=1).astype(np.float64)
    costs = np.array(decision["costs"], dtype=np.float64)
    expected = np.zeros((len(score), costs.shape[1]))
    for number, row in enumerate(costs):
        expected = expected + score[:, number : number + 1] * row
    return expected.argmin(axis=1).astype(np.float64)
