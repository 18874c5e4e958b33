"""What labels that are still missing would change: weights that let the labelled rows speak for all rows.

Nobody can tell from the labels that are there why the others are not. Two answers are possible, and each has its
weights; where they lead to different scores, no score is known.

A score on behalf of all rows of a window, labelled or not, in all and in blocks of time.
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
from refit.modelling.scoring import score

Codes = npt.NDArray[np.intp]
Weights = npt.NDArray[np.float64]

STRATA = 10
"""How many groups of rows with similar predictions."""
OUTCOMES = 10
"""How many groups of rows with similar labels, in a regression."""
ROUNDS = 200
"""Of expectation and maximisation; far more than a share of labels needs to settle."""


def group_by_prediction(predictions: Predictions, labelled: npt.NDArray[np.bool_]) -> Codes:
    """Groups rows by what the model says of them, so that each group has a labelled row.

    Args:
        predictions: Of all rows.
        labelled: Which rows have a label, at least one.

    Returns:
        The group of each row: tenths of the score for two classes and for a regression, else the predicted class.
    """
    if len(predictions.labels) > BINARY:
        codes: Codes = np.unique(predictions.compute("predict"), return_inverse=True)[1]
        usual = np.bincount(codes[labelled]).argmax()
        return np.where(np.isin(codes, codes[labelled]), codes, usual)
    return _parts(_scores(predictions), labelled, STRATA)


def group_by_label(truth: pd.Series, labelled: npt.NDArray[np.bool_], *, classes: bool) -> Codes:
    """Groups rows by their label.

    Args:
        truth: Labels of all rows.
        labelled: Which rows have one.
        classes: Whether labels are classes; numbers are grouped by tenths.

    Returns:
        The group of each row; without meaning where there is no label.
    """
    if classes:
        return np.asarray(pd.factorize(truth)[0], dtype=np.intp)
    return _parts(truth.to_numpy(dtype=np.float64), labelled, OUTCOMES)


def weights_by_prediction(strata: Codes, labelled: npt.NDArray[np.bool_]) -> Weights:
    """Weights for labels that are late for reasons that the prediction knows of (post-stratification, Holt 1979).

    Args:
        strata: The group of each row by prediction.
        labelled: Which rows have a label.

    Returns:
        For each labelled row, how many rows of its group it stands for.

    Example:
        >>> weights_by_prediction(np.array([0, 0, 1, 1]), np.array([True, True, True, False])).tolist()
        [1.0, 1.0, 2.0]
    """
    known = np.bincount(strata[labelled], minlength=strata.max() + 1)
    shares: Weights = np.bincount(strata)[strata[labelled]] / known[strata[labelled]]
    return shares


def weights_by_label(strata: Codes, outcomes: Codes, labelled: npt.NDArray[np.bool_]) -> Weights:
    """Weights for labels that are late because of their value.

    How the missing labels divide into groups of outcomes is what makes the predictions of the unlabelled rows most
    likely, if rows of one outcome are predicted alike with a label and without (Saerens et al. 2002, Adjusting the
    Outputs of a Classifier to New a Priori Probabilities, by expectation and maximisation).

    Args:
        strata: The group of each row by prediction.
        outcomes: The group of each labelled row by label.
        labelled: Which rows have a label.

    Returns:
        For each labelled row, how many rows it stands for.
    """
    at = (strata[labelled], outcomes[labelled])
    known = np.zeros((strata.max() + 1, at[1].max() + 1))
    np.add.at(known, at, 1)
    missing = np.bincount(strata[~labelled], minlength=len(known)).astype(np.float64)
    likely = _divide(known / np.maximum(known.sum(axis=0), 1), missing, known.sum(axis=0))
    weights: Weights = 1 + (missing[:, None] * likely / np.maximum(known, 1))[at]
    return weights


def _divide(seen: Array, missing: Array, start: Array) -> Array:
    """Gives the chance of each outcome for an unlabelled row of each stratum."""
    shares = start / start.sum()
    for _ in range(ROUNDS):
        shares = missing @ _chances(seen * shares) / max(missing.sum(), 1)
    return _chances(seen * shares)


def _chances(joint: Array) -> Array:
    total = joint.sum(axis=1, keepdims=True)
    return np.asarray(joint / np.where(total > 0, total, 1))


def _scores(predictions: Predictions) -> npt.NDArray[np.float64]:
    if not predictions.labels or not hasattr(predictions, "predict_proba"):
        method = "decision_function" if predictions.labels and hasattr(predictions, "decision_function") else "predict"
        answers = predictions.compute(method)
        return np.unique(answers, return_inverse=True)[1].astype(np.float64) if predictions.labels else answers
    return np.asarray(predictions.compute("predict_proba")[:, -1], dtype=np.float64)


def _parts(values: npt.NDArray[np.float64], labelled: npt.NDArray[np.bool_], count: int) -> Codes:
    """Cuts numbers where equal shares of the labelled rows lie on each side."""
    known = values[labelled]
    cuts = np.unique(np.quantile(known, np.arange(1, count) / count, method="inverted_cdf"))
    return np.searchsorted(cuts[cuts > known.min()], values, side="right")


TOLERANCE = 0.01
"""How far two corrections for missing labels may lie apart: a point of a score, or that share of an error."""


@dataclass(frozen=True, slots=True)
class RealisedScore:
    """A score, corrected where labels are missing."""

    low: float
    high: float
    """Under the two corrections; equal where no label is missing."""
    blocks: npt.NDArray[np.float64]
    """The scores in consecutive blocks of time, those left out in which there is none."""

    @property
    def value(self) -> float:
        """The middle."""
        return (self.low + self.high) / 2


def score_with_missing_labels(
    metric: str, predictions: Predictions, truth: pd.Series, times: pd.Series[pd.Timestamp]
) -> RealisedScore | str:
    """Scores the labelled rows on behalf of all rows.

    Args:
        metric: The scorer's name.
        predictions: What a model says of all rows.
        truth: Their labels, missing where they have not arrived; one at least is there.
        times: Their event times, sorted.

    Returns:
        The score; or, in a sentence, why nobody knows it.

    Raises:
        ModelError: If the model cannot predict these rows, or offers nothing that the metric can be computed from.
    """
    labelled = truth.notna().to_numpy()
    missing = int((~labelled).sum())
    if not missing:
        found = _scored(metric, predictions, truth, times, [None])
    elif len(predictions.labels) == BINARY and truth.nunique() < BINARY:
        return "the labels that are there are all of one class, and nobody knows how many others are late: wait"
    else:
        try:
            found = _scored(metric, predictions, truth, times, _weights(predictions, truth, labelled))
        except TypeError:
            return f"{metric} takes no weights, so it cannot be corrected for {missing:,} missing labels: wait for them"
    if not np.isfinite(found.value):
        return f"{metric} is not defined on these rows, as where all have one class: wait for more rows"
    if found.high - found.low > TOLERANCE * (abs(found.value) if metric.startswith("neg_") else 1.0):
        return (
            f"{missing:,} labels are missing, and depending on why, {metric} is {found.low:.4g} or {found.high:.4g}: "
            f"wait for the labels"
        )
    return found


def cast_to_classes(truth: pd.Series, labels: Sequence[object]) -> pd.Series:
    """Gives labels the type of the model's classes: beside a missing one, whole numbers and truth values are floats.

    Args:
        truth: Labels, none missing.
        labels: The model's classes; none for a regression.

    Returns:
        The same labels.
    """
    kind = np.asarray(labels).dtype
    narrower = is_bool_dtype(kind) or is_integer_dtype(kind)
    return truth.astype(kind) if labels and narrower and is_numeric_dtype(truth.dtype) else truth


def _weights(predictions: Predictions, truth: pd.Series, labelled: npt.NDArray[np.bool_]) -> list[Weights]:
    strata = group_by_prediction(predictions, labelled)
    outcomes = group_by_label(truth, labelled, classes=bool(predictions.labels))
    return [weights_by_prediction(strata, labelled), weights_by_label(strata, outcomes, labelled)]


def _scored(
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
        [score(metric, predictions, known, at[part], _part(weightings[-1], part)) for part in parts]
    )
    return RealisedScore(min(values), max(values), in_blocks[np.isfinite(in_blocks)])


def _part(weights: Weights | None, part: slice) -> Weights | None:
    return None if weights is None else weights[part]
