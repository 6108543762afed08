"""The two evaluators, the kernel in C and the referee in Python: the bits of LightGBM, whatever the model and the row."""

import os
import threading
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardcover.forest import flatten, leaf_codebook, lightgbm_text
from hardcover.release import compiler
from hardcover.runtime import arrays
from hardcover.runtime.forest import Forest
from hardcover.runtime.kernel import MOST_LANES, Kernel
from hardcover.runtime.shapley import Explainer, Unexplainable
from tests.runtime import driven
from tests.runtime.strategies import OBJECTIVES, PLAIN, hostile_rows, settings_of_models, train

SO = str(compiler.kernel().path)
SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
BY_ZIG = str(compiler.kernel("linux-x86_64").path)


def bits(scores) -> np.ndarray:
    # Infinite inputs of linear trees give NaN, which is one value whatever its sign.
    scores = np.asarray(scores, dtype=np.float64)
    return np.where(np.isnan(scores), np.nan, scores).view(np.uint64)


def loaded(text: str, library: str = SO, lanes: int = MOST_LANES) -> tuple[Forest, Kernel]:
    content = flatten.to_bytes(lightgbm_text.parse(text))
    return Forest(*arrays.parse(content)), Kernel(
        Forest(*arrays.parse(bytearray(content)), check=False), library, lanes
    )


def every_way(kernel: Kernel, library: str = SO) -> list[Kernel]:
    """Return kernels of the same forest that walk, and that use each width of lanes that this processor has."""
    made = [Kernel(kernel.forest, library, lanes) for lanes in range(kernel.lanes + 1)]
    assert [each.lanes for each in made] == list(range(kernel.lanes + 1))
    return made


def in_place(text: str, monkeypatch) -> tuple[Forest, Kernel]:
    """Lay a model out as one with too many sets of categories for tables."""
    with monkeypatch.context() as patched:
        patched.setattr(flatten, "MAX_CELLS", 0)
        return loaded(text)


@given(settings_of_models, st.integers(0, 1000), st.booleans())
def test_scores_and_leaves_have_the_bits_of_booster_predict(choice, seed, in_tables):
    booster = train(choice)
    with pytest.MonkeyPatch.context() as patched:
        forest, kernel = (loaded if in_tables else lambda text: in_place(text, patched))(
            booster.model_to_string()
        )
    rows = hostile_rows(forest.splits(), seed)
    score, raw = booster.predict(rows), booster.predict(rows, raw_score=True)

    leaves = booster.predict(rows, pred_leaf=True).reshape(len(rows), -1)

    for way in every_way(kernel):
        assert (bits(way.predict_many(rows)) == bits(score)).all()
        assert (bits(way.predict_many(rows, raw=True)) == bits(raw)).all()
        assert (way.leaves_many(rows) == leaves).all()
        for few in (slice(17), slice(17, 60), slice(60, 160)):
            assert (bits(way.predict_many(rows[few])) == bits(score[few])).all()
    for number, row in enumerate(rows[:60].tolist()):
        for evaluator in (forest, *every_way(kernel)):
            assert (bits(evaluator.predict(row)) == bits(np.atleast_1d(score[number]))).all()
            assert (bits(evaluator.raw(row)) == bits(np.atleast_1d(raw[number]))).all()
            assert evaluator.leaves(row) == leaves[number].tolist()


@given(
    settings_of_models.filter(lambda choice: not choice["linear_tree"]), st.integers(0, 1000), st.booleans()
)
def test_reasons_are_exact_and_add_up(choice, seed, in_tables):
    booster = train(choice)
    with pytest.MonkeyPatch.context() as patched:
        forest, kernel = (loaded if in_tables else lambda text: in_place(text, patched))(
            booster.model_to_string()
        )
    rows = hostile_rows(forest.splits(), seed, rows=100)

    ours = kernel.explain_many(rows)

    theirs = booster.predict(rows, pred_contrib=True).reshape(len(rows), -1)
    most = max(1e-300, np.abs(theirs).max())
    assert np.abs(ours - theirs).max() <= 1e-10 * most
    sums = ours.reshape(len(rows), forest.outputs, -1).sum(axis=2)
    assert np.abs(sums - kernel.predict_many(rows, raw=True).reshape(sums.shape)).max() <= 1e-10 * most
    explainer = Explainer(forest)
    for number, row in enumerate(rows[:5]):
        for same in (row, row.tolist(), row.tobytes()):
            assert explainer.explain(same) == kernel.explain(same) == ours[number].tolist()


