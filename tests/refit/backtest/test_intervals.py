"""The interval of a relative loss covers the true one, and what windows have in common does not widen it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from refit.backtest.intervals import bound_relative_loss
from tests.support.simulation_sizes import sizes


def losses(seed: int, ratio: float) -> tuple[list[float], list[float]]:
    """Two policies in 28 windows of very different difficulty, whose own errors last from window to window."""
    rng = np.random.default_rng(seed)
    hard = rng.gamma(4, 0.25, 28)
    noise = np.convolve(rng.normal(0, 0.05, 31), [0.4, 0.3, 0.2, 0.1], "valid")
    return (hard * (ratio + noise)).tolist(), hard.tolist()


@sizes(1_000, 200)
def test_it_covers_the_true_ratio(repeats: int) -> None:
    """Seven blocks of windows that are still a little alike make it somewhat too narrow: 88 % of nominal 95 %."""
    covered = 0
    for seed in range(repeats):
        found = bound_relative_loss(*losses(seed, 0.9))
        assert found is not None
        covered += found[0] <= 0.9 <= found[1]
    assert covered / repeats >= 0.88 - 3 * math.sqrt(0.88 * 0.12 / repeats)


def test_what_all_models_find_hard_does_not_widen_it() -> None:
    policy, never = losses(0, 0.9)
    together = bound_relative_loss(policy, never)
    apart = bound_relative_loss(policy[::-1], never)
    assert together is not None
    assert apart is not None
    assert together[1] - together[0] < (apart[1] - apart[0]) / 3


@pytest.mark.parametrize(
    ("policy", "never"),
    [([0.5] * 7, [1.0] * 7), ([0.5] * 9, [1.0] * 7 + [math.nan] * 2), ([0.0] * 20, [0.0] * 20), ([], [])],
)
def test_too_few_windows_have_none(policy: list[float], never: list[float]) -> None:
    assert bound_relative_loss(policy, never) is None
