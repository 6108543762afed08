"""crepes and MAPIE on scores that `confidence.py` wrote; run by it in their own environment."""

import json
import sys
import warnings
from typing import Any

import numpy as np
from crepes import ConformalClassifier, ConformalRegressor
from crepes.extras import binning, hinge
from mapie.calibration import VennAbersCalibrator
from mapie.regression import SplitConformalRegressor
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

warnings.filterwarnings("ignore")
LEVEL, BINS = 0.9, 16


class Told(RegressorMixin, BaseEstimator):
    """A regression whose answer is its only input."""

    def fit(self, _: Any, __: Any) -> "Told":
        """Learn nothing."""
        self.is_fitted_ = True
        return self

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Return the scores."""
        return inputs[:, 0]


class Chance(ClassifierMixin, BaseEstimator):
    """A classifier whose probability is its only input."""

    def __init__(self) -> None:
        self.classes_, self.is_fitted_ = np.array([0, 1]), True

    def fit(self, _: Any, __: Any) -> "Chance":
        """Learn nothing."""
        return self

    def predict_proba(self, inputs: np.ndarray) -> np.ndarray:
        """Return the probabilities of both classes."""
        return np.column_stack([1 - inputs[:, 0], inputs[:, 0]])


def of_amounts(score: np.ndarray, target: np.ndarray, halves: list) -> dict:
    """Return coverage and width by split."""
    found: dict[str, dict] = {
        name: {"coverage": [], "size": []} for name in ("crepes", "crepes, by 16 parts", "MAPIE")
    }
    for known, asked in halves:
        over = target[known] - score[known]
        plain = ConformalRegressor().fit(over)
        bins, edges = binning(score[known], bins=BINS)
        parted = ConformalRegressor().fit(over, bins=bins)
        mapie = SplitConformalRegressor(Told().fit(None, None), confidence_level=LEVEL)
        mapie.conformalize(score[known][:, None], target[known])
        intervals = {
            "crepes": plain.predict_int(score[asked], confidence=LEVEL),
            "crepes, by 16 parts": parted.predict_int(
                score[asked], bins=binning(score[asked], bins=edges), confidence=LEVEL
            ),
            "MAPIE": mapie.predict_interval(score[asked][:, None])[1][:, :, 0],
        }
        for name, found_here in intervals.items():
            low, high = found_here.T
            found[name]["coverage"].append(float(((low <= target[asked]) & (target[asked] <= high)).mean()))
            found[name]["size"].append(float((high - low).mean()))
    return found


def of_classes(score: np.ndarray, target: np.ndarray, halves: list) -> dict:
    """Return coverage, labels and log loss by split."""
    found: dict[str, dict] = {
        "crepes, by class": {"coverage": [], "size": []},
        "MAPIE, Venn-Abers": {"coverage": [], "log loss": []},
    }
    for known, asked in halves:
        truth = target[asked].astype(int)
        both = np.column_stack([1 - score, score])
        alphas = hinge(both[known], np.array([0, 1]), target[known].astype(int))
        crepes = ConformalClassifier().fit(alphas, bins=target[known].astype(int))
        sets = np.column_stack(
            [
                crepes.predict_set(
                    hinge(both[asked]), bins=np.full(len(asked), label), confidence=LEVEL, smoothing=False
                )[:, label]
                for label in (0, 1)
            ]
        )
        found["crepes, by class"]["coverage"].append(float(sets[np.arange(len(truth)), truth].mean()))
        found["crepes, by class"]["size"].append(float(sets.sum(axis=1).mean()))
        mapie = VennAbersCalibrator(Chance(), cv="prefit").fit(
            score[known][:, None], target[known].astype(int)
        )
        chance = np.asarray(mapie.predict_proba(score[asked][:, None]))[:, 1].clip(1e-6, 1 - 1e-6)
        found["MAPIE, Venn-Abers"]["log loss"].append(
            float(-np.where(truth == 1, np.log(chance), np.log(1 - chance)).mean())
        )
    return found


def main() -> None:
    """Print what was found as JSON."""
    given = np.load(sys.argv[1])
    parts = [given[name] for name in sorted(given) if name.startswith("part")]
    halves = list(zip(parts[::2], parts[1::2], strict=True))
    work = of_classes if given["binary"] else of_amounts
    print(json.dumps(work(given["score"], given["target"], halves)))


if __name__ == "__main__":
    main()
