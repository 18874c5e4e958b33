"""Which rows have their labels by now: never the ones whose label merely came early, since that tells its value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from refit.data.split import TICK, Times, microseconds, moment
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


def reach_of(until: datetime, length: timedelta) -> datetime:
    """Tells how far back rows can matter to `newest_mature`.

    Args:
        until: Just after the newest mature row.
        length: Of one monitoring window.

    Returns:
        An event time.
    """
    return until - (FAR + 1) * length


def newest_mature(
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
        >>> found = newest_mature(hours, hours > 0, timedelta(days=1), PerformancePolicy(min_rows=10))
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
    first, last = moment(times[0]), moment(times[-1]) + TICK
    for step in range(FAR * STEPS + 1):
        end = last - step * length / STEPS
        if end <= first:
            return
        start = max(first, end - length)
        low, high = np.searchsorted(times, [microseconds(start), microseconds(end)])
        yield MatureWindow(Window(start, end), int(high - low), int(known[high] - known[low]))
