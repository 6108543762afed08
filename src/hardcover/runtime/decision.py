"""From scores to a label: what a release decides, if it decides anything.

A decision is plain data, in the release's manifest:

``{"kind": "threshold", "threshold": 0.04}``
    One score. The label is whether it reaches the threshold.
``{"kind": "classes", "classes": ["low", "high"], "costs": null}``
    A score for each class. The label is the class with the highest one, the first of equals. With ``costs``, a row for each true
    class and a column for each label, it is the class with the lowest expected cost.
``{"kind": "none"}``
    The score is the answer.
"""

from collections.abc import Sequence

from .arrays import DamagedRelease


class Decision:
    """Decide by scores.

    Attributes
    ----------
    threshold
        Of a decision by threshold; None otherwise.
    classes
        The labels of a decision among classes, in the order of the scores; empty otherwise.

    Raises
    ------
    DamagedRelease
        When ``facts`` are no decision, or one for another number of scores than ``outputs``.
    """

    def __init__(self, facts: dict, outputs: int):
        self.threshold: float | None = None
        self.classes: list[str] = []
        self._costs: list[list[float]] | None = None
        try:
            kind = facts["kind"]
            if kind == "threshold":
                self.threshold = float(facts["threshold"])
            elif kind == "classes":
                self.classes, self._costs = list(facts["classes"]), facts.get("costs")
            elif kind != "none":
                raise ValueError(f"unknown kind {kind!r}")
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedRelease(f"the release's decision is damaged: {error}") from error
        if outputs != (len(self.classes) or 1):
            raise DamagedRelease(
                f"the release decides among {len(self.classes) or 1} scores, its model gives {outputs}"
            )

    def position(self, scores: Sequence[float]) -> int:
        """Return which of the classes to choose."""
        costs = self._costs
        values = scores if costs is None else [-cost for cost in self._expected(scores, costs)]
        best = 0
        for number, value in enumerate(values):
            if value > values[best]:
                best = number
        return best

    def _expected(self, scores: Sequence[float], matrix: list[list[float]]) -> list[float]:
        # Added up one by one, which gives the same bits for a record and for arrays.
        totals = [0.0] * len(self.classes)
        for score, costs in zip(scores, matrix, strict=True):
            totals = [total + score * cost for total, cost in zip(totals, costs, strict=True)]
        return totals

    def codes(self, scores: Sequence[Sequence[float]]) -> list[float]:
        """Return the labels of many rows as numbers: 0 or 1 by threshold, a class's position; empty where nothing is decided."""
        if self.threshold is not None:
            return [float(row[0] >= self.threshold) for row in scores]
        return [float(self.position(row)) for row in scores] if self.classes else []
