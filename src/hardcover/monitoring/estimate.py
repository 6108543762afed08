"""Performance without labels: what the task's metrics would be, if scores still mean what they meant on the holdout.

Outcomes of rows without labels are drawn from what their scores meant there, and measured by the task's own metrics. The mean of many draws is the estimate; their
spread, which holds both chance of the outcomes and the uncertainty of what scores meant, is its interval. The idea of expected metrics of calibrated scores is that of CBPE (NannyML's documentation, "Confidence-based
performance estimation"); no estimate without labels sees that the same inputs now have other outcomes.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from hardcover.monitoring.curve import Curve
from hardcover.tasks import Rows, Task
from hardcover.tasks.base import decided

# Blocks of amounts, and of the scores of each label; rows of a block at least.
BLOCKS, LEAST = 20, 50
# Standard errors beyond which something is no chance.
SURE = 3.0


class Meaning(ABC):
    """What scores meant on the holdout, and what follows for rows without labels; `meaning_of` makes one.

    Parameters
    ----------
    task
        The kind of problem; not a ranking.
    score, target
        Of the holdout: shape (rows,), or (rows, classes) of several classes; and (rows,), a class by its position.
    decision, costs
        As `Task.decision` returns it, and what it was made from.
    dependence
        Of how many rows of the holdout one counts.
    """

    def __init__(
        self,
        task: Task,
        score: np.ndarray,
        target: np.ndarray,
        decision: dict,
        costs: dict,
        dependence: float = 1.0,
    ):
        self._task, self._decision, self._costs, self._dependence = task, decision, costs, dependence
        self._fit(score, target)

    @abstractmethod
    def _fit(self, score: np.ndarray, target: np.ndarray) -> None:
        """Learn from the holdout."""

    @abstractmethod
    def losses(self, score: np.ndarray) -> np.ndarray:
        """Return the loss that each row is expected to have, shape (rows,)."""

    @abstractmethod
    def shares(self, score: np.ndarray) -> np.ndarray:
        """Return the probability of each class, shape (rows, classes)."""

    @abstractmethod
    def error(self, score: np.ndarray) -> float:
        """Return the standard deviation of rows' mean loss: by chance of the outcomes, and by what is not known of scores."""

    @abstractmethod
    def outcomes(self, score: np.ndarray, draws: int, chance: np.random.Generator) -> np.ndarray:
        """Draw outcomes, shape (draws, rows)."""

    @abstractmethod
    def told_apart(self, score: np.ndarray, target: np.ndarray) -> str:
        """Return in words whether outcomes differ from what scores meant alike at all scores, as where only shares of classes moved, or because the relation has changed; empty where neither can be told."""

    def mean_loss(self, score: np.ndarray) -> dict[str, float]:
        """Return what rows are expected to cost in the mean: ``estimate``, and ``low`` and ``high``, between which it is in 95 %, as a normal distribution has it."""
        mean, error = float(self.losses(score).mean()), self.error(score)
        return {"estimate": mean, "low": max(0.0, mean - 1.96 * error), "high": mean + 1.96 * error}

    def metrics(
        self, score: np.ndarray, draws: int = 100, level: float = 0.95, seed: int = 0
    ) -> dict[str, dict[str, float]]:
        """Estimate the task's metrics.

        Parameters
        ----------
        score
            Of rows without labels, shape (rows,) or (rows, classes).
        draws, level, seed
            How often outcomes are drawn, the share of draws between ``low`` and ``high``, and where chance begins.

        Returns
        -------
        dict
            By metric ``estimate``, ``low`` and ``high``; draws in which a metric has no value are left out, and a metric without any.
        """
        found: dict[str, list[float]] = {}
        for target in self.outcomes(score, draws, np.random.default_rng(seed)):
            if self._task.has_classes and (target == target[0]).all():
                continue
            rows = Rows(np.empty((len(target), 0)), target)
            for name, value in self._task.metrics(rows, score, self._decision, self._costs).items():
                found.setdefault(name, []).append(value)
        tail = (1 - level) / 2
        return {
            name: {
                "estimate": float(np.mean(values)),
                "low": float(np.quantile(values, tail)),
                "high": float(np.quantile(values, 1 - tail)),
            }
            for name, values in found.items()
        }


