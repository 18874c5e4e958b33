"""Scores of single rows, for the metrics that are their mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from refit.modelling.predictions import BINARY, Predictions

Array = npt.NDArray[np.float64]

PROBABILITY_LOSSES = ("neg_brier_score", "neg_log_loss")
"""Metrics of probabilities that are defined for any labels, also for those of one class."""


def score_rows(metric: str, predictions: Predictions, y: pd.Series[Any]) -> Array | None:
    """Scores each row by itself.

    Args:
        metric: The scorer's name.
        predictions: A model's predictions of all rows.
        y: The true labels of all rows, none missing.

    Returns:
        One score for each row, whose mean is the metric; `None` if the metric is no mean over rows.

    Raises:
        ModelError: If the model cannot predict these rows.
    """
    if metric == "accuracy":
        matches: Array = (predictions.compute("predict") == predictions.encode_labels(y.to_numpy())).astype(float)
        return matches
    if metric in PROBABILITY_LOSSES:
        return _score_probabilities(metric, predictions, y) if hasattr(predictions, "predict_proba") else None
    if metric not in _ERRORS:
        return None
    return -_ERRORS[metric](y.to_numpy(dtype=float), np.asarray(predictions.compute("predict"), dtype=float))


def _score_probabilities(metric: str, predictions: Predictions, y: pd.Series[Any]) -> Array | None:
    probabilities = np.asarray(predictions.compute("predict_proba"), dtype=float)
    place = pd.Index(predictions.labels, dtype=object).get_indexer(pd.Index(y.to_numpy(), dtype=object))
    if (place < 0).any():
        return None
    if metric == "neg_log_loss":
        tiny = np.finfo(predictions.compute("predict_proba").dtype).eps
        likely: Array = np.log(np.clip(probabilities, tiny, 1 - tiny)[np.arange(len(place)), place])
        return likely
    distances = ((probabilities - np.eye(probabilities.shape[1])[place]) ** 2).sum(axis=1)
    return np.asarray(-distances / (2 if probabilities.shape[1] <= BINARY else 1))


def _relative(truth: Array, predicted: Array) -> Array:
    errors: Array = np.abs(predicted - truth) / np.maximum(np.abs(truth), np.finfo(float).eps)
    return errors


def _squared_logarithm(truth: Array, predicted: Array) -> Array:
    errors: Array = (np.log1p(predicted) - np.log1p(truth)) ** 2
    return errors


_ERRORS: dict[str, Callable[[Array, Array], Array]] = {
    "neg_mean_absolute_error": lambda truth, predicted: np.abs(predicted - truth),
    "neg_mean_squared_error": lambda truth, predicted: (predicted - truth) ** 2,
    "neg_mean_absolute_percentage_error": _relative,
    "neg_mean_squared_log_error": _squared_logarithm,
}
