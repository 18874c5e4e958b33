"""Contributions of single rows to a score: their mean is the score, whatever rows a block of time holds.

A score such as the AUC is no mean over rows, and is undefined in a block without both classes. Its linear expansion is
a mean (influence functions: Hampel 1974), so the difference of two models can be averaged over any blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from refit.modelling.predictions import Predictions
from refit.modelling.row_scores import score_rows
from refit.modelling.scoring import ONE_CLASS, explain_meaningless, score
from refit.records.contributions import Contributions, Stratum

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

MOST_STRATA = 4
"""The most strata: the rarest classes have one each, the others share the last."""
ROUNDING = 1e-6
"""The largest relative difference between a score and the mean of its contributions."""


@dataclass(frozen=True, slots=True)
class RowContributions:
    """The contribution of every row to a score."""

    values: Array
    """One value for each row; their mean is the score."""
    strata: Codes
    """The stratum of each row, from 0: its class, if the score weighs classes; 0 otherwise."""

    def sum_blocks(self, blocks: Sequence[slice]) -> Contributions:
        """Sums the contributions in blocks.

        Args:
            blocks: Row positions that cover all rows in order.

        Returns:
            The sums, by stratum and block.
        """
        found = []
        for stratum in range(int(self.strata.max()) + 1):
            inside = self.strata == stratum
            kept = np.where(inside, self.values, 0.0)
            found.append(
                Stratum(
                    tuple(int(inside[block].sum()) for block in blocks),
                    tuple(float(kept[block].sum()) for block in blocks),
                    float(self.values[inside].var()) if inside.any() else 0.0,
                )
            )
        return Contributions(tuple(found))


def contribute_rows(
    metric: str, predictions: Predictions, y: pd.Series[Any], blocks: Sequence[slice]
) -> RowContributions | str:
    """Computes what each row contributes to a score.

    Losses are their own contributions. The AUC has placement values (DeLong, DeLong and Clarke-Pearson 1988, by ranks
    as in Sun and Xu 2014); balanced accuracy, F1, precision, recall, R2 and the root of the squared error have
    influence functions; every other metric has the pseudo-values of a jackknife that leaves out one block at a time
    (Busing, Meijer and van der Leeden 1999).

    Args:
        metric: The scorer's name.
        predictions: A model's predictions of all rows.
        y: The true labels, none missing.
        blocks: Consecutive row positions that cover all rows, for the jackknife.

    Returns:
        The contributions; or why the metric cannot be estimated on these rows, in a sentence.

    Raises:
        ModelError: If the model cannot predict these rows, or lacks the method that the metric needs.
    """
    value = score(metric, predictions, y)
    if not math.isfinite(value):
        return explain_undefined(metric, y)
    plain = score_rows(metric, predictions, y)
    if plain is not None:
        return RowContributions(plain, np.zeros(len(plain), np.intp))
    values = _expand(metric, predictions, y, value)
    if values is None or not math.isclose(values.mean(), value, rel_tol=ROUNDING, abs_tol=ROUNDING):
        values = _jackknife(metric, predictions, y, value, blocks)
    return explain_undefined(metric, y) if values is None else RowContributions(values, _strata(predictions, y))


def sum_contributions(
    metric: str, predictions: Predictions, y: pd.Series[Any], blocks: Sequence[slice]
) -> Contributions | None:
    """Sums the rows' contributions to a score in blocks.

    Args:
        metric: The scorer's name.
        predictions: A model's predictions of all rows.
        y: The true labels, none missing.
        blocks: Row positions that cover all rows in order.

    Returns:
        The sums; `None` if the metric cannot be estimated on these rows.

    Raises:
        ModelError: If the model cannot predict these rows, or lacks the method that the metric needs.
    """
    found = contribute_rows(metric, predictions, y, blocks)
    return None if isinstance(found, str) else found.sum_blocks(blocks)


def explain_undefined(metric: str, y: pd.Series[Any]) -> str:
    """Explains why a metric cannot be estimated on some rows, and names one that can.

    Args:
        metric: The scorer's name.
        y: The true labels.

    Returns:
        A clause without a full stop.
    """
    if why := explain_meaningless(metric, y.to_numpy()):
        return why
    classes = [str(value) for value in pd.unique(y)]
    if len(classes) == 1:
        return f"{metric} is undefined where all {len(y):,} rows are of one class ({classes[0]}): {ONE_CLASS}"
    return (
        f"{metric} cannot be estimated on these {len(y):,} rows: set gate.metric to a mean over rows, "
        f"such as neg_log_loss, accuracy or neg_mean_absolute_error"
    )


def _expand(metric: str, predictions: Predictions, y: pd.Series[Any], value: float) -> Array | None:
    """Returns the values of the metric's influence function plus the score; `None` if it has no formula here."""
    expand = _FORMULAS.get(metric)
    if expand is None:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        values = expand(predictions, predictions.encode_labels(y.to_numpy()), value)
    return values if values is not None and bool(np.isfinite(values).all()) else None


