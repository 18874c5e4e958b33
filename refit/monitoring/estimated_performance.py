"""Scores without labels, from a classifier's own confidence. They do not see a changed concept: never a realised score.

Confidence-based performance estimation, CBPE (Bialek et al. 2024, Estimating Model Performance Under Covariate Shift
Without Labels; NannyML): if the probabilities are calibrated, a row of which the model says 0.8 is positive in eight
of ten cases. So every row counts once per class, weighted by the probability of that class.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import get_scorer

from refit.modelling.predictions import BINARY, Array, Predictions
from refit.monitoring.evidence import Estimate

MAX_ROWS = 50_000
"""The most rows that an estimate rests on; more hardly change its third digit."""
MIN_LABELS = 200
"""With fewer labels per calibration, the model's own probabilities are taken as they are."""


def estimate_score(metric: str, predictions: Predictions, probabilities: npt.NDArray[np.float64]) -> Estimate | None:
    """Gives the score to expect if the probabilities are right.

    Args:
        metric: The scorer's name.
        predictions: What a classifier says of the rows.
        probabilities: The chance of each class, one row per prediction, as `calibrate_probabilities` gives them.

    Returns:
        The expected score; `None` where there is no row, or the metric cannot be weighted or is not defined.
    """
    rows = _spread(len(predictions))
    if not len(rows):
        return None
    truth = np.repeat(np.asarray(predictions.labels), len(rows))
    weights = probabilities[rows].T.reshape(-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            places = np.tile(rows, len(predictions.labels))
            expected = get_scorer(metric)(predictions, places, predictions.encode_labels(truth), sample_weight=weights)
        except (TypeError, ValueError, AttributeError):
            return None  # an estimate is an extra: a metric that takes no weights, or no probabilities, has none
    return Estimate(metric, float(expected), len(predictions)) if math.isfinite(expected) else None


def predict_probabilities(predictions: Predictions) -> npt.NDArray[np.float64] | None:
    """Gives what the model itself says.

    Args:
        predictions: What a model says of some rows.

    Returns:
        The chance of each class; `None` where the model gives none, as in a regression.

    Raises:
        ModelError: If the model cannot predict these rows.
    """
    if len(predictions.labels) < BINARY or not hasattr(predictions, "predict_proba"):
        return None
    return np.asarray(predictions.compute("predict_proba"), dtype=np.float64)


def calibrate_probabilities(
    probabilities: npt.NDArray[np.float64],
    known: npt.NDArray[np.float64],
    truth: pd.Series,
    labels: list[object],
) -> npt.NDArray[np.float64]:
    """Corrects probabilities by what came true where the labels are there (isotonic regression, each class by itself).

    Args:
        probabilities: Of the rows to correct, one column per class.
        known: The same model's probabilities for rows with labels, none of which it was trained on.
        truth: Their labels.
        labels: The classes, in the order of the columns.

    Returns:
        Corrected probabilities that sum to one; the given ones where there are too few labels, or of one class only.
    """
    present = set(pd.unique(truth)) & set(labels)
    if len(truth) < MIN_LABELS or len(present) < len(labels):
        return probabilities
    columns = [_isotonic(known[:, at], truth == label, probabilities[:, at]) for at, label in enumerate(labels)]
    corrected = np.column_stack(columns)
    total = corrected.sum(axis=1, keepdims=True)
    return np.where(total > 0, corrected / np.where(total > 0, total, 1), probabilities)


def _isotonic(known: Array, hit: pd.Series, wanted: Array) -> Array:
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(known, hit.to_numpy(dtype=float))
    return np.asarray(fitted.predict(wanted))


def _spread(rows: int) -> npt.NDArray[np.intp]:
    """Gives evenly spread positions."""
    return np.unique(np.linspace(0, rows - 1, min(rows, MAX_ROWS)).astype(np.intp)) if rows else np.empty(0, np.intp)
