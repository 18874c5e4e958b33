"""Scores of predictions that are made once: scikit-learn scorers, over all rows or over some of them.

Scores as losses, for what needs a ratio: how much is lost, and which share of it a change would save.
"""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Sized
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import get_scorer, get_scorer_names

from refit.errors import ModelError, ProjectError
from refit.modelling.predictions import BINARY, Array, Predictions
from refit.project import Project

Positions = npt.NDArray[np.intp]


def primary_metric(definition: Project, classes: Sized) -> str:
    """Names the primary metric.

    Args:
        definition: The project.
        classes: All distinct labels; only their number counts, and only in a classification.

    Returns:
        The gate's metric, else `roc_auc` for two classes, `balanced_accuracy` for more, and
        `neg_mean_absolute_error` for a regression.

    Raises:
        ProjectError: If scikit-learn has no scorer of the gate's name.
    """
    metric = definition.gate.metric
    if metric is None and definition.kind == "regression":
        return "neg_mean_absolute_error"
    if metric is None:
        return "roc_auc" if len(classes) <= BINARY else "balanced_accuracy"
    if metric not in get_scorer_names():
        close = difflib.get_close_matches(metric, get_scorer_names(), 3, 0.4) or ["roc_auc", "neg_mean_absolute_error"]
        raise ProjectError(
            f"gate.metric is {metric!r}, which is no scikit-learn scorer: use one such as {', '.join(close)}"
        )
    return metric


def score(
    metric: str,
    predictions: Predictions,
    y: pd.Series[Any],
    rows: slice | Positions | None = None,
    weights: Array | None = None,
) -> float:
    """Scores predictions as scikit-learn's scorer of that name scores the model itself.

    Two classes of which none is 1 (text, say) are taken in sorted order: the second is the positive one.

    Args:
        metric: The scorer's name.
        predictions: What the model says of all rows.
        y: The true labels of all rows, none missing in those to score.
        rows: The rows to score, by position; all by default.
        weights: How much each of the rows to score counts; all the same by default.

    Returns:
        The score, higher is better; NaN where these rows allow none, as when they hold one class only.

    Raises:
        ModelError: If the model cannot predict, or offers nothing that the metric can be computed from.
    """
    positions = np.arange(len(predictions))[slice(None) if rows is None else rows]
    weighting = {} if weights is None else {"sample_weight": weights}
    truth = y.to_numpy()[positions]
    present = set(pd.unique(truth))
    if predictions.labels and metric != "accuracy" and len(present) < BINARY:
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error", UndefinedMetricWarning)
        # The mean recall over the classes that are there is what is wanted of a block without a rare class.
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true", UserWarning)
        try:
            return float(get_scorer(metric)(predictions, positions, predictions.encode_labels(truth), **weighting))
        except UndefinedMetricWarning:
            return math.nan
        except (ValueError, AttributeError) as fault:
            if isinstance(fault, ValueError) and set(predictions.labels) - present:
                return math.nan
            raise ModelError(
                f"{metric} cannot be computed for {type(predictions.model).__name__} ({fault}): "
                f"set gate.metric to one that this estimator can serve"
            ) from fault


def loss(metric: str, score: float) -> float:
    """Turns a scorer's value into what is lost against the best possible one.

    Args:
        metric: The scorer's name.
        score: Its value, higher is better.

    Returns:
        The error itself for scorers of errors (`neg_...`), whose best is 0; else one minus the score. In the metric's
        unit; 0 is perfect.

    Example:
        >>> loss("neg_mean_absolute_error", -2.5), loss("roc_auc", 0.75)
        (2.5, 0.25)
    """
    return -score if metric.startswith("neg_") else 1.0 - score
