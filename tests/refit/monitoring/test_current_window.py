"""The current window: as long as whole cycles last, and never over rows that the champion was trained on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from refit import Window
from refit.monitoring.label_maturity import current_window, window_length
from tests.support.decision_situations import DAY, HOUR, START, WEEK


@pytest.mark.parametrize(
    ("given", "trained_on", "length"),
    [
        (3 * DAY, 100 * WEEK, 3 * DAY),  # the policy's own length counts
        (None, None, DAY),  # no champion yet
        (None, 365 * DAY, 5 * WEEK),
        (None, 70 * DAY, WEEK),
        (None, 105 * DAY, 2 * WEEK),  # 1.5 weeks, rounded to the even number
        (None, 60 * DAY, 6 * DAY),
        (None, 10 * DAY, DAY),
        (None, 9 * DAY, 22 * HOUR),
        (None, timedelta(minutes=20), HOUR),
    ],
)
def test_length(given: timedelta | None, trained_on: timedelta | None, length: timedelta) -> None:
    window = Window(START, START + trained_on) if trained_on else None
    assert window_length(given, window) == length


@pytest.mark.parametrize(
    ("newest", "as_of", "trained_until", "start", "end"),
    [
        (70 * DAY, 70 * DAY, 10 * DAY, 63 * DAY, 70 * DAY),
        (70 * DAY, 90 * DAY, 10 * DAY, 63 * DAY, 70 * DAY),  # nothing comes in, so it stays
        (70 * DAY, 60 * DAY, 10 * DAY, 53 * DAY, 60 * DAY),  # a look back sees nothing later
        (70 * DAY, 70 * DAY, 68 * DAY, 68 * DAY, 70 * DAY),  # short after a retrain
        (70 * DAY, 70 * DAY, 70 * DAY, 70 * DAY, 70 * DAY),  # nothing that the champion has not seen
        (70 * DAY, 60 * DAY, 65 * DAY, 60 * DAY, 60 * DAY),
        (70 * DAY, 70 * DAY, None, 63 * DAY, 70 * DAY),
    ],
)
def test_window(
    newest: timedelta, as_of: timedelta, trained_until: timedelta | None, start: timedelta, end: timedelta
) -> None:
    seen = None if trained_until is None else START + trained_until
    assert current_window(START + newest, START + as_of, WEEK, seen) == Window(START + start, START + end)
