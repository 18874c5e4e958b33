"""Which changes count as drift: significant after the correction for many columns, large enough, and lasting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from refit.policies.monitoring import DriftPolicy
from refit.records.drift_findings import Drift

AT_ONCE = 0.1
"""What counts at once is tested at this share of the significance, since no second window confirms it."""
UNCALIBRATED_SIZE = 0.2
"""The smallest excess PSI that counts where natural movement is not known: what is commonly called a large shift."""
UNCALIBRATED_HUGE = 0.6
"""The excess PSI that counts at once there."""


def holm(p_values: Sequence[float], significance: float) -> list[bool]:
    """Says which of many p-values are significant together (Holm 1979, A Simple Sequentially Rejective Test Procedure).

    Args:
        p_values: One per column, however they depend on each other.
        significance: The chance that any of them counts although nothing has changed.

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
    """Gives the excess PSI that counts, and the one that counts at once.

    Args:
        policy: The project's limits.
        calibrated: Whether the reference knows its natural movement; without, the limits are 0.2 and 0.6 at least.

    Returns:
        `(size, huge)`.
    """
    if calibrated:
        return policy.size, policy.huge
    return max(policy.size, UNCALIBRATED_SIZE), max(policy.huge, UNCALIBRATED_HUGE)


def find_persistent(windows: Sequence[Drift], policy: DriftPolicy) -> tuple[str, ...]:
    """Names what drifted in k of the last n windows, or is huge in the newest.

    Args:
        windows: What each window showed, the newest last; they must not overlap, or one change would count twice.
        policy: For k and n.

    Returns:
        Names of columns, of predictions, and `(together)`, those of the newest window first.
    """
    if not windows:
        return ()
    needed, among = policy.persistence
    counts = Counter(name for found in windows[-among:] for name in found.drifted)
    newest = windows[-1]
    names = dict.fromkeys((*newest.drifted, *newest.huge, *counts))
    return tuple(name for name in names if counts[name] >= needed or name in newest.huge)
