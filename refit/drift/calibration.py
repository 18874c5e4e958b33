"""Calibrated PSI test: a column's PSI against sampling noise and the natural movement within the reference.

A current window of n rows is compared with a reference of m rows in K bins. Without any movement the PSI is about
`(1/n + 1/m)` times chi-squared with K - 1 degrees of freedom (Yurdakul 2018, Statistical Properties of Population
Stability Index). Real data moves, so the reference is cut into consecutive groups of about n rows, each is compared
with the rest, and the PSI beyond sampling noise is the natural movement. Movement mostly has few directions, such as a
wandering mean, so it is measured in the direction of the change that is tested.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from refit.drift.null_distribution import (
    KEPT,
    MIN_GROUPS,
    Floats,
    Movement,
    NullDistribution,
    group_blocks,
    map_rare_bins,
    merge_bins,
)

Counts: TypeAlias = npt.NDArray[np.int64]

SMOOTHING = 0.5
"""Added to the count of every bin, so that the logarithm of an empty one is defined (Jeffreys' prior)."""
FEW = 3.0
"""The fewest degrees of freedom of an estimate: with fewer, nothing would ever be significant."""
CLEAR = 1e-6
"""Tests with smaller p-values are equally clear, and the size of the change decides which of them is reported."""
SEEN = 0.25
"""Movement is taken to be this share of what groups show at least, when its correlation in time is estimated: less, and
chance alone would look correlated; more, and movement smaller than noise would look independent."""
LONG = 2.0
"""A window longer than so many groups may drift away slowly, as no group does: more correlation is assumed."""
MAX_CORRELATION = 0.9
"""More correlation between neighbouring groups is not told apart from a random walk or a trend."""


@dataclass(frozen=True, slots=True)
class PsiTest:
    """The result of the PSI test of one column."""

    psi: float
    """The PSI over the bins that the window is large enough to fill."""
    excess: float
    """The part of the PSI beyond the expected one, of the reported test; at least 0."""
    p_value: float
    """The p-value, corrected for the number of tests of the column."""
    expected: NullDistribution
    """The null distribution for all bins together."""

    @property
    def calibrated(self) -> bool:
        """Whether natural movement is known."""
        return self.expected.calibrated


def compare_psi(reference: Counts, current: Counts) -> PsiTest:
    """Tests whether a column's PSI is larger than sampling and natural movement explain.

    Unseen and missing values are also tested by themselves, since their shares hardly move with a mean. The p-value is
    that of the clearest test times the number of tests (Bonferroni), and the excess is of the same test, the largest of
    several clear ones.

    Args:
        reference: Counts per block of time and bin, blocks in order; the last two bins are unseen and missing.
        current: Counts per bin of the current window.

    Returns:
        The PSI of all bins, the excess and the p-value; no change if one side has no rows.

    Example:
        >>> blocks = np.full((10, 6), 250)
        >>> compare_psi(blocks, np.array([250, 250, 250, 250, 250, 250])).p_value
        1.0
        >>> compare_psi(blocks, np.array([400, 250, 250, 250, 250, 100])).p_value < 1e-6
        True
    """
    total, rows = reference.sum(axis=0), int(current.sum())
    if not total.sum() or not rows:
        return PsiTest(0.0, 0.0, 1.0, NullDistribution(0.0, 1.0))
    bins = map_rare_bins(total, current, rows)
    whole = _test(merge_bins(reference, bins), merge_bins(current, bins))
    alone = [place for place in (-2, -1) if total[place] + current[place] and len(total) > KEPT + 1]
    tests = [whole, *(_test(_one_against_rest(reference, place), _one_against_rest(current, place)) for place in alone)]
    clearest = min(tests, key=lambda test: (max(test.p_value, CLEAR), -test.excess))
    return replace(whole, excess=clearest.excess, p_value=min(1.0, clearest.p_value * len(tests)))


def estimate_null(reference: Counts, rows: int, freedom: int) -> NullDistribution:
    """Estimates the distribution of the PSI of a window without drift.

    Movement that is correlated in time is widened: a mean over correlated groups hides a part of it, and they count for
    fewer (Bartlett 1946). A window larger than the groups is expected to move as they do; one smaller, as much more as
    independent pieces of its size would. Where groups are few, smaller ones are looked at as well: a window moves no
    more than they do, and as they are many, they say with more certainty that there is little movement.

    Args:
        reference: Counts per block of time and bin.
        rows: Rows of the window.
        freedom: How many of the bins can differ, less one.

    Returns:
        The distribution of its PSI.
    """
    total = int(reference.sum())
    expected = NullDistribution(1 / rows + 1 / total if total else 0.0, max(1.0, freedom))
    groups, parts = group_blocks(reference, rows), group_blocks(reference, 1)
    if len(groups) < MIN_GROUPS:
        return expected
    longer = rows > LONG * total / len(groups)
    levels = (groups, parts) if len(parts) > len(groups) and not longer else (groups,)
    return replace(
        expected, movements=tuple(_estimate_movement(level, rows, expected.freedom, 1 + longer) for level in levels)
    )


def signed_roots(reference: Counts, current: Counts) -> Floats:
    """Computes the signed roots of the PSI's terms, whose squares sum to the PSI.

    Args:
        reference: Counts per bin; leading axes broadcast.
        current: Counts per bin.

    Returns:
        `sign(q - p) * sqrt((q - p) * ln(q / p))` per bin, with p and q the smoothed shares.

    Example:
        >>> float(np.square(signed_roots(np.array([50, 50]), np.array([50, 50]))).sum())
        0.0
    """
    p, q = _shares(reference), _shares(current)
    difference = q - p
    return np.asarray(np.sign(difference) * np.sqrt(difference * np.log(q / p)))


def _test(reference: Counts, current: Counts) -> PsiTest:
    # An unused bin is left out: smoothed, it would look fuller in a small group than in all rows.
    used = reference.sum(axis=0) + current > 0
    reference, current = reference[:, used], current[used]
    expected = estimate_null(reference, int(current.sum()), int(used.sum()) - 1)
    terms = signed_roots(reference.sum(axis=0), current)
    psi = float(np.square(terms).sum())
    return PsiTest(psi, max(0.0, psi - expected.mean), expected.p_value(terms), expected)


def _one_against_rest(counts: Counts, place: int) -> Counts:
    """Merges all bins but one."""
    return np.stack([counts.sum(axis=-1) - counts[..., place], counts[..., place]], axis=-1)


def _estimate_movement(groups: Counts, rows: int, freedom: float, errors: int) -> Movement:
    sizes, count = groups.sum(axis=1), len(groups)
    z = signed_roots(groups.sum(axis=0) - groups, groups)
    own = float(np.mean(1 / sizes + 1 / (sizes.sum() - sizes)))
    products = z @ z.T
    seen = float(np.trace(products)) / count
    size = max(0.0, seen - own * freedom)
    correlation = _bound_correlation(products, max(size, SEEN * seen), errors)
    independent = max(2.0, count * (1 - correlation) / (1 + correlation))
    widened = max(1.0, float(sizes.mean()) / rows) * (independent + 1) / (independent - 1)
    shown = max(FEW, (count - 1) * (1 - correlation**2) / (1 + correlation**2))
    return Movement(z, own, size, shown, widened)


def _bound_correlation(products: Floats, scale: float, errors: int) -> float:
    """Returns an upper bound of the correlation of neighbouring groups, since few groups hardly show it.

    It is the estimate, corrected for the bias of few groups (Kendall 1954), plus one or two standard errors.
    """
    count = len(products)
    if scale <= 0:
        return 0.0
    found = float(np.trace(products, offset=1)) / (count - 1) / scale
    return float(np.clip(found + (1 + 3 * found) / count + errors * count**-0.5, 0, MAX_CORRELATION))


def _shares(counts: Counts) -> Floats:
    filled = counts + SMOOTHING
    return np.asarray(filled / filled.sum(axis=-1, keepdims=True))