class TwoClasses(Meaning):
    """A probability of the second of two classes, by a curve."""

    def _fit(self, score: np.ndarray, target: np.ndarray) -> None:
        self._curve = Curve(score, target, self._dependence)

    def _by_class(self, score: np.ndarray) -> np.ndarray:
        parts = score, self._decision, self._costs
        return np.array([self._task.losses(np.full(len(score), code), *parts) for code in (0.0, 1.0)])

    def losses(self, score: np.ndarray) -> np.ndarray:
        """Return what each class would cost, by its probability."""
        chance, (first, second) = self._curve.chance(score), self._by_class(score)
        return first + (second - first) * chance

    def told_apart(self, score: np.ndarray, target: np.ndarray) -> str:
        """Return it by a logistic regression of what came on the log-odds that scores meant.

        Where only the shares of classes have moved, all log-odds have by the same (M. Saerens, P. Latinne, C. Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities", Neural Computation
        2002), and the slope stays 1.
        """
        odds, slope, error = self._curve.regressed(score, target)
        if abs(slope - 1) > SURE * error[1]:
            if slope < SURE * error[1]:
                return "the relation has changed: scores hardly tell outcomes apart any more, or the wrong way round"
            return f"the relation has changed: scores tell outcomes apart {slope:.2g} times as well"
        if abs(odds) > SURE * error[0]:
            return f"as where only the shares of classes moved: odds of the second {np.exp(odds):.2g} times what scores meant, at all of them"
        return ""

    def shares(self, score: np.ndarray) -> np.ndarray:
        """Return the probabilities of both."""
        chance = self._curve.chance(score)
        return np.column_stack([1 - chance, chance])

    def error(self, score: np.ndarray) -> float:
        """Return the standard deviation of the mean loss."""
        chance, (first, second) = self._curve.chance(score), self._by_class(score)
        worth = second - first
        by_chance = float((worth**2 * chance * (1 - chance)).sum()) / len(score) ** 2
        return float(np.sqrt(by_chance + self._curve.variance_of_mean(score, worth)))

    def outcomes(self, score: np.ndarray, draws: int, chance: np.random.Generator) -> np.ndarray:
        """Draw a curve, and then what falls from it."""
        found = self._curve.drawn(score, draws, chance)
        return (chance.random(found.shape) < found).astype(np.float64)


