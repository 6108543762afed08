"""Reasons against a single column: that it knows the target."""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from hardcover.errors import some
from hardcover.inspection import column_types
from hardcover.inspection.cells import PLAIN, is_missing
from hardcover.inspection.columns import Column
from hardcover.inspection.skill import Numbers, gini

MIN_SEVERITY = 5.0
# Words of names that are too common to say that one speaks of the target.
_COMMON = {
    "id", "no", "is", "has", "the", "of", "type", "class", "name", "date", "time", "num", "number",
    "value", "total", "price", "avg", "mean", "level", "per", "status", "code", "rate", "target",
    "label", "count",
}  # fmt: skip
_OF_A_MODEL = {"pred", "predicted", "prediction", "yhat", "proba", "probability", "forecast", "fitted"}


class Leak(NamedTuple):
    """A reason not to trust a column, or a split.

    Attributes
    ----------
    column
        Its name; of rows, a name of what they have in common.
    kind
        ``copy``, ``predicts alone``, ``pure value``, ``missing until the event``, ``name``, ``labels of the target``, ``known
        with the target``, ``sibling``, ``entity``, ``time``, ``duplicates``.
    severity
        Standard errors from what a column without knowledge of the target would show; infinite for an exact copy.
    evidence
        One sentence with the figures.
    """

    column: str
    kind: str
    severity: float
    evidence: str


