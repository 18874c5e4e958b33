"""Drift alarms: the correction for many columns, the limits of the size, and persistence over windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from refit.policies.monitoring import DriftPolicy
from refit.records.drift_findings import Drift

AT_ONCE = 0.1
"""The share of the significance for a huge change, which counts without the confirmation of a second window."""
UNCALIBRATED_SIZE = 0.2
"""The smallest excess PSI that counts if natural movement is unknown: by convention a large shift."""
UNCALIBRATED_HUGE = 0.6
"""The excess PSI that is huge if natural movement is unknown."""


def holm(p_values: Sequence[float], significance: float) -> list[bool]:
    """Tests many p-values together, step by step (Holm 1979, A Simple Sequentially Rejective Test Procedure).

    Args:
        p_values: One per column; they may depend on each other.
        significance: The probability that any is significant although nothing has changed.

    Returns:
        Whether each is significant.

    Example:
        >>> holm([0.004, 0.2, 0.003, 0.03], 0.01)
        [False, False, False, False]
        >>> holm([0.004, 0.2, 0.002, 0.03], 0.01)
        [False, False, True, False]
    """
    order = np.argsort(p_values, kind="stable")
    limits = significance / np.arange(len(order), 0, -1)
    passed = np.logical_and.accumulate(np.asarray(p_values)[order] <= limits)
    found = np.zeros(len(order), bool)
    found[order] = passed
    return [bool(each) for each in found]


def size_limits(policy: DriftPolicy, *, calibrated: bool) -> tuple[float, float]:
    """Returns the excess PSI that counts as drift, and the one that is huge.

    Args:
        policy: The project's limits.
        calibrated: Whether the reference's natural movement is known; if not, the limits are at least 0.2 and 0.6.

    Returns:
        `(size, huge)`.
    """
    if calibrated:
        return policy.size, policy.huge
    return max(policy.size, UNCALIBRATED_SIZE), max(policy.huge, UNCALIBRATED_HUGE)


def find_persistent(windows: Sequence[Drift], policy: DriftPolicy) -> tuple[str, ...]:
    """Finds what drifted in k of the last n windows, or by a huge amount in the newest.

    Args:
        windows: The drift in each window, the newest last; they must not overlap, or one change would count twice.
        policy: For k and n.

    Returns:
        The names of columns and predictions, and `(together)`, those of the newest window first.
    """
    if not windows:
        return ()
    needed, among = policy.persistence
    counts = Counter(name for found in windows[-among:] for name in found.drifted)
    newest = windows[-1]
    names = dict.fromkeys((*newest.drifted, *newest.huge, *counts))
    return tuple(name for name in names if counts[name] >= needed or name in newest.huge)
