from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from refit import TrainingPolicy
from refit.split import holdout_start, microseconds, moment, span, training_window

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


def times(*days: int) -> np.ndarray:
    return np.array([microseconds(START + DAY * day) for day in days])


@pytest.mark.parametrize(
    ("days", "share", "most", "day"),
    [
        (range(100), 0.2, 5000, 80),
        (range(1000), 0.2, 50, 950),
        ([0, 1, 2, 2, 2, 2, 2, 3], 0.25, 5000, 2),
        ([5], 0.2, 5000, 5),
    ],
)
def test_holdout_starts_at_a_time_and_takes_all_rows_of_it(days, share: float, most: int, day: int) -> None:
    policy = TrainingPolicy(holdout_share=share, holdout_rows=most)
    assert holdout_start(times(*days), policy) == START + DAY * day


@pytest.mark.parametrize(
    ("window", "first", "last"),
    [("all", 0, 27), ("auto", 0, 27), (DAY * 7, 20, 27), (DAY * 99, 0, 27)],
)
def test_training_ends_a_label_delay_before_the_holdout(window, first: int, last: int) -> None:
    found = training_window(START, START + DAY * 30, DAY * 3, TrainingPolicy(window=window))
    assert (found.start, found.end) == (START + DAY * first, START + DAY * last)


def test_nothing_is_old_enough() -> None:
    assert training_window(START, START + DAY, DAY * 9, TrainingPolicy()).length == timedelta(0)


def test_times_survive_to_the_microsecond() -> None:
    at = datetime(1901, 2, 3, 4, 5, 6, 7, tzinfo=UTC)
    assert moment(microseconds(at)) == at
    assert span(times(3, 1, 2)).length == 2 * DAY + timedelta(microseconds=1)
