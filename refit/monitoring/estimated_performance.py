"""Confidence-based performance estimation (CBPE): the expected score of a classifier on rows without labels.

If probabilities are calibrated, a row with probability 0.8 is positive in eight of ten cases, so every row counts once
for each class, weighted by its probability (Bialek et al. 2024, Estimating Model Performance Under Covariate Shift
Without Labels; NannyML). An estimate does not see concept drift, and never replaces a realised score.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer

from refit.modelling.predictions import BINARY, Array, Predictions
from refit.monitoring.evidence import Estimate

MAX_ROWS = 50_000
"""The most rows of an estimate; more hardly change its third digit."""
MIN_LABELS = 200
"""With fewer labels, probabilities are not calibrated."""
ISOTONIC_LABELS = 5_000
"""With fewer labels, a curve of two parameters calibrates: the steps of an isotonic regression take noise for skill."""
NEAREST = 1e-6
"""The nearest to 0 and 1 that a probability is taken for on the scale of log odds."""


def estimate_score(metric: str, predictions: Predictions, probabilities: npt.NDArray[np.float64]) -> Estimate | None:
    """Estimates the score that the probabilities imply.

    Args:
        metric: The scorer's name.
        predictions: A classifier's predictions of the rows.
        probabilities: From `calibrate_probabilities`: one row per prediction, one column per class.

    Returns:
        The expected score; `None` without rows, or if the metric does not accept weights or is not defined.
    """
    rows = _sample_positions(len(predictions))
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
            return None  # a metric that does not accept weights or probabilities has no estimate
    return Estimate(metric, float(expected), len(predictions)) if math.isfinite(expected) else None


def predict_probabilities(predictions: Predictions) -> npt.NDArray[np.float64] | None:
    """Predicts the probability of each class.

    Args:
        predictions: A model's predictions of some rows.

    Returns:
        One row per prediction, one column per class; `None` if the model gives no probabilities.

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
    """Calibrates probabilities on labelled rows, for each class by itself.

    By an isotonic regression with many labels, else by a logistic curve of the log odds (Platt 1999; Niculescu-Mizil
    and Caruana 2005): on 200 labels the steps of an isotonic regression make a scorer without skill look like an AUC of
    0.56.

    Args:
        probabilities: The probabilities to calibrate, one column per class.
        known: The same model's probabilities of labelled rows that it was not trained on.
        truth: The labels of those rows.
        labels: The classes, in the order of the columns.

    Returns:
        Calibrated probabilities that sum to one; the given ones if there are too few labels or a class is missing.
    """
    present = set(pd.unique(truth)) & set(labels)
    if len(truth) < MIN_LABELS or len(present) < len(labels):
        return probabilities
    fit = _isotonic if len(truth) >= ISOTONIC_LABELS else _platt
    columns = [fit(known[:, at], truth == label, probabilities[:, at]) for at, label in enumerate(labels)]
    corrected = np.column_stack(columns)
    total = corrected.sum(axis=1, keepdims=True)
    return np.where(total > 0, corrected / np.where(total > 0, total, 1), probabilities)


def _isotonic(known: Array, hit: pd.Series, wanted: Array) -> Array:
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(known, hit.to_numpy(dtype=float))
    return np.asarray(fitted.predict(wanted))


def _platt(known: Array, hit: pd.Series, wanted: Array) -> Array:
    fitted = LogisticRegression(C=1 / NEAREST).fit(_log_odds(known), hit.to_numpy(dtype=int))
    return np.asarray(fitted.predict_proba(_log_odds(wanted))[:, 1])


def _log_odds(probabilities: Array) -> Array:
    clipped = np.clip(probabilities, NEAREST, 1 - NEAREST)
    return np.asarray(np.log(clipped / (1 - clipped)).reshape(-1, 1))


def _sample_positions(rows: int) -> npt.NDArray[np.intp]:
    """Returns evenly spaced positions of at most 50,000 rows."""
    return np.unique(np.linspace(0, rows - 1, min(rows, MAX_ROWS)).astype(np.intp)) if rows else np.empty(0, np.intp)
