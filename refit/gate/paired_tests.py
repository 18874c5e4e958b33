"""Paired tests: the challenger against champion and trivial model, the refitted model against the judged one."""

from __future__ import annotations

import math

import numpy as np

from refit.data.split import MIN_BLOCKS
from refit.gate.evaluations import Comparison, Evaluation
from refit.modelling.paired_difference import PairedDifference, compare_blocks, compare_contributions
from refit.modelling.scoring import loss
from refit.policies.gate import CHANGE_SHARE, GatePolicy
from refit.records.verdicts import Reason, finite_or_none, format_score

NOT_WORSE = ("not_worse_than_champion", "worse than the champion")
BETTER = ("better_than_champion", "better than the champion")


def check_baseline(comparison: Comparison, policy: GatePolicy) -> Reason:
    """Requires a challenger that is significantly better than a trivial model, if the champion is.

    Args:
        comparison: For the scores of challenger, baseline and champion.
        policy: For the test's significance.

    Returns:
        The reason; value and limit are mean differences in the metric's unit.
    """
    pairs = paired_difference(comparison.challenger, comparison.baseline)
    if not pairs.decidable:
        return undecided(
            "beats_baseline", "better than a trivial model", comparison.metric, comparison.challenger, pairs
        )
    value, limit = pairs.mean, pairs.margin(policy.significance)
    measured = (
        f"{comparison.metric} is {format_score(comparison.challenger.value)} against "
        f"{format_score(comparison.baseline.value)} for a trivial model"
    )
    if _no_better_than_trivial(comparison, policy):
        return _as_good_as_trivial(measured, value, -limit)
    passed = value > limit
    sentence = (
        f"{measured}, {'' if passed else 'not '}significantly better "
        f"({value:+.3g} on average over {pairs.count} blocks, more than {limit:+.3g} is required)"
    )
    return Reason("beats_baseline", passed, finite_or_none(value), finite_or_none(limit), sentence)


def check_champion(comparison: Comparison, champion: Evaluation, policy: GatePolicy) -> Reason:
    """Tests the challenger against the champion as the policy asks: for non-inferiority or superiority.

    Args:
        comparison: For the challenger's scores.
        champion: The champion's scores on the same rows, in the same blocks.
        policy: For the kind of test, the error budget, and the smallest difference that matters.

    Returns:
        The reason; value and limit are mean differences in the metric's unit.
    """
    better = policy.test == "superiority"
    check, relation = BETTER if better else NOT_WORSE
    pairs = paired_difference(comparison.challenger, champion)
    if not pairs.decidable:
        return undecided(check, relation, comparison.metric, comparison.challenger, pairs)
    ours, theirs = format_score(comparison.challenger.value), format_score(champion.value)
    scores = f"{comparison.metric} is {ours} against the champion's {theirs}"
    test = _superiority if better else _inferiority if policy.difference is None else _non_inferiority
    return test(check, scores, pairs, policy)


def note_no_champion() -> Reason:
    """Names the case without a champion, so that it is not mistaken for a passed comparison.

    Returns:
        The reason, passed.
    """
    sentence = "there is no champion yet, so the challenger is judged without a comparison"
    return Reason("no_champion_yet", passed=True, value=None, limit=None, sentence=sentence)


def paired_difference(one: Evaluation, other: Evaluation) -> PairedDifference:
    """Subtracts the scores of two models on the same rows.

    Args:
        one: The scores of one model.
        other: The scores of another model in the same blocks.

    Returns:
        `one` minus `other`, by the rows' contributions; by the scores of the blocks where either has none, as in
        records of former releases.
    """
    if one.contributions and other.contributions:
        return compare_contributions(one.contributions, other.contributions)
    return compare_blocks(np.subtract(one.blocks, other.blocks))


def undecided(check: str, relation: str, metric: str, one: Evaluation, pairs: PairedDifference) -> Reason:
    """Makes the reason for a test that cannot be made.

    Args:
        check: The rule's name.
        relation: What the test would show of the challenger, such as "worse than the champion".
        metric: The scorer's name.
        one: The challenger's scores, which may say why the metric is undefined.
        pairs: The differences, in fewer than five blocks.

    Returns:
        The reason, failed.
    """
    why = one.undefined or (
        f"{metric} is defined in only {pairs.count} blocks of time, and a paired test needs {MIN_BLOCKS}"
    )
    sentence = f"cannot tell whether the challenger is {relation}: {why}"
    return Reason(check, passed=False, value=None, limit=None, sentence=sentence)


