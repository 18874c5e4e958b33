"""How the PSI of a window is distributed without drift."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

Floats: TypeAlias = npt.NDArray[np.float64]

POINTS = 256
"""How many sizes of the movement are weighed against each other."""
BEYOND = 30.0
"""The largest of them, in multiples of what the groups show; seven groups never show so little of it by chance."""
TINY = 1e-6
"""The least that groups show in any direction, in multiples of their noise."""


@dataclass(frozen=True, slots=True)
class Movement:
    """The reference's own movement, as groups of its rows have shown it."""

    groups: Floats
    """The roots of the PSI terms of each group against the rest, of shape (groups, cells)."""
    own: float
    """The noise of a group in one direction."""
    size: float
    """The mean PSI of a group beyond noise."""
    independent: float
    """So many independent groups, less one, would show as much of the movement as these do."""
    widened: float
    """How much more a window moves than these groups show, for its length and for correlation in time."""

    def tail(self, roots: Floats, noise: float, freedom: float) -> float:
        """Gives the chance of a change of at least this size, averaged over how large the movement may be.

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
class Expected:
    """The distribution of the PSI of windows of one size without drift."""

    noise: float
    """Sampling noise in one direction; 0 without rows."""
    freedom: float
    """The number of directions: the cells that can differ, less one."""
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
        """Gives the chance of a PSI of at least this size without drift.

        Args:
            roots: The roots of the terms of the PSI of a window of that size.

        Returns:
            The upper tail, the smallest of the movements' times their number (Bonferroni).
        """
        tails = [movement.tail(roots, self.noise, self.freedom) for movement in self.movements]
        if tails:
            return min(1.0, min(tails) * len(tails))
        return float(special.chdtrc(self.freedom, np.square(roots).sum() / self.noise))
