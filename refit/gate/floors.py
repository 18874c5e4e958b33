"""Absolute rules: enough rows, and a score that may serve whoever the champion is."""

from __future__ import annotations

import math

from refit.gate.evaluations import Comparison
from refit.policies.gate import GatePolicy
from refit.records.verdicts import Reason
from refit.records.words import digits, number


def enough_rows(comparison: Comparison, policy: GatePolicy) -> Reason:
    """Asks for a holdout large enough to conclude anything from.

    Args:
        comparison: For its number of rows.
        policy: For the fewest.

    Returns:
        The reason.
    """
    rows, limit = comparison.holdout.rows, policy.min_rows
    sentence = f"judged on {rows:,} unseen rows, at least {limit:,} are asked for"
    return Reason("enough_rows", rows >= limit, float(rows), float(limit), sentence)


def floor(comparison: Comparison, policy: GatePolicy) -> Reason:
    """Asks for a score that is a number, and at or above the floor where one is set.

    Args:
        comparison: For the challenger's score.
        policy: For the floor.

    Returns:
        The reason.
    """
    value, limit = comparison.challenger.value, policy.floor
    measured = f"{comparison.metric} is {digits(value)}"
    if limit is None or not math.isfinite(value):
        # A block with an infinite error is left out of the paired tests, so it has to fail here.
        sentence = f"{measured}, and no floor is set" if limit is None else measured
        return Reason("floor", math.isfinite(value), number(value), limit, sentence)
    passed = value >= limit
    sentence = f"{measured}, {'at or above' if passed else 'not at or above'} the floor of {digits(limit)}"
    return Reason("floor", passed, number(value), limit, sentence)
