"""How often the alarms fire without drift, and how surely with one: seeded simulations over 20 columns."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from refit.drift.calibration import change
from tests.refit.drift.planted import (
    BLOCKS,
    CATEGORIES,
    NUMBERS,
    POLICY,
    REFERENCE,
    alarmed,
    category,
    drawn,
    judged,
    number,
    wander,
)

TRIALS = 16
"""Trials of two windows by 20 columns."""
ALLOWED = 0.01
"""The share of windows that may alarm without drift."""
MOST = int(stats.binom.ppf(0.999, TRIALS, ALLOWED))
"""So many alarms in that many trials are still no sign of a higher rate, at one in a thousand."""
FOUND = 0.95
"""The share of changes that must be found."""
CHANGES = 100
LEAST = int(stats.binom.ppf(0.001, CHANGES, FOUND))


def one_trial(rng: np.random.Generator, rows: int, size: float, memory: float) -> bool:
    """Two windows after a reference, all of them moving by the same process from step to step."""
    step = min(rows, 5_000)
    past, now = REFERENCE // step, rows // step
    found = []
    for column in range(NUMBERS + CATEGORIES):
        moved = wander(rng, past + 2 * now, 1 if column < NUMBERS else 7, size, memory)
        shares = number(moved[:, 0]) if column < NUMBERS else category(moved)
        reference = drawn(rng, shares[:past], REFERENCE, BLOCKS)
        windows = [drawn(rng, shares[past + k * now : past + (k + 1) * now], rows, 1)[0] for k in (0, 1)]
        found.append([judged(reference, window) for window in windows])
    return alarmed(np.array(found).transpose(1, 0, 2))


@pytest.mark.parametrize("rows", [500, 5_000, 50_000])
@pytest.mark.parametrize(
    ("size", "memory"), [(0.0, 0.0), (0.1, 0.0), (0.1, 0.5)], ids=["unmoved", "independent", "slow"]
)
def test_without_drift_hardly_a_window_alarms(rows: int, size: float, memory: float) -> None:
    rng = np.random.default_rng([rows, int(100 * size), int(10 * memory), 2])
    assert sum(one_trial(rng, rows, size, memory) for _ in range(TRIALS)) <= MOST


STILL, SAME = np.zeros(1), np.zeros((1, 7))
PLANTED = {
    "missing of a number": (number(STILL), number(STILL, missing=0.12)),
    "missing of a category": (category(SAME), category(SAME, missing=0.12)),
    "shares": (category(SAME), category(SAME, moved=0.1)),
    "mean": (number(STILL), number(STILL + 0.2)),
    "scale": (number(STILL), number(STILL, scale=1.25)),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_change_is_found_within_two_windows_of_5000_rows(planted: str) -> None:
    rng, (before, after) = np.random.default_rng(7), PLANTED[planted]
    hits = 0
    for _ in range(CHANGES):
        reference = drawn(rng, before, REFERENCE, BLOCKS)
        windows = [judged(reference, drawn(rng, after, 5_000, 1)[0]) for _ in range(2)]
        unchanged = np.ones((2, NUMBERS + CATEGORIES, 2)) * (1.0, 0.0)
        unchanged[:, 0] = windows  # Holm asks the most of the only column that changes
        hits += alarmed(unchanged)
    assert hits >= LEAST


def test_missing_values_are_found_in_a_column_whose_mean_wanders() -> None:
    rng, hits = np.random.default_rng(8), 0
    for _ in range(CHANGES):
        mean = wander(rng, 12, 1, 0.15, 0.0)[:, 0]
        reference = drawn(rng, number(mean[:10]), REFERENCE, BLOCKS)
        found = [change(reference, drawn(rng, number(mean[[k]], missing=0.12), 5_000, 1)[0]) for k in (10, 11)]
        hits += all(each.p_value <= POLICY.significance / 20 and each.excess >= POLICY.size for each in found)
    assert hits >= LEAST
