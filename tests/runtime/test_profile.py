"""Profiles are exact: counts are a naive count's, by every evaluator, and parts add up to the whole in any order and to the same bytes."""

import math
import random
import threading

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardcover.forest import lightgbm_text
from hardcover.forest.profile import EDGES, bins_of
from hardcover.runtime.counting import counting
from hardcover.runtime.profile import Bins, Profile
from tests.runtime.strategies import PLAIN, hostile_rows, settings_of_models, train
from tests.runtime.test_evaluators import bits, every_way, loaded

VALUES = st.sampled_from([-math.inf, -1.0, -0.0, 0.0, 0.5, 1.0, 1e300, math.inf, math.nan]) | st.floats()
ROWS = st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=40)
EDGE_LISTS = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=10)


def bins(*edges: list[float]) -> Bins:
    return Bins(
        [f"column {at}" for at in range(len(edges))], [sorted({each + 0.0 for each in one}) for one in edges]
    )


def counted(made: Bins, rows: list[tuple]) -> Profile:
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return Profile.of(made, table[:, :2], table[:, 2:])


@given(EDGE_LISTS, EDGE_LISTS, EDGE_LISTS, ROWS)
def test_counts_are_those_of_a_naive_count(first, second, third, rows):
    made = bins(first, second, third)
    profile = counted(made, rows)
    for at, (name, edges) in enumerate(zip(made.names, made.edges, strict=True)):
        column = [row[at] for row in rows]
        known = [value for value in column if not math.isnan(value)]
        below = [-math.inf, *edges]
        naive = [
            sum((low < value or low == -math.inf) and value <= high for value in known)
            for low, high in zip(below, [*edges, math.inf], strict=True)
        ]
        assert profile.by_name[name] == [*naive, len(column) - len(known)]
    assert profile.rows == len(rows)


@given(settings_of_models, st.integers(0, 1000), EDGE_LISTS)
def test_what_scores_counts_as_it_goes_and_gives_the_same_bits(choice, seed, edges):
    forest, kernel = loaded(train(choice).model_to_string())
    rows = hostile_rows(forest.splits(), seed)
    scores = kernel.predict_many(rows).reshape(len(rows), -1)
    made = bins(*[edges] * (forest.features + forest.outputs))
    for evaluator in (forest, *every_way(kernel)):
        alone, together = (counting(evaluator, Profile(made)) for _ in range(2))
        given = slice(60 if evaluator is forest else len(rows))
        naive = Profile.of(made, rows[given], scores[given])
        found = [alone.predict(row.tobytes()) for row in rows[given]]
        assert (bits(found) == bits(scores[given])).all()
        assert alone.profile.digest == naive.digest
        if evaluator is not forest:
            for part in (rows[:17], rows[17:80], rows[80:]):
                together.predict_many(part)
            assert together.profile.digest == naive.digest
        alone.count(rows[0].tobytes(), scores[0].tolist())
        assert alone.profile.digest == (naive + Profile.of(made, rows[:1], scores[:1])).digest
        assert (alone.profile - naive).digest == Profile.of(made, rows[:1], scores[:1]).digest


def test_threads_that_score_at_once_count_each_row_once():
    forest, kernel = loaded(train(PLAIN | {"rounds": 3}).model_to_string())
    rows = np.tile(hostile_rows(forest.splits(), 4), (40, 1))
    counted = counting(kernel, Profile(bins(*[[-1.0, 0.0, 1.0]] * (forest.features + 1))))

    def score(mine: np.ndarray) -> None:
        counted.predict_many(mine)
        for row in mine[:2000]:
            counted.predict(row.tobytes())

    threads = [threading.Thread(target=score, args=(rows[part::4],)) for part in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert counted.profile.rows == len(rows) + sum(len(rows[part::4][:2000]) for part in range(4))


@given(EDGE_LISTS, ROWS, st.integers(1, 6), st.randoms(use_true_random=False))
def test_parts_in_any_order_add_up_to_the_whole_with_the_same_digest(
    edges, rows, count, chance: random.Random
):
    made = bins(edges, edges, edges)
    shuffled = chance.sample(rows, len(rows))
    cuts = sorted(chance.randrange(len(rows) + 1) for _ in range(count - 1))
    parts = [
        counted(made, shuffled[low:high]) for low, high in zip([0, *cuts], [*cuts, len(rows)], strict=True)
    ]
    chance.shuffle(parts)
    whole = counted(made, rows)
    added = sum(parts[1:], parts[0])
    assert added.digest == whole.digest
    assert Profile.read(whole.content()).digest == whole.digest


def test_profiles_with_other_bins_are_not_added_and_damaged_ones_not_read():
    profile = counted(bins([2.0], [1.0], [2.0]), [(1.0, 2.0, 3.0)])
    with pytest.raises(ValueError, match="other bins"):
        profile + counted(bins([2.0], [1.0], [2.5]), [])
    with pytest.raises(ValueError, match="has rows that this one has not"):
        profile - (profile + profile)
    content = profile.content()
    for wrong in (content[:-8], b"{}\n", b"[]\n", content.replace(b"[1, 1, 1]", b"[2, 0, 1]")):
        with pytest.raises(ValueError, match=r"this is no|do not belong|do not ascend|multiple"):
            Profile.read(wrong)


@pytest.fixture(scope="module")
def trained():
    chance = np.random.default_rng(5)
    table = chance.normal(size=(3000, 3))
    table[:, 2] = chance.integers(0, 5, 3000)
    table[::7, 1] = np.nan
    answer = table[:, 0] + (table[:, 2] == 3) + chance.normal(size=3000) / 4
    data = lgb.Dataset(table, answer, categorical_feature=[2])
    booster = lgb.train({"verbosity": -1, "num_leaves": 15, "seed": 1, "num_threads": 1}, data, 40)
    return booster, table, lightgbm_text.parse(booster.model_to_string())


def test_edges_are_the_models_thresholds_and_quantiles_and_few_enough(trained):
    booster, table, trees = trained
    score = booster.predict(table)
    made = bins_of(trees, ["x", "y", "kind"], table, score, ["score"])
    thresholds = set(trees.threshold[trees.feature == 0].tolist())

    assert made.names == ["x", "y", "kind", "score"]
    assert all(len(edges) <= EDGES and edges == sorted(set(edges)) for edges in made.edges)
    assert len(thresholds & set(made.edges[0])) >= min(len(thresholds), EDGES // 2)
    assert made.edges[2] == [-0.5, 0.0, 1.0, 2.0, 3.0, 4.0]
    profile = Profile.of(made, table, score)
    assert profile.arrays["y"][-1] == np.isnan(table[:, 1]).sum()
    assert profile.by_name["kind"] == [0, *np.bincount(table[:, 2].astype(int)), 0, 0]
    # Quantiles divide scores evenly.
    assert profile.arrays["score"][:-1].max() < 3 * len(table) / EDGES
    assert max(len(counts) for counts in profile.by_name.values()) * 8 <= 1024