class Blocks(Meaning):
    """Amounts, or several classes: rows with similar scores lie in a block, and each block shows how its outcomes fell."""

    def _fit(self, score: np.ndarray, target: np.ndarray) -> None:
        self._edges = self._edges_of(score)
        block = self.block(score)
        self._many = int(block.max()) + 1
        self._rows = np.maximum(np.bincount(block, minlength=self._many), 1)
        if self._task.has_classes:
            cells = block * score.shape[1] + target.astype(int)
            self._counts = np.bincount(cells, minlength=self._many * score.shape[1]).reshape(
                -1, score.shape[1]
            )
        else:
            self._bias = np.bincount(block, weights=target - score, minlength=self._many) / self._rows
            order = np.argsort(block, kind="stable")
            self._residuals, self._least = (target - score)[order], target.min()
            self._starts = np.searchsorted(block[order], np.arange(self._many + 1))
        losses = self._task.losses(target, score, self._decision, self._costs)
        self._losses = np.bincount(block, weights=losses, minlength=self._many) / self._rows
        squares = np.bincount(block, weights=(losses - self._losses[block]) ** 2, minlength=self._many)
        # Half a row of all blocks: one in which nothing went wrong yet is not one in which nothing can.
        self._variance = (squares + losses.var() / 2) / (self._rows + 0.5)

    def _edges_of(self, score: np.ndarray) -> dict[int, np.ndarray]:
        labels, chosen = self._chosen(score)
        edges = {}
        for label in np.unique(labels):
            mine = chosen[labels == label]
            parts = min(BLOCKS, max(1, len(mine) // LEAST))
            edges[int(label)] = np.unique(np.quantile(mine, np.arange(1, parts) / parts))
        return edges

    def _chosen(self, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the label that is decided for each row, and its score."""
        if score.ndim == 1:
            return np.zeros(len(score), dtype=int), score
        label = decided(score, self._decision).astype(int)
        return label, score[np.arange(len(score)), label]

    def block(self, score: np.ndarray) -> np.ndarray:
        """Return the block of each row."""
        labels, chosen = self._chosen(score)
        found, first = np.zeros(len(chosen), dtype=int), 0
        for label, edges in self._edges.items():
            mine = labels == label
            found[mine] = first + np.searchsorted(edges, chosen[mine], side="left")
            first += len(edges) + 1
        return found

    def losses(self, score: np.ndarray) -> np.ndarray:
        """Return the mean loss of each row's block."""
        return self._losses[self.block(score)]

    def told_apart(self, score: np.ndarray, target: np.ndarray) -> str:
        """Return it by a regression of what was left over on the score; of several classes nothing."""
        if self._task.has_classes or len(score) < 3 or not score.std() > 0:
            return ""
        terms, block = np.column_stack([np.ones_like(score), _standard(score)]), self.block(score)
        left = target - score - self._bias[block]
        weights = np.linalg.lstsq(terms, left, rcond=None)[0]
        shares = np.bincount(block, minlength=self._many) / len(score)
        # By chance of these rows, and of those of the blocks.
        variance = ((left - terms @ weights) ** 2).mean() * (1 / len(score) + shares**2 @ (1 / self._rows))
        error = float(np.sqrt(variance * self._dependence))
        if abs(weights[1]) > SURE * error:
            return f"the relation has changed: amounts are {weights[1]:+.3g} more for each deviation of the score"
        return f"amounts are {weights[0]:+.3g} at all scores alike" if abs(weights[0]) > SURE * error else ""

    def shares(self, score: np.ndarray) -> np.ndarray:
        """Return the shares of classes in each row's block."""
        counts = self._counts[self.block(score)]
        return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    def error(self, score: np.ndarray) -> float:
        """Return the standard deviation of the mean loss, by the variance in blocks and of their means."""
        rows = np.bincount(self.block(score), minlength=self._many)
        of_means = rows**2 @ (self._variance / self._rows) * self._dependence
        return float(np.sqrt(rows @ self._variance + of_means) / len(score))

    def outcomes(self, score: np.ndarray, draws: int, chance: np.random.Generator) -> np.ndarray:
        """Draw what each block may have been, and then what falls from it."""
        block = self.block(score)
        return np.array([self._drawn(block, score, chance) for _ in range(draws)])

    def _drawn(self, block: np.ndarray, score: np.ndarray, chance: np.random.Generator) -> np.ndarray:
        if self._task.has_classes:
            # Jeffreys' prior: a block that never saw a class may yet have it.
            drawn = chance.standard_gamma(self._counts + 0.5)
            below = np.cumsum(drawn, axis=1) / drawn.sum(axis=1, keepdims=True)
            return (chance.random((len(block), 1)) > below[block, :-1]).sum(axis=1).astype(np.float64)
        rows = np.diff(self._starts)
        # A bootstrap of each block, of which rows take one each.
        place_in = (chance.random(len(self._residuals)) * rows.repeat(rows)).astype(int)
        resampled = self._starts[:-1].repeat(rows) + place_in
        place = self._starts[block] + (chance.random(len(block)) * rows[block]).astype(int)
        return np.maximum(score + self._residuals[resampled[place]], self._least)


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def meaning_of(task: Task, score: np.ndarray, *facts: Any) -> Meaning:
    """Return what scores meant, by the kind of the scores; takes what `Meaning` does."""
    two = task.has_classes and score.ndim == 1
    return (TwoClasses if two else Blocks)(task, score, *facts)
