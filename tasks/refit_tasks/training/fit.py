"""Fitting of the project's estimator, whose errors become a `TrainingFailed`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pandas as pd
from sklearn.base import BaseEstimator

from refit.errors import NotEnoughData, RefitError, TrainingFailed
from refit.modelling.preparation import fill_empty_columns, fit_seeded
from refit.project import Project
from refit_tasks.project_code.errors import describe_project_error


@contextmanager
def translate_estimator_errors(definition: Project) -> Iterator[None]:
    """Turns errors of the project's estimator into a `TrainingFailed`; Refit's own errors pass unchanged.

    Args:
        definition: The project.

    Yields:
        Nothing.

    Raises:
        TrainingFailed: If the code in the block raises; the original error is its cause.
    """
    try:
        yield
    except RefitError:
        raise
    except (Exception, SystemExit) as error:  # an estimator may raise anything
        raise TrainingFailed(
            f"the estimator could not be built or fitted ({describe_project_error(error, definition.file)}): "
            f"correct it, then run refit check {definition.name}"
        ) from error


def select_training_features(definition: Project, rows: pd.DataFrame) -> pd.DataFrame:
    """Selects the features of labelled training rows.

    Args:
        definition: The project.
        rows: The labelled training rows.

    Returns:
        The features, with columns that hold no value filled, so that an estimator accepts them.

    Raises:
        NotEnoughData: If the target has a single value in all rows.
        ModelError: If a feature is not among the columns.
    """
    values, times = rows[definition.target].unique(), rows[definition.timestamp]
    if len(values) == 1:
        raise NotEnoughData(
            f"the target {definition.target!r} of {definition.name} has the single value {values.tolist()[0]!r} in all "
            f"{len(rows):,} training rows from {times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}: set "
            f"training.window='all', or wait for rows with another value"
        )
    return fill_empty_columns(rows, definition.features_of(rows.columns))


def fit(definition: Project, rows: pd.DataFrame, params: Mapping[str, Any]) -> BaseEstimator:
    """Fits the project's estimator with the seed of its training policy.

    Args:
        definition: The project.
        rows: The labelled training rows.
        params: The hyperparameters to set on the estimator.

    Returns:
        The fitted estimator.

    Raises:
        NotEnoughData: If the target has a single value.
        TrainingFailed: If the estimator cannot be built or fitted.
    """
    features = select_training_features(definition, rows)
    with translate_estimator_errors(definition):
        estimator = definition.build().set_params(**params)
        return fit_seeded(estimator, features, rows[definition.target], definition.training.seed)
