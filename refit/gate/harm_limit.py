"""The limit on harm: a rise of the loss that is large and no chance of single rows, though a t test cannot see it.

A t test over blocks never finds harm that one block in forty has, however large: the block raises the standard error as
much as the mean. The absence of significance is no evidence of no harm, so the size of the rise is limited as well.
"""

from __future__ import annotations

import math

import numpy as np

from refit.gate.evaluations import Comparison, Evaluation
from refit.gate.paired_tests import paired_difference
from refit.modelling import scoring
from refit.modelling.paired_difference import PairedDifference
from refit.policies.gate import GatePolicy
from refit.records.verdicts import Reason, finite_or_none


def check_harm(comparison: Comparison, champion: Evaluation, policy: GatePolicy) -> Reason | None:
    """Limits the rise of the loss over the champion's, also where few blocks of time have all of it.

    Args:
        comparison: For the challenger's scores.
        champion: The champion's scores on the same rows.
        policy: For the limit.

    Returns:
        The reason, whose value is the rise as a share of the champion's loss; `None` without a limit or a measure.
    """
    pairs = paired_difference(comparison.challenger, champion)
    if policy.harm is None or pairs.robust is None or not pairs.decidable:
        return None
    loss = scoring.loss(comparison.metric, champion.value)
    rise = -pairs.mean / loss if loss > 0 else math.copysign(math.inf, -pairs.mean) if pairs.mean else 0.0
    passed = not pairs.is_harmful(loss, policy.harm)
    sentence = f"{_describe_rise(rise, policy.harm, passed=passed)}; {describe_worst(pairs, loss)}"
    return Reason("harm", passed, finite_or_none(rise), policy.harm, sentence)


def describe_worst(pairs: PairedDifference, loss: float) -> str:
    """Describes the block of time in which a model is worst compared with the other.

    Args:
        pairs: One model minus the other.
        loss: The other model's loss.

    Returns:
        A clause.
    """
    worst = int(np.argmin(pairs.blocks))
    size = f"{-pairs.blocks[worst]:.3g}" + (
        f", {-pairs.blocks[worst] / loss:.1f} times its whole loss" if loss > 0 else ""
    )
    if pairs.blocks[worst] >= 0:
        return f"it is higher in none of {pairs.count} blocks of time"
    return f"it rises most in block {worst + 1} of {pairs.count}, by {size}"


def _describe_rise(rise: float, limit: float, *, passed: bool) -> str:
    if rise <= 0:
        return "its loss is not higher than the champion's"
    told = f"its loss is {rise:.1%} higher than the champion's, the limit is {limit:.0%}"
    if passed and rise > limit:
        return f"{told}, but rows like these differ as much by chance"
    return told if passed else f"{told}, and rows like these differ by less"
