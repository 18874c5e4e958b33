"""The PSI of a window against what sampling and the reference's own movement explain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from refit.drift.calibration import compare_psi, estimate_null, signed_roots
from refit.drift.null_distribution import group_blocks, map_rare_bins
from tests.support.simulated_drift import BLOCKS, drawn, number, wander

STILL = number(np.zeros(1))


def test_the_squares_of_the_roots_are_the_psi() -> None:
    old, new = np.array([500, 300, 200]), np.array([60, 30, 10])
    p, q = (old + 0.5) / 1001.5, (new + 0.5) / 101.5
    assert np.square(signed_roots(old, new)).sum() == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert signed_roots(old, new)[0] > 0 > signed_roots(old, new)[2]


def test_without_movement_the_expected_psi_is_the_one_that_is_seen() -> None:
    rng = np.random.default_rng(1)
    found = [compare_psi(drawn(rng, STILL, 50_000, BLOCKS), drawn(rng, STILL, 5_000, 1)[0]) for _ in range(200)]
    seen = np.mean([each.psi for each in found])
    error = seen * np.sqrt(2 / 10 / 200)
    assert abs(seen - 10 * (1 / 5_000 + 1 / 50_000)) < 4 * error
    assert all(each.expected.mean >= 10 * (1 / 5_000 + 1 / 50_000) for each in found)


def test_p_values_without_movement_are_seldom_small() -> None:
    rng = np.random.default_rng(2)
    found = [compare_psi(drawn(rng, STILL, 50_000, BLOCKS), drawn(rng, STILL, 5_000, 1)[0]).p_value for _ in range(300)]
    assert sum(p <= 0.05 for p in found) <= stats.binom.ppf(0.999, 300, 0.05)


def test_what_the_reference_does_itself_is_no_drift() -> None:
    rng = np.random.default_rng(3)
    moving = drawn(rng, number(wander(rng, 10, 1, 0.2, 0.0)[:, 0]), 50_000, BLOCKS)
    window = drawn(rng, number(np.array([0.25])), 5_000, 1)[0]
    assert compare_psi(moving, window).p_value > 0.01
    assert compare_psi(drawn(rng, STILL, 50_000, BLOCKS), window).p_value < 1e-4


def test_a_small_reference_is_not_calibrated() -> None:
    blocks = np.full((6, 5), 100)
    assert not compare_psi(blocks, np.full(5, 100)).calibrated
    assert compare_psi(np.tile(blocks, (20, 1)), np.full(5, 100)).calibrated


def test_nothing_is_said_without_rows() -> None:
    blocks, nothing = np.full((10, 5), 100), np.zeros(5, np.int64)
    assert compare_psi(blocks, nothing).p_value == 1.0
    assert compare_psi(np.zeros_like(blocks), np.full(5, 100)).p_value == 1.0
    assert estimate_null(blocks * 10, 1_000, 4).noise == pytest.approx(1 / 1_000 + 1 / 50_000)


def test_a_new_category_is_found_whatever_the_others_do() -> None:
    rng = np.random.default_rng(4)
    reference = drawn(rng, number(wander(rng, 10, 1, 0.3, 0.0)[:, 0]), 50_000, BLOCKS)
    window = reference[:10].sum(axis=0)
    window[-2] += 300
    found = compare_psi(reference, window)
    assert found.p_value < 1e-4
    assert found.excess > 0.3


def test_cells_that_nobody_uses_change_nothing() -> None:
    rng = np.random.default_rng(5)
    reference, window = drawn(rng, STILL, 50_000, BLOCKS), drawn(rng, number(np.array([0.1])), 5_000, 1)[0]
    wider, other = (np.insert(side, [10] * 3, 0, axis=-1) for side in (reference, window))
    plain, found = compare_psi(reference, window), compare_psi(wider, other)
    assert (found.psi, found.excess, found.p_value) == (plain.psi, plain.excess, plain.p_value)


def test_groups_and_cells_follow_the_size_of_the_window() -> None:
    blocks = np.full((100, 4), 125)
    assert [len(group_blocks(blocks, rows)) for rows in (100, 1_000, 5_000, 50_000)] == [100, 50, 10, 10]
    shares = np.array([9_000, 20, 10, 970, 0, 0])
    assert map_rare_bins(shares, shares, 100_000).tolist() == [0, 1, 2, 3, 4, 5]
    assert map_rare_bins(shares, shares, 500).tolist() == [0, 2, 2, 1, 3, 4]
