"""A project's past, cut into windows: what was there, and what was known, at the end of each."""

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
"""The first champion is trained on so many windows, or on more where labels come so late that those are too few."""
MIN_WINDOW_ROWS = 20
"""A window of fewer rows tells nothing about a model."""


def cut_windows(times: Times, count: int) -> tuple[Window, ...]:
    """Cuts a history into consecutive windows of about the same number of rows.

    By rows and not by time, so that every window's score is about as certain as the others' and each counts the same
    in a mean. Rows of one event time stay together.

    Args:
        times: Event times in microseconds since 1970, sorted.
        count: How many windows are wanted.

    Returns:
        From the oldest to the newest, without gaps; fewer than asked for where many rows share a time.

    Raises:
        NotEnoughData: If there are too few rows for so many windows.
    """
    if len(times) < count * MIN_WINDOW_ROWS:
        raise NotEnoughData(
            f"{len(times):,} labelled rows cannot be cut into {count} windows of at least {MIN_WINDOW_ROWS}: ask for "
            f"fewer windows, or wait for more rows"
        )
    starts = np.unique(times[np.linspace(0, len(times), count, endpoint=False).astype(int)])
    edges = [*(from_microseconds(start) for start in starts), from_microseconds(times[-1]) + TICK]
    return tuple(Window(start, end) for start, end in pairwise(edges))


@dataclass(frozen=True, slots=True)
class LabelledHistory:
    """The labelled rows of a project, sorted by event time, and the windows they are cut into."""

    rows: pd.DataFrame
    times: Times
    """Event times of the rows in microseconds since 1970."""
    windows: tuple[Window, ...]
    delay: timedelta
    """The label delay: a row's label is known from its event time and this on."""

    @classmethod
    def of(cls, definition: Project, rows: pd.DataFrame, windows: int) -> LabelledHistory:
        """Sorts and cuts a project's rows; rows without a label are left out, since none can be scored on them.

        Args:
            definition: The project.
            rows: All rows there are.
            windows: How many windows are wanted.

        Raises:
            NotEnoughData: If there are too few rows for so many windows.
        """
        labelled = rows[rows[definition.target].notna()]
        ordered = labelled.sort_values(definition.timestamp, kind="stable", ignore_index=True)
        times = ordered[definition.timestamp].dt.as_unit("us").astype("int64").to_numpy()
        return cls(ordered, times, cut_windows(times, windows), definition.label_delay)

    def within(self, window: Window) -> pd.DataFrame:
        """Gives the rows of a window.

        Args:
            window: Event times.

        Returns:
            A part of the rows, its index from 0.
        """
        return self.rows.iloc[self._position(window.start) : self._position(window.end)].reset_index(drop=True)

    def count(self, window: Window) -> int:
        """Counts the rows of a window.

        Args:
            window: Event times.
        """
        return self._position(window.end) - self._position(window.start)

    def mature(self, as_of: datetime) -> Window:
        """Names the rows whose labels were known.

        Args:
            as_of: The instant looked from, UTC: rows of that very time are not there yet.

        Returns:
            From the first row to just after the newest one whose label delay had passed; empty where there is none.
        """
        start = self.windows[0].start
        return Window(start, max(start, min(as_of, as_of - self.delay + TICK)))

    def newest(self, window: Window) -> datetime | None:
        """Tells where the rows of a window end.

        Args:
            window: Event times.

        Returns:
            Just after the newest row; `None` where there is none.
        """
        end = self._position(window.end)
        return from_microseconds(self.times[end - 1]) + TICK if end > self._position(window.start) else None

    def _position(self, at: datetime) -> int:
        return int(np.searchsorted(self.times, to_microseconds(at)))
