"""Models that a case's own must beat."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler


def logistic_regression(categories: list[int]) -> BaseEstimator:
    """Return a logistic regression on scaled numbers, and on each level of a category as a column of its own.

    Trees take what is missing or infinite as it is; a linear model gets the training rows' median.

    Parameters
    ----------
    categories
        Positions of the categories among the inputs, a float64 array of shape (rows, inputs).
    """
    encode = OneHotEncoder(handle_unknown="ignore")
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    numbers = make_pipeline(FunctionTransformer(_finite), impute, StandardScaler())
    prepare = make_column_transformer((encode, categories), remainder=numbers)
    return make_pipeline(prepare, LogisticRegression(max_iter=1000))


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)
