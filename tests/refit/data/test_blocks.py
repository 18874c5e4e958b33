from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from refit.data.split import time_blocks


def hours(counts):
    start = pd.Timestamp("2026-01-01", tz="UTC")
    return pd.Series([start + pd.Timedelta(hours=hour) for hour, count in enumerate(counts) for _ in range(count)])


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([1] * 5_000, 50),
        ([1] * 1_000, 20),
        ([24] * 60, 28),
        ([1] * 60, 5),
        ([1] * 3, 3),
        ([40] * 4, 4),
        ([500, 1, 1], 2),
        ([], 0),
    ],
    ids=["most", "fifty rows each", "days", "few rows", "three rows", "four times", "nearly one time", "none"],
)
def test_blocks_cover_all_rows_and_keep_a_time_together(counts, expected):
    times = hours(counts)
    slices = time_blocks(times)
    assert [row for block in slices for row in range(len(times))[block]] == list(range(len(times)))
    assert all(block.stop > block.start for block in slices)
    assert all(times[block.start] != times[block.start - 1] for block in slices[1:])
    assert len(slices) == expected


def test_blocks_are_of_like_size():
    sizes = [block.stop - block.start for block in time_blocks(hours([1] * 4_321))]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 50


@pytest.mark.parametrize("seed", range(20))
def test_ragged_times_keep_the_promises(seed):
    times = hours(np.random.default_rng(seed).geometric(0.05, size=200))
    slices = time_blocks(times)
    assert 5 <= len(slices) <= 50
    assert slices[0].start == 0
    assert slices[-1].stop == len(times)
    assert all(earlier.stop == later.start for earlier, later in pairwise(slices))
