"""Tables of pairs of columns: how often each pair of values occurs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Codes: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float64]

LEVELS = 5
"""The values of a column are put together to so many levels, of about equal weight in the reference."""
ROUNDS = 12
"""Rounds of raking: after so many the margins are right to some digits."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The rows of one side, and their tables per fold."""

    levels: Codes
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


def levelled(reference: Codes, current: Codes) -> tuple[Codes, Codes]:
    """Puts neighbouring cells together to a few levels.

    Args:
        reference: Coarse cells, one row per row; they set the levels.
        current: Coarse cells of the current rows.

    Returns:
        Both with levels in place of cells.
    """
    maps = [_levels(np.bincount(column, minlength=256)) for column in reference.T]
    return _mapped(reference, maps), _mapped(current, maps)


def pair_tables(levels: Codes, folds: npt.NDArray[np.intp], count: int) -> Tables:
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
    return Tables(levels, folds, np.concatenate(tables, axis=1).astype(np.float64))


def raked(tables: Floats, margins: Floats) -> Floats:
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


def _levels(counts: npt.NDArray[np.int64]) -> Codes:
    middles = np.cumsum(counts) - counts / 2
    return np.asarray(np.minimum(middles * LEVELS / max(1, counts.sum()), LEVELS - 1).astype(np.uint8))


def _mapped(codes: Codes, maps: list[Codes]) -> Codes:
    return np.stack([each[column] for each, column in zip(maps, codes.T, strict=True)], axis=1)
