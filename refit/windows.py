"""Windows of event time, and the one way a time becomes UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pandas as pd

from refit.errors import UnusableTime

BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
"""The start of the first load of every project: earlier than any event a project is likely to hold."""


def as_utc(moment: datetime) -> datetime:
    """Turns an aware time into UTC.

    Args:
        moment: A time with a time zone.

    Returns:
        The same instant, in UTC.

    Raises:
        UnusableTime: If the time has no time zone, since guessing one would move the window.
    """
    if moment.tzinfo is None:
        raise UnusableTime(
            f"{moment.isoformat()} has no time zone: write it as {moment.isoformat()}Z or with an offset"
        )
    return moment.astimezone(UTC)


def require_past(moment: datetime, now: datetime) -> datetime:
    """Turns an aware time into UTC, if it has come.

    Args:
        moment: A time with a time zone.
        now: The present, UTC.

    Returns:
        The same instant, in UTC.

    Raises:
        UnusableTime: If it has no time zone, or lies in the future: an ingest until then would count as done, and the
            rows that arrive before it would never be asked for.
    """
    utc = as_utc(moment)
    if utc > now:
        raise UnusableTime(f"{moment.isoformat()} lies in the future: give a time that has passed")
    return utc


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open interval `[start, end)` of event time, in UTC.

    Example:
        >>> day = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
        >>> str(day)
        '[2026-01-01T00:00:00+00:00, 2026-01-02T00:00:00+00:00)'
    """

    start: datetime
    """The first instant inside the window, UTC."""
    end: datetime
    """The first instant after the window, UTC."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", as_utc(self.start))
        object.__setattr__(self, "end", as_utc(self.end))
        if self.start > self.end:
            raise ValueError(f"a window cannot end before it starts: [{self.start}, {self.end})")

    @property
    def length(self) -> timedelta:
        """How long the window is; for loads that do not reach back for ever."""
        return self.end - self.start

    def holds(self, times: pd.Series[pd.Timestamp]) -> pd.Series[bool]:
        """Tells which times lie inside the window.

        Args:
            times: Aware event times, one per row.

        Returns:
            A mask of the same length and index; a missing time is outside every window.
        """
        return (times >= self.start) & (times < self.end)

    def __str__(self) -> str:
        return f"[{self.start.isoformat()}, {self.end.isoformat()})"
