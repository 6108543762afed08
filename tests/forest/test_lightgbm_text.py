"""The parser: strict with texts, silent about none."""

import time

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardcover.errors import ModelTextError
from hardcover.forest import flatten, lightgbm_text
from tests.runtime.strategies import PLAIN, train

TEXT = train(PLAIN).model_to_string()
TREES = TEXT.partition("\nend of trees")[0]


def parsed(text: str):
    return flatten.forest_of(lightgbm_text.parse(text))


def test_a_whole_model_is_parsed():
    forest = parsed(TEXT)

    assert forest.trees == 3
    assert forest.features == 5
    assert forest.nodes == 3 * 15


@given(st.integers(0, len(TREES) - 1))
def test_a_truncated_text_is_refused(length):
    with pytest.raises(ModelTextError):
        parsed(TEXT[:length])


@given(st.integers(0, len(TREES) - 1), st.sampled_from("0123456789-.e= \nnaif,x"))
def test_a_changed_letter_is_refused_or_parsed_within_a_second(place, letter):
    began = time.monotonic()
    try:
        forest = parsed(TEXT[:place] + letter + TEXT[place + 1 :])
    except ModelTextError:
        return
    finally:
        # Not a measurement: a parser that follows a cycle never ends.
        assert time.monotonic() - began < 60
    assert np.isfinite(forest.raw([0.0] * forest.features)).all()


@given(st.data())
def test_swapped_lines_are_refused_or_parsed(data):
    lines = TREES.split("\n")
    first, second = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    lines[first], lines[second] = lines[second], lines[first]
    try:
        parsed("\n".join(lines) + "\nend of trees\n")
    except ModelTextError as error:
        assert len(str(error)) < 500


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("left_child=", "left_child=7", "left_child holds"),
        ("leaf_value=", "leaf_value=nan ", "leaf_value has"),
        ("threshold=", "threshold=1e999", "holds '1e999"),
        ("objective=binary sigmoid:1", "objective=ndcg", "objective 'ndcg' is not supported"),
        ("objective=binary sigmoid:1", "objective=binary", "unknown options of the objective"),
        (
            "objective=binary sigmoid:1",
            "objective=multiclass num_class:3",
            "the objective's num_class is '3'",
        ),
        ("objective=binary sigmoid:1", "objective=binary sigmoid:1 more", "unknown options of the objective"),
        ("num_class=1", "num_class=3", "num_class and num_tree_per_iteration differ"),
        ("max_feature_idx=4", "max_feature_idx=0", "split_feature holds"),
        ("is_linear=0", "is_linear=1", "num_features has 0 numbers, not 8"),
        ("is_linear=0", "is_linear=2", "is_linear holds '2'"),
        ("sigmoid:1", "sigmoid:-1", "not greater than zero"),
        ("threshold=", "threshold=nan ", "threshold has"),
        ("\n", "\r\n", "line ends of Windows"),
        ("Tree=1", "Tree=2", "tree 1 is numbered '2'"),
        ("tree_sizes=", "tree_sizes=9 ", "announces 4 trees, the text has 3"),
        ("num_leaves=8", "num_leaves=0", "num_leaves holds '0'"),
        ("num_leaves=8", "num_leaves=9999999999", "num_leaves holds"),
        ("cat_boundaries=0", "cat_boundaries=5", "cat_boundaries"),
    ],
)
def test_a_lie_is_refused_by_name(old, new, complaint):
    assert old in TEXT

    with pytest.raises(ModelTextError, match=complaint):
        parsed(TEXT.replace(old, new, 1))


def test_a_cycle_and_an_orphan_are_refused():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(500, 2))
    target = (inputs[:, 0] > 0.3) ^ (inputs[:, 1] > 0)
    text = lgb.train(
        {"objective": "binary", "verbosity": -1, "num_leaves": 4}, lgb.Dataset(inputs, target), 1
    ).model_to_string()
    lines = dict(
        line.split("=", 1) for line in text.split("\n") if line.startswith(("left_child", "right_child"))
    )

    for left, right in (("1 2 1", "-1 -2 -3"), ("-1 2 1", "-4 -2 -3"), ("0 0 0", "-1 -2 -3")):
        changed = text.replace(f"left_child={lines['left_child']}", f"left_child={left}")
        changed = changed.replace(f"right_child={lines['right_child']}", f"right_child={right}")
        with pytest.raises(ModelTextError, match=r"reached twice|hang from no root"):
            parsed(changed)


def test_a_random_forest_without_trees_has_no_mean():
    head = TEXT.partition("\n\nTree=0")[0].replace("version=v4", "version=v4\naverage_output")
    empty = "\n".join("tree_sizes=" if line.startswith("tree_sizes") else line for line in head.split("\n"))
    with pytest.raises(ModelTextError, match="without trees"):
        parsed(empty + "\n\nend of trees\n")


@pytest.mark.parametrize(
    "text", ["", "tree\n", "tree\nend of trees", "x" * 1000, TEXT[5:], "tree\n\nend of trees\n"]
)
def test_what_is_no_model_is_refused(text):
    with pytest.raises(ModelTextError):
        parsed(text)
