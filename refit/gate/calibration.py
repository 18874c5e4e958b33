"""Whether probabilities mean what they say, and no less than the champion's do."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from refit.blocks import MIN_BLOCKS
from refit.gate.evidence import Calibration
from refit.gate.policies import GatePolicy
from refit.gate.spending import CALIBRATION
from refit.predictions import BINARY, Predictions
from refit.verdicts import Reason

Array = npt.NDArray[np.float64]

BINS = 10
"""Bins of equal count: enough to see a curve, and hundreds of rows in each of a usual holdout."""
BIN_ROWS = 30
"""The fewest rows of a bin; on few rows there are fewer bins."""


def measure(
    challenger: Predictions, champion: Predictions | None, truth: pd.Series[Any], blocks: list[slice]
) -> Calibration | None:
    """Measures the calibration errors of challenger and champion, and how certain their difference is.

    Args:
        challenger: Its answers.
        champion: The champion's to the same rows; `None` without one.
        truth: The labels.
        blocks: Consecutive blocks of time that cover the rows.

    Returns:
        The errors, with the standard error of their difference by a jackknife over the blocks (Quenouille 1956; Tukey
        1958), since neighbouring rows err alike; `None` for a model that gives no probabilities.
    """
    said = _events(challenger, truth)
    if said is None:
        return None
    other = _events(champion, truth) if champion else None
    value = error(*said)
    if other is None:
        return Calibration(value, None, None)
    return Calibration(value, error(*other), _deviation(said, other, blocks))


def calibrated(found: Calibration, policy: GatePolicy) -> Reason:
    """Asks for probabilities that are within the limit, and not clearly worse than the champion's.

    Args:
        found: The calibration errors.
        policy: For the limits.

    Returns:
        The reason; its value is the challenger's error, its limit the lower of the two that are set.
    """
    told = f"predicted probabilities lie {found.challenger:.3g} from the shares that came true"
    if policy.calibration_limit is not None and found.challenger > policy.calibration_limit:
        sentence = f"{told}, at most {policy.calibration_limit:g} is allowed: calibrate the estimator"
        return Reason(
            "calibration", passed=False, value=found.challenger, limit=policy.calibration_limit, sentence=sentence
        )
    if found.champion is None or policy.calibration is None:
        limit = policy.calibration_limit
        sentence = f"{told}{'' if limit is None else f', at most {limit:g} is allowed'}"
        return Reason("calibration", passed=True, value=found.challenger, limit=limit, sentence=sentence)
    rise, limit = found.challenger - found.champion, found.champion + policy.calibration
    certain = found.deviation is not None and rise > stats.norm.isf(CALIBRATION * policy.significance) * found.deviation
    passed = not (rise > policy.calibration and certain)
    sentence = (
        f"{told}, the champion's {found.champion:.3g}: {'no' if passed else ''} more than {policy.calibration:g} worse"
        f"{'' if passed or not certain else ', and significantly: calibrate the estimator'}"
    )
    return Reason("calibration", passed, found.challenger, limit, " ".join(sentence.split()))


def error(said: Array, came: Array) -> float:
    """Measures how far probabilities lie from the shares that came true, without what chance alone would show.

    The root of the mean squared distance over bins of equal count, from which the sampling variance of each bin's share
    is taken (the debiased estimator of Kumar, Liang and Ma 2019, NeurIPS 32).

    Args:
        said: Probabilities of an event.
        came: 1 where it came true, 0 where not.

    Returns:
        The calibration error, a probability; 0 where chance explains all of it.

    Example:
        >>> error(np.full(1_000, 0.5), np.tile([1.0, 0.0, 0.0, 0.0], 250)) > 0.24
        True
    """
    order = np.argsort(said, kind="stable")
    total = 0.0
    for part in np.array_split(order, max(1, min(BINS, len(said) // BIN_ROWS))):
        share, count = came[part].mean(), len(part)
        noise = share * (1 - share) / (count - 1) if count > 1 else 0.25
        total += count / len(said) * ((said[part].mean() - share) ** 2 - noise)
    return float(np.sqrt(max(0.0, total)))


def _events(predictions: Predictions, truth: pd.Series[Any]) -> tuple[Array, Array] | None:
    """Gives the probability of an event and whether it came: the second class of two, else the likeliest class."""
    if not hasattr(predictions, "predict_proba"):
        return None
    said, labels = predictions.all_of("predict_proba"), pd.Index(predictions.labels, dtype=object)
    classes = labels.get_indexer(pd.Index(truth.to_numpy(), dtype=object))
    if len(labels) == BINARY:
        return said[:, 1], (classes == 1).astype(float)
    likeliest = said.argmax(axis=1)
    return said.max(axis=1), (classes == likeliest).astype(float)


def _deviation(one: tuple[Array, Array], other: tuple[Array, Array], blocks: list[slice]) -> float | None:
    count = len(blocks)
    if count < MIN_BLOCKS:
        return None
    left = np.ones(len(one[0]), bool)
    differences = np.empty(count)
    for place, block in enumerate(blocks):
        left[block] = False
        differences[place] = error(one[0][left], one[1][left]) - error(other[0][left], other[1][left])
        left[block] = True
    return float(np.sqrt((count - 1) / count * ((differences - differences.mean()) ** 2).sum()))
