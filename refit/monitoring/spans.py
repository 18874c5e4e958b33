"""Which span of event time is the current window."""

from __future__ import annotations

from datetime import datetime, timedelta

from refit.windows import Window

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


def in_words(length: timedelta) -> str:
    """Says how long a span is.

    Args:
        length: Not negative.

    Returns:
        Days and hours, or hours and minutes.

    Example:
        >>> in_words(timedelta(days=14)), in_words(timedelta(hours=30)), in_words(timedelta(minutes=90))
        ('14 days', '1 day 6 hours', '1 hour 30 minutes')
    """
    minutes = round(length / timedelta(minutes=1))
    counts = {"day": minutes // 1440, "hour": minutes // 60 % 24, "minute": minutes % 60}
    spoken = [f"{count} {unit}{'s' if count > 1 else ''}" for unit, count in counts.items() if count]
    return " ".join(spoken[:2]) or "no time"
