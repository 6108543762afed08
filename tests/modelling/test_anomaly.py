"""The model of unusual inputs: what was broken is rarer than what was not."""

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from hardcover.errors import DataError
from hardcover.modelling import anomaly, calibration
from hardcover.runtime.confidence import Calibration
from hardcover.tasks.confidence import p_values

PLAN = {"inputs": ["torque", "speed", "power", "product"], "categorical": ["product"]}
CONF = {"rows": 4000, "rounds": 100, "leaves": 15, "seed": 0}


@pytest.fixture(scope="module")
def features() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    torque, speed = rng.normal(40, 10, 6000), rng.normal(1500, 150, 6000)
    product = rng.integers(0, 3, 6000).astype(float)
    table = {"torque": torque, "speed": speed, "power": torque * speed * (1 + product), "product": product}
    return pd.DataFrame({**table, "split": np.where(np.arange(6000) < 4000, "train", "holdout")})


@pytest.fixture(scope="module")
def judged(features):
    judge = lgb.Booster(model_str=anomaly.fit(features, PLAN, CONF))
    rows = features.loc[features["split"] == "holdout", PLAN["inputs"]].to_numpy()
    known, fresh = rows[:1000], rows[1000:]
    facts = {"level": 0.9, "confidence": {"kind": "none", "why": ""}}
    facts["anomaly"] = p_values(judge.predict(known))
    return fresh, lambda given: Calibration(facts, []).p_values(judge.predict(given))


BROKEN = {
    "a unit": lambda rows: rows * [1000, 1, 1, 1],
    "a sign": lambda rows: rows * [1, -1, 1, 1],
    "a missing value": lambda rows: np.where([False, True, False, False], np.nan, rows),
    "two columns for each other": lambda rows: rows[:, [1, 0, 2, 3]],
    "what belongs together": lambda rows: np.column_stack([rows[:, :2], np.roll(rows[:, 2:], 1, axis=0)]),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_input_is_rare(judged, kind):
    fresh, p_value = judged

    usual, broken = p_value(fresh), p_value(BROKEN[kind](fresh))

    assert 0.03 < (usual < 0.05).mean() < 0.08
    assert np.median(broken) < 0.1
    assert (broken < 0.05).mean() > 5 * (usual < 0.05).mean()


def test_of_few_rows_a_wrong_unit_is_still_told(features):
    few = features[(features["split"] == "holdout") | (features.index < 40)]
    judge = lgb.Booster(model_str=anomaly.fit(few, PLAN, CONF))
    rows = features.loc[features["split"] == "holdout", PLAN["inputs"]].to_numpy()

    assert (judge.predict(BROKEN["a unit"](rows)) > np.median(judge.predict(rows))).mean() > 0.95


def test_the_same_rows_give_the_same_bytes_and_the_holdout_none(features):
    other = features.copy()
    held = other["split"] == "holdout"
    other.loc[held, PLAN["inputs"]] = other.loc[held, PLAN["inputs"]].to_numpy()[::-1] * 2

    assert anomaly.fit(features, PLAN, CONF) == anomaly.fit(other, PLAN, CONF)
    assert anomaly.fit(features, PLAN, {**CONF, "rows": 500}) != anomaly.fit(features, PLAN, CONF)


@pytest.mark.parametrize("level", [90, 1.0, 0.0, True, "high", None])
def test_a_level_that_is_no_share_is_refused(features, level):
    with pytest.raises(DataError, match=r"Give a share between 0 and 1"):
        calibration.fit(features, PLAN, "", "", {"level": level}, "binary")


def test_a_column_without_any_number_and_one_that_never_changes_are_no_hindrance(features):
    poor = features.assign(torque=np.nan, speed=5.0)

    assert lgb.Booster(model_str=anomaly.fit(poor, PLAN, CONF)).num_trees() > 0
