"""Distances between two distributions, one statistic per function, from counts in the same bins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.float64] | npt.NDArray[np.int64]

SMOOTHING = 0.5
"""What each bin is given beyond its count before its logarithm is taken (Jeffreys' prior)."""

_ROUNDING = 1e-9


def shares(counts: Numbers) -> Floats:
    """Turns counts into shares.

    Args:
        counts: Rows in each bin.

    Returns:
        Numbers that add up to 1, or zeros where there are no rows.
    """
    parts: Floats = np.asarray(counts, np.float64) / max(float(np.sum(counts)), 1.0)
    return parts


def _cumulative_shares(counts: Numbers) -> Floats:
    """Returns the share of rows up to the end of each bin; exactly 1 from the last row on, where the bins are wide."""
    until = np.cumsum(counts, dtype=np.float64)
    reached: Floats = until / until[-1]
    return reached


def psi(reference: Numbers, current: Numbers) -> float:
    """Population stability index: sum of (q - p) * ln(q / p), the symmetric Kullback-Leibler divergence.

    Jeffreys 1946, Proc. R. Soc. A 186; as a rule of credit scoring: Siddiqi, Credit Risk Scorecards, 2006. Where either
    side has an empty bin, half a row is added to every bin of both, so that it stays finite; a bin that is empty on
    both sides counts for nothing.

    Args:
        reference: Rows in each bin.
        current: Rows in the same bins.

    Returns:
        0 for equal shares, without an upper end; 0 where a side has no rows.

    Example:
        >>> round(psi(np.array([500, 500]), np.array([600, 400])), 4)
        0.0405
    """
    one, other = np.asarray(reference, np.float64), np.asarray(current, np.float64)
    used = (one + other) > 0
    if not np.sum(reference) or not np.sum(current):
        return 0.0
    one, other = one[used], other[used]
    added = 0.0 if one.all() and other.all() else SMOOTHING
    p, q = shares(one + added), shares(other + added)
    return float(np.sum((q - p) * np.log(q / p)))


def jensen_shannon(reference: Numbers, current: Numbers) -> float:
    """Jensen-Shannon distance: sqrt((KL(p, m) + KL(q, m)) / 2), m the mean of p and q, natural logarithm.

    Endres and Schindelin 2003, IEEE Trans. Inf. Theory 49.

    Args:
        reference: Rows in each bin.
        current: Rows in the same bins.

    Returns:
        0 for equal shares, sqrt(ln 2) for disjoint ones; 0 where a side has no rows.

    Example:
        >>> round(jensen_shannon(np.array([1, 0]), np.array([0, 1])), 4)
        0.8326
    """
    p, q = shares(reference), shares(current)
    if not p.any() or not q.any():
        return 0.0
    middle = (p + q) / 2
    divergence = sum(np.sum(side[side > 0] * np.log(side[side > 0] / middle[side > 0])) for side in (p, q)) / 2
    return float(np.sqrt(max(divergence, 0.0)))


def kolmogorov_smirnov(reference: Numbers, current: Numbers) -> float:
    """Kolmogorov-Smirnov distance: the largest gap between the two distribution functions.

    Smirnov 1939. It is taken at the ends of the bins, so it is never more than the exact one, and at most one bin's
    share less.

    Args:
        reference: Rows in each bin, from the lowest values to the highest, without missing ones.
        current: Rows in the same bins.

    Returns:
        0 to 1; 0 where a side has no rows.

    Example:
        >>> kolmogorov_smirnov(np.array([5, 5, 0]), np.array([0, 5, 5]))
        0.5
    """
    if not np.sum(reference) or not np.sum(current):
        return 0.0
    return float(np.max(np.abs(_cumulative_shares(reference) - _cumulative_shares(current))))


def wasserstein(
    reference: Numbers, current: Numbers, bounds: Floats, reference_middles: Floats, current_middles: Floats
) -> float:
    """First Wasserstein distance: the area between the two distribution functions.

    Vallender 1974, Theory Probab. Appl. 18. Within a bin, the area between them follows from the gaps at its two ends
    where the values are taken to lie about its middle. Where their means are known to be elsewhere (in the long tails),
    each side's values are taken to lie at their mean, which is exact unless one function crosses the other there.

    Args:
        reference: Rows in each bin, from the lowest values to the highest, without missing ones.
        current: Rows in the same bins.
        bounds: Where the bins begin and end, one more than there are bins.
        reference_middles: The mean of the reference's values in each bin.
        current_middles: The mean of the current values in each bin.

    Returns:
        A distance in the column's unit; 0 where a side has no rows.

    Example:
        >>> wasserstein(np.array([4, 0]), np.array([0, 4]), np.array([0.0, 1, 2]), *[np.array([0.5, 1.5])] * 2)
        1.0
    """
    if not np.sum(reference) or not np.sum(current):
        return 0.0
    gaps = np.concatenate([[0.0], _cumulative_shares(reference) - _cumulative_shares(current)])
    widths, middles = np.diff(bounds), (bounds[:-1] + bounds[1:]) / 2
    plain = (np.abs(gaps[:-1]) + np.abs(gaps[1:])) / 2 * widths
    known = np.maximum(np.abs(reference_middles - middles), np.abs(current_middles - middles)) > _ROUNDING * widths
    first, last = np.minimum(reference_middles, current_middles), np.maximum(reference_middles, current_middles)
    between = gaps[:-1] + np.where(reference_middles < current_middles, shares(reference), -shares(current))
    areas = np.abs(gaps[:-1]) * (first - bounds[:-1]) + np.abs(between) * (last - first)
    areas += np.abs(gaps[1:]) * (bounds[1:] - last)
    return float(np.sum(np.where(known, areas, plain)))


def standard_deviation(counts: Numbers, bounds: Floats, middles: Floats, *, points: bool) -> float:
    """Standard deviation of values that are known by their bins; within a bin they are taken to lie evenly.

    Args:
        counts: Rows in each bin, without missing ones.
        bounds: Where the bins begin and end.
        middles: The mean of the values in each bin.
        points: Whether all values of a bin are at its middle.

    Returns:
        The deviation in the column's unit; 0 without rows.

    Example:
        >>> standard_deviation(np.array([2, 2]), np.array([0.0, 1, 2]), np.array([0.5, 1.5]), points=True)
        0.5
    """
    p = shares(counts)
    filled = p > 0
    p, at = p[filled], middles[filled]
    within = 0.0 if points else float(np.sum(p * np.square(np.diff(bounds)[filled]))) / 12
    return float(np.sqrt(np.sum(p * np.square(at - np.sum(p * at))) + within)) if len(p) else 0.0


def missing_change(reference: Numbers, current: Numbers) -> float:
    """Share of missing values, current minus reference.

    Args:
        reference: Rows in each coarse bin; the last one is the missing values.
        current: Rows in the same bins.

    Returns:
        -1 to 1; a side without rows counts as 0.

    Example:
        >>> missing_change(np.array([100, 0]), np.array([90, 10]))
        0.1
    """
    return float(shares(current)[-1] - shares(reference)[-1])


def unseen_share(current: Numbers) -> float:
    """Share of the current rows whose value is of no category of the reference.

    Args:
        current: Rows in each coarse bin; the last two are unseen and missing values.

    Returns:
        0 to 1; 0 without rows.

    Example:
        >>> unseen_share(np.array([6, 2, 1, 1]))
        0.1
    """
    return float(current[-2] / max(float(np.sum(current)), 1.0))
