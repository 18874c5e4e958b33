"""What labels that are still missing would change: weights that let the labelled rows speak for all rows.

Nobody can tell from the labels that are there why the others are not. Two answers are possible, and each has its
weights; where they lead to different scores, no score is known.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from refit.modelling.predictions import BINARY, Array, Predictions

Codes = npt.NDArray[np.intp]
Weights = npt.NDArray[np.float64]

STRATA = 10
"""How many groups of rows with similar predictions."""
OUTCOMES = 10
"""How many groups of rows with similar labels, in a regression."""
ROUNDS = 200
"""Of expectation and maximisation; far more than a share of labels needs to settle."""


def strata_of(predictions: Predictions, labelled: npt.NDArray[np.bool_]) -> Codes:
    """Groups rows by what the model says of them, so that each group has a labelled row.

    Args:
        predictions: Of all rows.
        labelled: Which rows have a label, at least one.

    Returns:
        The group of each row: tenths of the score for two classes and for a regression, else the predicted class.
    """
    if len(predictions.labels) > BINARY:
        codes: Codes = np.unique(predictions.all_of("predict"), return_inverse=True)[1]
        usual = np.bincount(codes[labelled]).argmax()
        return np.where(np.isin(codes, codes[labelled]), codes, usual)
    return _parts(_scores(predictions), labelled, STRATA)


def outcomes_of(truth: pd.Series, labelled: npt.NDArray[np.bool_], *, classes: bool) -> Codes:
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


def by_prediction(strata: Codes, labelled: npt.NDArray[np.bool_]) -> Weights:
    """Weights for labels that are late for reasons that the prediction knows of (post-stratification, Holt 1979).

    Args:
        strata: The group of each row by prediction.
        labelled: Which rows have a label.

    Returns:
        For each labelled row, how many rows of its group it stands for.

    Example:
        >>> by_prediction(np.array([0, 0, 1, 1]), np.array([True, True, True, False])).tolist()
        [1.0, 1.0, 2.0]
    """
    known = np.bincount(strata[labelled], minlength=strata.max() + 1)
    shares: Weights = np.bincount(strata)[strata[labelled]] / known[strata[labelled]]
    return shares


def by_outcome(strata: Codes, outcomes: Codes, labelled: npt.NDArray[np.bool_]) -> Weights:
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
        answers = predictions.all_of(method)
        return np.unique(answers, return_inverse=True)[1].astype(np.float64) if predictions.labels else answers
    return np.asarray(predictions.all_of("predict_proba")[:, -1], dtype=np.float64)


def _parts(values: npt.NDArray[np.float64], labelled: npt.NDArray[np.bool_], count: int) -> Codes:
    """Cuts numbers where equal shares of the labelled rows lie on each side."""
    known = values[labelled]
    cuts = np.unique(np.quantile(known, np.arange(1, count) / count, method="inverted_cdf"))
    return np.searchsorted(cuts[cuts > known.min()], values, side="right")
