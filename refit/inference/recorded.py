"""What versions said, read back from the table of predictions as what a scorer can ask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if

from refit.inference.predictor import Given, Said
from refit.modelling.predictions import BINARY, Predictions


def _told(self: BaseEstimator, rows: pd.DataFrame) -> None:
    """Never asked: `Given` has the answers."""


class _Regressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Stands for a model that is not there: all of its answers are given."""

    predict = _told


class _Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The same of classes."""

    def __init__(self, classes: Sequence[Any], *, tells: bool) -> None:
        self.classes, self.tells = classes, tells

    @property
    def classes_(self) -> npt.NDArray[Any]:
        return np.asarray(self.classes)

    predict = _told

    predict_proba: property = available_if(lambda self: self.tells)(_told)
    """Tells scorers that it gives probabilities, where it does."""


def classes_in(said: Iterable[pa.Table], truth: Iterable[Any]) -> list[Any]:
    """Finds the classes of a project.

    Args:
        said: Rows of the predictions' table, all of its versions.
        truth: The labels of rows, none missing, of the same type.

    Returns:
        The classes in the order of their probabilities: of more than two as the rows name them, else sorted.
    """
    parts = list(said)
    for part in parts:
        named = part["classes"].drop_null() if "classes" in part.column_names else []
        if len(named):
            own = part["prediction"].type
            return list(pa.array(named[0].as_py()).cast(own).to_pylist())
    return sorted({*truth, *(one for part in parts for one in part["prediction"].unique().to_pylist())})


def recorded(said: pa.Table, classes: Sequence[Any]) -> Predictions:
    """Reads answers as predictions.

    Args:
        said: Rows of the predictions' table, of one version.
        classes: From `classes_in`; none for a regression.

    Returns:
        The predictions, in the order of the rows.
    """
    given = said["prediction"].to_numpy()
    probabilities = _probabilities(said, classes)
    model = _Classifier(classes, tells=probabilities is not None) if classes else _Regressor()
    return Given(model, pd.DataFrame(index=range(len(given))), Said(given, probabilities))


def _probabilities(said: pa.Table, classes: Sequence[Any]) -> npt.NDArray[np.float64] | None:
    """Gives one column for each class; `None` where a row has none."""
    name = "score" if len(classes) == BINARY else "scores"
    if not classes or name not in said.column_names or said[name].null_count:
        return None
    if name == "scores":
        return np.array(said[name].to_pylist(), dtype=float)
    score = said[name].to_numpy()
    return np.column_stack([1 - score, score])
