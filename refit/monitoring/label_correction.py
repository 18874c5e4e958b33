"""Scores of windows with missing labels: labelled rows are weighted so that they represent all rows.

The known labels do not tell why others are missing. Their delay may depend on the prediction or on the label itself,
and each case has its weights; if these lead to different scores, the score is withheld.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_bool_dtype, is_integer_dtype, is_numeric_dtype

from refit.data.split import time_blocks
from refit.modelling.predictions import BINARY, Array, Predictions
from refit.modelling.scoring import explain_meaningless, score

Codes = npt.NDArray[np.intp]
Weights = npt.NDArray[np.float64]

STRATA = 10
"""The number of groups of rows with similar predictions."""
OUTCOMES = 10
"""The number of groups of rows with similar labels, in a regression."""
ROUNDS = 200
"""The rounds of expectation maximisation: far more than shares of labels need to converge."""
TOLERANCE = 0.01
"""The largest allowed difference of the two corrected scores: absolute for a score, relative for an error."""


def group_by_prediction(predictions: Predictions, labelled: npt.NDArray[np.bool_]) -> Codes:
    """Groups rows by their predictions, so that each group has a labelled row.

    Args:
        predictions: The predictions of all rows.
        labelled: Whether each row has a label, at least one of them.

    Returns:
        The group of each row: deciles of the prediction for two classes and for a regression, else the predicted class.
    """
    if len(predictions.labels) > BINARY:
        codes: Codes = np.unique(predictions.compute("predict"), return_inverse=True)[1]
        usual = np.bincount(codes[labelled]).argmax()
        return np.where(np.isin(codes, codes[labelled]), codes, usual)
    return _quantile_groups(_ordered_predictions(predictions), labelled, STRATA)


def group_by_label(truth: pd.Series, labelled: npt.NDArray[np.bool_], *, classes: bool) -> Codes:
    """Groups rows by their labels.

    Args:
        truth: The labels of all rows.
        labelled: Whether each row has a label.
        classes: Whether labels are classes; numbers are grouped by deciles.

    Returns:
        The group of each row; arbitrary for a row without a label.
    """
    if classes:
        return np.asarray(pd.factorize(truth)[0], dtype=np.intp)
    return _quantile_groups(truth.to_numpy(dtype=np.float64), labelled, OUTCOMES)


def weights_by_prediction(strata: Codes, labelled: npt.NDArray[np.bool_]) -> Weights:
    """Computes weights for labels whose delay depends on the prediction (post-stratification, Holt 1979).

    Args:
        strata: The group of each row by prediction.
        labelled: Whether each row has a label.

    Returns:
        For each labelled row, how many rows of its group it represents.

    Example:
        >>> weights_by_prediction(np.array([0, 0, 1, 1]), np.array([True, True, True, False])).tolist()
        [1.0, 1.0, 2.0]
    """
    known = np.bincount(strata[labelled], minlength=strata.max() + 1)
    shares: Weights = np.bincount(strata)[strata[labelled]] / known[strata[labelled]]
    return shares


def weights_by_label(strata: Codes, outcomes: Codes, labelled: npt.NDArray[np.bool_]) -> Weights:
    """Computes weights for labels whose delay depends on their value.

    The missing labels are divided into groups in the way that makes the predictions of the unlabelled rows most likely,
    assuming that predictions depend on the label alone, whether it has arrived or not (Saerens et al. 2002, Adjusting
    the Outputs of a Classifier to New a Priori Probabilities, by expectation maximisation).

    Args:
        strata: The group of each row by prediction.
        outcomes: The group of each labelled row by label.
        labelled: Whether each row has a label.

    Returns:
        For each labelled row, how many rows it represents.
    """
    at = (strata[labelled], outcomes[labelled])
    known = np.zeros((strata.max() + 1, at[1].max() + 1))
    np.add.at(known, at, 1)
    missing = np.bincount(strata[~labelled], minlength=len(known)).astype(np.float64)
    likely = _outcome_probabilities(known / np.maximum(known.sum(axis=0), 1), missing, known.sum(axis=0))
    weights: Weights = 1 + (missing[:, None] * likely / np.maximum(known, 1))[at]
    return weights


@dataclass(frozen=True, slots=True)
class RealisedScore:
    """A realised score, corrected for missing labels."""

    low: float
    """The lower of the two corrected scores."""
    high: float
    """The higher one; equal to `low` if no label is missing."""
    blocks: npt.NDArray[np.float64]
    """The scores in consecutive blocks of time, without blocks that allow no score."""

    @property
    def value(self) -> float:
        """The mean of the two corrected scores."""
        return (self.low + self.high) / 2


def score_with_missing_labels(
    metric: str, predictions: Predictions, truth: pd.Series, times: pd.Series[pd.Timestamp]
) -> RealisedScore | str:
    """Scores all rows of a window from its labelled ones.

    Args:
        metric: The scorer's name.
        predictions: A model's predictions of all rows.
        truth: Their labels, missing where they have not arrived; at least one has.
        times: Their event times, sorted.

    Returns:
        The score; or a sentence that says why it is withheld.

    Raises:
        ModelError: If the model cannot predict these rows, or the metric cannot be computed from its predictions.
    """
    labelled = truth.notna().to_numpy()
    missing = int((~labelled).sum())
    if not missing:
        found = _score_weighted(metric, predictions, truth, times, [None])
    elif len(predictions.labels) == BINARY and truth.nunique() < BINARY:
        return "all labels so far are of one class, and how many of the other are late is unknown: wait for more labels"
    else:
        try:
            found = _score_weighted(metric, predictions, truth, times, _weights(predictions, truth, labelled))
        except TypeError:
            return f"{metric} takes no weights, so it cannot be corrected for {missing:,} missing labels: wait for them"
    if not np.isfinite(found.value):
        if why := explain_meaningless(metric, truth[labelled].to_numpy()):
            return why
        return f"{metric} is not defined on these rows, for example because all are of one class: wait for more rows"
    if found.high - found.low > TOLERANCE * (abs(found.value) if metric.startswith("neg_") else 1.0):
        return (
            f"{missing:,} labels are missing, and {metric} is {found.low:.4g} or {found.high:.4g} depending on why: "
            f"wait for the labels"
        )
    return found


def cast_to_classes(truth: pd.Series, labels: Sequence[object]) -> pd.Series:
    """Casts labels to the type of the model's classes: next to missing labels, integers and booleans are floats.

    Args:
        truth: The labels, none missing.
        labels: The model's classes; none for a regression.

    Returns:
        The same labels.
    """
    kind = np.asarray(labels).dtype
    narrower = is_bool_dtype(kind) or is_integer_dtype(kind)
    return truth.astype(kind) if labels and narrower and is_numeric_dtype(truth.dtype) else truth


def _outcome_probabilities(seen: Array, missing: Array, start: Array) -> Array:
    """Returns the probability of each outcome for an unlabelled row of each stratum."""
    shares = start / start.sum()
    for _ in range(ROUNDS):
        shares = missing @ _normalize_rows(seen * shares) / max(missing.sum(), 1)
    return _normalize_rows(seen * shares)


def _normalize_rows(joint: Array) -> Array:
    total = joint.sum(axis=1, keepdims=True)
    return np.asarray(joint / np.where(total > 0, total, 1))


def _ordered_predictions(predictions: Predictions) -> npt.NDArray[np.float64]:
    if not predictions.labels or not hasattr(predictions, "predict_proba"):
        method = "decision_function" if predictions.labels and hasattr(predictions, "decision_function") else "predict"
        answers = predictions.compute(method)
        return np.unique(answers, return_inverse=True)[1].astype(np.float64) if predictions.labels else answers
    return np.asarray(predictions.compute("predict_proba")[:, -1], dtype=np.float64)


def _quantile_groups(values: npt.NDArray[np.float64], labelled: npt.NDArray[np.bool_], count: int) -> Codes:
    """Groups numbers by quantiles of the labelled rows."""
    known = values[labelled]
    cuts = np.unique(np.quantile(known, np.arange(1, count) / count, method="inverted_cdf"))
    return np.searchsorted(cuts[cuts > known.min()], values, side="right")


def _weights(predictions: Predictions, truth: pd.Series, labelled: npt.NDArray[np.bool_]) -> list[Weights]:
    strata = group_by_prediction(predictions, labelled)
    outcomes = group_by_label(truth, labelled, classes=bool(predictions.labels))
    return [weights_by_prediction(strata, labelled), weights_by_label(strata, outcomes, labelled)]


def _score_weighted(
    metric: str,
    predictions: Predictions,
    truth: pd.Series,
    times: pd.Series[pd.Timestamp],
    weightings: Sequence[Weights | None],
) -> RealisedScore:
    at = np.flatnonzero(truth.notna())
    kept = cast_to_classes(truth.iloc[at], predictions.labels)
    known = kept.reindex(truth.index, fill_value=kept.iloc[0])
    values = [score(metric, predictions, known, at, weights) for weights in weightings]
    parts = time_blocks(times.iloc[at].reset_index(drop=True))
    in_blocks: Array = np.array(
        [score(metric, predictions, known, at[part], _block_weights(weightings[-1], part)) for part in parts]
    )
    return RealisedScore(min(values), max(values), in_blocks[np.isfinite(in_blocks)])


def _block_weights(weights: Weights | None, part: slice) -> Weights | None:
    return None if weights is None else weights[part]
