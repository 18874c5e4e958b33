"""Which blocks of time make a group as large as a window, and which cells a window is large enough to fill."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Counts: TypeAlias = npt.NDArray[np.int64]

MIN_GROUPS = 8
"""With fewer, the movement between groups says too little."""
WANTED_GROUPS = 10
"""A window larger than a tenth of the reference is held against groups of a tenth."""
GROUP_ROWS = 400
"""The fewest rows of a group on average: smaller ones show sampling noise and little else."""
CELL_ROWS = 5
"""The rows that a window is expected to have in a cell of its own, as for Pearson's chi-squared."""
KEPT = 2
"""The last cells, unseen and missing, are never merged with others."""


def grouped(reference: Counts, rows: int) -> Counts:
    """Adds up consecutive blocks to groups of about a window's rows.

    Args:
        reference: Counts per block of time and cell, blocks in order.
        rows: Rows of a window.

    Returns:
        Counts per group and cell. At least 8 groups, or what there is where the reference is too small for that.

    Example:
        >>> grouped(np.full((20, 3), 200), 1_200).sum(axis=1).tolist()
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


def common_cells(reference: Counts, current: Counts, rows: int) -> npt.NDArray[np.intp]:
    """Says which cells to merge: the rare ones, in which a window would have less than 5 rows.

    A rare cell that holds many of the window's rows all the same keeps to itself only if it is unseen or missing.

    Args:
        reference: Counts per cell.
        current: Counts per cell of the window; only its length is used.
        rows: Rows of the window.

    Returns:
        The new cell of each cell; the last two stay the last two.

    Example:
        >>> common_cells(np.array([900, 3, 2, 95, 0, 0]), np.zeros(6, np.int64), 500).tolist()
        [0, 2, 2, 1, 3, 4]
    """
    share = reference / max(1, int(reference.sum()))
    rare = share * rows < CELL_ROWS
    rare[len(current) - KEPT :] = False
    if rare.sum() <= 1:
        return np.arange(len(current))
    body = rare[:-KEPT]
    cells = np.where(body, int((~body).sum()), np.cumsum(~body) - 1)
    last = int(cells.max()) + 1
    return np.append(cells, [last, last + 1])


def merged(counts: Counts, cells: npt.NDArray[np.intp]) -> Counts:
    """Adds up the counts of cells that are to be merged.

    Args:
        counts: Counts, cells on the last axis.
        cells: The new cell of each cell.

    Returns:
        Counts per new cell.
    """
    into = np.zeros((len(cells), int(cells.max()) + 1), np.int64)
    into[np.arange(len(cells)), cells] = 1
    return np.asarray(counts @ into)
