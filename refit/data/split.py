"""The split of mature rows into training rows and a holdout by event time, and blocks of consecutive rows.

Scores of consecutive blocks of time are nearly independent; scores of single rows are not.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from refit.errors import NotEnoughData
from refit.policies.training import TrainingPolicy
from refit.project import Project
from refit.records.references import Split
from refit.windows import Window

if TYPE_CHECKING:
    import pandas as pd

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The origin of stored event times."""
TICK = timedelta(microseconds=1)
"""The resolution of event times."""
Times = npt.NDArray[np.int64]
"""Event times in microseconds since 1970, UTC."""
MIN_BLOCKS = 5
"""The fewest blocks; the spread of fewer says too little."""
MAX_BLOCKS = 50
"""The most blocks; shorter ones would have dependent scores and hardly sharpen a test."""
BLOCK_ROWS = 50
"""The fewest rows of a block, if that leaves enough blocks."""
FINE_ROWS = 10
"""The fewest rows of a block of contributions, which is merged with its neighbours where they resemble each other."""


def from_microseconds(microseconds: int) -> datetime:
    """Converts a stored event time to a time.

    Args:
        microseconds: Microseconds since 1970, UTC.

    Returns:
        The same instant.
    """
    return EPOCH + timedelta(microseconds=int(microseconds))


def to_microseconds(at: datetime) -> int:
    """Converts a time to a stored event time.

    Args:
        at: A time with a time zone.

    Returns:
        Microseconds since 1970, UTC.
    """
    return (at - EPOCH) // TICK


def window_of(times: Times) -> Window:
    """Returns the smallest window that contains all given event times.

    Args:
        times: At least one event time.

    Returns:
        From the first time to one microsecond after the last.
    """
    return Window(from_microseconds(times.min()), from_microseconds(times.max()) + TICK)


def count_unseen(times: Times, seen_until: datetime) -> int:
    """Counts the rows that are newer than a model's training rows.

    Args:
        times: Event times, sorted.
        seen_until: The end of the model's training window.

    Returns:
        The number of rows at that time or later.
    """
    return len(times) - int(np.searchsorted(times, to_microseconds(seen_until)))


def holdout_start(times: Times, policy: TrainingPolicy, seen_until: datetime | None = None) -> datetime:
    """Finds the start of the holdout, the newest share of the mature rows.

    With a champion, the holdout is at most half of the rows that the champion has not seen. After an abrupt change only
    those rows come from the new distribution: the challenger must be trained on some of them and evaluated on the
    others.

    Args:
        times: The event times of all mature rows, sorted; at least one.
        policy: The share of rows and the most rows of the holdout.
        seen_until: The end of the champion's training window; `None` without a champion.

    Returns:
        An event time, never before `seen_until`; no row is that new if the champion has seen all of them. All rows of
        exactly that time belong to the holdout, which may exceed its limits by them.
    """
    size = min(int(len(times) * policy.holdout_share), policy.holdout_rows)
    if seen_until is None:
        return from_microseconds(times[len(times) - max(1, size)])
    size = min(size, count_unseen(times, seen_until) // 2)
    return max(seen_until, from_microseconds(times[len(times) - max(1, size)]))


def training_window(start: datetime, holdout: datetime, delay: timedelta, policy: TrainingPolicy) -> Window:
    """Returns the window of the training rows.

    Args:
        start: The earliest event time.
        holdout: The start of the holdout.
        delay: The label delay; labels of training rows must have been known when the holdout began.
        policy: The length of the window; for `auto` it is chosen later, within this one.

    Returns:
        The window, empty if no row is old enough.
    """
    end = max(start, holdout - delay)
    return Window(max(start, end - policy.window) if isinstance(policy.window, timedelta) else start, end)


def mature_window(window: Window, as_of: datetime, delay: timedelta) -> Window:
    """Returns the event times whose labels are known.

    Args:
        window: The event times of all rows.
        as_of: The time of the retrain, UTC.
        delay: The label delay.

    Returns:
        The window up to a label delay before that time.
    """
    return Window(window.start, min(window.end, max(window.start, as_of - delay + TICK)))


def require_enough(definition: Project, parts: Split) -> None:
    """Ensures that both parts have as many rows as the policies require.

    Args:
        definition: The project.
        parts: The training rows and the holdout.

    Raises:
        NotEnoughData: If a part has fewer.
    """
    few = [
        f"{found:,} mature rows to {purpose} where {setting} asks for {least:,}"
        for purpose, found, setting, least in (
            ("train on", parts.train.rows, "training.min_rows", definition.training.min_rows),
            ("judge on", parts.holdout.rows, "gate.min_rows", definition.gate.min_rows),
        )
        if found < least
    ]
    if few:
        raise NotEnoughData(f"{definition.name} has {' and '.join(few)}: wait for more rows, or lower the policy")


def time_blocks(times: pd.Series[pd.Timestamp]) -> list[slice]:
    """Splits rows into consecutive blocks of about the same number of rows.

    A block has at least about 50 rows, fewer only if there would be fewer than 5 such blocks. Rows with the same event
    time stay together.

    Args:
        times: Event times, sorted.

    Returns:
        At most 50 slices of row positions that cover all rows in order; fewer than 5, too few for a paired test, if the
        rows have few distinct event times.

    Example:
        >>> import pandas as pd
        >>> time_blocks(pd.Series(pd.date_range("2026-01-01", periods=200, freq="h", tz="UTC")))[-1]
        slice(160, 200, None)
    """
    return _cut_blocks(times, BLOCK_ROWS)


def fine_blocks(times: pd.Series[pd.Timestamp]) -> list[slice]:
    """Splits rows into consecutive blocks as `time_blocks` does, but of at least about 10 rows.

    Contributions of rows have a mean in any block, and a test of their dependence needs many blocks.

    Args:
        times: Event times, sorted.

    Returns:
        At most 50 slices of row positions that cover all rows in order.
    """
    return _cut_blocks(times, FINE_ROWS)


def _cut_blocks(times: pd.Series[pd.Timestamp], least: int) -> list[slice]:
    rows = len(times)
    count = min(max(rows // least, MIN_BLOCKS), MAX_BLOCKS)
    edges = np.append(np.flatnonzero(~times.duplicated()), rows)
    wanted = np.linspace(0, rows, count + 1)
    nearest = edges[np.abs(edges[:, None] - wanted).argmin(axis=0)]
    return [slice(start, stop) for start, stop in pairwise(np.unique(nearest).tolist())]
