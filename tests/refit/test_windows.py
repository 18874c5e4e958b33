"""Windows and the times that bound them."""

from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest

from refit.windows import Window, as_utc, require_past

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_a_time_becomes_utc_and_a_naive_one_is_refused():
    assert as_utc(datetime(2026, 1, 1, 14, tzinfo=timezone(timedelta(hours=2)))) == NOON
    with pytest.raises(ValueError, match="no time zone"):
        as_utc(NOON.replace(tzinfo=None))


def test_nothing_is_looked_at_from_the_future():
    assert require_past(NOON, NOON) == NOON
    with pytest.raises(ValueError, match="lies in the future"):
        require_past(NOON + timedelta(seconds=1), NOON)


def test_a_window_is_half_open_and_runs_forward():
    window = Window(NOON, NOON + timedelta(hours=1))
    times = pd.Series(pd.to_datetime([NOON - timedelta(seconds=1), NOON, window.end, pd.NaT], utc=True))
    assert window.holds(times).tolist() == [False, True, False, False]
    with pytest.raises(ValueError, match="cannot end before it starts"):
        Window(window.end, window.start)
