"""How sure an answer is, and how unlike all that was learned from an input is: tables made at release, read here.

``calibration.json`` holds them. ``confidence`` is by kind of answer:

``{"kind": "probability", "edges": [0.2], "low": [0.0, 0.5], "high": [0.1, 0.9], "no": 0.4, "yes": 0.1}``
    Of two classes. The score is in a part between two edges, at or above the lower one; ``low`` and ``high`` of the part hold the
    probability of the second class. ``False`` may come where the score is at most ``no``, ``True`` where it is at least ``yes``; null: anywhere.
``{"kind": "classes", "least": [0.1, 0.05, null]}``
    A class may come where its score is at least that.
``{"kind": "interval", "edges": [10.0], "low": [-1.5, -4.0], "high": [2.0, null], "least": 0.0}``
    Of an amount. What is added to the score, by part; null: no bound. Nothing is below ``least``.
``{"kind": "none", "why": "a ranking has no outcome"}``
    Nothing is known.

``anomaly`` has ``scores``, ascending, of the model that knows how unlike an input is, and ``p_values``, one more: that of what lies below all of them first.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

from .arrays import DamagedRelease

_made = tuple.__new__
# Which of two labels may come, by whether the first may and the second.
_TWO = (((), (True,)), ((False,), (False, True)))


class NotCalibrated(ValueError):
    """A release that cannot say how sure it is; the message says why."""


class Confidence(NamedTuple):
    """How sure an answer is.

    Attributes
    ----------
    level
        What came is among ``labels``, or between ``low`` and ``high`` of an amount, for at least this share of rows like those of the holdout.
    low, high
        Of two classes the bounds of the probability of the second (Venn-Abers); of an amount those of what comes, in the target's unit, None
        where there is no bound. None of several classes.
    labels
        The labels that may come: none of them where the score is like that of no label. None of an amount.
    """

    level: float
    low: float | None = None
    high: float | None = None
    labels: "tuple[bool, ...] | tuple[str, ...] | None" = None

    @property
    def bounds(self) -> tuple[float, float]:
        """``low`` and ``high``, infinite where there is no bound."""
        return -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high


class Calibration:
    """The tables of a release; the attribute ``confidence`` has those of how sure answers are as they came.

    Parameters
    ----------
    facts
        What ``calibration.json`` holds.
    classes
        Of a decision among several; else empty.

    Raises
    ------
    DamagedRelease
        When they are not as described above.
    """

    def __init__(self, facts: dict, classes: Sequence[str]):
        try:
            self.level, found = float(facts["level"]), facts["confidence"]
            self.confidence, self.kind, self._why = found, found["kind"], found.get("why", "")
            self._scores, self._p_values = facts["anomaly"]["scores"], facts["anomaly"]["p_values"]
            sizes = [(self._scores, self._p_values)]
            if self.kind in ("probability", "interval"):
                self._edges = found["edges"]
                self._low, self._high = _or(found["low"], -math.inf), _or(found["high"], math.inf)
                sizes += [(self._edges, self._low), (self._edges, self._high)]
            if self.kind == "probability":
                self._no, self._yes = *_or([found["no"]], math.inf), *_or([found["yes"]], -math.inf)
            elif self.kind == "interval":
                (self._least,) = _or([found["least"]], -math.inf)
            elif self.kind == "classes":
                self._leasts = _or(found["least"], -math.inf)
                sizes += [(classes[1:], self._leasts)]
            elif self.kind != "none":
                raise ValueError(f"unknown kind {self.kind!r}")
            if any(len(values) != len(edges) + 1 for edges, values in sizes):
                raise ValueError("a table is too short, or too long")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedRelease(f"the release's calibration is damaged: {error}") from error
        self._facts, self._classes = facts, classes
        self.labels: list = list(classes) or ([False, True] if self.kind == "probability" else [])

    def adapted(self, confidence: dict) -> "Calibration":
        """Return these tables with others of how sure answers are."""
        return Calibration({**self._facts, "confidence": confidence}, self._classes)

    def of(self, scores: Sequence[float]) -> Confidence:
        """Return how sure the answer with these scores is.

        Raises
        ------
        NotCalibrated
            When nothing is known of this kind of answer.
        """
        self._demand()
        if self.kind == "classes":
            named = zip(self.labels, scores, self._leasts, strict=True)
            return Confidence(
                self.level, labels=tuple(name for name, score, least in named if score >= least)
            )
        score = scores[0]
        part = bisect_right(self._edges, score)
        low, high = self._low[part], self._high[part]
        if self.kind == "probability":
            # As Confidence(...) does, in half of its time.
            return _made(Confidence, (self.level, low, high, _TWO[score <= self._no][score >= self._yes]))
        least, low, high = self._least, score + low, score + high
        # Compared so that what is no number bounds nothing; as arrays do it, also where a zero is negative.
        low = low if low > least else least
        high = high if high >= least else least if high < least else math.inf
        return Confidence(self.level, None if low == -math.inf else low, None if high == math.inf else high)

    def of_many(self, scores: Any) -> dict[str, Any]:
        """Return how sure the answers with these scores are, to the bits of ``of``.

        Parameters
        ----------
        scores
            Shape (rows,), or (rows, classes), float64.

        Returns
        -------
        dict
            ``low`` and ``high``, shape (rows,), float64, infinite where there is no bound; and ``labels``, shape (rows, labels), whether each of
            the attribute ``labels`` may come. Each where ``of`` has it.

        Raises
        ------
        NotCalibrated
            When nothing is known of this kind of answer.
        """
        import numpy as np

        self._demand()
        if self.kind == "classes":
            return {"labels": scores >= np.array(self._leasts)}
        part = np.searchsorted(np.array(self._edges, dtype=np.float64), scores, side="right")
        low, high = np.array(self._low)[part], np.array(self._high)[part]
        if self.kind == "probability":
            return {
                "low": low,
                "high": high,
                "labels": np.column_stack([scores <= self._no, scores >= self._yes]),
            }
        least = self._least
        with np.errstate(invalid="ignore"):
            low, high = scores + low, scores + high
        high = np.where(high >= least, high, np.where(high < least, least, math.inf))
        return {"low": np.where(low > least, low, least), "high": high}

    def p_value(self, raw: float) -> float:
        """Return the share of rows like those of the holdout that are as unlike what was learned from as one with this raw score, or more so."""
        return self._p_values[bisect_right(self._scores, raw)]

    def p_values(self, raw: Any) -> Any:
        """Return ``p_value`` of many raw scores, shape (rows,)."""
        import numpy as np

        return np.array(self._p_values)[
            np.searchsorted(np.array(self._scores, dtype=np.float64), raw, side="right")
        ]

    def _demand(self) -> None:
        if self.kind == "none":
            raise NotCalibrated(self._why)


def _or(values: list, unbounded: float) -> list[float]:
    return [unbounded if value is None else float(value) for value in values]
