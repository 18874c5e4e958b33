"""Do columns change together? A classifier that tells current rows from reference rows by pairs of columns.

Columns that drift alone are found by their own alarms. What is left is a change of how columns go together, with each
of them as before: the classifier sees, for each pair of columns, how the odds of a pair of values differ from what the
two columns' own changes explain (the reference's table raked to the current margins, Deming and Stephan 1940). A mean
that wanders therefore does not count.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from refit.drift.pairs import LEVELS, Tables, levelled, pair_tables, raked

Codes: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float64]

FOLDS = 4
"""Each row is judged by a classifier that has seen the other three quarters."""
MIN_ROWS = 200
"""The fewest rows on each side."""
MAX_COLUMNS = 100
"""Of a wider table so many columns are drawn by the seed: the work grows with the square."""
PARTS = 6
"""The consecutive parts of the reference that show how much it changes by itself."""
PAIR_SIGNIFICANCE = 0.01
"""The chance that any pair is taken up although none has changed."""
MARGIN = 0.03
"""The smallest AUC above 0.5 that counts, at any certainty."""


def tell_apart(reference: Codes, current: Codes, seed: int) -> float:
    """Measures how well rows of the two sides can be told apart by what columns show together.

    Args:
        reference: One row of coarse cells per row, one column per column.
        current: The same of the current window.
        seed: Draws the folds.

    Returns:
        The area under the ROC curve on rows that the classifier was not fitted on (Mann and Whitney 1947), averaged
        over folds; 0.5 where no pair of columns has changed, and where there are fewer than 200 rows on a side.

    Example:
        >>> rows = np.random.default_rng(0).integers(0, 5, (1_000, 3), dtype=np.uint8)
        >>> tell_apart(rows[:500], rows[500:], seed=0)
        0.5
    """
    if min(len(reference), len(current)) < MIN_ROWS or reference.shape[1] < 2:  # noqa: PLR2004 - a pair is two
        return 0.5
    rng = np.random.default_rng(seed)
    columns = np.sort(rng.permutation(reference.shape[1])[:MAX_COLUMNS])
    rows, new = levelled(reference[:, columns], current[:, columns])
    one, other = pair_tables(rows, _folds(len(rows), rng), FOLDS), pair_tables(new, _folds(len(new), rng), FOLDS)
    return float(np.mean([_fold_auc(one, other, fold) for fold in range(FOLDS)]))


def natural_limit(
    reference: Codes, blocks: npt.NDArray[np.integer], significance: float, seed: int
) -> tuple[float, float]:
    """Measures how well consecutive parts of the reference can be told from the rest of it.

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
    reached = [tell_apart(np.delete(reference, part, axis=0), reference[part], seed) for part in parts]
    mean, spread = float(np.mean(reached)), float(np.std(reached, ddof=1))
    beyond = stats.t.ppf(1 - significance, PARTS - 1) * spread * np.sqrt(1 + 1 / PARTS)
    return mean, max(0.5 + MARGIN, float(mean + beyond))


def sampling_noise(reference: int, current: int, significance: float) -> float:
    """Gives how far the AUC of equal sides may lie above 0.5 by chance: z * sqrt((n + m + 1) / (12 n m)).

    Args:
        reference: Rows of one side.
        current: Rows of the other.
        significance: The chance that it lies farther.

    Returns:
        The distance from 0.5 (Mann and Whitney 1947).
    """
    spread = np.sqrt((reference + current + 1) / (12 * reference * current))
    return float(stats.norm.ppf(1 - significance) * spread)


def _folds(rows: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    return rng.permutation(rows) % FOLDS


def _fold_auc(one: Tables, other: Tables, fold: int) -> float:
    pairs, odds = _learned(one.without(fold), other.without(fold))
    if not len(pairs):
        return 0.5
    held, new = one.scored(fold, pairs, odds), other.scored(fold, pairs, odds)
    ranks = stats.rankdata(np.concatenate([held, new]))[len(held) :]
    return float((ranks.mean() - (len(new) + 1) / 2) / len(held))


def _learned(old: Floats, new: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """Finds the pairs of columns whose tables differ beyond their margins, and the log odds of their cells."""
    size_old, size_new = old[0].sum(), new[0].sum()
    expected = raked(old + 0.5 / LEVELS**2, new)
    observed = new / size_new
    noise = 1 / size_old + 1 / size_new
    far = np.square(observed - expected) / np.maximum(expected, 1 / size_new)
    freedom = np.prod([np.count_nonzero((old + new).sum(axis=axis), axis=1) - 1 for axis in (1, 2)], axis=0)
    p_values = stats.chi2.sf(far.sum(axis=(1, 2)) / noise, np.maximum(freedom, 1))
    pairs = np.flatnonzero(p_values <= PAIR_SIGNIFICANCE / len(p_values))
    smooth = 1 / size_new
    return pairs, np.log((observed[pairs] + smooth) / (expected[pairs] + smooth))
