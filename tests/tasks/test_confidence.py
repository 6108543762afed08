"""Sets and intervals cover as often as they say, and bounds of probabilities are those of their definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom, binom
from sklearn.isotonic import IsotonicRegression

from hardcover.runtime.confidence import Calibration
from hardcover.tasks import confidence

ROWS, LEVEL = 1500, 0.9


def answers(table: dict, score: np.ndarray, classes: list[str]) -> dict:
    facts = {"level": LEVEL, "confidence": table, "anomaly": {"scores": [], "p_values": [1.0]}}
    return Calibration(facts, classes).of_many(score)


def drawn(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are wrong in their own way, and what came."""
    rng = np.random.default_rng(seed)
    if kind == "probability":
        chance = rng.beta(0.5, 2.0, 2 * ROWS)
        return chance**1.5, (rng.random(2 * ROWS) < chance).astype(float)
    if kind == "interval":
        score = rng.gamma(2.0, 10.0, 2 * ROWS)
        return score, score * rng.lognormal(0.2, 0.5, 2 * ROWS)
    logits = rng.normal(size=(2 * ROWS, 3)) * 2
    score = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    target = (rng.random((2 * ROWS, 1)) > score.cumsum(axis=1)).sum(axis=1)
    return score**2 / (score**2).sum(axis=1, keepdims=True), np.minimum(target, 2).astype(float)


@pytest.mark.parametrize("kind", ["probability", "classes", "interval"])
def test_what_comes_is_covered_as_often_as_is_said(kind):
    misses, least, most = 0, 0, 0
    for seed in range(20):
        score, target = drawn(kind, seed)
        made = getattr(confidence, kind)
        options = (None,) if kind == "interval" else ()
        table = made(score[:ROWS], target[:ROWS], LEVEL, *options)
        found = answers(table, score[ROWS:], ["a", "b", "c"] if kind == "classes" else [])
        truth = target[ROWS:]
        if "labels" in found:
            covered = found["labels"][np.arange(ROWS), truth.astype(int)]
        else:
            covered = (found["low"] <= truth) & (truth <= found["high"])
        misses += int((~covered).sum())
        least, most = least + int(covered.sum()), most + ROWS

    # Each table errs by itself, as a beta of its rows; all together by the law of large numbers.
    spread = betabinom(ROWS, 0.1 * ROWS, 0.9 * ROWS).std() * np.sqrt(20)
    assert abs(misses - 0.1 * most) < 4 * spread + 0.01 * most
    assert least / most > LEVEL - 0.01


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_bounds_of_a_probability_are_those_of_isotonic_regression_with_one_row_more(rows):
    score, target = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    if len(np.unique(score)) < 2:
        return
    edges = confidence._edges(score, confidence.PARTS)
    table = confidence.probability(score, target, LEVEL)
    asked = np.unique(score)
    found = answers(table, asked, [])

    part, parts = (np.searchsorted(edges, each, side="right") for each in (score, asked))
    for at, name, label in [
        (at, name, label) for at in range(len(asked)) for name, label in (("low", 0), ("high", 1))
    ]:
        fitted = IsotonicRegression().fit(np.append(part, parts[at]), np.append(target, label))
        assert found[name][at] == pytest.approx(fitted.predict([parts[at]])[0], abs=1e-12)
    assert (found["low"] <= found["high"]).all()


def test_few_rows_bound_nothing():
    score, target = np.linspace(0, 1, 8), np.array([0.0, 1.0] * 4)

    assert confidence.classes(np.column_stack([1 - score, score]), target, LEVEL)["least"] == [None, None]
    table = confidence.interval(score, target, LEVEL, 0.0)
    assert (table["low"], table["high"]) == ([None], [None])
    assert answers(table, score, [])["low"].tolist() == [0.0] * 8


def test_p_values_mean_what_they_say():
    rng = np.random.default_rng(1)
    known, fresh = rng.normal(size=10_000), rng.normal(size=100_000)
    facts = {"level": LEVEL, "confidence": {"kind": "none", "why": ""}, "anomaly": confidence.p_values(known)}
    calibration = Calibration(facts, [])

    found = calibration.p_values(fresh)

    for level in (0.001, 0.01, 0.05, 0.5):
        allowed = np.floor(level * (len(known) + 1))
        law = betabinom(len(fresh), allowed, len(known) + 1 - allowed)
        assert (found <= level).sum() <= law.ppf(0.999)
        assert (found <= level * 1.06).sum() >= binom(len(fresh), level).ppf(0.001) * 0.8
    exact = (1 + (known[:, None] >= fresh[:500]).sum(axis=0)) / (len(known) + 1)
    assert (found[:500] >= exact).all()
    assert (found[:500] <= exact * 1.06).all()
    assert len(facts["anomaly"]["scores"]) * 16 < 4096
