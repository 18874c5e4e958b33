"""Windows of event time, conversion of times to UTC, and how times, windows and durations are written in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from refit.errors import UnusableTime

if TYPE_CHECKING:
    import pandas as pd

BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
"""The start of the first load of every project, earlier than any event that a project is likely to hold."""


def as_utc(moment: datetime) -> datetime:
    """Converts an aware time to UTC.

    Args:
        moment: A time with a time zone.

    Returns:
        The same instant in UTC.

    Raises:
        UnusableTime: If the time has no time zone; assuming one could shift the window.
    """
    if moment.tzinfo is None:
        raise UnusableTime(f"{moment.isoformat()} has no time zone: append Z for UTC, or an offset such as +02:00")
    return moment.astimezone(UTC)


def require_past(moment: datetime, now: datetime) -> datetime:
    """Converts an aware time to UTC and rejects one in the future.

    Args:
        moment: A time with a time zone.
        now: The current time, UTC.

    Returns:
        The same instant in UTC.

    Raises:
        UnusableTime: If the time has no time zone or lies in the future. An ingest up to a future time would count as
            done, and the rows that arrive before it would never be loaded.
    """
    utc = as_utc(moment)
    if utc > now:
        raise UnusableTime(f"{format_time(utc)} is in the future: use a time that has passed")
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
            start, end = format_time(self.start), format_time(self.end)
            raise ValueError(f"the window ends at {end}, before it starts at {start}: swap the two")

    @property
    def length(self) -> timedelta:
        """The duration of the window, for loads that look back a bounded time."""
        return self.end - self.start

    def holds(self, times: pd.Series[pd.Timestamp]) -> pd.Series[bool]:
        """Marks the times that lie inside the window.

        Args:
            times: Aware event times, one per row.

        Returns:
            A boolean mask with the same length and index; a missing time is outside every window.
        """
        return (times >= self.start) & (times < self.end)

    def __str__(self) -> str:
        return f"[{self.start.isoformat()}, {self.end.isoformat()})"


def format_time(moment: datetime) -> str:
    """Writes a time for people, in UTC and to the second; programs get `isoformat()`.

    Args:
        moment: A time with a time zone.

    Returns:
        The date alone at midnight, else the date with hours and minutes, and with seconds unless they are zero.

    Example:
        >>> format_time(datetime(2026, 5, 3, tzinfo=UTC)), format_time(datetime(2026, 5, 2, 14, tzinfo=UTC))
        ('2026-05-03', '2026-05-02 14:00')
        >>> format_time(datetime(2026, 5, 2, 23, 59, 59, 1, tzinfo=UTC))
        '2026-05-02 23:59:59'
    """
    utc = as_utc(moment).replace(microsecond=0)
    day, clock = utc.strftime("%Y-%m-%d"), utc.strftime("%H:%M:%S")
    return day if clock == "00:00:00" else f"{day} {clock.removesuffix(':00')}"


def format_window(window: Window) -> str:
    """Writes a window for people, in UTC and to the second; programs get its `start` and `end`.

    Args:
        window: The window; its end is exclusive.

    Returns:
        `START to END`, or `up to END` for a window that begins before all events.

    Example:
        >>> format_window(Window(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 2, 14, tzinfo=UTC)))
        '2026-05-01 to 2026-05-02 14:00'
        >>> format_window(Window(BEGINNING, datetime(2026, 5, 3, tzinfo=UTC)))
        'up to 2026-05-03'
    """
    end = format_time(window.end)
    return f"up to {end}" if window.start <= BEGINNING else f"{format_time(window.start)} to {end}"


def format_duration(length: timedelta) -> str:
    """Writes a duration for people, in its two largest units.

    Args:
        length: The duration, not negative.

    Returns:
        Days and hours, or hours and minutes; `less than a minute` below 30 seconds.

    Example:
        >>> [format_duration(timedelta(hours=hours)) for hours in (336, 30, 1.5)]
        ['14 days', '1 day 6 hours', '1 hour 30 minutes']
    """
    minutes = round(length / timedelta(minutes=1))
    counts = {"day": minutes // 1440, "hour": minutes // 60 % 24, "minute": minutes % 60}
    parts = [f"{count} {unit}{'s' if count > 1 else ''}" for unit, count in counts.items() if count]
    return " ".join(parts[:2]) or "less than a minute"
