"""Learn to tell rows from rows that were made up, so that an input unlike all that was learned from can be named as such.

After T. Hastie, R. Tibshirani, J. Friedman, *The Elements of Statistical Learning* (2nd ed. 2009), section 14.2.4, "Unsupervised as
supervised learning": trees that tell rows from draws of a reference distribution know their density relative to it. Made-up rows are real ones
in which some values were replaced: by those of other rows, which breaks what belongs together, by numbers within and beyond all
that was seen, or by nothing.
"""

import lightgbm as lgb
import numpy as np
import pandas as pd

# Numbers are drawn from so many times the range of what was seen, about its middle.
WIDTH = 3.0
# Of the replaced values: so many come from that range, and so many are missing; the others come from other rows.
FROM_RANGE, MISSING = 0.3, 0.05
# Rows that are learned from at least; fewer are repeated.
LEAST = 4000
# As LightGBM's text names it.
LINK = "binary sigmoid:1"
SETTINGS = {
    "objective": "binary",
    "learning_rate": 0.2,
    "max_bin": 255,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.8,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


def fit(features: pd.DataFrame, feature_plan: dict, anomaly: dict) -> str:
    """Train the model that knows how unlike an input is.

    Parameters
    ----------
    features, feature_plan
        As the features stage makes them. Only rows of ``train`` are learned from.
    anomaly
        Of ``conf/``: ``rows`` that are learned from at most, ``rounds``, ``leaves``, ``seed``.

    Returns
    -------
    str
        LightGBM's text of a model of the case's inputs. The higher its score, a log-odds, the less an input is like those of ``train``.
    """
    rng = np.random.default_rng(anomaly["seed"])
    real = features.loc[features["split"] == "train", feature_plan["inputs"]].to_numpy(np.float64)
    if len(real) > anomaly["rows"]:
        real = real[np.sort(rng.choice(len(real), anomaly["rows"], replace=False))]
    categories = [feature_plan["inputs"].index(name) for name in feature_plan["categorical"]]
    # Of few rows many are made up, or what is far from all of them would be seen too rarely to be told.
    real = np.repeat(real, -(-LEAST // len(real)), axis=0)
    rows = np.concatenate([real, made_up(real, categories, rng)])
    data = lgb.Dataset(
        rows,
        np.repeat([0.0, 1.0], len(real)),
        feature_name=feature_plan["inputs"],
        categorical_feature=feature_plan["categorical"],
    )
    settings = {**SETTINGS, "num_leaves": anomaly["leaves"], "seed": anomaly["seed"], "num_threads": 1}
    text = lgb.train(settings, data, anomaly["rounds"]).model_to_string()
    # Only the order of scores counts, and probabilities near 1 would have lost it.
    return text.replace(f"objective={LINK}\n", "objective=regression\n", 1)


def made_up(real: np.ndarray, categories: list[int], rng: np.random.Generator) -> np.ndarray:
    """Return rows like real ones but for some of their values.

    Parameters
    ----------
    real
        Shape (rows, inputs), float64.
    categories
        Which inputs are positions among levels; of these no number is drawn.
    rng
        Where chance comes from.
    """
    rows, width = real.shape
    made = real.copy()
    # From one value of a row to all of them, each as often.
    share = rng.integers(1, width + 1, rows) / width
    for column in range(width):
        replaced = np.flatnonzero(rng.random(rows) < share)
        kind, count = rng.random(len(replaced)), len(replaced)
        values = real[rng.integers(0, rows, count), column]
        seen = real[np.isfinite(real[:, column]), column]
        if len(seen) and column not in categories:
            low, high = seen.min(), seen.max()
            reach = (high - low or max(abs(high), 1.0)) * WIDTH / 2
            drawn = rng.uniform((low + high) / 2 - reach, (low + high) / 2 + reach, count)
            values = np.where(kind < FROM_RANGE, drawn, values)
        made[replaced, column] = np.where(kind > 1 - MISSING, np.nan, values)
    return made
