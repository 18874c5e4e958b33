"""A project's labelled rows, cut into windows, and which of them were mature at the end of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd

from refit.data.split import TICK, Times, from_microseconds, to_microseconds
from refit.errors import NotEnoughData
from refit.project import Project
from refit.windows import Window

FIRST_WINDOWS = 2
"""The number of windows that the first champion is trained on, or more if labels come too late for that."""
MIN_WINDOW_ROWS = 20
"""The fewest rows of a window."""


def cut_windows(times: Times, count: int) -> tuple[Window, ...]:
    """Cuts a history into consecutive windows of about the same number of rows.

    Windows of equal rows, not of equal time, have scores of about equal certainty, so that each can count the same in a
    mean. Rows of one event time stay together.

    Args:
        times: Event times in microseconds since 1970, sorted.
        count: The number of windows.

    Returns:
        The windows from the oldest to the newest, without gaps; fewer than `count` if many rows share a time.

    Raises:
        NotEnoughData: If there are too few rows for so many windows.
    """
    if len(times) < count * MIN_WINDOW_ROWS:
        raise NotEnoughData(
            f"{len(times):,} labelled rows are too few for {count} windows of at least {MIN_WINDOW_ROWS} rows: ask for "
            f"fewer windows, or wait for more rows"
        )
    starts = np.unique(times[np.linspace(0, len(times), count, endpoint=False).astype(int)])
    edges = [*(from_microseconds(start) for start in starts), from_microseconds(times[-1]) + TICK]
    return tuple(Window(start, end) for start, end in pairwise(edges))


@dataclass(frozen=True, slots=True)
class LabelledHistory:
    """The labelled rows of a project, sorted by event time, and the windows they are cut into."""

    rows: pd.DataFrame
    """All columns, the index from 0."""
    times: Times
    """Event times of the rows in microseconds since 1970."""
    windows: tuple[Window, ...]
    delay: timedelta
    """The label delay: a label is known from the event time plus this on."""

    @classmethod
    def from_rows(cls, definition: Project, rows: pd.DataFrame, windows: int) -> LabelledHistory:
        """Sorts a project's rows and cuts them into windows, without rows that have no label.

        Args:
            definition: The project.
            rows: All its rows.
            windows: The number of windows.

        Returns:
            The history.

        Raises:
            NotEnoughData: If there are too few rows for so many windows.
        """
        labelled = rows[rows[definition.target].notna()]
        ordered = labelled.sort_values(definition.timestamp, kind="stable", ignore_index=True)
        times = ordered[definition.timestamp].dt.as_unit("us").astype("int64").to_numpy()
        return cls(ordered, times, cut_windows(times, windows), definition.label_delay)

    def within(self, window: Window) -> pd.DataFrame:
        """Selects the rows of a window.

        Args:
            window: The event times.

        Returns:
            The rows, the index from 0.
        """
        return self.rows.iloc[self._position(window.start) : self._position(window.end)].reset_index(drop=True)

    def count(self, window: Window) -> int:
        """Counts the rows of a window.

        Args:
            window: The event times.

        Returns:
            The number of rows.
        """
        return self._position(window.end) - self._position(window.start)

    def mature(self, as_of: datetime) -> Window:
        """Returns the window of the mature rows.

        Args:
            as_of: The moment, UTC; rows of that very time do not exist yet.

        Returns:
            From the first row to just after the newest mature one; empty without mature rows.
        """
        start = self.windows[0].start
        return Window(start, max(start, min(as_of, as_of - self.delay + TICK)))

    def newest(self, window: Window) -> datetime | None:
        """Returns the end of the rows in a window.

        Args:
            window: The event times.

        Returns:
            Just after the newest row, UTC; `None` without rows.
        """
        end = self._position(window.end)
        return from_microseconds(self.times[end - 1]) + TICK if end > self._position(window.start) else None

    def _position(self, at: datetime) -> int:
        return int(np.searchsorted(self.times, to_microseconds(at)))
