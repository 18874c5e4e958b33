"""Columns that change together are found, columns that change alone are left to their own alarms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from refit.drift.domain_classifier import auc_noise, classifier_auc, estimate_auc_limit
from tests.support.simulated_drift import DECILES

SIGNIFICANCE, ROWS = 0.001, 2_000
"""As `compare_with_reference` asks for, and as many rows as a profile keeps of a window of 5,000."""


def codes(rng: np.random.Generator, correlation: float = 0.0, shift: float = 0.0) -> npt.NDArray[np.uint8]:
    """Deciles of 12 normal columns; two of them always correlate by 0.7, the first two by as much as asked."""
    z = rng.normal(size=(ROWS, 12))
    z[:, 1] = correlation * z[:, 0] + np.sqrt(1 - correlation**2) * z[:, 1]
    z[:, 3] = 0.7 * z[:, 2] + np.sqrt(1 - 0.7**2) * z[:, 3]
    return np.searchsorted(DECILES, z + shift * rng.normal(size=12)).astype(np.uint8)


def share_found(correlation: float, shift: float, trials: int) -> int:
    rng = np.random.default_rng([11, int(10 * correlation), int(100 * shift)])
    hits = 0
    for trial in range(trials):
        reference = codes(rng)
        mean, limit = estimate_auc_limit(reference, np.repeat(np.arange(100), ROWS // 100), SIGNIFICANCE, trial)
        limit = max(limit, mean + auc_noise(ROWS, ROWS, SIGNIFICANCE))
        hits += classifier_auc(reference, codes(rng, correlation, shift), trial) > limit
    return hits


def test_a_correlation_with_equal_marginals_is_found() -> None:
    assert share_found(0.6, 0.0, 20) >= stats.binom.ppf(0.001, 20, 0.95)


@pytest.mark.parametrize("shift", [0.0, 0.15], ids=["unmoved", "means wander"])
def test_columns_that_move_alone_are_not_told_apart(shift: float) -> None:
    assert share_found(0.0, shift, 20) <= stats.binom.ppf(0.999, 20, 0.01)


def test_too_few_rows_or_columns_say_nothing() -> None:
    rows = codes(np.random.default_rng(0))
    assert classifier_auc(rows[:100], rows[:1000], 0) == 0.5
    assert classifier_auc(rows[:, :1], rows[:, :1], 0) == 0.5
    assert estimate_auc_limit(rows[:500], np.zeros(500, np.intp), SIGNIFICANCE, 0) == (0.5, 0.53)


def test_the_same_seed_gives_the_same_answer() -> None:
    rng = np.random.default_rng(1)
    old, new = codes(rng), codes(rng, 0.6)
    assert classifier_auc(old, new, 3) == classifier_auc(old, new, 3)