def _strata(predictions: Predictions, y: pd.Series[Any]) -> Codes:
    """Numbers the classes from the rarest on; those beyond the last stratum share it."""
    if not predictions.labels:
        return np.zeros(len(y), np.intp)
    codes, classes = pd.factorize(y)
    order = np.argsort(np.argsort(np.bincount(codes, minlength=len(classes)), kind="stable"), kind="stable")
    numbers: Codes = np.minimum(order[codes], MOST_STRATA - 1).astype(np.intp)
    return numbers


def _jackknife(
    metric: str, predictions: Predictions, y: pd.Series[Any], value: float, blocks: Sequence[slice]
) -> Array | None:
    """Returns the pseudo-value of each row's block; `None` if the metric is undefined without some block."""
    count, values = len(y), np.empty(len(y))
    for block in blocks:
        size = block.stop - block.start
        rest = np.concatenate([np.arange(block.start), np.arange(block.stop, count)])
        without = score(metric, predictions, y, rest) if size < count else math.nan
        values[block] = value + (count / size - 1) * (value - without)
    return values + (value - values.mean()) if np.isfinite(values).all() else None


def _expand_auc(predictions: Predictions, truth: Array, value: float) -> Array | None:
    classes = predictions.classes_
    if len(classes) != 2 or not np.isin(truth, classes).all():  # noqa: PLR2004 - two classes
        return None
    method = "decision_function" if hasattr(predictions, "decision_function") else "predict_proba"
    scores = np.asarray(predictions.compute(method), dtype=float)
    scores = scores if scores.ndim == 1 else scores[:, 1]
    positive = truth == classes[1]
    values = np.empty(len(scores))
    values[positive] = _placements(scores[positive], scores[~positive])
    values[~positive] = 1 - _placements(scores[~positive], scores[positive])
    shares = np.where(positive, positive.mean(), 1 - positive.mean())
    expanded: Array = (values - value) / shares + value
    return expanded


def _placements(scores: Array, others: Array) -> Array:
    """Returns the share of the other class that each score exceeds; ties count half."""
    ordered = np.sort(others)
    below, up_to = (np.searchsorted(ordered, scores, side) for side in ("left", "right"))
    placements: Array = (below + up_to) / (2 * len(ordered))
    return placements


def _expand_balanced_accuracy(predictions: Predictions, truth: Array, value: float) -> Array:
    right, codes = (predictions.compute("predict") == truth).astype(float), pd.factorize(truth)[0]
    counts = np.bincount(codes)
    recalls = np.bincount(codes, right) / counts
    expanded: Array = (right - recalls[codes]) * (len(truth) / (len(counts) * counts[codes])) + value
    return expanded


def _expand_ratio(above: Array, below: Array) -> Array:
    """Expands a ratio of two means (Cochran 1977, Sampling Techniques, 6.3)."""
    ratio = above.mean() / below.mean()
    expanded: Array = ratio + (above - ratio * below) / below.mean()
    return expanded


def _rates(kind: str, predicted: Array, truth: Array, positive: object) -> Array:
    said, true = (predicted == positive).astype(float), (truth == positive).astype(float)
    below = {"f1": (said + true) / 2, "precision": said, "recall": true}[kind]
    return _expand_ratio(said * true, below)


def _expand_positive(kind: str) -> Callable[[Predictions, Array, float], Array | None]:
    return lambda predictions, truth, _: _rates(kind, predictions.compute("predict"), truth, 1)


def _expand_macro(kind: str) -> Callable[[Predictions, Array, float], Array | None]:
    def expand(predictions: Predictions, truth: Array, _: float) -> Array:
        predicted = predictions.compute("predict")
        classes = np.unique(np.concatenate([np.unique(truth), np.unique(predicted)]))
        return np.asarray(np.mean([_rates(kind, predicted, truth, one) for one in classes], axis=0))

    return expand


def _expand_r2(predictions: Predictions, truth: Array, value: float) -> Array:
    truth = truth.astype(float)
    squares, spread = (truth - predictions.compute("predict")) ** 2, (truth - truth.mean()) ** 2
    expanded: Array = value - (squares - (1 - value) * spread) / spread.mean()
    return expanded


def _expand_root(predictions: Predictions, truth: Array, value: float) -> Array:
    squares = (truth.astype(float) - predictions.compute("predict")) ** 2
    expanded: Array = value - (squares - squares.mean()) / (2 * math.sqrt(squares.mean()))
    return expanded


_FORMULAS: dict[str, Callable[[Predictions, Array, float], Array | None]] = {
    "roc_auc": _expand_auc,
    "balanced_accuracy": _expand_balanced_accuracy,
    **{kind: _expand_positive(kind) for kind in ("f1", "precision", "recall")},
    **{f"{kind}_macro": _expand_macro(kind) for kind in ("f1", "precision", "recall")},
    "r2": _expand_r2,
    "neg_root_mean_squared_error": _expand_root,
}
