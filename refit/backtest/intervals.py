"""Confidence intervals for the figures of a backtest, from the windows that were scored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BLOCK = 4
"""The windows that are drawn together: losses of neighbouring windows are alike."""
DRAWS = 2_000
LEVEL = 0.95
MIN_WINDOWS = 2 * BLOCK
"""With fewer scored windows there is no interval."""


def bootstrap_relative_loss(losses: Sequence[float], reference: Sequence[float]) -> tuple[float, float] | None:
    """Computes the interval of the ratio of two mean losses by a paired circular block bootstrap.

    Both losses of a window are drawn together, so what is hard for all models in a window does not widen the interval
    (Politis and Romano 1992, "A circular block-resampling procedure for stationary data").

    Args:
        losses: The loss of a policy in each window; NaN where a window allows no score.
        reference: The losses that it is compared with, in the same windows.

    Returns:
        The 95 % interval of the mean of `losses` over that of `reference`; `None` with fewer than 8 windows that both
        have a score in, or where the reference has no loss.

    Example:
        >>> bootstrap_relative_loss([0.5] * 20, [1.0] * 20)
        (0.5, 0.5)
    """
    pairs = np.array([losses, reference], float)
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    count = pairs.shape[1]
    if count < MIN_WINDOWS or pairs[1].mean() <= 0:
        return None
    starts = np.random.default_rng(0).integers(count, size=(DRAWS, -(-count // BLOCK)))
    drawn = ((starts[:, :, None] + np.arange(BLOCK)) % count).reshape(DRAWS, -1)[:, :count]
    means = pairs[:, drawn].mean(axis=2)
    ratios = means[0][means[1] > 0] / means[1][means[1] > 0]
    low, high = np.quantile(ratios, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
