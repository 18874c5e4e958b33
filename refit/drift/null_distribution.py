"""Null distribution of a window's PSI, from groups of the reference's blocks of time as large as the window."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

Floats: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]

POINTS = 256
"""How many sizes of the movement are weighed against each other."""
BEYOND = 30.0
"""The largest of them, in multiples of what the groups show; seven groups never show so little of it by chance."""
TINY = 1e-6
"""The least that groups show in any direction, in multiples of their noise."""
MIN_GROUPS = 8
"""With fewer, the movement between groups says too little."""
WANTED_GROUPS = 10
"""A window larger than a tenth of the reference is held against groups of a tenth."""
GROUP_ROWS = 400
"""The fewest rows of a group on average: smaller ones show sampling noise and little else."""
CELL_ROWS = 5
"""The rows that a window is expected to have in a bin of its own, as for Pearson's chi-squared."""
KEPT = 2
"""The last bins, unseen and missing, are never merged with others."""


@dataclass(frozen=True, slots=True)
class Movement:
    """The natural movement of a column, as shown by groups of the reference's rows."""

    groups: Floats
    """The roots of the PSI terms of each group against the rest, of shape (groups, bins)."""
    own: float
    """The noise of a group in one direction."""
    size: float
    """The mean PSI of a group beyond noise."""
    independent: float
    """So many independent groups, less one, would show as much of the movement as these do."""
    widened: float
    """How much more a window moves than these groups show, for its length and for correlation in time."""

    def tail(self, roots: Floats, noise: float, freedom: float) -> float:
        """Returns the probability of a change of at least this size, averaged over the possible sizes of the movement.

        The change is held against what the groups show in its own direction: a change in a direction that does not
        move by itself counts for more. How large the movement there is, is known from few groups, so the tail is
        the posterior predictive one (Rubin 1984), with a flat prior for the logarithm of noise and movement together.
        Noise is known and movement is not negative, so a reference that shows no more than noise hardly moves, however
        few its groups are. All directions together move no more than the groups' PSI: the larger the movement in this
        direction, the fewer others move as much.

        Args:
            roots: The roots of the window's PSI terms.
            noise: The noise of the window in one direction.
            freedom: The number of directions.

        Returns:
            The upper tail, of chi-squared with as many degrees of freedom as directions may move so much.
        """
        psi, count = float(np.square(roots).sum()), len(self.groups) - 1
        if psi <= 0:
            return 1.0
        shown = max(float(np.square(self.groups @ roots).mean()) / psi, TINY * self.own)
        sizes = self.own * np.expm1(np.linspace(0, np.log1p(BEYOND * max(shown / self.own, 1)), POINTS))
        mean = self.own + sizes
        variance = 2 * ((self.own**2 + 2 * self.own * sizes) / count + np.square(sizes) / self.independent)
        shape, rate = mean**2 / variance, mean / variance  # of a gamma distribution (Satterthwaite 1946)
        fit = shape * np.log(rate * shown) - rate * shown - special.gammaln(shape)
        weights = np.exp(fit - fit.max())
        most = self.size + self.own * np.sqrt(2 * freedom / count)
        moving = np.clip(most / np.maximum(sizes, most / freedom), 1, freedom)
        scaled = np.maximum(psi - noise * (freedom - moving), 0) / (noise + self.widened * sizes)
        tails = special.chdtrc(moving, scaled)
        return float(np.sum(weights * tails) / weights.sum())


@dataclass(frozen=True, slots=True)
class NullDistribution:
    """The distribution of the PSI of windows of one size without drift."""

    noise: float
    """Sampling noise in one direction; 0 without rows."""
    freedom: float
    """The number of directions: the bins that can differ, less one."""
    movements: tuple[Movement, ...] = field(default=(), compare=False)
    """By groups of about the window's size and, where there are any, by smaller ones, which move at least as much; none
    where the reference has too few groups to know it, and then only noise is expected."""

    @property
    def mean(self) -> float:
        """Sampling noise and natural movement together."""
        moved = [movement.widened * movement.size for movement in self.movements[:1]]
        return self.noise * self.freedom + sum(moved)

    @property
    def calibrated(self) -> bool:
        """Whether natural movement is known."""
        return bool(self.movements)

    def p_value(self, roots: Floats) -> float:
        """Returns the p-value of a PSI of at least this size without drift.

        Args:
            roots: The roots of the terms of the PSI of a window of that size.

        Returns:
            The upper tail, the smallest of the movements' times their number (Bonferroni).
        """
        tails = [movement.tail(roots, self.noise, self.freedom) for movement in self.movements]
        if tails:
            return min(1.0, min(tails) * len(tails))
        return float(special.chdtrc(self.freedom, np.square(roots).sum() / self.noise))


def group_blocks(reference: Counts, rows: int) -> Counts:
    """Merges consecutive blocks into groups of about a window's rows.

    Args:
        reference: Counts per block of time and bin, blocks in order.
        rows: Rows of a window.

    Returns:
        Counts per group and bin. At least 8 groups, or what there is where the reference is too small for that.

    Example:
        >>> group_blocks(np.full((20, 3), 200), 1_200).sum(axis=1).tolist()
        [1200, 1200, 1200, 1200, 1200, 1200, 1200, 1200, 1200, 1200]
    """
    blocks = reference[reference.sum(axis=1) > 0]
    count, total = len(blocks), int(blocks.sum())
    if not total:
        return np.asarray(blocks)
    size = max(rows, GROUP_ROWS)
    together = max(1, min(round(size * count / total), count // WANTED_GROUPS))
    wanted = min(count // together, total // GROUP_ROWS)
    if wanted < 1:
        return np.asarray(blocks.sum(axis=0, keepdims=True))
    starts = np.linspace(0, count, wanted, endpoint=False).round().astype(np.intp)
    return np.asarray(np.add.reduceat(blocks, starts, axis=0))


def map_rare_bins(reference: Counts, current: Counts, rows: int) -> npt.NDArray[np.intp]:
    """Maps bins to merged ones: rare bins, in which a window would have fewer than 5 rows, become one.

    A rare bin that holds many of the window's rows all the same keeps to itself only if it is unseen or missing.

    Args:
        reference: Counts per bin.
        current: Counts per bin of the window; only its length is used.
        rows: Rows of the window.

    Returns:
        The new bin of each bin; the last two stay the last two.

    Example:
        >>> map_rare_bins(np.array([900, 3, 2, 95, 0, 0]), np.zeros(6, np.int64), 500).tolist()
        [0, 2, 2, 1, 3, 4]
    """
    share = reference / max(1, int(reference.sum()))
    rare = share * rows < CELL_ROWS
    rare[len(current) - KEPT :] = False
    if rare.sum() <= 1:
        return np.arange(len(current))
    body = rare[:-KEPT]
    bins = np.where(body, int((~body).sum()), np.cumsum(~body) - 1)
    last = int(bins.max()) + 1
    return np.append(bins, [last, last + 1])


def merge_bins(counts: Counts, bins: npt.NDArray[np.intp]) -> Counts:
    """Sums the counts of merged bins.

    Args:
        counts: Counts, bins on the last axis.
        bins: The new bin of each bin.

    Returns:
        Counts per new bin.
    """
    into = np.zeros((len(bins), int(bins.max()) + 1), np.int64)
    into[np.arange(len(bins)), bins] = 1
    return np.asarray(counts @ into)
