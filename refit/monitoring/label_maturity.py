"""Mature rows, the newest mature window, and the current window.

A row is mature when its label delay has passed, not when its label is there: early labels may depend on their value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from refit.data.split import TICK, Times, from_microseconds, to_microseconds
from refit.policies.monitoring import PerformancePolicy
from refit.windows import Window

COMPLETE = 0.99
"""The coverage above which missing labels change an accuracy by at most one percentage point."""
STEPS = 4
"""Windows are searched in steps of their length divided by this."""
NEAR, FAR = 1, 4
"""The most window lengths to go back: for a complete window, and for one with enough labels."""
WEEK, DAY, HOUR = timedelta(days=7), timedelta(days=1), timedelta(hours=1)
SHARE = 10
"""The default window is the champion's training window divided by this."""


@dataclass(frozen=True, slots=True)
class MatureWindow:
    """A window of mature rows, with its number of labels."""

    window: Window
    rows: int
    """All rows in it, with or without a label."""
    labelled: int
    """How many of them have a label."""

    @property
    def coverage(self) -> float:
        """The share of the rows that have a label, 0 to 1; 0 for an empty window."""
        return self.labelled / self.rows if self.rows else 0.0


def mature_until(as_of: datetime, label_delay: timedelta) -> datetime:
    """Returns the end of the mature rows: those whose event time plus the label delay has passed.

    Args:
        as_of: The moment, UTC.
        label_delay: The project's label delay.

    Returns:
        The first event time that is not mature yet, UTC.
    """
    return as_of - label_delay + TICK


def find_mature_window(
    times: Times, labelled: npt.NDArray[np.bool_], length: timedelta, policy: PerformancePolicy
) -> MatureWindow | None:
    """Finds the newest mature window with enough labels.

    A complete window is preferred if it lies at most one window length further back than the newest one, since labels
    later than the project's label delay may arrive in an order that depends on their values. Without a complete window,
    the newest one with enough labels is taken, at most four lengths back.

    Args:
        times: Event times of mature rows, sorted.
        labelled: Whether each of them has a label.
        length: The length of a monitoring window.
        policy: For the lowest coverage and the fewest labelled rows.

    Returns:
        The window; the newest one if none has enough labels; `None` without rows.

    Example:
        >>> hours = np.arange(48) * 3_600_000_000
        >>> found = find_mature_window(hours, hours > 0, timedelta(days=1), PerformancePolicy(min_rows=10))
        >>> found.rows, found.coverage
        (24, 1.0)
    """
    if not len(times):
        return None
    windows = [found for found in _windows(times, labelled, length) if found.rows]
    for reach, least in ((NEAR, max(COMPLETE, policy.min_coverage)), (FAR, policy.min_coverage)):
        for found in windows[: reach * STEPS + 1]:
            if found.coverage >= least and found.labelled >= policy.min_rows:
                return found
    return windows[0]


def window_length(given: timedelta | None, trained_on: Window | None) -> timedelta:
    """Returns the length of a monitoring window.

    Args:
        given: The policy's length; `None` for the default.
        trained_on: The window that the champion was trained on; `None` without a champion.

    Returns:
        The policy's length, or about a tenth of the training window: in whole weeks if that is at least a week, so that
        every window has the same weekdays, else in whole days, else in whole hours, at least one. A day without a
        champion.

    Example:
        >>> from datetime import UTC
        >>> year = Window(datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
        >>> window_length(None, year).days
        35
    """
    if given is not None:
        return given
    if trained_on is None:
        return DAY
    tenth = trained_on.length / SHARE
    unit = next((unit for unit in (WEEK, DAY) if tenth >= unit), HOUR)
    return max(1, round(tenth / unit)) * unit


def current_window(newest: datetime, as_of: datetime, length: timedelta, trained_until: datetime | None) -> Window:
    """Returns the current window: the newest rows that the champion was not trained on.

    Args:
        newest: Just after the newest row, UTC; the window does not move while no rows arrive.
        as_of: The moment, UTC.
        length: The length of a window.
        trained_until: Just after the champion's newest training row, UTC; `None` without a champion.

    Returns:
        The window; shorter soon after a retrain, and empty if no row is newer than the champion's.
    """
    end = min(newest, as_of)
    start = end - length if trained_until is None else max(end - length, min(trained_until, end))
    return Window(start, end)


def _windows(times: Times, labelled: npt.NDArray[np.bool_], length: timedelta) -> Iterator[MatureWindow]:
    """Yields windows of that length, the newest first; the earliest begin with the rows."""
    known = np.concatenate([[0], np.cumsum(labelled)])
    first, last = from_microseconds(times[0]), from_microseconds(times[-1]) + TICK
    for step in range(FAR * STEPS + 1):
        end = last - step * length / STEPS
        if end <= first:
            return
        start = max(first, end - length)
        low, high = np.searchsorted(times, [to_microseconds(start), to_microseconds(end)])
        yield MatureWindow(Window(start, end), int(high - low), int(known[high] - known[low]))