class Reasons(Numbers):
    """The reasons against each column of a table."""

    def leak_of(self, column: Column) -> Leak | None:
        """Return the reason against a column by itself that explains most."""
        reasons = [self._copy, self._labels, self._known_with, self._pure, self._by_name, self._alone_perfect]
        return next(filter(None, (reason(column) for reason in reasons)), None)

    def _copy(self, column: Column) -> Leak | None:
        if column.distinct < 2 or column.role == "id" or len(self.y) < 20:
            return None
        if self.task in {"binary", "multiclass"}:
            return self._same_classes(column)
        numbers = self.numbers(column)
        seen = np.isfinite(numbers)
        if column.reading == "text" or seen.sum() < 20 or column.distinct < 10:
            return None
        ranks = pd.Series(numbers[seen]).corr(pd.Series(self.y[seen]), method="spearman")
        if abs(ranks) > 1 - 1e-4:
            return Leak(
                column.name,
                "copy",
                math.inf,
                f"{column.name} rises and falls with {self.target} in every row (rank correlation {ranks:.5f})",
            )
        return None

    def _same_classes(self, column: Column) -> Leak | None:
        """Compare classes where the column has a value, each of its values taken for the class that it mostly comes with."""
        if column.distinct != self.columns[self.target].distinct:
            return None
        gone = self.gone(column)
        table = pd.crosstab(self.frame[column.name][~gone], self.y[~gone]).to_numpy()
        count = table.sum()
        if count < 20 or min(table.shape) < 2 or len(set(table.argmax(1))) < len(table):
            return None
        same, chance = (
            table.max(1).sum() / count,
            float((table.sum(1) @ table.sum(0)[table.argmax(1)]) / count**2),
        )
        agreement = (same - chance) / (1 - chance)
        if agreement == 1:
            seen = "" if not gone.any() else f" in the {count:,} rows where it is there"
            return Leak(
                column.name,
                "copy",
                math.inf,
                f"each value of {column.name} goes with one value of {self.target}{seen}",
            )
        error = math.sqrt(same * (1 - same) / count) / (1 - chance)
        # Cohen's kappa: what two people reach who label the same thing.
        if column.distinct == 2 and agreement > 0.9 and (agreement - 0.5) / error > MIN_SEVERITY:
            return Leak(
                column.name,
                "copy",
                agreement / error,
                f"agrees with {self.target} in {100 * same:.1f} % of rows (kappa {agreement:.2f} ± {error:.2f})",
            )
        return None

    def _by_name(self, column: Column) -> Leak | None:
        own, goal = set(column_types.words_of(column.name)), set(column_types.words_of(self.target))
        shared = {word for word in own & goal if len(word) > 2 and not word.isdigit()} - _COMMON
        folded, folded_goal = (
            "".join(sorted_words)
            for sorted_words in (column_types.words_of(column.name), column_types.words_of(self.target))
        )
        if not shared and len(folded_goal) > 3 and folded_goal in folded and folded_goal not in _COMMON:
            shared = {folded_goal}
        skill, error = self.alone(column)
        severity = skill / error if error else 0.0
        if severity < MIN_SEVERITY:
            return None
        if own & _OF_A_MODEL and skill > 0.3:
            return Leak(
                column.name,
                "name",
                severity,
                f"named like a model's answer, and its skill alone is {skill:.2f} ± {error:.2f}",
            )
        if shared and skill > 0.3:
            return Leak(
                column.name,
                "name",
                severity,
                f"shares {some(sorted(shared))!r} with {self.target}, and its skill alone is {skill:.2f} ± {error:.2f}",
            )
        return None

    def _labels(self, column: Column) -> Leak | None:
        goal = self.columns[self.target]
        if (
            self.task != "multiclass"
            or column.distinct != goal.distinct
            or goal.distinct < 3
            or goal.reading != "text"
        ):
            return None
        if {value for value, _ in column.facts["values"]} != {value for value, _ in goal.facts["values"]}:
            return None
        same = float((self.frame[column.name] == self.frame[self.target]).mean())
        chance = float(self.frame[self.target].value_counts(normalize=True).pow(2).sum())
        severity = _away(same, chance, len(self.y))
        if severity < MIN_SEVERITY:
            return None
        return Leak(
            column.name,
            "labels of the target",
            severity,
            f"has the labels of {self.target} and agrees with it in {100 * same:.1f} % of rows",
        )

    def _known_with(self, column: Column) -> Leak | None:
        """A column that is there exactly where the target is becomes known with it."""
        gone = is_missing(self.whole[column.name])
        both, either = (gone & self.missing_target).sum(), (gone | self.missing_target).sum()
        count = self.missing_target.sum()
        if count < 20 or gone.mean() > 0.5 or both < 0.8 * either:
            return None
        severity = _away(both / count, gone.mean(), count)
        if severity < MIN_SEVERITY:
            return None
        return Leak(
            column.name,
            "known with the target",
            severity,
            f"missing in {both:,} of the {count:,} rows where {self.target} is, and in {gone.sum() - both:,} others",
        )

    def _pure(self, column: Column) -> Leak | None:
        """A value, zero or nothing at all that comes with one class only, more often than chance lets it."""
        if column.role in {"id", "text", "entity"}:
            return None
        cells, gone = self.frame[column.name], self.gone(column)
        masks = {"missing": gone, "present": ~gone} if 0 < gone.mean() < 1 else {}
        numeric = column.reading in PLAIN and column.distinct > 20
        if numeric:
            numbers = self.numbers(column)
            masks |= {"zero": numbers == 0, "not zero": (numbers != 0) & ~gone}
        if self.task not in {"binary", "multiclass"}:
            return self._apart(column, masks)
        if not numeric:
            masks |= {
                repr(value): (cells == value).to_numpy()
                for value, _ in column.facts["values"]
                if column.distinct <= 30
            }
        worst = None
        for value, mask in masks.items():
            count = int(mask.sum())
            if count < 20 or count > len(self.y) - 20:
                continue
            classes, counts = np.unique(self.y[mask], return_counts=True)
            best = int(counts.argmax())
            base = float((self.y == classes[best]).mean())
            share = counts[best] / count
            indicator = value in {"missing", "present", "zero", "not zero"}
            # Two exceptions in a hundred are slips of the pen; a value of a common class is pure by chance.
            if share < 0.98 or base > (0.9 if indicator else 0.3):
                continue
            covered = counts[best] / max((self.y == classes[best]).sum(), 1)
            severity = _away(share, base, count)
            if (
                severity < MIN_SEVERITY
                or covered < 0.05
                or not self._stands_out(column, mask, classes[best], share)
            ):
                continue
            kind = "missing until the event" if indicator else "pure value"
            leak = Leak(
                column.name,
                kind,
                severity,
                f"where it is {value}, {100 * share:.1f} % of {count:,} rows are {self._label(classes[best])!r} (of all: {100 * base:.3g} %)",
            )
            worst = max(worst or leak, leak, key=lambda each: each.severity)
        return worst

    def _apart(self, column: Column, masks: dict[str, np.ndarray]) -> Leak | None:
        """A value that is there, or zero, exactly where the target is above or below all other rows."""
        for value, mask in masks.items():
            if min(mask.sum(), (~mask).sum()) < 20:
                continue
            skill, error = gini(mask, self.y)
            if abs(skill) > 0.9 and 1 - abs(skill) <= 3 * error:
                side = "above" if skill > 0 else "below"
                return Leak(
                    column.name,
                    "missing until the event",
                    abs(skill) / error,
                    f"where it is {value}, {self.target} is {side} that of the other rows (skill {abs(skill):.3f} ± {error:.3f})",
                )
        return None

    def _stands_out(self, column: Column, mask: np.ndarray, label: float, share: float) -> bool:
        """Tell whether the other columns do not already know the class of these rows."""
        # A column that knows nearly all may be another leak.
        others = [other for other in self.usable() if other is not column and self.alone(other)[0] < 0.9]
        if not others:
            return True
        hits = (self.y == label).astype(float)
        answer = self.answers_of(others, hits)[mask]
        error = math.sqrt(max(share * (1 - share), 0.01) / mask.sum())
        return bool(share - answer.mean() > MIN_SEVERITY * error)

    def _alone_perfect(self, column: Column) -> Leak | None:
        if column.role in {"id"} or len(self.y) < 100:
            return None
        skill, error = self.alone(column)
        # Within three standard errors of knowing it all.
        if skill < 0.9 or 1 - skill > 3 * error:
            return None
        return Leak(
            column.name,
            "predicts alone",
            skill / max(error, 1e-9),
            f"its skill alone is {skill:.3f} ± {error:.3f}, of 1 for knowing all",
        )

    def _label(self, value: float) -> str:
        where = np.flatnonzero(self.y == value)
        return str(self.frame[self.target].iloc[where[0]]) if len(where) else str(value)


def _away(share: float, chance: float, count: int) -> float:
    """Return how many standard errors of a binomial a share of so many rows lies above what chance gives."""
    return (share - chance) / math.sqrt(chance * (1 - chance) / count)
