"""The difference of two models' scores on the same rows, with its standard error and degrees of freedom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from refit.data.split import MIN_BLOCKS
from refit.modelling.serial_dependence import SerialDependence, group_starts, measure_dependence
from refit.records.contributions import Contributions, Stratum

Array = npt.NDArray[np.float64]
CHI_SQUARED_MEDIAN = 0.4549
"""The median of a squared standard normal variable."""
HARM_CHANCE = 0.001
"""The probability that the chance of rows looks like harm, which hardly adds to the error budget."""
OUTLYING = 4.5
"""How many median deviations an ordinary block may lie from the median: three standard deviations of normal noise."""
FEWEST = 2.0
"""The fewest effective blocks of a stratum whose own spread can be estimated."""


@dataclass(frozen=True, slots=True)
class RobustError:
    """A standard error by ordinary blocks and by single rows, whichever is larger."""

    error: float
    """In the metric's unit."""
    freedom: float
    """Its degrees of freedom."""

    def margin(self, significance: float) -> float:
        """Returns how far a difference may lie from zero by the chance of ordinary rows.

        Args:
            significance: The probability that it lies beyond the margin, on one side.

        Returns:
            The margin, by Student's t.
        """
        return t_margin(self.error, self.freedom, significance)


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """One score minus another on the same rows, and how far it may lie from the true difference by chance."""

    mean: float
    """The difference over all rows, in the metric's unit."""
    error: float
    """Its standard error."""
    freedom: float
    """The degrees of freedom of the standard error: fewer than the blocks if a few rows of a rare class decide."""
    blocks: tuple[float, ...]
    """The mean difference in each block of time that was used, in order."""
    robust: RobustError | None = None
    """The standard error that a few bad blocks do not raise; `None` without contributions."""

    @property
    def count(self) -> int:
        """How many blocks of time were used."""
        return len(self.blocks)

    @property
    def decidable(self) -> bool:
        """Whether there are enough blocks of time for a test."""
        return self.count >= MIN_BLOCKS

    def margin(self, significance: float) -> float:
        """Returns how far the difference may lie from zero by chance: t(1 - a, freedom) times the standard error.

        Args:
            significance: The probability that it lies beyond the margin, on one side, without a true difference.

        Returns:
            The margin, in the unit of the metric; 0 where all blocks differ by the same.
        """
        return t_margin(self.error, self.freedom, significance)

    def is_harmful(self, loss: float, limit: float | None) -> bool:
        """Tells whether a rise of the loss exceeds a limit, and the chance of ordinary rows.

        Args:
            loss: The other model's loss, in the metric's unit.
            limit: The largest rise, as a share of that loss; `None` is no limit.

        Returns:
            Whether the rise is beyond both; false without a robust error, as in records of former releases.
        """
        if limit is None or self.robust is None or not self.decidable or -self.mean <= limit * max(loss, 0.0):
            return False
        return -self.mean > self.robust.margin(HARM_CHANCE)


def t_margin(error: float, freedom: float, significance: float) -> float:
    """Returns the distance that chance exceeds with a probability, by Student's t.

    Args:
        error: The standard error.
        freedom: Its degrees of freedom.
        significance: The probability, on one side.

    Returns:
        The quantile times the standard error; 0 without one.
    """
    from scipy import stats

    return float(stats.t.ppf(1 - significance, freedom) * error) if error else 0.0


def compare_blocks(differences: Sequence[float] | Array) -> PairedDifference:
    """Compares two models by their scores in blocks of time, as in records that have no contributions.

    The differences are of paired scores in consecutive blocks of time (batch means, Conway 1963; Law and Kelton,
    Simulation Modeling and Analysis, 9.5.3): pairing removes what is hard for both models, blocks what neighbouring
    rows share.

    Args:
        differences: One value for each block; those that are not finite are left out.

    Returns:
        Their mean, with the standard error s / sqrt(n) and n - 1 degrees of freedom.
    """
    kept = np.asarray(differences, dtype=float)
    kept = kept[np.isfinite(kept)]
    if len(kept) < FEWEST:
        return PairedDifference(math.nan, math.nan, 1.0, tuple(kept.tolist()))
    error = float(kept.std(ddof=1)) / math.sqrt(len(kept))
    return PairedDifference(float(kept.mean()), error, len(kept) - 1.0, tuple(kept.tolist()))


