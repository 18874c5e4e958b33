"""What the cells of a profile are anchored on: a bounded sample of the reference fixes them once and for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from refit.drift.binning import Cells, cells_of

BLOCKS = 100
"""The most blocks of time that a reference is counted in."""
BLOCK_ROWS = 500
"""The fewest rows of a block of time; below it, its counts say more about chance than about movement."""
IDENTITY = 4
"""So many columns, those with the most different values, and the event time tell one row from another."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """The cells of every column, and the edges of the blocks of time."""

    columns: tuple[Cells, ...]
    """One for each column that is profiled."""
    edges: tuple[int, ...] = ()
    """The times at which a block begins, but for the first: microseconds since 1970, UTC."""
    identity: tuple[str, ...] = ()
    """The columns whose values, with the event time, choose the sampled rows."""

    @property
    def names(self) -> tuple[str, ...]:
        """The profiled columns."""
        return tuple(column.name for column in self.columns)

    @property
    def blocks(self) -> int:
        """How many blocks of time there are."""
        return len(self.edges) + 1

    def unblocked(self) -> Anchors:
        """Gives the same cells with one block of all time, for a current window.

        Returns:
            The anchors without edges.
        """
        return replace(self, edges=())


def anchor_of(sample: pa.Table, columns: Sequence[str], times: Sequence[int] | None, blocks: int) -> Anchors:
    """Chooses the cells that a reference and all later windows are counted in.

    Args:
        sample: Some 20,000 to 100,000 rows of the reference, spread evenly over it.
        columns: The columns to profile.
        times: Event times of the reference or of a sample of it, microseconds since 1970, UTC; `None` for one block.
        blocks: How many blocks of time to cut it into; `blocks_of` gives it.

    Returns:
        The anchors.
    """
    chosen = {name: sample.column(name).combine_chunks() for name in columns}
    cells = tuple(cells_of(name, values) for name, values in chosen.items())
    ranked = sorted(chosen, key=lambda name: (-_distinct(chosen[name]), name))
    return Anchors(cells, _edges(times, blocks), tuple(ranked[:IDENTITY]))


def blocks_of(rows: int) -> int:
    """Gives how many blocks of time a reference is cut into: as many as leave each 500 rows, at most 100.

    Args:
        rows: Rows of the reference.

    Returns:
        One at least.

    Example:
        >>> [blocks_of(rows) for rows in (100, 5_000, 1_000_000)]
        [1, 10, 100]
    """
    return min(max(rows // BLOCK_ROWS, 1), BLOCKS)


def _distinct(values: pa.Array) -> int:
    return len(values.unique())


def _edges(times: Sequence[int] | None, blocks: int) -> tuple[int, ...]:
    if times is None or not len(times) or blocks <= 1:
        return ()
    ordered = np.sort(np.asarray(times, np.int64))
    cuts = np.unique(ordered[np.arange(1, blocks) * len(ordered) // blocks])
    return tuple(cuts[cuts > ordered[0]].tolist())
