"""Inputs that are broken are found within a window and named first; what is as usual, or moves a little, is not."""

import lightgbm as lgb
import numpy as np
import pytest
from scipy import stats

from hardcover.forest import lightgbm_text
from hardcover.forest.profile import bins_of
from hardcover.modelling.evidence import NOTHING, Alarm
from hardcover.monitoring import inputs
from hardcover.runtime.profile import Profile

NAMES = ["heat", "load", "kind", "wear"]
LEVEL = 90.0


def drawn(chance: np.random.Generator, rows: int) -> np.ndarray:
    heat = chance.normal(300, 2, rows)
    kind = chance.choice(4, rows, p=[0.5, 0.3, 0.15, 0.05])
    wear = np.where(chance.random(rows) < 0.1, np.nan, chance.exponential(100, rows))
    return np.column_stack([heat, chance.gamma(4, 10, rows), kind, wear])


def broken(name: str, chance: np.random.Generator, rows: np.ndarray) -> np.ndarray:
    found = rows.copy()
    if name == "unit":
        found[:, 1] *= 1000
    elif name == "stuck":
        found[:, 0] = 301.25
    elif name == "nulls":
        found[: len(rows) // 5, 1] = np.nan
    elif name == "renamed":
        found[found[:, 2] == 1, 2] = -1
    elif name == "swapped":
        found[:, [0, 1]] = found[:, [1, 0]]
    elif name == "zeros":
        found[:, 3] = 0.0
    elif name == "offset":
        found[:, 0] -= 273.15
    return found


FAULTS = {
    "unit": ("load above all of the reference",),
    "stuck": ("heat in",),
    "nulls": ("load missing",),
    "renamed": ("kind never seen",),
    "swapped": ("heat below all of the reference", "load above all of the reference"),
    "zeros": ("wear below all of the reference",),
    "offset": ("heat below all of the reference",),
}


@pytest.fixture(scope="module")
def usual():
    """The bins of a model of four inputs, the groups of its reference, and how many rows may be in each."""
    chance = np.random.default_rng(31)
    table = drawn(chance, 4000)
    answer = table[:, 0] - 300 + table[:, 1] / 20 + table[:, 2] + np.nan_to_num(table[:, 3]) / 100
    data = lgb.Dataset(table, answer, categorical_feature=[2])
    booster = lgb.train({"verbosity": -1, "num_leaves": 15, "seed": 1, "num_threads": 1}, data, 30)
    raw = booster.predict(table, raw_score=True).reshape(-1, 1)
    bins = bins_of(lightgbm_text.parse(booster.model_to_string()), NAMES, table, raw, ["score"])
    groups = inputs.groups_of(Profile.of(bins, table, raw), len(NAMES))
    return (
        bins,
        groups,
        inputs.bounds(groups, np.array([each.share for each in groups]), moved=0.2, broken=0.02),
    )


def grown(groups: list[inputs.Group], counts: np.ndarray, rows: int, bound: np.ndarray) -> np.ndarray:
    return inputs.growth(counts, rows, bound, np.ones(len(groups)))


def test_groups_hold_each_row_once_and_parts_are_about_as_large(usual):
    _, groups, _ = usual
    for name in NAMES:
        mine = [group for group in groups if group.name == name]
        places = np.concatenate([group.bins for group in mine])
        assert len(places) == len(set(places.tolist()))
        assert sum(group.share for group in mine) == pytest.approx(1.0)
        assert all(
            group.share == 0 for group in mine if group.kind in (inputs.BELOW, inputs.ABOVE, inputs.UNSEEN)
        )
    assert max(group.share for group in groups if group.name == "load") < 0.25


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_within_a_window_and_named_first(usual, fault):
    bins, groups, bound = usual
    found = 0
    for seed in range(20):
        chance = np.random.default_rng([32, seed])
        bets = Alarm(LEVEL, np.full((len(groups), len(inputs.SHARES)), NOTHING))
        for number in range(31):
            rows = drawn(chance, 100)
            if number == 30:
                rows = broken(fault, chance, rows)
            profile = Profile.of(bins, rows, np.zeros((100, 1)))
            order = bets.advance(grown(groups, inputs.counts_in(groups, profile), 100, bound))
            assert order is None or number == 30
        found += order is not None and groups[order[0]].words().startswith(FAULTS[fault])
    assert found == 20


def test_with_nothing_wrong_there_are_no_more_alarms_than_the_level_allows(usual):
    _, groups, _ = usual
    # No tolerance at all, where rows fall as in the reference.
    bound = np.clip([group.share for group in groups], 1e-3, 0.999)
    chance, windows = np.random.default_rng(33), 3000
    bets = Alarm(LEVEL, np.full((len(groups), len(inputs.SHARES)), NOTHING))
    share = np.array([group.share for group in groups])
    rang = sum(
        bets.advance(grown(groups, chance.binomial(50, share), 50, bound)) is not None for _ in range(windows)
    )
    assert rang <= stats.poisson.ppf(0.999, windows / LEVEL)


def test_what_moves_by_a_tenth_of_a_deviation_is_nothing_to_be_woken_for(usual):
    bins, groups, bound = usual
    chance = np.random.default_rng(34)
    bets = Alarm(LEVEL, np.full((len(groups), len(inputs.SHARES)), NOTHING))
    for _ in range(365):
        rows = drawn(chance, 200)
        rows[:, 0] += 0.2
        profile = Profile.of(bins, rows, np.zeros((200, 1)))
        assert bets.advance(grown(groups, inputs.counts_in(groups, profile), 200, bound)) is None