def compare_contributions(one: Contributions, other: Contributions, *, scattered: bool = False) -> PairedDifference:
    """Compares two models by their rows' contributions in the same blocks of time.

    The variance is that of block means, merged until neighbours are independent, and enlarged by the dependence that is
    left (`refit.modelling.serial_dependence`). A rare class needs two corrections, as cluster-robust variances do (Bell
    and McCaffrey 2002): with the share p of its rows in each block, it has only 1 / sum(p^2) effective blocks, by which
    its part of the variance is enlarged, and the degrees of freedom follow from the parts (Satterthwaite 1946).

    Args:
        one: The contributions to the one score.
        other: Those to the other score, in the same strata and blocks.
        scattered: Whether the rows are a selection with others between them, such as a slice: they are less dependent,
            and their few blocks are not merged.

    Returns:
        One score minus the other.

    Example:
        >>> champion = Contributions((Stratum((10,) * 6, (5.0, 6, 5, 6, 5, 6)),))
        >>> challenger = Contributions((Stratum((10,) * 6, (6.0, 7, 6, 7, 6, 8)),))
        >>> found = compare_contributions(challenger, champion)
        >>> round(found.mean, 6), round(found.freedom, 6)
        (0.116667, 5.0)
    """
    rows = np.array([stratum.rows for stratum in one.strata], dtype=float)
    sums = np.array([stratum.sums for stratum in one.strata]) - np.array([stratum.sums for stratum in other.strata])
    robust = _measure_robustly(rows, sums, (one, other))
    dependence = SerialDependence(1, 1.0) if scattered else measure_dependence(sums.sum(axis=0) / rows.sum(axis=0))
    rows, sums = _merge(rows, sums, dependence.merged)
    sizes = rows.sum(axis=0)
    mean = float(sums.sum() / sizes.sum())
    parts, freedoms, effective = _stratum_variances(rows, sums)
    spread = float(((sums.sum(axis=0) - sizes * mean) ** 2).sum()) / sizes.sum() ** 2
    variance = (spread + float((parts / effective).sum())) * dependence.inflation
    squares = float((parts**2 / freedoms).sum())
    most = len(sizes) - 1.0
    freedom = min(most, float(parts.sum()) ** 2 / squares if squares > 0 else most)
    freedom = max(1.0, freedom / dependence.inflation)
    return PairedDifference(mean, math.sqrt(variance), freedom, tuple((sums.sum(axis=0) / sizes).tolist()), robust)


def block_means(contributions: Contributions) -> Array:
    """Averages contributions in each block.

    Args:
        contributions: The sums.

    Returns:
        One value for each block; weighted by the blocks' rows, their mean is the score.
    """
    rows = np.array([stratum.rows for stratum in contributions.strata], dtype=float).sum(axis=0)
    sums = np.array([stratum.sums for stratum in contributions.strata]).sum(axis=0)
    return np.asarray(sums / rows)


def score_of(contributions: Contributions) -> float:
    """Returns the score that contributions make up.

    Args:
        contributions: The sums.

    Returns:
        The mean of all contributions.
    """
    strata = contributions.strata
    return sum(sum(stratum.sums) for stratum in strata) / sum(sum(stratum.rows) for stratum in strata)


def combine_blocks(parts: Sequence[Contributions], chosen: Sequence[int]) -> Contributions:
    """Takes each block from one of several models.

    Args:
        parts: The models' contributions, in the same strata and blocks.
        chosen: The position of the model for each block.

    Returns:
        The contributions of the combination.
    """
    return Contributions(
        tuple(
            Stratum(
                stratum.rows,
                tuple(parts[model].strata[place].sums[block] for block, model in enumerate(chosen)),
                stratum.variance,
            )
            for place, stratum in enumerate(parts[0].strata)
        )
    )


def _merge(rows: Array, sums: Array, merged: int) -> tuple[Array, Array]:
    starts = group_starts(rows.shape[1], merged)
    return np.add.reduceat(rows, starts, axis=1), np.add.reduceat(sums, starts, axis=1)


def _measure_robustly(rows: Array, sums: Array, pair: tuple[Contributions, Contributions]) -> RobustError | None:
    """Measures the larger of two standard errors that a few bad blocks do not raise.

    One comes from the median squared deviation of the blocks from their median, the other from the variances of single
    rows as if the two models' rows were not paired: where most blocks do not differ at all, the median says nothing.
    """
    variances = [[stratum.variance for stratum in each.strata] for each in pair]
    if any(value is None for each in variances for value in each):
        return None
    dependence = measure_dependence(_clip_outliers(sums.sum(axis=0) / rows.sum(axis=0)))
    rows, sums = _merge(rows, sums, dependence.merged)
    counts, total = rows.sum(axis=1), rows.sum()
    unpaired = float((counts * np.array(variances, dtype=float).sum(axis=0)).sum()) / total**2
    blocks = sum(
        count * _median_variance(each[size > 0], size[size > 0])
        for count, each, size in zip(counts, sums, rows, strict=True)
    )
    error = math.sqrt(max(unpaired, dependence.inflation * float(blocks) / total**2))
    return RobustError(error, max(1.0, (rows.shape[1] - 1) / dependence.inflation))


def _clip_outliers(means: Array) -> Array:
    """Moves blocks that are no ordinary ones to the border of the ordinary."""
    middle = np.median(means)
    border = OUTLYING * float(np.median(np.abs(means - middle)))
    return np.asarray(np.clip(means, middle - border, middle + border))


def _median_variance(sums: Array, rows: Array) -> float:
    """Estimates the variance of a row from blocks, by the median of their squared deviations."""
    deviations = sums - rows * np.median(sums / rows)
    return float(np.median(deviations**2 / rows)) / CHI_SQUARED_MEDIAN


def _stratum_variances(rows: Array, sums: Array) -> tuple[Array, Array, Array]:
    """Returns each stratum's part of the variance, its degrees of freedom, and its effective blocks.

    A stratum with fewer than two effective blocks has no spread of its own, and borrows that of the others.
    """
    counts, total = rows.sum(axis=1), rows.sum()
    effective = counts**2 / (rows**2).sum(axis=1)
    deviations = sums - rows * (sums.sum(axis=1) / counts)[:, None]
    enough = effective >= FEWEST
    freedoms = np.where(enough, effective - 1, 1.0)
    parts = np.where(enough, (deviations**2).sum(axis=1) / total**2 * effective / freedoms, 0.0)
    if enough.any():
        parts = np.where(enough, parts, (parts * effective)[enough].mean() / effective)
    return parts, freedoms, np.where(enough, effective, 1.0)
