"""Scores of predictions by scikit-learn scorers, over all rows or some of them, and scores as losses.

A loss is a score turned around so that ratios make sense: 0 is perfect, higher is worse.
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
from refit.modelling.row_scores import PROBABILITY_LOSSES, score_rows
from refit.project import Project

Positions = npt.NDArray[np.intp]

ONE_CLASS = "set gate.metric to neg_log_loss or neg_brier_score, which are defined there, or wait for more rows"
"""What to do about a metric that is undefined on rows of one class."""

_ABSOLUTE = "set gate.metric to neg_mean_absolute_error"
FEWEST_FOR_R2 = 10
"""With fewer rows the spread of the target, which R2 divides by, is mostly chance."""


def primary_metric(definition: Project, classes: Sized) -> str:
    """Returns the name of the primary metric.

    Args:
        definition: The project.
        classes: All distinct labels; only their number matters, and only for a classification.

    Returns:
        The gate's metric, else `roc_auc` for two classes, `balanced_accuracy` for more, and `neg_mean_absolute_error`
        for a regression.

    Raises:
        ProjectError: If scikit-learn has no scorer with the name of the gate's metric.
    """
    metric = definition.gate.metric
    if metric is None and definition.kind == "regression":
        return "neg_mean_absolute_error"
    if metric is None:
        return "roc_auc" if len(classes) <= BINARY else "balanced_accuracy"
    if metric not in get_scorer_names():
        close = difflib.get_close_matches(metric, get_scorer_names(), 3, 0.4) or ["roc_auc", "neg_mean_absolute_error"]
        raise ProjectError(
            f"gate.metric is {metric!r}, which is not a scikit-learn scorer: use one such as {', '.join(close)}"
        )
    return metric


def score(
    metric: str,
    predictions: Predictions,
    y: pd.Series[Any],
    rows: slice | Positions | None = None,
    weights: Array | None = None,
) -> float:
    """Scores predictions exactly as the scikit-learn scorer of that name scores the model.

    Two classes of which none is 1, such as texts, are sorted: the second is the positive one.

    Args:
        metric: The scorer's name.
        predictions: The model's predictions for all rows.
        y: The true labels of all rows, none missing among the rows to score.
        rows: The rows to score, by position; all by default.
        weights: The weight of each row to score; equal by default.

    Returns:
        The score, higher is better; NaN if it is undefined or means nothing on these rows, as when they contain one
        class only.

    Raises:
        ModelError: If the model cannot predict, or lacks the method that the metric needs.
    """
    positions = np.arange(len(predictions))[slice(None) if rows is None else rows]
    weighting = {} if weights is None else {"sample_weight": weights}
    truth = y.to_numpy()[positions]
    present = set(pd.unique(truth))
    if metric in PROBABILITY_LOSSES and set(predictions.labels) - present and hasattr(predictions, "predict_proba"):
        return _average_rows(metric, predictions, y, positions, weights)
    if explain_meaningless(metric, truth):
        return math.nan
    if predictions.labels and metric != "accuracy" and len(present) < BINARY:
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error", UndefinedMetricWarning)
        # For a block without a rare class, the mean recall over the present classes is the right score.
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
                f"set gate.metric to one that this estimator supports"
            ) from fault


def explain_meaningless(metric: str, truth: Array) -> str | None:
    """Explains why a metric of numbers means nothing on some rows, although it can be computed.

    Args:
        metric: The scorer's name.
        truth: The true values of the rows to score.

    Returns:
        A clause that names a metric which does; `None` if the metric means something.

    Example:
        >>> import numpy as np
        >>> explain_meaningless("r2", np.array([1.0, 2.0, 4.0]))
        'r2 means nothing on 3 rows (fewer than 10): set gate.metric to neg_mean_absolute_error, or wait for more rows'
    """
    rows = f"{len(truth):,} rows"
    if metric in ("r2", "explained_variance") and len(truth) < FEWEST_FOR_R2:
        return (
            f"{metric} means nothing on {rows} (fewer than {FEWEST_FOR_R2}): "
            f"set gate.metric to neg_mean_absolute_error, or wait for more rows"
        )
    if metric in ("r2", "explained_variance") and (truth == truth[0]).all():
        return f"{metric} means nothing where all {rows} have the same target ({truth[0]:g}): {_ABSOLUTE}"
    zeros = int((truth == 0).sum()) if metric == "neg_mean_absolute_percentage_error" else 0
    if zeros:
        return f"{metric} means nothing where the target is 0, as in {zeros:,} of {rows}: {_ABSOLUTE}"
    return None


def _average_rows(
    metric: str, predictions: Predictions, y: pd.Series[Any], rows: Positions, weights: Array | None
) -> float:
    """Averages the scores of single rows where scikit-learn asks for all classes."""
    scores = score_rows(metric, predictions, y)
    return math.nan if scores is None or not len(rows) else float(np.average(scores[rows], weights=weights))


def loss(metric: str, score: float) -> float:
    """Converts a score to a loss.

    Args:
        metric: The scorer's name.
        score: Its value, higher is better.

    Returns:
        The error itself for error scorers (`neg_...`), whose best score is 0, else one minus the score. In the metric's
        unit; 0 is perfect.

    Example:
        >>> loss("neg_mean_absolute_error", -2.5), loss("roc_auc", 0.75)
        (2.5, 0.25)
    """
    return -score if metric.startswith("neg_") else 1.0 - score
