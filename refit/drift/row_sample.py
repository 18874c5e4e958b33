"""Sample of the rows with the smallest hashes, which does not depend on the order or division of the rows.

The smallest hashes of different rows (a bottom-k sketch: Cohen and Kaplan 2007, PODC) are a uniform sample of them,
and that of the whole is found in those of the parts. Rows that are equal in all that tells them apart share a hash;
they are kept as one with their number, which is exact, since a hash among the smallest of all is so in every part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from refit.hashing import Words, splitmix64

Codes = npt.NDArray[np.uint8]

SIZE = 2_000
"""Different rows that are kept."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Different rows with the smallest hashes, in the order of these."""

    hashes: Words
    """One for each row."""
    weights: npt.NDArray[np.int64]
    """How many rows share it."""
    codes: Codes
    """Block of time and coarse bin of every column, of shape (rows, 1 + columns)."""

    def rows(self) -> tuple[Codes, Codes]:
        """Returns the sample as plain rows, repeated as often as their weight asks for, 2,000 at most.

        Returns:
            Coarse bins of shape (rows, columns), and the block of time of each row.
        """
        until = np.cumsum(self.weights)
        total = int(until[-1]) if len(until) else 0
        taken = min(total, SIZE)
        chosen = np.searchsorted(until, (np.arange(taken) + 0.5) * total / max(taken, 1), side="right")
        return self.codes[chosen, 1:], self.codes[chosen, 0]


def empty_sample(columns: int) -> Sample:
    """Returns the sample of no rows.

    Args:
        columns: How many columns are profiled.

    Returns:
        The sample.
    """
    return Sample(np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros((0, columns + 1), np.uint8))


def merge_samples(samples: Sequence[Sample]) -> Sample:
    """Merges samples of parts.

    Args:
        samples: One at least.

    Returns:
        The sample of the whole.
    """
    hashes = np.concatenate([sample.hashes for sample in samples])
    weights = np.concatenate([sample.weights for sample in samples])
    codes = np.concatenate([sample.codes for sample in samples])
    smallest, first, which = np.unique(hashes, return_index=True, return_inverse=True)
    together = np.zeros(len(smallest), np.int64)
    np.add.at(together, which, weights)
    # Rows of one hash differ in a column that does not tell rows apart: the smallest codes stand for all of them.
    order = np.lexsort((*codes.T[::-1], hashes))
    first = order[np.searchsorted(hashes[order], smallest)]
    return Sample(smallest[:SIZE], together[:SIZE], codes[first[:SIZE]])


def column_factor(place: int) -> np.uint64:
    """Returns the factor by which a column's words enter a row's hash.

    Args:
        place: The place of the column among those that tell rows apart.

    Returns:
        An odd word.
    """
    return np.uint64(splitmix64(np.array([place + 1], np.uint64) * np.uint64(0x9E3779B97F4A7C15))[0] | np.uint64(1))
