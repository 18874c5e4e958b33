"""The fit itself: the door to the project's estimator, which is foreign code."""

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
    """Turns whatever the project's code raises into a `TrainingFailed`, except what Refit raises itself.

    Args:
        definition: The project.

    Yields:
        Nothing.

    Raises:
        TrainingFailed: If the code within raises; the original is its cause.
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
    """Picks the features of training rows, once it is sure that the rows can teach anything.

    Args:
        definition: The project.
        rows: The training rows, labelled.

    Returns:
        What an estimator is fitted on.

    Raises:
        NotEnoughData: If the target has one value in all of them.
        ModelError: If a feature is not among the columns.
    """
    values, times = rows[definition.target].unique(), rows[definition.timestamp]
    if len(values) == 1:
        raise NotEnoughData(
            f"the target {definition.target!r} of {definition.name} has no value but {values.tolist()[0]!r} in the "
            f"{len(rows)} training rows from {times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}: set "
            f"training.window='all', or wait for rows with another one"
        )
    return fill_empty_columns(rows, definition.features_of(rows.columns))


def fit(definition: Project, rows: pd.DataFrame, params: Mapping[str, Any]) -> BaseEstimator:
    """Fits the project's estimator, seeded.

    Args:
        definition: The project.
        rows: The training rows, labelled.
        params: Hyperparameters to set on it.

    Returns:
        The fitted estimator.

    Raises:
        NotEnoughData: If the target has one value.
        TrainingFailed: If the estimator cannot be built or fitted.
    """
    features = select_training_features(definition, rows)
    with translate_estimator_errors(definition):
        estimator = definition.build().set_params(**params)
        return fit_seeded(estimator, features, rows[definition.target], definition.training.seed)
