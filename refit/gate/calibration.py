"""Calibration of probabilities: the error of challenger and champion, and the rule that limits it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from refit.data.split import MIN_BLOCKS
from refit.gate.evidence import Calibration
from refit.modelling.predictions import BINARY, Predictions
from refit.policies.gate import CALIBRATION_SHARE, GatePolicy
from refit.records.verdicts import Reason

Array = npt.NDArray[np.float64]

BINS = 10
"""Bins of equal count: enough to show a curve, with hundreds of rows each in a typical holdout."""
BIN_ROWS = 30
"""The fewest rows of a bin; a small holdout has fewer bins."""
MOST_NOISE = 0.25
"""The largest sampling variance of a share: assumed for a bin of a single row, where it cannot be estimated."""


def measure_calibration(
    challenger: Predictions, champion: Predictions | None, truth: pd.Series[Any], blocks: list[slice]
) -> Calibration | None:
    """Measures the calibration errors of challenger and champion, and the standard error of their difference.

    Args:
        challenger: The challenger's predictions.
        champion: The champion's predictions of the same rows; `None` without a champion.
        truth: The labels.
        blocks: Consecutive blocks of time that cover the rows.

    Returns:
        The errors, with the standard error of their difference by a jackknife over the blocks (Quenouille 1956; Tukey
        1958), since neighbouring rows have similar errors; `None` for a model that gives no probabilities.
    """
    events = _events(challenger, truth)
    if events is None:
        return None
    other = _events(champion, truth) if champion else None
    sums = _sums(*events, blocks)
    value = _distance(sums)
    if other is None:
        return Calibration(value, None, None)
    others = _sums(*other, blocks)
    return Calibration(value, _distance(others), _deviation(sums, others))


def check_calibration(found: Calibration, policy: GatePolicy) -> Reason:
    """Requires a calibration error within the limit, and not significantly worse than the champion's.

    Args:
        found: The calibration errors.
        policy: For the limits.

    Returns:
        The reason. Its value is the challenger's error, a probability; its limit is the lower of the two that are set.
    """
    told, most = f"the calibration error is {found.challenger:.3g}", _most(policy)
    if found.challenger > most:
        return _reason(found, most, f"{told}, above the limit of {most:g}: calibrate the estimator", passed=False)
    if found.champion is None or policy.calibration is None:
        return _reason(found, most, f"{told}, {f'within the limit of {most:g}' if most < 1 else 'no limit is set'}")
    rise, limit = found.challenger - found.champion, min(most, found.champion + policy.calibration)
    told, allowed = f"{told} against the champion's {found.champion:.3g}", f"{policy.calibration:g}"
    if rise <= policy.calibration:
        return _reason(found, limit, f"{told}, at most {allowed} worse")
    if found.deviation is None or rise <= stats.norm.isf(CALIBRATION_SHARE * policy.significance) * found.deviation:
        return _reason(found, limit, f"{told}, more than {allowed} worse, but not significantly")
    sentence = (
        f"{told}, significantly worse by more than {allowed}: calibrate the estimator, or set gate.calibration=None "
        f"if its probabilities are only ranked"
    )
    return _reason(found, limit, sentence, passed=False)


def calibration_error(probabilities: Array, occurred: Array) -> float:
    """Measures how far probabilities lie from observed frequencies, beyond what chance alone would show.

    The root of the mean squared distance over bins of equal count, from which the sampling variance of each bin's share
    is taken (the debiased estimator of Kumar, Liang and Ma 2019, NeurIPS 32).

    Args:
        probabilities: The predicted probability of an event, one per row.
        occurred: 1 where the event occurred, 0 where not.

    Returns:
        The calibration error, a probability; 0 where chance explains all of it.

    Example:
        >>> calibration_error(np.full(1_000, 0.5), np.tile([1.0, 0.0, 0.0, 0.0], 250)) > 0.24
        True
    """
    return _distance(_sums(probabilities, occurred, [slice(0, len(probabilities))]))


def _most(policy: GatePolicy) -> float:
    return 1.0 if policy.calibration_limit is None else policy.calibration_limit


def _reason(found: Calibration, limit: float, sentence: str, *, passed: bool = True) -> Reason:
    return Reason("calibration", passed, found.challenger, None if limit >= 1 else limit, sentence)


def _sums(probabilities: Array, occurred: Array, blocks: list[slice]) -> Array:
    """Sums rows, probabilities and events by block of time and by bin: shape (3, blocks, bins).

    Equal probabilities share a bin: to split them would separate rows by their order.
    """
    count = max(1, min(BINS, len(probabilities) // BIN_ROWS))
    borders = np.sort(probabilities)[[len(probabilities) * edge // count for edge in range(1, count)]]
    bins = np.searchsorted(borders, probabilities, side="right")
    block = np.repeat(np.arange(len(blocks)), [each.stop - each.start for each in blocks])
    cells, shape = block * (len(borders) + 1) + bins, (len(blocks), len(borders) + 1)
    sums = (
        np.bincount(cells, weights, shape[0] * shape[1])
        for weights in (np.ones(len(probabilities)), probabilities, occurred)
    )
    return np.stack([each.reshape(shape) for each in sums])


def _squared(sums: Array) -> Array:
    """Returns the mean squared distance less the sampling noise, from sums of shape (3, ..., bins)."""
    rows = sums[0]
    mean, share = sums[1:] / np.maximum(rows, 1)
    noise = np.where(rows > 1, share * (1 - share) / np.maximum(rows - 1, 1), MOST_NOISE)
    squared: Array = (rows * ((mean - share) ** 2 - noise)).sum(axis=-1) / rows.sum(axis=-1)
    return squared


def _distance(sums: Array) -> float:
    return float(np.sqrt(max(0.0, float(_squared(sums.sum(axis=1))))))


def _events(predictions: Predictions, truth: pd.Series[Any]) -> tuple[Array, Array] | None:
    """Returns probability and occurrence of an event: the second of two classes, else the likeliest class."""
    if not hasattr(predictions, "predict_proba"):
        return None
    said, labels = predictions.compute("predict_proba"), pd.Index(predictions.labels, dtype=object)
    classes = labels.get_indexer(pd.Index(truth.to_numpy(), dtype=object))
    if len(labels) == BINARY:
        return said[:, 1], (classes == 1).astype(float)
    likeliest = said.argmax(axis=1)
    return said.max(axis=1), (classes == likeliest).astype(float)


def _deviation(sums: Array, others: Array) -> float | None:
    """Returns the jackknife standard error of the difference, leaving out each block of time once.

    It is taken of the squared errors and transformed by the delta method: the square root is too curved near 0.
    """
    count, both = sums.shape[1], _distance(sums) + _distance(others)
    if count < MIN_BLOCKS or both <= 0:
        return None
    without = (_squared(each.sum(axis=1, keepdims=True) - each) for each in (sums, others))
    differences = np.subtract(*without)
    return float(np.sqrt((count - 1) / count * ((differences - differences.mean()) ** 2).sum()) / both)