def test_no_bit_differs_on_many_rows_of_many_models():
    models, size = (100, 1_000_000) if SOAK else (5, 20_000)
    chance, differing = np.random.default_rng(11), 0
    for number in range(models):
        choice = {
            **PLAIN,
            "seed": number,
            "objective": str(chance.choice(sorted(set(OBJECTIVES) - {"custom"}))),
            "zero_as_missing": bool(chance.random() < 0.3),
            "boosting": str(chance.choice(["gbdt", "gbdt", "dart", "rf"])),
            "rounds": int(chance.integers(1, 40)),
            "num_leaves": int(chance.integers(2, 63)),
            "categories": int(chance.choice([2, 40, 300])),
        }
        booster = train(choice)
        kernel = loaded(booster.model_to_string())[1]
        ways = every_way(kernel)
        for part in range(0, size, 100_000):
            rows = hostile_rows(kernel.forest.splits(), seed=number + part, rows=min(size, 100_000))
            wanted = bits(booster.predict(rows, num_threads=2))
            differing += sum(int((bits(way.predict_many(rows)) != wanted).sum()) for way in ways)

    assert differing == 0


@pytest.mark.parametrize("columns", [40, 70, 150])
@pytest.mark.parametrize("outputs", [1, 3])
def test_many_columns_and_categories_have_the_same_bits(columns, outputs):
    chance = np.random.default_rng(columns)
    inputs = chance.normal(size=(3000, columns))
    inputs[:, ::3] = chance.integers(0, 3 + 3 * np.arange(0, columns, 3) % 250, size=inputs[:, ::3].shape)
    inputs[chance.random(inputs.shape) < 0.05] = np.nan
    signal = np.nan_to_num(inputs) @ chance.normal(size=columns) + 9 * np.sin(inputs[:, 1])
    target = np.digitize(signal, np.nanquantile(signal, [0.4, 0.7]))
    options = {"objective": "multiclass", "num_class": 3} if outputs > 1 else {"objective": "regression"}
    options |= {"num_leaves": 60, "verbosity": -1, "num_threads": 1, "cat_smooth": 1, "min_data_per_group": 3}
    data = lgb.Dataset(inputs, target, categorical_feature=list(range(0, columns, 3)))
    booster = lgb.train(options, data, 40)
    rows = np.where(
        chance.random((700, columns)) < 0.9,
        inputs[:700],
        chance.choice([-1, np.inf, -np.inf, 0, 3e9], (700, columns)),
    )
    wanted, leaves = booster.predict(rows, raw_score=True), booster.predict(rows, pred_leaf=True)

    for way in every_way(loaded(booster.model_to_string())[1]):
        assert (bits(way.predict_many(rows, raw=True)) == bits(wanted)).all()
        assert (way.leaves_many(rows) == leaves).all()
        for number, row in enumerate(rows[:20].tolist()):
            assert (bits(way.raw(row)) == bits(np.atleast_1d(wanted[number]))).all()


def test_the_kernel_that_zig_makes_gives_the_same_bits():
    booster = train({**PLAIN, "rounds": 50, "num_leaves": 31})
    forest, kernel = loaded(booster.model_to_string(), BY_ZIG)
    rows = hostile_rows(forest.splits(), seed=0)

    assert kernel.lanes == loaded(booster.model_to_string())[1].lanes
    assert (bits(kernel.predict_many(rows)) == bits(booster.predict(rows))).all()
    assert (
        kernel.explain_many(rows).tolist() == loaded(booster.model_to_string())[1].explain_many(rows).tolist()
    )


def test_processors_without_vectors_give_the_same_reasons(tmp_path):
    booster = train({**PLAIN, "rounds": 20, "num_leaves": 31})
    forest, kernel = loaded(booster.model_to_string())
    rows = hostile_rows(forest.splits(), seed=0, rows=200)
    plain = driven.build(
        tmp_path / "plain.so", "-DANY_PROCESSOR", "-O1", "-shared", "-fPIC", source="kernel.c"
    )

    other = Kernel(kernel.forest, str(plain))

    assert other.explain_many(rows).tolist() == kernel.explain_many(rows).tolist()


def test_more_thresholds_than_a_slot_can_tell_apart(monkeypatch):
    booster = train({**PLAIN, "rounds": 30, "num_leaves": 40})
    monkeypatch.setattr(flatten, "MAX_RANK", 7)
    monkeypatch.setattr("hardcover.runtime.forest.MAX_RANK", 7)
    content = flatten.to_bytes(lightgbm_text.parse(booster.model_to_string()))
    forest = Forest(*arrays.parse(content))
    rows = hostile_rows(forest.splits(), seed=0, rows=200)

    assert len(forest.slot_feature) > 20
    assert [forest.predict(row)[0] for row in rows.tolist()] == booster.predict(rows).tolist()


