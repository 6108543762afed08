"""Linear models that a case's own must beat."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from hardcover.tasks.base import Rows


def logistic_regression(categories: list[int]) -> Pipeline:
    """Return a logistic regression; see ``prepared``."""
    return prepared(categories, LogisticRegression(max_iter=1000))


def ridge(categories: list[int]) -> Pipeline:
    """Return a ridge regression; see ``prepared``."""
    return prepared(categories, Ridge())


def poisson_regression(categories: list[int]) -> Pipeline:
    """Return a Poisson regression; see ``prepared``."""
    return prepared(categories, PoissonRegressor(max_iter=1000))


def prepared(categories: list[int], model: BaseEstimator) -> Pipeline:
    """Return a linear model on scaled numbers, and on each level of a category as a column of its own.

    Trees take what is missing or infinite as it is; a linear model gets the training rows' median.

    Parameters
    ----------
    categories
        Positions of the categories among the inputs, a float64 array of shape (rows, inputs).
    model
        What is fitted to the prepared columns.
    """
    encode = OneHotEncoder(handle_unknown="ignore")
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    numbers = make_pipeline(FunctionTransformer(_finite), impute, StandardScaler())
    prepare = make_column_transformer((encode, categories), remainder=numbers)
    return make_pipeline(prepare, model)


def fit(model: Pipeline, rows: Rows) -> None:
    """Fit a prepared model, weighted where rows have weights."""
    last = model.steps[-1][0]
    weights = {} if rows.weight is None else {f"{last}__sample_weight": rows.weight}
    model.fit(rows.inputs, rows.target, **weights)


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)
