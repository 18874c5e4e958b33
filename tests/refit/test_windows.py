"""Windows and the times that bound them."""

from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest

from refit.errors import UnusableTime
from refit.windows import BEGINNING, Window, as_utc, format_time, format_window, require_past

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_a_time_becomes_utc_and_a_naive_one_is_refused():
    assert as_utc(datetime(2026, 1, 1, 14, tzinfo=timezone(timedelta(hours=2)))) == NOON
    with pytest.raises(ValueError, match="no time zone"):
        as_utc(NOON.replace(tzinfo=None))


def test_nothing_is_looked_at_from_the_future():
    assert require_past(NOON, NOON) == NOON
    with pytest.raises(ValueError, match="is in the future"):
        require_past(NOON + timedelta(seconds=1), NOON)


def test_a_window_is_half_open_and_runs_forward():
    window = Window(NOON, NOON + timedelta(hours=1))
    times = pd.Series(pd.to_datetime([NOON - timedelta(seconds=1), NOON, window.end, pd.NaT], utc=True))
    assert window.holds(times).tolist() == [False, True, False, False]
    with pytest.raises(ValueError, match="before it starts at"):
        Window(window.end, window.start)


def test_people_read_times_in_utc_to_the_second():
    berlin = timezone(timedelta(hours=2))
    assert format_time(datetime(2026, 5, 3, 2, tzinfo=berlin)) == "2026-05-03"
    assert format_time(datetime(2026, 5, 3, 0, 5, 9, 999_999, tzinfo=UTC)) == "2026-05-03 00:05:09"
    with pytest.raises(UnusableTime):
        format_time(datetime(2026, 5, 3))  # noqa: DTZ001 - it has no time zone on purpose


def test_people_read_windows_without_the_microsecond_after_the_last_row():
    last = datetime(2026, 5, 2, 23, 30, tzinfo=UTC)
    window = Window(last - timedelta(days=1), last + timedelta(microseconds=1))
    assert format_window(window) == "2026-05-01 23:30 to 2026-05-02 23:30"
    assert format_window(Window(BEGINNING, last)) == "up to 2026-05-02 23:30"