@pytest.mark.parametrize("bits_of_leaf", [8, 16])
def test_a_quantised_model_is_smaller_and_the_same_for_everyone(bits_of_leaf):
    text = train({**PLAIN, "rounds": 100, "num_leaves": 40}).model_to_string()
    smaller = leaf_codebook.quantised(text, bits_of_leaf)
    booster, before = lgb.Booster(model_str=smaller), lgb.Booster(model_str=text)
    forest, kernel = loaded(smaller)
    rows = hostile_rows(forest.splits(), seed=0)

    assert (bits(kernel.predict_many(rows)) == bits(booster.predict(rows))).all()
    assert [forest.predict(row)[0] for row in rows[:50].tolist()] == booster.predict(rows[:50]).tolist()
    assert kernel.explain(rows[0]) == Explainer(forest).explain(rows[0].tolist())
    assert len(forest.book) <= 2**bits_of_leaf
    if bits_of_leaf == 16:
        assert smaller == text.replace("\r", "") or (booster.predict(rows) == before.predict(rows)).all()
    else:
        assert len(flatten.to_bytes(lightgbm_text.parse(smaller))) < 0.8 * len(
            flatten.to_bytes(lightgbm_text.parse(text))
        )
        assert 0 < np.abs(booster.predict(rows) - before.predict(rows)).max() < 0.05


def test_categories_beyond_any_table_are_looked_up_in_place():
    rng = np.random.default_rng(0)
    inputs = rng.choice([3, 70_000, 130_000], size=(600, 1)).astype(float)
    target = (inputs[:, 0] == 70_000) ^ (rng.random(600) < 0.1)
    options = {
        "objective": "binary",
        "verbosity": -1,
        "min_data_per_group": 1,
        "cat_smooth": 1,
        "max_cat_to_onehot": 1,
    }
    booster = lgb.train(options, lgb.Dataset(inputs, target.astype(int), categorical_feature=[0]), 3)
    forest, kernel = loaded(booster.model_to_string())

    assert len(forest.node_set)
    for category in (3.0, 70_000.0, 70_001.0, 130_000.0, 1e9, -1.0):
        (expected,) = booster.predict([[category]])
        assert forest.predict([category]) == kernel.predict([category]) == [expected]


def test_more_thresholds_than_16_bits_can_number():
    count = 70_000
    ones = np.ones(count, np.int64)
    trees = lightgbm_text.parse(train(PLAIN).model_to_string())._replace(
        features=1, leaves=2 * ones, feature=0 * ones, threshold=np.arange(count) * 0.5, decision=8 * ones, left=-ones,
        right=-2 * ones, split_count=2 * ones, leaf_value=np.tile([1.0, 0.0], count), leaf_count=np.ones(2 * count, np.int64),
        set_offset=np.zeros(1, np.int64), set_word=np.zeros(0, np.int64),
    )  # fmt: skip
    kernel = Kernel(Forest(*arrays.parse(bytearray(flatten.to_bytes(trees))), check=False), SO)

    assert len(kernel.forest.slot_feature) == 3
    for value in (-1.0, 0.0, 0.25, 16_383.0, 32_766.0, 32_766.5, 32_767.0, 34_999.5, 1e9, float("nan")):
        assert kernel.raw([value]) == [float((np.arange(count) * 0.5 >= value).sum())]
        assert kernel.raw([value]) == kernel.forest.raw([value])


def test_linear_trees_have_no_reasons():
    kernel = loaded(train({**PLAIN, "linear_tree": True, "missing": 0.0}).model_to_string())[1]
    with pytest.raises(Unexplainable, match="linear trees have no explanations"):
        kernel.explain([0.0] * 5)


def test_many_threads_get_the_same_bits_and_no_memory_is_kept():
    booster = train({**PLAIN, "rounds": 60, "num_leaves": 63, "categories": 300})
    _, kernel = loaded(booster.model_to_string())
    rows = hostile_rows(kernel.forest.splits(), seed=3, rows=500)
    given_rows, expected = [row.tobytes() for row in rows], booster.predict(rows).tolist()
    reasons = kernel.explain_many(rows).tolist()
    wrong, each = [], 100_000 if SOAK else 5_000

    def work(offset: int) -> None:
        for count in range(each):
            number = (offset + count) % len(rows)
            if kernel.predict(given_rows[number])[0] != expected[number]:
                wrong.append(number)
            if count % 10 == 0 and kernel.explain(given_rows[number]) != reasons[number]:
                wrong.append(number)
            if count % 50 == 0 and kernel.predict_many(rows[:64], threads=1).tolist() != expected[:64]:
                wrong.append(number)

    def rounds() -> None:
        threads = [threading.Thread(target=work, args=(61 * number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    rounds()
    before = _resident()
    rounds()

    assert not wrong
    # An explanation's scratch is 10 kB, 4,000 of them are 40 MB; a batch's slots are another 6 kB.
    assert kernel.forest.slots * 64 > 2048
    assert _resident() - before < 4_000_000


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_forked_child_answers_alike():
    _, kernel = loaded(train(PLAIN).model_to_string())
    rows = hostile_rows(kernel.forest.splits(), seed=0, rows=4000)
    expected = kernel.predict_many(rows, threads=2).tolist()

    child = os.fork()
    if not child:
        os._exit(0 if kernel.predict_many(rows, threads=2).tolist() == expected else 1)

    assert os.waitpid(child, 0)[1] == 0
