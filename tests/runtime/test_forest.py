"""The evaluator: the bits of LightGBM, whatever the model and the row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardcover import lightgbm_text
from hardcover.runtime import arrays
from hardcover.runtime.arrays import DamagedRelease
from hardcover.runtime.forest import ARRAYS, Forest
from tests.runtime.strategies import hostile_rows, settings_of_models, train


def bits(scores) -> np.ndarray:
    return np.asarray(scores, dtype=np.float64).view(np.uint64)


@given(settings_of_models, st.integers(0, 1000))
def test_scores_have_the_bits_of_booster_predict(choice, seed):
    booster = train(choice)
    parsed = lightgbm_text.parse(booster.model_to_string())
    forest = Forest(*arrays.parse(parsed.to_bytes()))
    rows = hostile_rows(forest.threshold, seed)

    raw = forest.raw_many(rows)
    alone = [forest.raw(row) for row in rows[:300].tolist()]

    assert (bits(raw) == bits(booster.predict(rows, raw_score=True))).all()
    assert (bits(forest.score_many(raw)) == bits(booster.predict(rows))).all()
    assert (bits(alone) == bits(raw[:300])).all()
    assert [forest.score(value) for value in alone] == forest.score_many(raw[:300]).tolist()


def test_a_score_beyond_the_range_of_exp_is_0_or_1():
    forest = two_leaves()

    assert forest.score(-1e6) == 0.0
    assert forest.score(1e6) == 1.0


def parts() -> dict:
    """One node on feature 1 at 0.5, two leaves; and one lone leaf."""
    return {
        "node_offset": [0, 1, 1],
        "leaf_offset": [0, 2, 3],
        "feature": [1],
        "threshold": [0.5],
        "decision": [8],
        "left": [-1],
        "right": [-2],
        "leaf_value": [1.0, -1.0, 0.25],
        "set_offset": [0],
        "set_word": [],
    }


METADATA = {"format": "hardcover.forest/1", "features": "2", "sigmoid": "0x1p+0"}


def two_leaves() -> Forest:
    return Forest(parts(), METADATA)


def test_trees_are_added_and_a_lone_leaf_is_a_constant():
    forest = two_leaves()

    assert forest.raw([9.0, 0.5]) == 1.25
    assert forest.raw([9.0, 0.6]) == -0.75
    assert forest.raw_many(np.array([[9.0, 0.5], [9.0, np.nan]])).tolist() == [1.25, -0.75]


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("feature", [2], "reads a feature that no row has"),
        ("feature", [-1], "reads a feature that no row has"),
        ("threshold", [float("nan")], "threshold is not finite"),
        ("leaf_value", [1.0, float("inf"), 0.0], "leaf's value is not finite"),
        ("left", [0], "not a tree"),
        ("left", [1], "not a tree"),
        ("left", [-2], "not a tree"),
        ("left", [-3], "not a tree"),
        ("right", [-99], "not a tree"),
        ("right", [], "right has not one entry a node"),
        ("decision", [12], "unknown missing type"),
        ("decision", [1], "names no set of categories"),
        ("node_offset", [0, 2, 1], "node_offset does not rise"),
        ("node_offset", [], "node_offset does not rise"),
        ("leaf_offset", [0, 3], "disagree on the number of trees"),
        ("leaf_offset", [0, 1, 3], "not one leaf more than nodes"),
        ("set_offset", [1], "set_offset does not rise"),
    ],
)
def test_arrays_that_are_no_forest_are_refused_by_name(name, value, complaint):
    with pytest.raises(DamagedRelease, match=complaint):
        Forest({**parts(), name: value}, METADATA)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"format": "other"},
        {**METADATA, "features": "x"},
        {**METADATA, "features": "0"},
        {**METADATA, "sigmoid": "-0x1p+0"},
    ],
)
def test_metadata_that_do_not_fit_are_refused(metadata):
    with pytest.raises(DamagedRelease):
        Forest(parts(), metadata)


def test_a_missing_array_is_refused():
    with pytest.raises(DamagedRelease, match="has the arrays"):
        Forest({name: [] for name in list(ARRAYS)[1:]}, METADATA)
