"""The bound on the second fit: the model that serves must not be worse than the one that was judged."""

from __future__ import annotations

import math

from refit.data.blocks import MIN_BLOCKS
from refit.gate.evaluations import Comparison, Evaluation
from refit.gate.paired_tests import cannot_tell, margin, pairs_of
from refit.policies.gate import GatePolicy
from refit.records.verdicts import Reason
from refit.records.words import digits, number


def bound_refit(refitted: Evaluation, comparison: Comparison, policy: GatePolicy) -> Reason:
    """Judges the model that was fitted again on all rows, the holdout included, against the judged one.

    It has seen the holdout, so that a good score there proves nothing. A bad one does: a recipe that scores
    significantly worse on rows it has seen than on rows it had not has come to grief in the second fit.

    Args:
        refitted: What it scored on the holdout.
        comparison: What the judged model scored on the same rows, in the same blocks.
        policy: For the test's significance.

    Returns:
        Whether it may serve in place of the judged one, by the gate's paired test.
    """
    name, (judged, metric) = "refit_not_worse", (comparison.challenger, comparison.metric)
    pairs = pairs_of(refitted, judged)
    if len(pairs) < MIN_BLOCKS:
        return cannot_tell(name, "as good after the fit on all rows", metric, pairs)
    value, limit = float(pairs.mean()), -margin(pairs, policy.significance)
    passed = bool(value >= limit and math.isfinite(refitted.value))
    sentence = (
        f"fitted again on all rows, {metric} on the holdout, seen by then, is {digits(refitted.value)} against the "
        f"judged {digits(judged.value)}, {'not ' if passed else ''}significantly worse ({value:+.3g} on average over "
        f"{len(pairs)} blocks, {limit:+.3g} is the lowest allowed)"
    )
    return Reason(name, passed, number(value), number(limit), sentence)
