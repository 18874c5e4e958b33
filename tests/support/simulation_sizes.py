"""Two sizes of a simulation: a part of its repetitions in `make test`, all of them in `make test-slow`.

A bound on a rate that is given by theory (5 % false alarms) is widened for either size by what chance does to so many
repetitions. A bound on a rate that was observed (90 % of changes are found) holds as it is at full size alone.
"""

from __future__ import annotations

import math

import pytest
from scipy import stats


def sizes(full: int, quick: int | None = None) -> pytest.MarkDecorator:
    """Runs a test twice, with fewer and with all `repeats`; the second run is slow.

    Args:
        full: All repetitions.
        quick: Fewer of them; a tenth where it is not given.
    """
    few = pytest.param(quick or full // 10, id="quick")
    return pytest.mark.parametrize("repeats", [few, pytest.param(full, id="full", marks=pytest.mark.slow)])


def at_most(share: float, repeats: int) -> float:
    """Three binomial standard deviations above a share: exceeded by chance in one simulation of 700."""
    return share + 3 * math.sqrt(share * (1 - share) / repeats)


def found_at_least(share: float, repeats: int, full: int) -> float:
    """The share itself at full size, and three binomial standard deviations below it with fewer repetitions."""
    return share if repeats >= full else share - 3 * math.sqrt(share * (1 - share) / repeats)


def most(repeats: int, share: float) -> int:
    """The count that is exceeded by chance in one simulation of a thousand."""
    return int(stats.binom.ppf(0.999, repeats, share))


def least(repeats: int, share: float) -> int:
    """The count that chance leaves short in one simulation of a thousand."""
    return int(stats.binom.ppf(0.001, repeats, share))
