"""What a frame and an estimator go through before a fit, and the trivial model that every challenger has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor

from refit.errors import ModelError
from refit.project import Kind


def select_features(frame: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Picks the columns that an estimator sees.

    Args:
        frame: Rows with all columns.
        features: The columns to pick, in the order wanted.

    Returns:
        The rows with these columns.

    Raises:
        ModelError: If a feature is not among the columns.
    """
    missing = [feature for feature in features if feature not in frame.columns]
    if missing:
        raise ModelError(
            f"feature {', '.join(map(repr, missing))} is not among the columns {', '.join(map(str, frame.columns))}: "
            f"bring it back or, before a fit, take it out of the project's features"
        )
    return frame.loc[:, list(features)]


def features_seen_by(model: BaseEstimator, features: Sequence[str]) -> list[str]:
    """Names the columns that a model was fitted on, which need not be what the project's features are by now.

    Args:
        model: A fitted estimator.
        features: The project's features, for a model that does not tell.

    Returns:
        Their names, in the model's order.
    """
    return [str(name) for name in getattr(model, "feature_names_in_", features)]


def fill_empty_columns(frame: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Gives training rows that a column without any value does not break.

    Some estimators raise on a column that is all missing, some guess its type wrong. It gets one constant value, which
    carries no information either. Only for the rows of a fit: a column may be missing in the rows to predict and not
    in these.

    Args:
        frame: The training rows.
        features: The columns the estimator sees.

    Returns:
        The features, in their order and, where they hold a value, with their dtypes.

    Raises:
        ModelError: If a feature is not among the columns.
    """
    X = select_features(frame, features)  # noqa: N806 - scikit-learn's name
    empty = [str(name) for name in features if X[name].isna().all()]
    return X.assign(**{name: _constant(X[name]) for name in empty})


def _constant(column: pd.Series[Any]) -> pd.Series[Any]:
    value, dtype = _constant_of(column.dtype)
    constant: pd.Series[Any] = pd.Series(value, index=column.index, dtype=dtype)
    return constant


def _constant_of(dtype: Any) -> tuple[Any, Any]:  # noqa: ANN401 - pandas dtypes have no common type
    if isinstance(dtype, pd.CategoricalDtype):
        dtype = dtype if len(dtype.categories) else pd.CategoricalDtype([""])
        return dtype.categories[0], dtype
    if types.is_datetime64_any_dtype(dtype):
        return pd.Timestamp(0, tz=getattr(dtype, "tz", None)), dtype
    if types.is_numeric_dtype(dtype) or types.is_timedelta64_dtype(dtype):
        return 0, dtype
    return "", "str"


def set_seeds(estimator: BaseEstimator, seed: int) -> BaseEstimator:
    """Seeds whatever an estimator draws at random, at any depth, where its author has not.

    Args:
        estimator: An unfitted estimator; it is changed in place.
        seed: The seed.

    Returns:
        The same estimator.
    """
    unset = [
        name
        for name, value in estimator.get_params(deep=True).items()
        if value is None and name.rpartition("__")[2] == "random_state"
    ]
    return estimator.set_params(**dict.fromkeys(unset, seed))


def fit_seeded(estimator: BaseEstimator, X: pd.DataFrame, y: pd.Series[Any], seed: int) -> BaseEstimator:  # noqa: N803
    """Fits an estimator such that the same rows and seed give the same model.

    What has no parameter for a seed, a shuffled `KFold` inside a stack for one, draws from numpy's global generator:
    that one is seeded for the time of the fit, and then left as it was.

    Args:
        estimator: An unfitted estimator; it is changed in place.
        X: The features.
        y: The target.
        seed: The seed.

    Returns:
        The same estimator, fitted.
    """
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        return set_seeds(estimator, seed).fit(X, y)
    finally:
        np.random.set_state(before)


def baseline_model(kind: Kind) -> BaseEstimator:
    """Gives the model that looks at no feature.

    Args:
        kind: Whether the target is a class or a number.

    Returns:
        An unfitted estimator that predicts the most frequent class, with the share of each class as its probability
        (an AUC of 0.5), or the mean.
    """
    return DummyClassifier(strategy="prior") if kind == "classification" else DummyRegressor(strategy="mean")
