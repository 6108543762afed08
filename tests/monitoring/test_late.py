"""What answers cost whose labels are still to come: how late labels come, and how far off scores are, told by windows of which labels have come."""

import copy

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hardcover.monitoring import late

DAYS, ROWS = 60, 200
SHARES = np.array([0.8, 0.2])


def made(
    chance: np.random.Generator,
    delay: np.ndarray,
    drift: np.ndarray,
    until: int = DAYS,
    spread: float = 0.0,
) -> tuple[list[dict], np.ndarray]:
    """Make windows of a day of a model that says 0.2 for each row, of which ``0.2 + drift`` come; a loss is 1 where it comes.

    Parameters
    ----------
    delay
        Mean days after which labels of each class come.
    drift
        By day.
    until
        The first day of which no labels are known.
    spread
        Of the delays, as a share of them.

    Returns
    -------
    tuple
        The windows, and what each one cost in truth.
    """
    windows, truth = [], []
    for day, more in enumerate(drift):
        target = (chance.random(ROWS) < 0.2 + more).astype(float)
        ages = (delay[target.astype(int)] * (1 + spread * chance.exponential(1, ROWS))).astype(int)
        come = day + ages < until
        begin = (pd.Timestamp("2026-01-05") + pd.Timedelta(days=day)).isoformat()
        window = {"begin": begin, "rows": ROWS, "expected": {"estimate": 0.2, "low": 0.15, "high": 0.25}}
        window["labelled"] = {"rows": int(come.sum())}
        if come.any():
            late.count(window, ages[come], target[come], (target - 0.2)[come])
        windows.append(window)
        truth.append(target.mean())
    return windows, np.array(truth)


def outlook(windows: list[dict], until: int = DAYS, variance: float = 1e-4) -> dict:
    moment = (pd.Timestamp("2026-01-05") + pd.Timedelta(days=until - 1, hours=12)).isoformat()
    return late.estimated(windows, "day", moment, SHARES, variance, 1.0)


def test_where_scores_are_off_the_windows_without_labels_are_taken_to_be_as_far_off():
    windows, _ = made(np.random.default_rng(1), np.array([10, 10]), np.full(DAYS, 0.1))
    found = outlook(windows)
    assert list(found) == [each["begin"] for each in windows[-10:]]
    assert all(each["low"] < 0.3 < each["high"] for each in found.values())
    assert np.mean([each["estimate"] for each in found.values()]) == pytest.approx(0.3, abs=0.015)


def test_where_scores_are_right_nothing_is_added():
    windows, _ = made(np.random.default_rng(2), np.array([10, 10]), np.zeros(DAYS))
    assert all(each["estimate"] == pytest.approx(0.2, abs=0.01) for each in outlook(windows).values())


def test_that_one_class_is_known_sooner_makes_no_difference():
    chance = np.random.default_rng(3)
    windows, _ = made(chance, np.array([12, 2]), np.full(DAYS, 0.1), spread=0.4)
    # Of the labels that have come to these, most are of the costly class.
    early = [each for window in windows[-14:-8] for each in window["came"]]
    assert sum(each[3] for each in early) / sum(each[2] for each in early) > 0.4
    assert all(each["estimate"] == pytest.approx(0.3, abs=0.03) for each in outlook(windows).values())


def test_while_a_class_has_not_come_yet_nothing_is_said():
    windows, _ = made(np.random.default_rng(4), np.array([40, 2]), np.zeros(DAYS), until=30)
    assert sum(each["labelled"]["rows"] for each in windows) > 500
    assert outlook(windows[:30], until=30) == {}
    assert late.estimated(windows[:1], "day", "2026-01-04T00:00:00", SHARES, 1e-4, 1.0) == {}


def test_a_level_that_wanders_is_followed_and_its_limits_cover_what_came():
    chance, errors, covered, streams = np.random.default_rng(5), [], 0, 40
    for _ in range(streams):
        drift = np.clip(np.cumsum(chance.normal(0, 0.015, DAYS)), -0.15, 0.5)
        windows, truth = made(chance, np.array([7, 7]), drift)
        found = outlook(windows)
        values = np.array([[each[name] for name in ("estimate", "low", "high")] for each in found.values()])
        truth = truth[-len(values) :]
        errors.append([np.abs(values[:, 0] - truth).mean(), np.abs(0.2 - truth).mean()])
        # One of each: windows of a stream are not independent.
        covered += bool(values[-1, 1] <= truth[-1] <= values[-1, 2])
    ours, by_scores = np.mean(errors, axis=0)
    assert ours < 0.7 * by_scores
    assert covered >= stats.binom.ppf(0.001, streams, 0.95)


def test_a_label_that_is_corrected_counts_as_it_is_now():
    windows, _ = made(np.random.default_rng(6), np.array([5, 5]), np.zeros(DAYS))
    wrong = windows[10]
    before = copy.deepcopy(wrong["came"])
    late.count(wrong, np.array([20] * 3), np.zeros(3), np.full(3, -0.2), sign=-1)
    late.count(wrong, np.array([20] * 3), np.ones(3), np.full(3, 0.8))
    assert sum(each[2] for each in wrong["came"]) == sum(each[2] for each in before)
    sums = [sum(each[3] for each in came) for came in (wrong["came"], before)]
    assert sums[0] - sums[1] == pytest.approx(3.0)


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 2)), min_size=1, max_size=40), st.data())
def test_labels_count_alike_in_whatever_parts_they_come(labels, data):
    ages, target = np.array(labels).T
    # Of sums without rounding.
    excess = np.arange(len(ages)) / 8
    whole: dict = {}
    late.count(whole, ages, target, excess)
    parts: dict = {}
    cut = data.draw(st.integers(0, len(ages)))
    for rows in (slice(cut, None), slice(0, cut)):
        late.count(parts, ages[rows], target[rows], excess[rows])
    assert parts == whole
    assert all(each[0] in late.AGES for each in whole["came"])
    assert sum(each[2] for each in whole["came"]) == len(ages)
