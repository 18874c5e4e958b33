"""The dependence of neighbouring blocks of time: how many to merge, and how much of it is left."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from refit.data.split import MIN_BLOCKS

Array = npt.NDArray[np.float64]

CRITICAL = 1.2816
"""The normal quantile beyond which a lag-1 correlation is taken as real: in one of ten series without any."""
HIGHEST = 0.98
"""The highest correlation of neighbouring blocks that is assumed."""


@dataclass(frozen=True, slots=True)
class SerialDependence:
    """How the variance of a mean has to account for the correlation of neighbouring blocks."""

    merged: int
    """How many neighbouring blocks make one, a power of two."""
    inflation: float
    """The factor, at least 1, by which the variance over the merged blocks is still too small."""


def measure_dependence(means: Array) -> SerialDependence:
    """Merges neighbouring blocks in pairs until their lag-1 correlation is insignificant, or five are left.

    Fishman and Yarberry (1997, An implementation of the batch means method). With few blocks a correlation that is left
    is not seen any more, so the variance over the merged blocks is enlarged by what a first-order autoregression with
    the correlation of the smallest blocks leaves there (prewhitening: Andrews and Monahan 1992).

    Args:
        means: The mean in each block, in order of time.

    Returns:
        The number of blocks to merge, and the factor; 1 and 1 where neighbours do not resemble each other.

    Example:
        >>> measure_dependence(np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])).merged
        1
    """
    merged, current = 1, means
    while len(current) // 2 >= MIN_BLOCKS and _is_correlated(current):
        current, merged = average_neighbours(current), 2 * merged
    if merged == 1:
        return SerialDependence(1, 1.0)
    return SerialDependence(merged, _remaining_inflation(lag_correlation(means), len(means), len(current)))


def lag_correlation(means: Array) -> float:
    """Returns the correlation of neighbouring blocks.

    Args:
        means: The mean in each block, in order of time.

    Returns:
        The lag-1 autocorrelation, -1 to 1; 0 where all blocks are equal.
    """
    deviations = means - means.mean()
    square = float((deviations**2).sum())
    return float((deviations[1:] * deviations[:-1]).sum()) / square if square > 0 else 0.0


def group_starts(count: int, merged: int) -> list[int]:
    """Returns where the merged blocks begin; the last one takes what is left over.

    Args:
        count: The number of blocks.
        merged: How many neighbouring ones make one.

    Returns:
        The position of the first block of each group.
    """
    return [place * merged for place in range(count // merged)]


def average_neighbours(means: Array) -> Array:
    """Averages neighbouring blocks in pairs; the last one of an odd number joins the last pair.

    Args:
        means: The mean in each block.

    Returns:
        Half as many.
    """
    starts = group_starts(len(means), 2)
    sizes = np.diff([*starts, len(means)])
    return np.asarray(np.add.reduceat(means, starts) / sizes)


def _is_correlated(means: Array) -> bool:
    """Tests for positive correlation; without any, the lag-1 correlation is about -1/n on average."""
    count = len(means)
    return (lag_correlation(means) + 1 / count) * math.sqrt(count) > CRITICAL


def _remaining_inflation(correlation: float, count: int, groups: int) -> float:
    """Divides the variance of the mean by the expected estimate from groups, in a first-order autoregression."""
    correlation = min(max(correlation, 0.0), HIGHEST)
    true, of_group = (_mean_variance(correlation, size) for size in (count, count // groups))
    return max(1.0, true * (groups - 1) / (of_group - true)) if of_group > true else 1.0


def _mean_variance(correlation: float, size: int) -> float:
    """Returns the variance of a mean of so many neighbours, each of unit variance."""
    lags = np.arange(1, size)
    return float(1 + 2 * ((1 - lags / size) * correlation**lags).sum()) / size
