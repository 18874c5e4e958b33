"""Confidence intervals for the figures of a backtest, from the windows that were scored."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

BLOCK = 4
"""The windows that are averaged before they are compared: losses of neighbouring windows are alike."""
LEVEL = 0.95
MIN_WINDOWS = 2 * BLOCK
"""With fewer scored windows there is no interval."""


def bound_relative_loss(losses: Sequence[float], reference: Sequence[float]) -> tuple[float, float] | None:
    """Computes the interval of the ratio of two mean losses.

    Both losses of a window are taken together, so what is hard for all models in a window does not widen the interval.
    The ratio is linearised (Cochran 1977, Sampling Techniques, 6.3), and Student's t is taken over the means of blocks
    of windows. A block bootstrap of as few blocks is too narrow: in the simulation of the tests it covers 81 %, this
    interval 89 %.

    Args:
        losses: The loss of a policy in each window; NaN where a window allows no score.
        reference: The losses that it is compared with, in the same windows.

    Returns:
        The 95 % interval of the mean of `losses` over that of `reference`; `None` with fewer than 8 windows that both
        have a score in, or where the reference has no loss.

    Example:
        >>> bound_relative_loss([0.5] * 20, [1.0] * 20)
        (0.5, 0.5)
    """
    from scipy import stats

    pairs = np.array([losses, reference], float)
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    count = pairs.shape[1]
    if count < MIN_WINDOWS or pairs[1].mean() <= 0:
        return None
    ratio = float(pairs[0].mean() / pairs[1].mean())
    differences = (pairs[0] - ratio * pairs[1]) / pairs[1].mean()
    means = [float(block.mean()) for block in np.array_split(differences, count // BLOCK)]
    error = float(np.std(means, ddof=1)) / math.sqrt(len(means))
    half = float(stats.t.isf((1 - LEVEL) / 2, len(means) - 1)) * error
    return ratio - half, ratio + half
