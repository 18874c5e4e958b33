"""Preparation of rows and estimators for a fit, and the baseline model that every challenger has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.pipeline import Pipeline

from refit.errors import ModelError
from refit.project import Kind


def select_features(frame: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Selects the columns that an estimator is fitted on.

    Args:
        frame: Rows with all columns.
        features: The columns to select, in the required order.

    Returns:
        The rows with these columns.

    Raises:
        ModelError: If a feature is missing.
    """
    missing = [feature for feature in features if feature not in frame.columns]
    if missing:
        raise ModelError(
            f"feature {', '.join(map(repr, missing))} is not among the columns {', '.join(map(str, frame.columns))}: "
            f"return it from the load again or, before a fit, remove it from the project's features"
        )
    return frame.loc[:, list(features)]


def features_seen_by(model: BaseEstimator, features: Sequence[str]) -> list[str]:
    """Returns the columns that a model was fitted on, which may differ from the project's current features.

    Args:
        model: A fitted estimator.
        features: The project's features, for a model without `feature_names_in_`.

    Returns:
        Their names, in the model's order.
    """
    return [str(name) for name in getattr(model, "feature_names_in_", features)]


def fill_empty_columns(frame: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Fills columns without any value with a constant, so that they do not break a fit.

    Some estimators fail on a column that is entirely missing, others infer a wrong type. A constant carries no
    information either. Only for training rows: a column may be missing in the rows to predict and not in these.

    Args:
        frame: The training rows.
        features: The columns that the estimator is fitted on.

    Returns:
        The features, in their order; columns with a value keep their dtype.

    Raises:
        ModelError: If a feature is missing.
    """
    X = select_features(frame, features)  # noqa: N806 - scikit-learn's name
    empty = [str(name) for name in features if X[name].isna().all()]
    return X.assign(**{name: _constant(X[name]) for name in empty})


def set_seeds(estimator: BaseEstimator, seed: int) -> BaseEstimator:
    """Sets every `random_state` of an estimator that is unset, at any depth.

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
    """Fits an estimator so that the same rows and seed give the same model.

    Steps without a seed parameter, such as a shuffled `KFold` inside a stack, draw from numpy's global generator: it is
    seeded for the fit and restored afterwards.

    Args:
        estimator: An unfitted estimator; it is changed in place.
        X: The features.
        y: The target.
        seed: The seed.

    Returns:
        The same estimator, fitted; in place of a search its best estimator.
    """
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        return unwrap_search(_silence_catboost(set_seeds(estimator, seed)).fit(X, y))
    finally:
        np.random.set_state(before)


def _silence_catboost(estimator: BaseEstimator) -> BaseEstimator:
    """Keeps CatBoost from writing a directory to wherever the process runs and a line for each tree, unless asked."""
    for part in (estimator, *estimator.get_params(deep=True).values()):
        if type(part).__module__.partition(".")[0] == "catboost" and hasattr(part, "set_params"):
            chosen = part.get_params()
            quiet = {} if _CATBOOST_VERBOSITY & chosen.keys() else {"logging_level": "Silent"}
            part.set_params(**{"allow_writing_files": False, **quiet, **chosen})
    return estimator


_CATBOOST_VERBOSITY = {"logging_level", "metric_period", "silent", "verbose", "verbose_eval"}
"""The parameters by which CatBoost is told what to print."""


def unwrap_search(model: BaseEstimator) -> BaseEstimator:
    """Replaces a fitted hyperparameter search by its best estimator, which predicts the same.

    The other contents of a search (candidates, scores of the folds) are not needed to predict, and scipy's
    distributions among them cannot be stored without trusting types that run code when they are loaded.

    Args:
        model: A fitted estimator; a pipeline is changed in place.

    Returns:
        The best estimator of a search that refitted one, a pipeline with such steps replaced, or the model itself.
    """
    if hasattr(model, "best_estimator_") and hasattr(model, "cv_results_"):
        return unwrap_search(model.best_estimator_)
    if isinstance(model, Pipeline):
        model.steps = [(name, unwrap_search(step)) for name, step in model.steps]
    return model


def baseline_model(kind: Kind) -> BaseEstimator:
    """Returns the model that ignores all features.

    Args:
        kind: Whether the target is a class or a number.

    Returns:
        An unfitted estimator that predicts the mean, or the most frequent class with the share of each class as its
        probability (an AUC of 0.5).
    """
    return DummyClassifier(strategy="prior") if kind == "classification" else DummyRegressor(strategy="mean")


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
