"""What settings are chosen by, where rows are many, and what the newest rows add."""

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from hardcover import tasks
from hardcover.errors import DataError
from hardcover.forest import lightgbm_text
from hardcover.modelling import folds, training
from hardcover.tasks import Rows

ROWS = 5_000


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(training, "MAX_TRIED", 1_000)


def table() -> pd.DataFrame:
    chance = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "split": chance.choice(["train", "validation", "holdout"], ROWS, p=[0.6, 0.2, 0.2]),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(chance.permutation(ROWS), unit="h"),
            "machine": chance.integers(0, 100, ROWS),
        }
    )


def sample(by: str, roles: dict, rows: pd.DataFrame) -> pd.DataFrame:
    return training._sample(rows, {"roles": roles}, {"by": by}, seed=1)


def test_few_rows_are_all_taken_but_never_the_holdout():
    rows = table().head(1_200)

    assert sample("random", {}, rows).equals(rows[rows["split"] != "holdout"])


def test_rows_are_drawn_alike_for_a_seed():
    rows = table()
    drawn = sample("random", {}, rows)

    assert len(drawn) == 1_000
    assert "holdout" not in set(drawn["split"])
    assert drawn.equals(sample("random", {}, rows))


def test_under_a_split_by_time_the_latest_rows_are_taken_in_their_order():
    rows = table()
    drawn, used = sample("time", {"time": "when"}, rows), rows[rows["split"] != "holdout"]

    assert len(drawn) == 1_000
    assert drawn["when"].min() > used.drop(drawn.index)["when"].max()
    assert drawn.index.is_monotonic_increasing


def test_entities_stay_whole():
    rows = table()
    drawn, used = sample("entity", {"entity": "machine"}, rows), rows[rows["split"] != "holdout"]

    assert 900 <= len(drawn) <= 1_000
    assert len(drawn) == used["machine"].isin(set(drawn["machine"])).sum()


PLAN = {"inputs": ["x", "y"], "categorical": [], "classes": [], "roles": {"target": "cost", "time": "when"}}
SETTINGS = {
    "seed": 1,
    "rounds": 60,
    "early_stopping": 20,
    "stopping": "validation",
    "num_threads": 1,
    "num_leaves": 7,
    "leaf_bits": 64,
    "recent": 30,
    "recent_rounds": 25,
}


def turned() -> pd.DataFrame:
    """Return rows of which ``y`` means the opposite for the last sixty days."""
    rows = table().sort_values("when", ignore_index=True)
    chance = np.random.default_rng(3)
    rows["x"], rows["y"] = chance.normal(size=(2, ROWS))
    rows["split"] = np.select([rows.index < 3_800, rows.index < 4_400], ["train", "validation"], "holdout")
    late = rows["when"] > rows["when"].max() - pd.Timedelta(days=60)
    rows["cost"] = rows["x"] + np.where(late, -1, 1) * rows["y"] + chance.normal(size=ROWS) / 4
    return rows


def fit(rows: pd.DataFrame, **changed) -> str:
    split = {"by": "time"}
    model, _ = training.fit(rows, PLAN, {**SETTINGS, **changed}, {}, split, "regression")
    return model


def loss(model: str, rows: pd.DataFrame) -> float:
    holdout = training.rows_of(rows, PLAN, tasks.of("regression"), "holdout")
    return float(((lgb.Booster(model_str=model).predict(holdout.inputs) - holdout.target) ** 2).mean())


def test_trees_of_the_newest_rows_put_right_what_has_changed_and_leave_the_others_as_they_are():
    rows = turned()
    plain, more = fit(rows, recent=0), fit(rows)
    trees, added = lightgbm_text.parse(plain), lightgbm_text.parse(more)

    assert loss(more, rows) < 0.5 * loss(plain, rows)
    assert more == fit(rows)
    kept = len(trees.leaf_value)
    assert added.leaf_value[:kept].tolist() == trees.leaf_value.tolist()
    assert len(added.leaf_value) > kept


def test_rows_without_a_time_and_forests_that_are_not_continued_are_refused():
    with pytest.raises(DataError, match="no time"):
        fit(turned().drop(columns="when"))
    with pytest.raises(DataError, match="dart is not continued"):
        fit(turned(), boosting="dart")


@pytest.mark.parametrize("classes", [True, False])
def test_there_are_no_more_folds_than_entities_and_one_entity_has_none(classes):
    features = table().assign(machine=lambda rows: rows["machine"] % 3)
    target = (np.arange(ROWS) % 4 == 0).astype(float)
    rows, task = Rows(np.zeros((ROWS, 1)), target), tasks.of("binary" if classes else "regression")
    plan = {"roles": {"entity": "machine"}}

    found = folds.folds(features, rows, plan, {"by": "entity"}, task, 5, 1)
    assert len(found) == 3
    for learned, measured in found:
        assert not set(features["machine"].iloc[learned]) & set(features["machine"].iloc[measured])
    with pytest.raises(DataError, match="all rows to learn from are of one machine"):
        folds.folds(features.assign(machine=1), rows, plan, {"by": "entity"}, task, 5, 1)
