"""Domain classifier: it tells current rows from reference rows by pairs of columns, to find joint drift.

Columns that drift by themselves have their own alarms. What is left is a change of the dependence between columns, so
for each pair of columns the classifier uses how the odds of a pair of values differ from what the changes of both
columns explain: the reference's contingency table fitted to the current margins (Deming and Stephan 1940). A wandering
mean therefore does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

Codes: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float64]

FOLDS = 4
"""Each row is judged by a classifier that has seen the other three quarters."""
MIN_ROWS = 200
"""The fewest rows on each side."""
MAX_COLUMNS = 100
"""The most columns, drawn at random from a wider table, since the work grows with their square."""
PARTS = 6
"""The consecutive parts of the reference that show how much it changes by itself."""
PAIR_SIGNIFICANCE = 0.01
"""The probability that any pair is used although none has changed."""
MARGIN = 0.03
"""The smallest difference of the AUC from 0.5 that counts."""
LEVELS = 5
"""The number of levels that the bins of a column are merged into, of about equal rows in the reference."""
ROUNDS = 12
"""The rounds of the proportional fit, after which the margins agree to several digits."""


def classifier_auc(reference: Codes, current: Codes, seed: int) -> float:
    """Measures how well pairs of columns tell reference rows from current rows, as an AUC.

    Args:
        reference: One row of coarse cells per row, one column per column.
        current: The same of the current window.
        seed: Draws the folds.

    Returns:
        The area under the ROC curve on rows that the classifier was not fitted on (Mann and Whitney 1947), averaged
        over folds; 0.5 where no pair of columns has changed, and where there are fewer than 200 rows on a side.

    Example:
        >>> rows = np.random.default_rng(0).integers(0, 5, (1_000, 3), dtype=np.uint8)
        >>> classifier_auc(rows[:500], rows[500:], seed=0)
        0.5
    """
    if min(len(reference), len(current)) < MIN_ROWS or reference.shape[1] < 2:  # noqa: PLR2004 - a pair is two
        return 0.5
    rng = np.random.default_rng(seed)
    columns = np.sort(rng.permutation(reference.shape[1])[:MAX_COLUMNS])
    rows, new = reduce_to_levels(reference[:, columns], current[:, columns])
    one, other = count_pairs(rows, _folds(len(rows), rng), FOLDS), count_pairs(new, _folds(len(new), rng), FOLDS)
    return float(np.mean([_fold_auc(one, other, fold) for fold in range(FOLDS)]))


def estimate_auc_limit(
    reference: Codes, blocks: npt.NDArray[np.integer], significance: float, seed: int
) -> tuple[float, float]:
    """Estimates the AUC of consecutive parts of the reference against the rest of it, without drift.

    Args:
        reference: One row of coarse cells per row.
        blocks: The block of time of each row.
        significance: The chance that a window without drift lies beyond the limit.
        seed: Draws the folds.

    Returns:
        `(mean, limit)`: the AUC of parts, and what one more part stays below, by the prediction interval of Student's
        t; 0.53 at least. 0.5 and 0.53 where the reference has too few rows for parts.
    """
    order = np.argsort(blocks, kind="stable")
    parts = [part for part in np.array_split(order, PARTS) if len(part) >= MIN_ROWS]
    if len(parts) < PARTS:
        return 0.5, 0.5 + MARGIN
    reached = [classifier_auc(np.delete(reference, part, axis=0), reference[part], seed) for part in parts]
    mean, spread = float(np.mean(reached)), float(np.std(reached, ddof=1))
    beyond = stats.t.ppf(1 - significance, PARTS - 1) * spread * np.sqrt(1 + 1 / PARTS)
    return mean, max(0.5 + MARGIN, float(mean + beyond))


def auc_noise(reference: int, current: int, significance: float) -> float:
    """Returns how far the AUC of equal sides may lie above 0.5 by chance: z * sqrt((n + m + 1) / (12 n m)).

    Args:
        reference: Rows of one side.
        current: Rows of the other.
        significance: The chance that it lies farther.

    Returns:
        The distance from 0.5 (Mann and Whitney 1947).
    """
    spread = np.sqrt((reference + current + 1) / (12 * reference * current))
    return float(stats.norm.ppf(1 - significance) * spread)


@dataclass(frozen=True, slots=True)
class PairTables:
    """The rows of one side, and the contingency tables of their pairs of columns by fold."""

    levels: Codes
    """The level of each row and column."""
    folds: npt.NDArray[np.intp]
    counts: Floats
    """By fold, pair of columns, level of the one and level of the other."""

    def without(self, fold: int) -> Floats:
        """Adds up the tables of all folds but one.

        Args:
            fold: The one.

        Returns:
            By pair, level and level.
        """
        return np.asarray(self.counts.sum(axis=0) - self.counts[fold])

    def scored(self, fold: int, pairs: npt.NDArray[np.intp], odds: Floats) -> Floats:
        """Adds up the log odds of the rows of one fold.

        Args:
            fold: The fold.
            pairs: The pairs that count.
            odds: Log odds by these pairs, level and level.

        Returns:
            One score per row.
        """
        first, second = np.triu_indices(self.levels.shape[1], 1)
        rows = self.levels[self.folds == fold]
        scores = np.zeros(len(rows))
        for pair, each in zip(pairs, odds, strict=True):
            scores += each[rows[:, first[pair]], rows[:, second[pair]]]
        return scores


def reduce_to_levels(reference: Codes, current: Codes) -> tuple[Codes, Codes]:
    """Merges neighbouring bins into a few levels.

    Args:
        reference: Coarse cells, one row per row; they set the levels.
        current: Coarse cells of the current rows.

    Returns:
        Both with levels in place of cells.
    """
    maps = [_levels(np.bincount(column, minlength=256)) for column in reference.T]
    return _map_levels(reference, maps), _map_levels(current, maps)


def count_pairs(levels: Codes, folds: npt.NDArray[np.intp], count: int) -> PairTables:
    """Counts pairs of values, for all pairs of columns at once.

    Args:
        levels: One row per row, one column per column.
        folds: The fold of each row.
        count: How many folds there are.

    Returns:
        The tables.
    """
    squared = LEVELS**2
    tables = []
    for place in range(levels.shape[1] - 1):
        others = levels[:, place + 1 :]
        cells = levels[:, [place]].astype(np.int64) * LEVELS + others
        cells += (np.arange(others.shape[1]) + folds[:, None] * others.shape[1]) * squared
        counted = np.bincount(cells.ravel(), minlength=count * others.shape[1] * squared)
        tables.append(counted.reshape(count, others.shape[1], LEVELS, LEVELS))
    return PairTables(levels, folds, np.concatenate(tables, axis=1).astype(np.float64))


def iterative_proportional_fit(tables: Floats, margins: Floats) -> Floats:
    """Fits tables to the margins of others and keeps their odds ratios (Deming and Stephan 1940).

    Args:
        tables: Counts by pair, level and level, all positive.
        margins: Counts whose sums over either level are to be met.

    Returns:
        Shares.
    """
    wanted = margins / margins.sum(axis=(1, 2), keepdims=True)
    fitted = tables / tables.sum(axis=(1, 2), keepdims=True)
    for _ in range(ROUNDS):
        for axis in (1, 2):
            fitted = fitted * (wanted.sum(axis=axis, keepdims=True) / fitted.sum(axis=axis, keepdims=True).clip(1e-12))
    return np.asarray(fitted)


def _folds(rows: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    return rng.permutation(rows) % FOLDS


def _fold_auc(one: PairTables, other: PairTables, fold: int) -> float:
    pairs, odds = _fit_pairs(one.without(fold), other.without(fold))
    if not len(pairs):
        return 0.5
    held, new = one.scored(fold, pairs, odds), other.scored(fold, pairs, odds)
    ranks = stats.rankdata(np.concatenate([held, new]))[len(held) :]
    return float((ranks.mean() - (len(new) + 1) / 2) / len(held))


def _fit_pairs(old: Floats, new: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """Finds the pairs of columns whose tables differ beyond their margins, and the log odds of their cells."""
    size_old, size_new = old[0].sum(), new[0].sum()
    expected = iterative_proportional_fit(old + 0.5 / LEVELS**2, new)
    observed = new / size_new
    noise = 1 / size_old + 1 / size_new
    far = np.square(observed - expected) / np.maximum(expected, 1 / size_new)
    freedom = np.prod([np.count_nonzero((old + new).sum(axis=axis), axis=1) - 1 for axis in (1, 2)], axis=0)
    p_values = stats.chi2.sf(far.sum(axis=(1, 2)) / noise, np.maximum(freedom, 1))
    pairs = np.flatnonzero(p_values <= PAIR_SIGNIFICANCE / len(p_values))
    smooth = 1 / size_new
    return pairs, np.log((observed[pairs] + smooth) / (expected[pairs] + smooth))


def _levels(counts: npt.NDArray[np.int64]) -> Codes:
    middles = np.cumsum(counts) - counts / 2
    return np.asarray(np.minimum(middles * LEVELS / max(1, counts.sum()), LEVELS - 1).astype(np.uint8))


def _map_levels(codes: Codes, maps: list[Codes]) -> Codes:
    return np.stack([each[column] for each, column in zip(maps, codes.T, strict=True)], axis=1)
