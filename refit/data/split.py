"""Where a table's mature rows are cut into training rows and a holdout: by time, never by chance.

Consecutive blocks of time: scores in them are nearly independent, as scores of single rows are not.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from refit.policies.training import TrainingPolicy
from refit.windows import Window

if TYPE_CHECKING:
    import pandas as pd

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)
"""The resolution of event times."""

Times = npt.NDArray[np.int64]
"""Event times in microseconds since 1970, UTC."""


def from_microseconds(microseconds: int) -> datetime:
    """Turns a stored event time into a time.

    Args:
        microseconds: Since 1970, UTC.

    Returns:
        The same instant.
    """
    return EPOCH + timedelta(microseconds=int(microseconds))


def to_microseconds(at: datetime) -> int:
    """Turns a time into a stored event time.

    Args:
        at: A time with a zone.

    Returns:
        Microseconds since 1970, UTC.
    """
    return (at - EPOCH) // TICK


def window_of(times: Times) -> Window:
    """Gives the smallest window that holds some event times.

    Args:
        times: At least one.

    Returns:
        From the first to just after the last.
    """
    return Window(from_microseconds(times.min()), from_microseconds(times.max()) + TICK)


def count_unseen(times: Times, seen_until: datetime) -> int:
    """Counts the rows that a model cannot have seen.

    Args:
        times: Event times, sorted.
        seen_until: Just after the newest row that the model was trained on.

    Returns:
        How many rows lie at that time or later.
    """
    return len(times) - int(np.searchsorted(times, to_microseconds(seen_until)))


def holdout_start(times: Times, policy: TrainingPolicy, seen_until: datetime | None = None) -> datetime:
    """Finds where the newest share of the mature rows begins.

    With a champion the holdout takes no more than half of what the champion has not seen. After an abrupt change those
    rows are all there is of the new world: a challenger has to learn from some of them, and to be judged on the others.

    Args:
        times: The event times of all mature rows, sorted; at least one.
        policy: For the share of rows, and the most rows.
        seen_until: Just after the newest row that the champion was trained on; `None` without a champion.

    Returns:
        An event time, never before `seen_until`; no row is that new where the champion has seen them all. Rows of that
        very time all belong to the holdout, which is larger by them where several rows share one.
    """
    size = min(int(len(times) * policy.holdout_share), policy.holdout_rows)
    if seen_until is None:
        return from_microseconds(times[len(times) - max(1, size)])
    size = min(size, count_unseen(times, seen_until) // 2)
    return max(seen_until, from_microseconds(times[len(times) - max(1, size)]))


def training_window(start: datetime, holdout: datetime, delay: timedelta, policy: TrainingPolicy) -> Window:
    """Finds the event times to train on.

    Args:
        start: The earliest event time there is.
        holdout: Where the holdout begins.
        delay: The label delay: what is trained on must have been known when the holdout began.
        policy: For the span; `auto` is chosen within all of it later.

    Returns:
        The window, empty where nothing is that old.
    """
    end = max(start, holdout - delay)
    return Window(max(start, end - policy.window) if isinstance(policy.window, timedelta) else start, end)


MIN_BLOCKS = 5
"""With fewer, the spread between blocks says too little."""
MAX_BLOCKS = 50
"""More would make the blocks short and their scores dependent, and hardly sharpen a test."""
BLOCK_ROWS = 50
"""The rows a block should have at least, where that leaves enough blocks."""


def time_blocks(times: pd.Series[pd.Timestamp]) -> list[slice]:
    """Cuts rows into consecutive blocks of about the same number of rows.

    A block has at least some 50 rows, fewer only where there would be less than 5 blocks of that size. Rows of one
    event time stay together.

    Args:
        times: Event times, sorted.

    Returns:
        At most 50 slices of row positions that cover all rows in order; fewer than 5, too few for a paired test, where
        the rows have few event times.

    Example:
        >>> import pandas as pd
        >>> time_blocks(pd.Series(pd.date_range("2026-01-01", periods=200, freq="h", tz="UTC")))[-1]
        slice(160, 200, None)
    """
    rows = len(times)
    count = min(max(rows // BLOCK_ROWS, MIN_BLOCKS), MAX_BLOCKS)
    edges = np.append(np.flatnonzero(~times.duplicated()), rows)
    wanted = np.linspace(0, rows, count + 1)
    nearest = edges[np.abs(edges[:, None] - wanted).argmin(axis=0)]
    return [slice(start, stop) for start, stop in pairwise(np.unique(nearest).tolist())]
