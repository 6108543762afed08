"""Performance without labels: what the task's metrics would be, if scores still mean what they meant on the holdout.

Rows with similar scores lie in a block. On the holdout each block shows how its outcomes fell, and how sure that is; for rows without labels, outcomes are drawn from their blocks, and
measured by the task's own metrics. The mean of many draws is the estimate; their spread, which holds both chance of the outcomes and the uncertainty of the
blocks, is its interval. The idea of expected metrics of calibrated scores is that of CBPE (NannyML's documentation, "Confidence-based performance
estimation"); no estimate without labels sees that the same inputs now have other outcomes.
"""

import numpy as np
from sklearn.isotonic import IsotonicRegression

from hardcover.tasks import Rows, Task
from hardcover.tasks.base import decided

# Blocks of amounts, and of the scores of each label; rows of a block at least.
BLOCKS, LEAST = 20, 50


class Calibration:
    """What scores meant, block by block.

    Parameters
    ----------
    task
        The kind of problem; not a ranking.
    score, target
        Of the holdout: shape (rows,), or (rows, classes) of several classes; and (rows,), a class by its position.
    decision, costs
        As `Task.decision` returns it, and what it was made from.
    """

    def __init__(self, task: Task, score: np.ndarray, target: np.ndarray, decision: dict, costs: dict):
        self.task, self.decision, self.costs = task, decision, costs
        self._edges = self._edges_of(score, target)
        block = self.block(score)
        self._many = int(block.max()) + 1
        if task.has_classes:
            classes = score.shape[1] if score.ndim > 1 else 2
            cells = block * classes + target.astype(int)
            self._counts = np.bincount(cells, minlength=self._many * classes).reshape(-1, classes)
        else:
            order = np.argsort(block, kind="stable")
            self._residuals, self._least = (target - score)[order], target.min()
            self._starts = np.searchsorted(block[order], np.arange(self._many + 1))
        losses = task.losses(target, score, decision, costs)
        self._rows = np.maximum(np.bincount(block, minlength=self._many), 1)
        self._losses = np.bincount(block, weights=losses, minlength=self._many) / self._rows
        squares = np.bincount(block, weights=(losses - self._losses[block]) ** 2, minlength=self._many)
        # Half a row of all blocks: one in which nothing went wrong yet is not one in which nothing can.
        self._variance = (squares + losses.var() / 2) / (self._rows + 0.5)

    def _edges_of(self, score: np.ndarray, target: np.ndarray) -> dict[int, np.ndarray]:
        if self.task.has_classes and score.ndim == 1:
            # Where a line that only rises fits best, its steps are the blocks; a decision's threshold is a step too.
            fitted = IsotonicRegression().fit(score, target)
            steps = np.flatnonzero(np.diff(fitted.y_thresholds_)) + 1
            below = np.nextafter(self.decision["threshold"], -np.inf)
            return {0: np.unique([*np.nextafter(fitted.X_thresholds_[steps], -np.inf), below])}
        labels, chosen = self._chosen(score)
        edges = {}
        for label in np.unique(labels):
            mine = chosen[labels == label]
            shares = np.arange(1, min(BLOCKS, max(1, len(mine) // LEAST))) / min(
                BLOCKS, max(1, len(mine) // LEAST)
            )
            edges[int(label)] = np.unique(np.quantile(mine, shares))
        return edges

    def _chosen(self, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the label that is decided for each row, and its score."""
        if score.ndim == 1:
            return np.zeros(len(score), dtype=int), score
        label = decided(score, self.decision).astype(int)
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
        """Return the loss that rows are expected to have, shape (rows,): the mean one of their blocks on the holdout."""
        return self._losses[self.block(score)]

    def shares(self, score: np.ndarray) -> np.ndarray:
        """Return the share of each class that rows are expected to have, shape (rows, classes): those of their blocks on the holdout."""
        counts = self._counts[self.block(score)]
        return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    def mean_loss(self, score: np.ndarray) -> dict[str, float]:
        """Return what rows are expected to cost in the mean: ``estimate``, and ``low`` and ``high``, between which it is in 95 %.

        The limits are those of a normal distribution with the variance of the rows' losses and of the blocks' means.
        """
        rows = np.bincount(self.block(score), minlength=self._many)
        mean = float(rows @ self._losses / len(score))
        error = float(np.sqrt(rows @ self._variance + rows**2 @ (self._variance / self._rows)) / len(score))
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
        chance, block = np.random.default_rng(seed), self.block(score)
        found: dict[str, list[float]] = {}
        for _ in range(draws):
            target = self._outcomes(block, score, chance)
            if self.task.has_classes and (target == target[0]).all():
                continue
            rows = Rows(np.empty((len(target), 0)), target)
            for name, value in self.task.metrics(rows, score, self.decision, self.costs).items():
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

    def _outcomes(self, block: np.ndarray, score: np.ndarray, chance: np.random.Generator) -> np.ndarray:
        """Draw an outcome of each row: first what its block may have been, then what falls from it."""
        if self.task.has_classes:
            # Jeffreys' prior: a block that never saw a class may yet have it.
            drawn = chance.standard_gamma(self._counts + 0.5)
            below = np.cumsum(drawn, axis=1) / drawn.sum(axis=1, keepdims=True)
            return (chance.random((len(block), 1)) > below[block, :-1]).sum(axis=1).astype(np.float64)
        rows = np.diff(self._starts)
        # A bootstrap of each block, of which rows take one each.
        resampled = self._starts[:-1].repeat(rows) + (
            chance.random(len(self._residuals)) * rows.repeat(rows)
        ).astype(int)
        place = self._starts[block] + (chance.random(len(block)) * rows[block]).astype(int)
        return np.maximum(score + self._residuals[resampled[place]], self._least)
