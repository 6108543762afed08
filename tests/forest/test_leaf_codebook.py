"""Fewer leaf values: still a LightGBM model, as near as asked for, and refused when it is not."""

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardcover import tasks
from hardcover.errors import DataError, ModelTextError
from hardcover.forest import leaf_codebook, lightgbm_text
from hardcover.modelling import rounding
from tests.runtime.strategies import PLAIN, train

ALLOWED = {"leaf_bits": 8, "max_score_error": 1.0, "max_metric_loss": 1.0}
BINARY = tasks.of("binary")
AT_HALF = {"kind": "threshold", "threshold": 0.5}


@given(st.integers(0, 100), st.integers(1, 60), st.sampled_from(["binary", "multiclass", "poisson"]))
def test_each_leaf_takes_the_nearest_of_256_values(seed, rounds, objective):
    text = train(
        {**PLAIN, "seed": seed, "rounds": rounds, "num_leaves": 31, "objective": objective}
    ).model_to_string()

    smaller = leaf_codebook.quantised(text, 8)

    before, after = (lightgbm_text.parse(one).leaf_value for one in (text, smaller))
    book = np.unique(after)
    nearest = np.abs(before[:, None] - book[None, :]).min(axis=1)
    assert len(book) <= 256
    assert np.abs(before - after) == pytest.approx(nearest, abs=1e-15)
    # LightGBM reads trees by the sizes that the header gives.
    again = lgb.Booster(model_str=smaller)
    assert again.num_trees() == rounds * (3 if objective == "multiclass" else 1)
    assert np.array_equal(np.unique(lightgbm_text.parse(again.model_to_string()).leaf_value), book)


def test_what_cannot_be_rounded_is_refused():
    with pytest.raises(ModelTextError, match="cannot be stored in 12 bits"):
        leaf_codebook.quantised(train(PLAIN).model_to_string(), 12)
    with pytest.raises(ModelTextError, match="linear trees"):
        leaf_codebook.quantised(train({**PLAIN, "linear_tree": True, "missing": 0.0}).model_to_string(), 8)


def test_what_it_costs_is_told_and_bounded():
    booster = train({**PLAIN, "rounds": 100, "num_leaves": 40})
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(500, 5))
    rows = tasks.Rows(inputs, (inputs[:, 0] > 0).astype(float))
    text = booster.model_to_string()

    smaller, facts = rounding.compressed(text, rows, ALLOWED, BINARY, AT_HALF)

    difference = np.abs(lgb.Booster(model_str=smaller).predict(inputs) - booster.predict(inputs)).max()
    assert facts["score_error"] == difference > 0
    assert facts["bytes"][1] < facts["bytes"][0]
    unchanged = {"leaf_bits": 64}
    assert rounding.compressed(text, rows, unchanged, BINARY, AT_HALF) == (text, unchanged)
    for bound in ("max_score_error", "max_metric_loss"):
        with pytest.raises(DataError, match=f"leaves of 8 bits: .* is above {bound}"):
            rounding.compressed(text, rows, {**ALLOWED, bound: -1.0}, BINARY, AT_HALF)
