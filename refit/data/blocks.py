"""Consecutive blocks of time: scores in them are nearly independent, as scores of single rows are not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

MIN_BLOCKS = 5
"""With fewer, the spread between blocks says too little."""
MAX_BLOCKS = 50
"""More would make the blocks short and their scores dependent, and hardly sharpen a test."""
BLOCK_ROWS = 50
"""The rows a block should have at least, where that leaves enough blocks."""


def blocks(times: pd.Series[pd.Timestamp]) -> list[slice]:
    """Cuts rows into consecutive blocks of about the same number of rows.

    A block has at least some 50 rows, fewer only where there would be less than 5 blocks of that size. Rows of one
    event time stay together.

    Args:
        times: Event times, sorted.

    Returns:
        At most 50 slices of row positions that cover all rows in order; fewer than 5, too few for a paired test, where
        the rows have few event times.

    Example:
        >>> blocks(pd.Series(pd.date_range("2026-01-01", periods=200, freq="h", tz="UTC")))[-1]
        slice(160, 200, None)
    """
    rows = len(times)
    count = min(max(rows // BLOCK_ROWS, MIN_BLOCKS), MAX_BLOCKS)
    edges = np.append(np.flatnonzero(~times.duplicated()), rows)
    wanted = np.linspace(0, rows, count + 1)
    nearest = edges[np.abs(edges[:, None] - wanted).argmin(axis=0)]
    return [slice(start, stop) for start, stop in pairwise(np.unique(nearest).tolist())]
