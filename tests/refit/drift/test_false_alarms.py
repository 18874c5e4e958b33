"""How often the alarms fire without drift, and how surely with one: seeded simulations over 20 columns."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import special

from benchmarks.false_alarms import DAY, MOVES, Move
from refit.drift.calibration import compare_psi
from tests.support.simulated_drift import (
    BLOCKS,
    CATEGORIES,
    MISSING,
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
from tests.support.simulation_sizes import least, most, sizes

LENGTHS = [500, 5_000, 50_000]
"""Rows of a window."""
ALLOWED = 0.01
"""The share of windows that may alarm without drift."""
FOUND = 0.95
"""The share of changes that must be found."""
CHANGES = 100
LEAST = least(CHANGES, FOUND)


def one_trial(rng: np.random.Generator, rows: int, move: Move) -> bool:
    """Two windows after a reference; means, log shares and the missing share move by the same process, day by day."""
    past, now, found = REFERENCE // DAY, rows // DAY, []
    for column in range(NUMBERS + CATEGORIES):
        moved = move(rng, past + 2 * now, 2 if column < NUMBERS else 8)
        missing = special.expit(special.logit(MISSING) + 2 * moved[:, -1])
        shares = number(moved[:, 0], 1.0, missing) if column < NUMBERS else category(moved[:, :7], missing)
        reference = drawn(rng, shares[:past], REFERENCE, BLOCKS)
        windows = [drawn(rng, shares[past + k * now : past + (k + 1) * now], rows, 1)[0] for k in (0, 1)]
        found.append([judged(reference, window) for window in windows])
    return alarmed(np.array(found).transpose(1, 0, 2))


@cache
def alarms(move: str, rows: int, trials: int) -> int:
    """How many of so many trials of two windows by 20 columns alarm."""
    rng = np.random.default_rng([rows, list(MOVES).index(move), 2])
    return sum(one_trial(rng, rows, MOVES[move]) for _ in range(trials))


@sizes(50)
@pytest.mark.parametrize("rows", LENGTHS)
@pytest.mark.parametrize("move", MOVES)
def test_without_drift_hardly_a_window_alarms(move: str, rows: int, repeats: int) -> None:
    assert alarms(move, rows, repeats) <= most(repeats, ALLOWED)


@sizes(50)
@pytest.mark.parametrize("rows", LENGTHS)
def test_over_all_movements_hardly_a_window_alarms(rows: int, repeats: int) -> None:
    assert sum(alarms(move, rows, repeats) for move in MOVES) <= most(repeats * len(MOVES), ALLOWED)


@pytest.mark.parametrize("move", ["daily effects", "block effects", "wandering"])
def test_a_reference_that_hides_its_movement_would_alarm(move: str) -> None:
    """The simulation can fail: with its blocks shuffled together, the reference knows of no movement."""
    rng, hits = np.random.default_rng([3, list(MOVES).index(move)]), 0
    for _ in range(10):
        shares = [number(path) for path in MOVES[move](rng, REFERENCE // DAY + 2, NUMBERS).T]
        together = [drawn(rng, each[:-2].mean(axis=0, keepdims=True), REFERENCE, BLOCKS) for each in shares]
        found = [
            [judged(old, drawn(rng, each[[k]], DAY, 1)[0]) for old, each in zip(together, shares, strict=True)]
            for k in (-2, -1)
        ]
        hits += alarmed(np.array(found))
    assert hits > most(10, ALLOWED)


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
        found = [compare_psi(reference, drawn(rng, number(mean[[k]], missing=0.12), 5_000, 1)[0]) for k in (10, 11)]
        hits += all(each.p_value <= POLICY.significance / 20 and each.excess >= POLICY.size for each in found)
    assert hits >= LEAST
