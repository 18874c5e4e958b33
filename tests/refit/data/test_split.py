from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit import TrainingPolicy
from refit.data.split import count_unseen, from_microseconds, holdout_start, to_microseconds, training_window, window_of

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


def times(*days: int) -> np.ndarray:
    return np.array([to_microseconds(START + DAY * day) for day in days])


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
    ("seen", "most", "day"),
    [(0, 5000, 80), (70, 5000, 85), (70, 10, 90), (98, 5000, 99), (99, 5000, 99), (100, 5000, 100), (150, 5000, 150)],
)
def test_the_champion_has_seen_none_of_the_holdout_and_half_of_what_is_new_is_left(
    seen: int, most: int, day: int
) -> None:
    policy = TrainingPolicy(holdout_rows=50).model_copy(update={"holdout_rows": most})
    assert holdout_start(times(*range(100)), policy, START + DAY * seen) == START + DAY * day


@given(
    days=st.lists(st.integers(0, 60), min_size=1, max_size=80),
    seen=st.integers(0, 70),
    share=st.floats(0.05, 0.9),
)
def test_whatever_the_times_the_holdout_is_unseen_and_no_more_than_half_of_it(days, seen: int, share: float) -> None:
    seen_until = START + DAY * seen
    found, policy = times(*sorted(days)), TrainingPolicy(holdout_share=share)
    cut = holdout_start(found, policy, seen_until)
    assert cut >= seen_until
    held, new = count_unseen(found, cut), count_unseen(found, seen_until)
    tied = int((found == to_microseconds(cut)).sum())
    assert held - tied < max(1, min(new // 2, int(share * len(found))))
    assert held >= 1 or new == 0


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
    assert from_microseconds(to_microseconds(at)) == at
    assert window_of(times(3, 1, 2)).length == 2 * DAY + timedelta(microseconds=1)
