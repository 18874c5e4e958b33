"""Columns with natural movement and planted changes, as counts: what the simulations of the alarms draw."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from refit.drift.alarms import AT_ONCE, holm
from refit.drift.calibration import compare_psi
from refit.policies.monitoring import DriftPolicy

Floats = npt.NDArray[np.float64]

REFERENCE, BLOCKS, NUMBERS, CATEGORIES = 50_000, 100, 15, 5
MISSING = 0.02
SHARES = np.array([0.4, 0.25, 0.15, 0.1, 0.06, 0.03, 0.01])
DECILES = stats.norm.ppf(np.arange(1, 10) / 10)
POLICY = DriftPolicy()


def number(mean: Floats, scale: float = 1.0, missing: Floats | float = MISSING) -> Floats:
    """The shares of the deciles of a standard normal column, then of unseen and missing values."""
    below = stats.norm.cdf((DECILES - mean[:, None]) / scale)
    return _with_ends(np.diff(np.pad(below, ((0, 0), (1, 0))), append=1.0), missing)


def category(logits: Floats, missing: Floats | float = MISSING, moved: float = 0.0) -> Floats:
    """The shares of seven categories, then of unseen and missing values."""
    shares = SHARES * np.exp(logits)
    shares /= shares.sum(axis=1, keepdims=True)
    shares[:, 0], shares[:, 1:] = shares[:, 0] - moved, shares[:, 1:] + moved / 6
    return _with_ends(shares, missing)


def _with_ends(shares: Floats, missing: Floats | float) -> Floats:
    ends = np.zeros((len(shares), 1))
    missing = ends + np.reshape(missing, (-1, 1))
    return np.concatenate([shares * (1 - missing), ends, missing], axis=1)


def wander(rng: np.random.Generator, steps: int, width: int, size: float, memory: float) -> Floats:
    """An AR(1) process of a given stationary standard deviation; no memory is independent movement."""
    noise = rng.normal(size=(steps, width))
    path = [noise[0]]
    for step in noise[1:]:
        path.append(memory * path[-1] + np.sqrt(1 - memory**2) * step)
    return size * np.array(path)


def drawn(rng: np.random.Generator, shares: Floats, rows: int, parts: int) -> npt.NDArray[np.int64]:
    """Counts of `rows` rows in equal parts, whose shares change in equal steps."""
    many = np.repeat(shares, max(1, parts // len(shares)), axis=0)
    counts = rng.multinomial(rows // len(many), many)
    return counts.reshape(parts, -1, counts.shape[1]).sum(axis=1)


def judged(reference: npt.NDArray[np.int64], current: npt.NDArray[np.int64]) -> tuple[float, float]:
    """The p-value and the excess of one column in one window."""
    found = compare_psi(reference, current)
    return found.p_value, found.excess


def alarmed(found: npt.NDArray[np.float64]) -> bool:
    """Whether columns of p-values and excesses, of shape (2 windows, columns, 2), raise a lasting alarm."""
    drifted, huge = (
        np.array([holm(window[:, 0].tolist(), significance) for window in found]) & (found[:, :, 1] >= limit)
        for significance, limit in (
            (POLICY.significance, POLICY.size),
            (POLICY.significance * AT_ONCE, POLICY.huge),
        )
    )
    return bool(drifted.all(axis=0).any() or huge[1].any())
