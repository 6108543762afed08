"""Random models of LightGBM, over all objectives and settings that the runtime evaluates, and inputs that try to be misread."""

import lightgbm as lgb
import numpy as np
from hypothesis import strategies as st

from hardcover.forest.edge_rows import SPECIAL

OBJECTIVES = {
    "binary": {},
    "regression": {},
    "regression sqrt": {"reg_sqrt": True},
    "regression_l1": {},
    "huber": {},
    "fair": {},
    "poisson": {},
    "quantile": {"alpha": 0.3},
    "quantile sqrt": {"alpha": 0.7, "reg_sqrt": True},
    "mape": {},
    "gamma": {},
    "tweedie": {},
    "cross_entropy": {},
    "cross_entropy_lambda": {},
    "multiclass": {"num_class": 3},
    "multiclassova": {"num_class": 4},
    "lambdarank": {},
    "rank_xendcg": {},
    "custom": {},
}
WITH_CLASSES = {"binary", "multiclass", "multiclassova", "lambdarank", "rank_xendcg"}

settings_of_models = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "objective": st.sampled_from(sorted(OBJECTIVES)),
        "zero_as_missing": st.booleans(),
        "use_missing": st.booleans(),
        "num_leaves": st.integers(2, 40),
        "sigmoid": st.sampled_from([1.0, 0.7, 2.5, 1.23457]),
        "boosting": st.sampled_from(["gbdt", "dart", "rf"]),
        "linear_tree": st.booleans(),
        "lambda_l2": st.sampled_from([0.0, 5.0]),
        "min_data_in_leaf": st.sampled_from([3, 20, 2000]),
        "rounds": st.integers(1, 30),
        "refit": st.booleans(),
        "missing": st.sampled_from([0.0, 0.1]),
        "zeros": st.sampled_from([0.0, 0.3]),
        "categories": st.sampled_from([2, 40, 250, 300]),
        "tails": st.booleans(),
    }
)
PLAIN = {
    "seed": 1,
    "objective": "binary",
    "zero_as_missing": False,
    "use_missing": True,
    "num_leaves": 8,
    "sigmoid": 1.0,
    "boosting": "gbdt",
    "linear_tree": False,
    "lambda_l2": 0.0,
    "min_data_in_leaf": 3,
    "rounds": 3,
    "refit": False,
    "missing": 0.1,
    "zeros": 0.0,
    "categories": 40,
    "tails": False,
}


def train(choice: dict) -> lgb.Booster:
    """Train a model of five inputs, the last a category, on seeded random rows."""
    choice = dict(choice)
    names = ("rounds", "refit", "missing", "zeros", "categories", "tails", "objective")
    rounds, refit, missing, zeros, categories, tails, objective = (choice.pop(key) for key in names)
    rng = np.random.default_rng(choice["seed"])
    inputs = rng.normal(size=(1000, 5))
    if tails:
        # So far apart that even cells hold many thresholds, on both sides of zero.
        inputs[:, 1], inputs[:, 2] = np.sinh(9 * inputs[:, 1]), np.exp(9 * inputs[:, 2])
    inputs[rng.random(inputs.shape) < zeros] = 0.0
    inputs[:, 4] = rng.integers(-1, categories, size=1000)
    inputs[rng.random(inputs.shape) < missing] = np.nan
    noise = rng.normal(size=1000) * 0.3
    signal = np.nan_to_num(inputs[:, 0]) + np.sin(np.nan_to_num(inputs[:, 4])) + noise
    kind = objective.removesuffix(" sqrt")
    if kind == "binary":
        target = (signal > 0).astype(int)
    elif kind in WITH_CLASSES:
        target = np.digitize(signal, [-0.5, 0.2, 1.0]) % OBJECTIVES[objective].get("num_class", 4)
    else:
        target = (signal - signal.min() + 0.01) / (np.ptp(signal) + 0.02)
    # What LightGBM refuses to train.
    if kind in ("regression_l1", "quantile", "mape") or choice["boosting"] == "rf":
        choice["linear_tree"] = False
    if kind == "custom" and choice["boosting"] == "rf":
        choice["boosting"] = "gbdt"
    choice["zero_as_missing"] &= not choice["linear_tree"]
    if choice["boosting"] == "rf":
        choice |= {"bagging_freq": 1, "bagging_fraction": 0.6}
    options = {
        "objective": _residual if kind == "custom" else kind,
        "verbosity": -1,
        "num_threads": 1,
        "cat_smooth": 1,
        "min_data_per_group": 3,
    }
    group = [100] * 10 if kind in ("lambdarank", "rank_xendcg") else None
    data = lgb.Dataset(inputs, target, categorical_feature=[4], group=group)
    booster = lgb.train({**options, **OBJECTIVES[objective], **choice}, data, rounds)
    if (
        refit
        and choice["boosting"] == "gbdt"
        and group is None
        and kind != "custom"
        and not choice["linear_tree"]
    ):
        booster = booster.refit(inputs[::2], target[::2], decay_rate=0.5)
    return booster


def _residual(scores: np.ndarray, data: lgb.Dataset) -> tuple[np.ndarray, np.ndarray]:
    return scores - data.get_label(), np.ones(len(scores))


def hostile_rows(splits: list[tuple[int, float]], seed: int, rows: int = 1500) -> np.ndarray:
    """Draw rows on and beside thresholds, of special values, and of unseen, fractional, negative and huge categories."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(rows, 5)) * rng.choice([1, 1e-36, 1e10], size=(rows, 1))
    codes = rng.integers(-3, 320, size=rows // 2) + rng.choice([0, 0.5, -0.5], size=rows // 2)
    inputs[: rows // 2, 4] = codes
    drawn = rng.choice([*(at for _, at in splits), 0.0], size=inputs.shape)
    beside = np.nextafter(drawn, rng.choice([-np.inf, np.inf], size=inputs.shape))
    kind = rng.integers(0, 6, size=inputs.shape)
    special = rng.choice(
        [*SPECIAL, 1e-35, 1.0000000180025095e-35, 2147483647.0, 4294967296.0], size=inputs.shape
    )
    return np.select([kind == 0, kind == 1, kind == 2], [drawn, beside, special], inputs)
