"""A window counts when its label delay has passed, however early some labels came."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from refit.data.split import TICK
from refit.monitoring.label_maturity import find_mature_window, mature_until
from refit.policies.monitoring import PerformancePolicy

START = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = 3_600_000_000
POLICY = PerformancePolicy(min_rows=10)


def found(labelled, policy=POLICY, first=0):
    """The window of a day among one row an hour."""
    times = (np.arange(len(labelled)) + first) * HOUR
    return find_mature_window(times, np.asarray(labelled), DAY, policy)


def test_a_row_is_mature_at_the_very_instant_its_delay_has_passed() -> None:
    until = mature_until(START + 31 * DAY, 30 * DAY)
    assert until == START + DAY + TICK


def test_the_newest_window_is_taken_when_it_is_complete() -> None:
    mature = found([True] * 240)
    assert (mature.rows, mature.labelled, mature.coverage) == (24, 24, 1.0)
    assert mature.window.end == START + timedelta(hours=239) + TICK
    assert mature.window.length == DAY


def test_a_complete_window_close_by_is_preferred_to_one_that_is_only_covered_enough() -> None:
    labelled = np.ones(240, bool)
    labelled[-2:] = False
    mature = found(labelled)
    assert mature.coverage == 1
    assert mature.window.end == START + timedelta(hours=233) + TICK


def test_labels_that_never_come_do_not_send_it_back_for_ever() -> None:
    labelled = np.arange(240) % 16 != 0
    mature = found(labelled)
    assert mature.window.end == START + timedelta(hours=239) + TICK
    assert mature.coverage == pytest.approx(22 / 24, abs=0.05)


def test_late_labels_send_it_four_windows_back_at_most() -> None:
    late = np.arange(480) >= 480 - 4 * 24
    assert found(~late).window.end == START + timedelta(hours=383) + TICK
    later = np.arange(480) >= 480 - 6 * 24
    nothing = found(~later)
    assert (nothing.window.end, nothing.coverage) == (START + timedelta(hours=479) + TICK, 0)


def test_rows_without_enough_of_them_are_named_all_the_same() -> None:
    few = found([True] * 5)
    assert (few.rows, few.window.start) == (5, START)
    assert find_mature_window(np.empty(0, np.int64), np.empty(0, bool), DAY, POLICY) is None


def test_the_oldest_window_is_cut_off_where_the_rows_begin() -> None:
    labelled = np.arange(30) < 14
    mature = found(labelled, first=100)
    assert mature.window.start == START + timedelta(hours=100)
    assert mature.coverage >= 0.9
