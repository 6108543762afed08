"""Tests that may be looked at at any time keep their level, whatever losses look like, and find what is there."""

import math
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hardcover.modelling.evidence import NOTHING, SHARES, Alarm, Comparison, dependence_of, growth, log_mean

# Simulated streams: a hundred times as many in `make soak`.
MORE = 100 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 1
LOSSES = {
    "errors": (lambda chance, rows: (chance.random(rows) < 0.2).astype(float), 0.2),
    "rare and dear": (lambda chance, rows: np.where(chance.random(rows) < 0.003, 500.0, 0.0), 1.5),
    "amounts without an end": (lambda chance, rows: chance.lognormal(0.0, 1.5, rows), math.exp(1.125)),
}
POINTS = st.lists(st.tuples(st.floats(0, 1e6), st.floats(0.01, 1)), min_size=1, max_size=6)


@given(POINTS, st.floats(1.0, 3.0))
def test_what_a_stake_becomes_is_an_e_value(points, factor):
    values, weights = (np.array(column) for column in zip(*points, strict=True))
    shares = weights / weights.sum()
    mean = max(float(values @ shares), 1e-6) * factor
    became = sum(
        share * np.exp(growth(np.array([value]), mean)) for value, share in zip(values, shares, strict=True)
    )
    assert (became <= 1 + 1e-9).all()
    # Of rows that are all the same, only one counts.
    again = sum(
        share * np.exp(growth(np.full(4, value), mean, dependence=4.0))
        for value, share in zip(values, shares, strict=True)
    )
    assert again == pytest.approx(became)


@given(st.lists(st.lists(st.floats(0, 10), max_size=5), min_size=1, max_size=6), st.floats(0.1, 10))
def test_a_window_in_parts_is_bet_on_like_a_whole_one(parts, mean):
    whole, bit_by_bit = Alarm(1e300), Alarm(1e300)
    whole.see(np.concatenate([np.array(part) for part in parts]), mean)
    for number, part in enumerate(parts):
        bit_by_bit.see(np.array(part), mean, begins=number == 0)
    assert bit_by_bit.logs == pytest.approx(whole.logs, abs=1e-9)


@pytest.mark.parametrize("kind", LOSSES)
def test_with_nothing_wrong_there_are_no_more_alarms_than_the_level_allows(kind):
    draw, mean = LOSSES[kind]
    chance, level, windows = np.random.default_rng(11), 50.0, 4000 * MORE
    alarm = Alarm(level)
    rang = sum(alarm.see(draw(chance, int(chance.integers(1, 100))), mean) for _ in range(windows))
    assert rang <= stats.poisson.ppf(0.999, windows / level)


def test_ten_percent_more_errors_are_found_within_five_thousand_rows():
    chance, streams, found = np.random.default_rng(12), 100 * MORE, 0
    for _ in range(streams):
        alarm = Alarm(91.0)
        for _ in range(60):
            alarm.see((chance.random(100) < 0.2).astype(float), 0.2)
        found += any(alarm.see((chance.random(100) < 0.22).astype(float), 0.2) for _ in range(50))
    assert found >= stats.binom.ppf(0.001, streams, 0.95)


def test_an_alarm_takes_all_stakes():
    alarm = Alarm(10.0)
    assert alarm.see(np.full(50, 5.0), 1.0)
    assert (alarm.logs == NOTHING).all()
    assert not alarm.see(np.array([]), 1.0)
    assert alarm.value == pytest.approx(0.0)
    assert log_mean(np.full(3, NOTHING)) == pytest.approx(NOTHING)


@pytest.mark.parametrize(
    ("losses", "mean"), [([-1.0], 1.0), ([math.nan], 1.0), ([1.0], 0.0), ([math.inf], 1.0)]
)
def test_what_cannot_be_bet_on_is_refused(losses, mean):
    with pytest.raises(ValueError, match="losses must be"):
        growth(np.array(losses), mean)


def compared(
    chance: np.random.Generator, gain: float, rows: int, margin: float, batches: int
) -> tuple[list[str], int]:
    """Compare two models whose errors differ on a twentieth of the rows; returns all verdicts, and the rows until one was found."""
    comparison, verdicts = Comparison(1.0, margin), []
    for number in range(batches):
        same = (chance.random(rows) < 0.2).astype(float)
        apart = chance.random(rows) < 0.05
        champion = np.where(apart, chance.random(rows) < 0.5, same).astype(float)
        challenger = np.where(apart, chance.random(rows) < 0.5 - gain / 0.05, same).astype(float)
        comparison.see(champion, challenger)
        verdicts.append(comparison.verdict(0.05))
        if verdicts[-1] in ("better", "worse"):
            return verdicts, (number + 1) * rows
    return verdicts, batches * rows


def test_looking_after_each_batch_promotes_what_is_no_better_in_five_percent_at_most():
    chance, contests = np.random.default_rng(13), 100 * MORE
    equal = [compared(chance, 0.0, 1000, 0.002, 50)[0] for _ in range(contests)]
    worse = [compared(chance, -0.002, 1000, 0.002, 50)[0] for _ in range(contests)]
    limit = stats.binom.ppf(0.999, contests, 0.05)
    assert sum("better" in verdicts for verdicts in equal) <= limit
    assert sum("worse" in verdicts for verdicts in equal) <= limit
    assert sum({"better", "not worse"} & set(verdicts) != set() for verdicts in worse) <= limit


def test_what_is_better_is_found_with_twice_the_rows_of_a_fixed_test():
    chance, gain = np.random.default_rng(14), 0.004
    needed = [compared(chance, gain, 500, 0.002, 200) for _ in range(60 * MORE)]
    # Of a z-test at 5 %, one-sided, that finds it in 80 %; half of the twentieth differ.
    fixed = (1.645 + 0.842) ** 2 * 0.05 * 0.5 / gain**2
    assert np.median([rows for _, rows in needed]) <= 2 * fixed
    assert np.mean([verdicts[-1] == "better" for verdicts, _ in needed]) >= 0.95


def test_rows_that_come_in_copies_count_once():
    chance = np.random.default_rng(15)
    windows = np.repeat(np.arange(100), 50)
    alone = (chance.random(5000) < 0.2).astype(float)
    copied = np.repeat((chance.random(1000) < 0.2).astype(float), 5)
    assert dependence_of(alone, windows) < 1.5
    assert 3.5 < dependence_of(copied, windows) < 6.5
    assert dependence_of(alone[:50], windows[:50]) == 1.0
    assert dependence_of(np.zeros(5000), windows) == 1.0
    # Then the level holds for them too.
    alarm = Alarm(50.0)
    rang = sum(
        alarm.see(np.repeat((chance.random(10) < 0.2).astype(float), 5), 0.2, dependence=5.0)
        for _ in range(4000)
    )
    assert rang <= stats.poisson.ppf(0.999, 4000 / 50)
    assert len(SHARES) == len(alarm.logs)