def check_refit(refitted: Evaluation, comparison: Comparison, policy: GatePolicy) -> Reason:
    """Tests the model that was refitted on all rows, including the holdout, against the judged one.

    It has seen the holdout, so a good score there proves nothing. A bad one does: a model that scores significantly
    worse on rows it has seen than the judged one on unseen rows shows that the second fit has failed.

    Args:
        refitted: The refitted model's scores on the holdout.
        comparison: The judged model's scores on the same rows and blocks.
        policy: For the test's significance.

    Returns:
        The reason for `refit_not_worse`, by the gate's paired test; failed, the judged model serves instead.
    """
    name, (judged, metric) = "refit_not_worse", (comparison.challenger, comparison.metric)
    pairs = paired_difference(refitted, judged)
    if not pairs.decidable:
        return undecided(name, "as good after the fit on all rows", metric, refitted, pairs)
    value, limit = pairs.mean, -pairs.margin(policy.significance)
    harmful = pairs.is_harmful(loss(metric, judged.value), policy.harm)
    passed = bool(value >= limit and math.isfinite(refitted.value)) and not harmful
    sentence = (
        f"refitted on all rows, including the holdout, {metric} on the holdout is {format_score(refitted.value)} "
        f"against the judged {format_score(judged.value)}, {'not ' if value >= limit else ''}significantly worse "
        f"({value:+.3g} on average over {pairs.count} blocks, the limit is {limit:+.3g})"
        f"{f', and its loss rises by more than {policy.harm:.0%}' if harmful else ''}"
    )
    return Reason(name, passed, finite_or_none(value), finite_or_none(limit), sentence)


def _no_better_than_trivial(comparison: Comparison, policy: GatePolicy) -> bool:
    """Tells whether the champion itself is not significantly better on these rows, so that a challenger need not be."""
    if comparison.champion is None:
        return False
    pairs = paired_difference(comparison.champion, comparison.baseline)
    return pairs.decidable and bool(pairs.mean <= pairs.margin(policy.significance))


def _as_good_as_trivial(measured: str, value: float, limit: float) -> Reason:
    passed = value >= limit
    sentence = (
        f"{measured}, {'not ' if passed else ''}significantly worse ({value:+.3g} on average, the limit is "
        f"{limit:+.3g}); on these rows the champion is not significantly better than the trivial model either"
    )
    return Reason("beats_baseline", passed, finite_or_none(value), finite_or_none(limit), sentence)


def _inferiority(check: str, scores: str, pairs: PairedDifference, policy: GatePolicy) -> Reason:
    """Rejects a significantly worse challenger, and says how large a difference these rows can show."""
    rejects = pairs.margin(CHANGE_SHARE * policy.significance)
    shown = rejects + pairs.margin(policy.significance)
    value, passed = pairs.mean, pairs.mean >= -rejects
    sentence = (
        f"{scores}, {'not ' if passed else ''}significantly worse ({value:+.3g} on average over {pairs.count} blocks, "
        f"the limit is {-rejects:+.3g}; a challenger worse by {shown:.3g} would pass with a probability of "
        f"{100 * policy.significance:.3g}%)"
    )
    return Reason(check, passed, finite_or_none(value), finite_or_none(-rejects), sentence)


def _non_inferiority(check: str, scores: str, pairs: PairedDifference, policy: GatePolicy) -> Reason:
    """Passes a challenger that is significantly less than the smallest relevant difference worse (non-inferiority)."""
    difference = policy.difference or 0.0
    shown = pairs.margin(policy.significance)
    value, limit = pairs.mean, shown - difference
    passed = value > limit
    sentence = (
        f"{scores}, {'' if passed else 'not '}shown to be worse by less than {difference:g} "
        f"({value:+.3g} on average over {pairs.count} blocks, more than {limit:+.3g} is required; for an equally "
        f"good challenger these rows can rule out a difference of {shown:.3g} at best)"
    )
    return Reason(check, passed, finite_or_none(value), finite_or_none(limit), sentence)


def _superiority(check: str, scores: str, pairs: PairedDifference, policy: GatePolicy) -> Reason:
    """Passes a significantly better challenger, at an equal part of the error budget for each of many retrains."""
    value, limit = pairs.mean, pairs.margin(policy.significance / policy.cycles)
    passed = value > limit
    sentence = (
        f"{scores}, {'' if passed else 'not '}significantly better ({value:+.3g} on average over {pairs.count} blocks, "
        f"more than {limit:+.3g} is required, so that over {policy.cycles} retrains an equally good challenger passes "
        f"with a probability of at most {100 * policy.significance:.3g}%)"
    )
    return Reason(check, passed, finite_or_none(value), finite_or_none(limit), sentence)
