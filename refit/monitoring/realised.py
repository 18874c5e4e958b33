"""A score on behalf of all rows of a window, labelled or not, in all and in blocks of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_bool_dtype, is_integer_dtype, is_numeric_dtype

from refit.data.blocks import blocks
from refit.modelling.predictions import BINARY, Array, Predictions
from refit.modelling.scoring import score
from refit.monitoring.label_correction import Weights, by_outcome, by_prediction, outcomes_of, strata_of

TOLERANCE = 0.01
"""How far two corrections for missing labels may lie apart: a point of a score, or that share of an error."""


@dataclass(frozen=True, slots=True)
class Realised:
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


def realised(metric: str, predictions: Predictions, truth: pd.Series, times: pd.Series[pd.Timestamp]) -> Realised | str:
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


def in_kind(truth: pd.Series, labels: Sequence[object]) -> pd.Series:
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
    strata = strata_of(predictions, labelled)
    outcomes = outcomes_of(truth, labelled, classes=bool(predictions.labels))
    return [by_prediction(strata, labelled), by_outcome(strata, outcomes, labelled)]


def _scored(
    metric: str,
    predictions: Predictions,
    truth: pd.Series,
    times: pd.Series[pd.Timestamp],
    weightings: Sequence[Weights | None],
) -> Realised:
    at = np.flatnonzero(truth.notna())
    kept = in_kind(truth.iloc[at], predictions.labels)
    known = kept.reindex(truth.index, fill_value=kept.iloc[0])
    values = [score(metric, predictions, known, at, weights) for weights in weightings]
    parts = blocks(times.iloc[at].reset_index(drop=True))
    in_blocks: Array = np.array(
        [score(metric, predictions, known, at[part], _part(weightings[-1], part)) for part in parts]
    )
    return Realised(min(values), max(values), in_blocks[np.isfinite(in_blocks)])


def _part(weights: Weights | None, part: slice) -> Weights | None:
    return None if weights is None else weights[part]
