"""How well a column, or several, tell the target, out of fold and with a standard error."""

import math
from functools import lru_cache

import numpy as np
import pandas as pd

from hardcover.inspection.cells import MISSING_AMONG_NUMBERS, PLAIN, is_missing, missing_in, to_numbers
from hardcover.inspection.columns import Column
from hardcover.inspection.questions import Question
from hardcover.inspection.table import Table

MAX_ROWS, MAX_USED, FOLDS, BINS = 20_000, 200, 5, 32


class Numbers:
    """Rows of a table as numbers: a category is its place among its sorted values; of large tables a fixed sample.

    Attributes
    ----------
    frame
        Cells as text, of the rows that have a target.
    whole
        The same of all rows, and ``missing_target`` where the target is missing.
    y
        The target: 1 for the positive class, the place of a class, or a number.
    fold
        The part of each row, by chance.
    """

    def __init__(self, table: Table, described: list[Column], target: str, question: Question):
        self.table, self.target, self.task = table, target, question.task
        self.columns = {column.name: column for column in described}
        places = ", ".join(f"trim(c{place}) as c{place}" for place in range(len(table.columns)))
        sample = f"where hash(line) % {math.ceil(table.rows / MAX_ROWS)} = 0" if table.rows > MAX_ROWS else ""
        frame = table.connection.execute(f"select {places} from cells {sample} order by line").df()
        frame.columns = table.columns
        goal = self.columns[target]
        self.missing_target = is_missing(frame[target], MISSING_AMONG_NUMBERS)
        self.frame = frame[~self.missing_target].reset_index(drop=True)
        self.whole = frame
        if self.task == "binary":
            self.y = (self.frame[target] == question.positive).to_numpy(float)
        elif self.task == "multiclass":
            self.y = pd.factorize(self.frame[target], sort=True)[0].astype(float)
        else:
            self.y = to_numbers(self.frame[target], goal.reading)
            keep = np.isfinite(self.y)
            self.frame, self.y = self.frame[keep].reset_index(drop=True), self.y[keep]
        self.fold = np.random.default_rng(0).permutation(len(self.y)) % FOLDS
        self._alone: dict[str, tuple[float, float]] = {}
        # Each column is asked for alone and beside all that a model could use; of very wide tables not all fit into memory.
        self._numbers = lru_cache(2 * MAX_USED)(self._as_numbers)

    def numbers(self, column: Column) -> np.ndarray:
        """Return a column as numbers, NaN where it is missing."""
        return self._numbers(column.name)

    def _as_numbers(self, name: str) -> np.ndarray:
        column, cells = self.columns[name], self.frame[name]
        if column.reading in PLAIN:
            return to_numbers(cells, column.reading)
        codes = pd.factorize(cells.where(~is_missing(cells)), sort=True)[0].astype(float)
        return np.where(codes < 0, np.nan, codes)

    def gone(self, column: Column) -> np.ndarray:
        """Return where a column has no value."""
        return is_missing(self.frame[column.name], missing_in(column.reading))

    def usable(self) -> list[Column]:
        """Return the columns that a model could use."""
        unusable = {"id", "constant", "not usable", "text", "list"}
        return [c for c in self.columns.values() if c.name != self.target and c.role not in unusable][
            :MAX_USED
        ]

    def alone(self, column: Column) -> tuple[float, float]:
        """Return what a column predicts by itself, out of fold, and its standard error.

        Of classes the Gini coefficient, 2 AUC - 1, of the class that it tells least; of numbers the rank correlation squared.
        """
        if column.name not in self._alone:
            self._alone[column.name] = self._measure_alone(column)
        return self._alone[column.name]

    def _measure_alone(self, column: Column) -> tuple[float, float]:
        groups = self._groups(column)
        if self.task in {"binary", "multiclass"}:
            labels = [1.0] if self.task == "binary" else np.unique(self.y)
            pairs = [gini(self.y == label, _encoded(groups, self.y == label, self.fold)) for label in labels]
            skill, errors = (np.array(part) for part in zip(*pairs, strict=True))
            worst = int(skill.argmin())
            return float(skill[worst]), float(errors[worst])
        answer = _encoded(groups, self.y, self.fold)
        ranks = pd.Series(answer).corr(pd.Series(self.y), method="spearman")
        if column.reading != "text":
            # Where it rises or falls all the way, few rows in a bin need not blur it.
            straight = pd.Series(self.numbers(column)).corr(pd.Series(self.y), method="spearman")
            ranks = max(ranks, abs(straight)) if np.isfinite(straight) else ranks
        return _explained(0.0 if not np.isfinite(ranks) else ranks, len(self.y))

    def _groups(self, column: Column) -> np.ndarray:
        numbers = self.numbers(column)
        if column.reading == "text" or column.distinct <= BINS:
            return np.nan_to_num(numbers, nan=-1).astype(int)
        finite = numbers[np.isfinite(numbers)]
        count = BINS if self.task in {"binary", "multiclass"} else 256
        edges = (
            np.unique(np.quantile(finite, np.linspace(0, 1, count + 1)[1:-1]))
            if len(finite)
            else np.array([])
        )
        return np.where(np.isfinite(numbers), np.searchsorted(edges, numbers, side="right"), -1)

    def answers_of(
        self, used: list[Column], hits: np.ndarray | None = None, fold: np.ndarray | None = None
    ) -> np.ndarray:
        """Return a small forest's answers out of fold, to the target or to whether a row is among ``hits``."""
        import lightgbm

        fold, y = self.fold if fold is None else fold, self.y if hits is None else hits
        objective = "regression" if hits is None and self.task != "binary" else "binary"
        matrix = np.column_stack([self.numbers(column) for column in used])
        options = {
            "objective": objective, "num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 10, "verbose": -1,
            "num_threads": 1, "deterministic": True, "force_col_wise": True, "seed": 0,
        }  # fmt: skip
        answer = np.zeros(len(y))
        for part in np.unique(fold):
            inside = fold != part
            booster = lightgbm.train(options, lightgbm.Dataset(matrix[inside], y[inside]), 60)
            answer[~inside] = booster.predict(matrix[~inside], num_threads=1)
        return answer

    def skill_of(self, answer: np.ndarray) -> tuple[float, float]:
        """Return the skill of answers, as `alone` does, and its standard error."""
        if self.task == "binary":
            return gini(self.y == 1, answer)
        return _explained(pd.Series(answer).corr(pd.Series(self.y), method="spearman"), len(self.y))


