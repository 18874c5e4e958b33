"""Which rows have their labels by now: never the ones whose label merely came early, since that tells its value.

Which span of event time is the current window.
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
"""The coverage from which missing labels cannot move a share of right answers by more than one point."""
STEPS = 4
"""Windows are looked for in steps of this part of their length."""
NEAR, FAR = 1, 4
"""How many window lengths to go back at most: for a complete window, and for one that is covered enough."""


@dataclass(frozen=True, slots=True)
class MatureWindow:
    """A window of event time whose label delay has passed."""

    window: Window
    rows: int
    """Rows in it, with a label or without."""
    labelled: int
    """Those of them whose labels are there."""

    @property
    def coverage(self) -> float:
        """The share of rows whose labels are there; 0 for an empty window."""
        return self.labelled / self.rows if self.rows else 0.0


def mature_until(as_of: datetime, label_delay: timedelta) -> datetime:
    """Tells up to when rows are mature: those whose event time plus the label delay has come.

    Args:
        as_of: The instant looked from, UTC.
        label_delay: The project's.

    Returns:
        The first instant whose rows are not mature yet.
    """
    return as_of - label_delay + TICK


def find_mature_window(
    times: Times, labelled: npt.NDArray[np.bool_], length: timedelta, policy: PerformancePolicy
) -> MatureWindow | None:
    """Picks the newest mature window whose labels are there.

    The newest one is taken if it is complete. Labels that are later than the project says come in the order of their
    values as likely as not; so a complete window is preferred to the newest one if it lies at most one window length
    further back. Where there is none, the newest window that is covered enough is taken, at most four lengths back.

    Args:
        times: Event times of mature rows, sorted.
        labelled: Which of them have a label.
        length: Of one monitoring window.
        policy: For the coverage that is enough, and the fewest labelled rows.

    Returns:
        The window; the newest one where none is covered enough, to say so; `None` without any row.

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


def _windows(times: Times, labelled: npt.NDArray[np.bool_], length: timedelta) -> Iterator[MatureWindow]:
    """Gives windows of that length, the newest first; the earliest are cut off where the rows begin."""
    known = np.concatenate([[0], np.cumsum(labelled)])
    first, last = from_microseconds(times[0]), from_microseconds(times[-1]) + TICK
    for step in range(FAR * STEPS + 1):
        end = last - step * length / STEPS
        if end <= first:
            return
        start = max(first, end - length)
        low, high = np.searchsorted(times, [to_microseconds(start), to_microseconds(end)])
        yield MatureWindow(Window(start, end), int(high - low), int(known[high] - known[low]))


WEEK, DAY, HOUR = timedelta(days=7), timedelta(days=1), timedelta(hours=1)
SHARE = 10
"""A window is one part in so many of the span that the champion was trained on."""


def window_length(given: timedelta | None, trained_on: Window | None) -> timedelta:
    """Tells how long one monitoring window is.

    Args:
        given: The policy's own length, if it names one.
        trained_on: The window the champion was trained on; `None` while there is none.

    Returns:
        The policy's length, or about a tenth of the training window: whole weeks where that is a week at least, so that
        every window holds the same weekdays, else whole days, else whole hours, one at least. A day without a champion.

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
    """Finds the window to judge: the newest one of rows that the champion has not seen.

    Args:
        newest: Just after the newest row there is, UTC; so the window does not move while nothing comes in.
        as_of: The instant looked from, UTC.
        length: How long a window is.
        trained_until: Just after the newest row the champion has seen; `None` without a champion.

    Returns:
        The window; shorter after a retrain, and empty where no row is newer than the champion's.
    """
    end = min(newest, as_of)
    start = end - length if trained_until is None else max(end - length, min(trained_until, end))
    return Window(start, end)
