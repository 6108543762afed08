"""Random models of LightGBM and inputs that try to be misread."""

import lightgbm as lgb
import numpy as np
from hypothesis import strategies as st

SPECIAL = [
    np.nan,
    np.inf,
    -np.inf,
    0.0,
    -0.0,
    5e-324,
    1e-36,
    -1e-36,
    1e-35,
    1.0000000180025095e-35,
    1.7e308,
    -1e300,
    2147483647.0,
    2147483648.0,
    -1.0,
    0.5,
    -0.5,
]

settings_of_models = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "zero_as_missing": st.booleans(),
        "use_missing": st.booleans(),
        "num_leaves": st.integers(2, 40),
        "sigmoid": st.sampled_from([1.0, 0.7, 2.5]),
        "boosting": st.sampled_from(["gbdt", "dart"]),
        "lambda_l2": st.sampled_from([0.0, 5.0]),
        "min_data_in_leaf": st.sampled_from([3, 20, 2000]),
        "rounds": st.integers(1, 30),
        "missing": st.sampled_from([0.0, 0.1]),
        "zeros": st.sampled_from([0.0, 0.3]),
        "categories": st.sampled_from([2, 40, 300]),
    }
)


def train(choice: dict) -> lgb.Booster:
    """Train a binary model of five inputs, the last a category, on seeded random rows."""
    choice = dict(choice)
    rounds, missing, zeros, categories = (
        choice.pop(key) for key in ("rounds", "missing", "zeros", "categories")
    )
    rng = np.random.default_rng(choice["seed"])
    inputs = rng.normal(size=(1000, 5))
    inputs[rng.random(inputs.shape) < zeros] = 0.0
    inputs[:, 4] = rng.integers(-1, categories, size=1000)
    inputs[rng.random(inputs.shape) < missing] = np.nan
    noise = rng.normal(size=1000) * 0.3
    target = np.nan_to_num(inputs[:, 0]) + np.sin(np.nan_to_num(inputs[:, 4])) + noise > 0
    options = {
        "objective": "binary",
        "verbosity": -1,
        "num_threads": 1,
        "cat_smooth": 1,
        "min_data_per_group": 3,
    }
    data = lgb.Dataset(inputs, target.astype(int), categorical_feature=[4])
    return lgb.train({**options, **choice}, data, rounds)


def hostile_rows(thresholds: list[float], seed: int, rows: int = 1500) -> np.ndarray:
    """Draw rows on and beside thresholds, of special values, and of unseen, fractional and negative categories."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(rows, 5)) * rng.choice([1, 1e-36, 1e10], size=(rows, 1))
    inputs[: rows // 2, 4] = rng.integers(-3, 320, size=rows // 2) + rng.choice(
        [0, 0.5, -0.5], size=rows // 2
    )
    drawn = rng.choice([*thresholds, 0.0], size=inputs.shape)
    beside = np.nextafter(drawn, rng.choice([-np.inf, np.inf], size=inputs.shape))
    kind = rng.integers(0, 6, size=inputs.shape)
    return np.select(
        [kind == 0, kind == 1, kind == 2], [drawn, beside, rng.choice(SPECIAL, size=inputs.shape)], inputs
    )
