"""What is estimated without labels is near what labels show, and the interval says how near."""

import os

import numpy as np
import pytest
from scipy import stats

from hardcover import tasks
from hardcover.monitoring.curve import Curve
from hardcover.monitoring.estimate import Blocks, meaning_of
from hardcover.tasks import Rows

COSTS = {"missed": 50, "false_alarm": 5}
MORE = 10 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 1


def binary(chance: np.random.Generator, rows: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw scores that are too sure of themselves, and what came of them."""
    z = chance.normal(shift, 1.5, rows)
    return 1 / (1 + np.exp(2 - 1.3 * z)), (chance.random(rows) < 1 / (1 + np.exp(2 - z))).astype(float)


def measured(
    task: tasks.Task, score: np.ndarray, target: np.ndarray, decision: dict, costs: dict
) -> dict[str, float]:
    return task.metrics(Rows(np.empty((len(target), 0)), target), score, decision, costs)


def test_intervals_cover_what_labels_show_also_where_inputs_have_moved():
    task, chance = tasks.of("binary"), np.random.default_rng(21)
    decision, chunks, covered = task.decision(COSTS, [0, 1]), 12 * MORE, []
    for _ in range(chunks):
        calibration = meaning_of(task, *binary(chance, 2000), decision, COSTS)
        score, target = binary(chance, 1000, shift=0.5)
        found = calibration.metrics(score, draws=40)
        true = measured(task, score, target, decision, COSTS)
        covered.append([found[name]["low"] <= true[name] <= found[name]["high"] for name in true])
    counts = np.array(covered).sum(axis=0)
    # 40 draws give quantiles of about 93 %.
    assert (counts >= stats.binom.ppf(0.001, chunks, 0.9)).all()


def test_a_block_of_amounts_has_the_mean_loss_that_it_had():
    chance, task = np.random.default_rng(22), tasks.of("regression")
    score, target = chance.normal(size=3000), chance.normal(size=3000)
    blocks = Blocks(task, score, target, {"kind": "none"}, {}, 1.0)
    loss = task.losses(target, score, {"kind": "none"}, {})
    assert blocks.losses(score).mean() == pytest.approx(loss.mean(), abs=1e-9)
    block = blocks.block(score)
    for number in np.unique(block):
        assert blocks.losses(score)[block == number] == pytest.approx(loss[block == number].mean())


def test_a_curve_finds_what_scores_mean_and_a_straight_one_what_it_can():
    chance = np.random.default_rng(26)
    score, target = binary(chance, 20_000)
    z = np.linspace(-3, 4, 50)
    asked = 1 / (1 + np.exp(2 - 1.3 * z))
    assert np.abs(Curve(score, target).chance(asked) - 1 / (1 + np.exp(2 - z))).max() < 0.03
    # With as good as no rows it is the model's own word, whatever they say.
    few = Curve(score[:3], target[:3]).chance(asked)
    assert np.isfinite(few).all()
    assert (np.diff(few) > 0).all()
    for constant in (0.0, 1.0):
        only = Curve(score[:200], np.full(200, constant)).chance(asked[:20])
        assert np.abs(only - constant).max() < 0.2


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_the_interval_of_the_mean_loss_covers_it(kind):
    task, chance, covered, chunks = tasks.of(kind), np.random.default_rng(27), 0, 200 * MORE
    decision, costs = (task.decision(COSTS, [0, 1]), COSTS) if kind == "binary" else ({"kind": "none"}, {})

    def drawn(rows: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
        if kind == "binary":
            return binary(chance, rows, shift)
        score = chance.normal(shift, 1, rows)
        return score, score + chance.normal(0, 1, rows)

    for _ in range(chunks):
        calibration = meaning_of(task, *drawn(1500, 0.0), decision, costs)
        score, target = drawn(800, 0.4)
        found = calibration.mean_loss(score)
        covered += found["low"] <= task.losses(target, score, decision, costs).mean() <= found["high"]
    assert stats.binom.ppf(0.001, chunks, 0.93) <= covered <= stats.binom.ppf(0.999, chunks, 0.97)


def test_errors_of_an_amount_are_those_that_its_size_had():
    task, chance = tasks.of("regression"), np.random.default_rng(23)
    score = chance.uniform(0, 10, 4000)
    target = score + chance.normal(0, 0.1 + score / 5)
    calibration = meaning_of(task, score, target, {"kind": "none"}, {})
    small, large = (
        calibration.metrics(part, draws=30)["rmse"] for part in (np.full(500, 1.0), np.full(500, 9.0))
    )
    assert small["high"] < large["low"]
    # A block holds scores beside these too.
    assert small["estimate"] == pytest.approx(0.3, abs=0.08)
    assert large["estimate"] == pytest.approx(1.9, abs=0.2)


def test_classes_keep_their_shares_and_a_class_that_was_never_seen_stays_rare():
    task, chance = tasks.of("multiclass"), np.random.default_rng(24)
    decision = task.decision({}, ["a", "b", "c", "d"])
    score = np.hstack([chance.dirichlet([1, 1, 1], 3000), np.zeros((3000, 1))])
    target = (
        (chance.random((3000, 1)) > np.cumsum(score, axis=1)[:, :-1]).sum(axis=1).clip(0, 2).astype(float)
    )
    calibration = meaning_of(task, score, target, decision, {})
    found = calibration.metrics(score[:1000], draws=40)
    true = measured(task, score, target, decision, {})
    assert found["accuracy"]["low"] < true["accuracy"] < found["accuracy"]["high"]
    assert calibration.losses(score).mean() == pytest.approx(1 - true["accuracy"])


def test_the_same_rows_give_the_same_estimate():
    task, chance = tasks.of("binary"), np.random.default_rng(25)
    decision = task.decision(COSTS, [0, 1])
    calibration = meaning_of(task, *binary(chance, 1000), decision, COSTS)
    score, _ = binary(chance, 300)
    assert calibration.metrics(score, draws=10) == calibration.metrics(score, draws=10)


def test_ranking_has_no_loss_of_a_row():
    with pytest.raises(Exception, match="no loss of its own"):
        tasks.of("ranking").losses(np.ones(3), np.ones(3), {}, {})


def test_other_shares_of_classes_and_another_relation_are_told_apart():
    task, chance = tasks.of("binary"), np.random.default_rng(27)
    decision, told = task.decision(COSTS, [0, 1]), {"inputs": [], "shares": [], "relation": [], "noise": []}
    for _ in range(20 * MORE):
        meaning = meaning_of(task, *binary(chance, 3000), decision, COSTS)
        score, target = binary(chance, 1500, shift=0.5)
        told["inputs"].append(meaning.told_apart(score, target))
        score, target = binary(chance, 6000)
        # Three times as many of the second class, which are like those of before.
        kept = (target == 1) | (chance.random(len(target)) < 1 / 3)
        told["shares"].append(meaning.told_apart(score[kept], target[kept]))
        score, target = binary(chance, 1500)
        told["relation"].append(meaning.told_apart(score[::-1], target))
        told["noise"].append(
            meaning.told_apart(score, np.where(chance.random(1500) < 0.3, 1 - target, target))
        )
    enough = 0.9 * 20 * MORE
    assert sum(each == "" for each in told["inputs"]) >= enough
    assert sum(each.startswith("as where only the shares") for each in told["shares"]) >= enough
    assert sum(each.startswith("the relation has changed") for each in told["relation"]) >= enough
    assert sum(each.startswith("the relation has changed") for each in told["noise"]) >= enough


def test_amounts_that_are_higher_at_all_scores_are_told_from_another_relation():
    chance, task = np.random.default_rng(28), tasks.of("regression")
    score = chance.normal(10, 3, 3000)
    meaning = meaning_of(task, score, score + chance.normal(1, 1, 3000), {"kind": "none"}, {})
    score = chance.normal(11, 3, 1000)
    target = score + chance.normal(1, 1, 1000)
    assert meaning.told_apart(score, target) == ""
    assert meaning.told_apart(score, target + 0.5).endswith("at all scores alike")
    assert meaning.told_apart(score, 12 - target).startswith("the relation has changed")