def _explained(ranks: float, rows: int) -> tuple[float, float]:
    """Return a rank correlation squared, zero where it is negative, and its standard error."""
    ranks = max(float(ranks), 0.0)
    return ranks**2, 2 * ranks * (1 - ranks**2) / math.sqrt(max(rows - 3, 1)) + 1e-4


def _encoded(groups: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return each row's mean of ``y`` over the rows of its group in the other folds, drawn towards the mean of all."""
    _, place = np.unique(groups, return_inverse=True)
    y, answer = y.astype(float), np.zeros(len(y))
    for part in range(FOLDS):
        inside = fold != part
        total = np.bincount(place[inside], y[inside], place.max() + 1)
        count = np.bincount(place[inside], minlength=place.max() + 1)
        answer[~inside] = ((total + 5 * y[inside].mean()) / (count + 5))[place[~inside]]
    return answer


def gini(hits: np.ndarray, answer: np.ndarray) -> tuple[float, float]:
    """Return 2 AUC - 1 and its standard error after Hanley and McNeil."""
    positives, negatives = int(hits.sum()), int((~hits).sum())
    if not positives or not negatives:
        return 0.0, 1.0
    ranks = pd.Series(answer).rank().to_numpy()
    area = (ranks[hits].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (positives - 1) * (q1 - area**2) + (negatives - 1) * (q2 - area**2)) / (
        positives * negatives
    )
    # A perfect score is no surer than one with a single miss.
    floor = 1 / (2 * min(positives, negatives))
    return 2 * area - 1, 2 * max(math.sqrt(max(variance, 0)), floor if max(area, 1 - area) > 0.999 else 0)
