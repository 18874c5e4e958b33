"""Rules on change: paired tests on the same unseen rows, against the champion and against a trivial model.

The bound on the second fit: the model that serves must not be worse than the one that was judged.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from refit.data.split import MIN_BLOCKS
from refit.gate.evaluations import Comparison, Evaluation
from refit.policies.gate import CHANGE_SHARE, GatePolicy
from refit.records.verdicts import Reason, finite_or_none, format_score


def check_baseline(comparison: Comparison, policy: GatePolicy) -> Reason:
    """Asks for a challenger that is better than a trivial model, where the champion is.

    Args:
        comparison: For the scores of challenger, baseline and champion.
        policy: For the test's significance.

    Returns:
        The reason.
    """
    pairs = paired_differences(comparison.challenger, comparison.baseline)
    if len(pairs) < MIN_BLOCKS:
        return undecided("beats_baseline", "better than a trivial model", comparison.metric, pairs)
    value, limit = float(pairs.mean()), margin(pairs, policy.significance)
    measured = (
        f"{comparison.metric} is {format_score(comparison.challenger.value)} against the "
        f"{format_score(comparison.baseline.value)} of a trivial model"
    )
    if _no_better_than_trivial(comparison, policy):
        return _as_good_as_trivial(measured, value, -limit)
    passed = value > limit
    sentence = (
        f"{measured}, {'' if passed else 'not '}significantly better "
        f"({value:+.3g} on average over {len(pairs)} blocks, more than {limit:+.3g} is asked for)"
    )
    return Reason("beats_baseline", passed, finite_or_none(value), finite_or_none(limit), sentence)


def _no_better_than_trivial(comparison: Comparison, policy: GatePolicy) -> bool:
    """Tells whether the champion itself is not proven better on these rows: then nothing is lost without a proof."""
    if comparison.champion is None:
        return False
    pairs = paired_differences(comparison.champion, comparison.baseline)
    return len(pairs) >= MIN_BLOCKS and bool(pairs.mean() <= margin(pairs, policy.significance))


def _as_good_as_trivial(measured: str, value: float, limit: float) -> Reason:
    passed = value >= limit
    sentence = (
        f"{measured}, {'not ' if passed else ''}significantly worse ({value:+.3g} on average, {limit:+.3g} is the "
        f"lowest allowed); on these rows the champion is not significantly better than the trivial model either"
    )
    return Reason("beats_baseline", passed, finite_or_none(value), finite_or_none(limit), sentence)


def check_champion(comparison: Comparison, champion: Evaluation, policy: GatePolicy) -> Reason:
    """Tests the challenger against the champion, for what the policy says: not worse, or better.

    Args:
        comparison: For the challenger's scores.
        champion: The champion's scores on the same rows, in the same blocks.
        policy: For the kind of test, the error budget, and the smallest difference that matters.

    Returns:
        The reason.
    """
    better = policy.test == "superiority"
    check, relation = _SUPERIORITY if better else _NON_INFERIORITY
    pairs = paired_differences(comparison.challenger, champion)
    if len(pairs) < MIN_BLOCKS:
        return undecided(check, relation, comparison.metric, pairs)
    ours, theirs = format_score(comparison.challenger.value), format_score(champion.value)
    scores = f"{comparison.metric} is {ours} against the champion's {theirs}"
    if better:
        return _better(check, scores, pairs, policy)
    return (
        _not_worse(check, scores, pairs, policy) if policy.difference is None else _near(check, scores, pairs, policy)
    )


_NON_INFERIORITY = ("not_worse_than_champion", "worse than the champion")
_SUPERIORITY = ("better_than_champion", "better than the champion")


def _not_worse(check: str, scores: str, pairs: npt.NDArray[np.float64], policy: GatePolicy) -> Reason:
    """Rejects what is significantly worse, and says how small a difference these rows can show."""
    rejects = margin(pairs, CHANGE_SHARE * policy.significance)
    shown = rejects + margin(pairs, policy.significance)
    value, passed = float(pairs.mean()), bool(pairs.mean() >= -rejects)
    sentence = (
        f"{scores}, {'not ' if passed else ''}significantly worse ({value:+.3g} on average over {len(pairs)} blocks, "
        f"{-rejects:+.3g} is the lowest allowed; one that is worse by {shown:.3g} would pass with a chance of "
        f"{100 * policy.significance:.3g}%)"
    )
    return Reason(check, passed, finite_or_none(value), finite_or_none(-rejects), sentence)


def _near(check: str, scores: str, pairs: npt.NDArray[np.float64], policy: GatePolicy) -> Reason:
    """Passes what is proven to be no worse by the smallest difference that matters (non-inferiority)."""
    difference = policy.difference or 0.0
    shown = margin(pairs, policy.significance)
    value, limit = float(pairs.mean()), shown - difference
    passed = value > limit
    sentence = (
        f"{scores}, {'' if passed else 'not '}proven to be worse by less than {difference:g} "
        f"({value:+.3g} on average over {len(pairs)} blocks, more than {limit:+.3g} is asked for; for one that is "
        f"just as good these rows can rule out {shown:.3g} at best)"
    )
    return Reason(check, passed, finite_or_none(value), finite_or_none(limit), sentence)


def _better(check: str, scores: str, pairs: npt.NDArray[np.float64], policy: GatePolicy) -> Reason:
    """Passes what is significantly better, at an equal part of the error budget for each of many retrains."""
    value, limit = float(pairs.mean()), margin(pairs, policy.significance / policy.cycles)
    passed = value > limit
    sentence = (
        f"{scores}, {'' if passed else 'not '}significantly better ({value:+.3g} on average over {len(pairs)} blocks, "
        f"more than {limit:+.3g} is asked for, so that in {policy.cycles} retrains in a row an equal one passes with a "
        f"chance of {100 * policy.significance:.3g}% at most)"
    )
    return Reason(check, passed, finite_or_none(value), finite_or_none(limit), sentence)


def note_no_champion() -> Reason:
    """Names the case without a champion, so that nobody takes it for a comparison that was passed.

    Returns:
        The reason.
    """
    sentence = "no champion yet: judged against floor and baseline alone"
    return Reason("no_champion_yet", passed=True, value=None, limit=None, sentence=sentence)


def paired_differences(one: Evaluation, other: Evaluation) -> npt.NDArray[np.float64]:
    """Gives the differences in the blocks where both have a score.

    Args:
        one: The scores of one model.
        other: Those of another, in the same blocks.

    Returns:
        One minus the other, one per block where both are finite.
    """
    differences = np.subtract(one.blocks, other.blocks)
    return differences[np.isfinite(differences)]


def undecided(check: str, relation: str, metric: str, pairs: npt.NDArray[np.float64]) -> Reason:
    """Words the case in which too few blocks have a score.

    Args:
        check: The rule.
        relation: What cannot be told of the challenger, in words.
        metric: The scorer's name.
        pairs: The differences that there are.

    Returns:
        The reason, failed.
    """
    sentence = (
        f"cannot tell whether the challenger is {relation}: {metric} is defined in {len(pairs)} blocks of time, and a "
        f"paired test needs {MIN_BLOCKS}"
    )
    return Reason(check, passed=False, value=None, limit=None, sentence=sentence)


def margin(differences: npt.NDArray[np.float64], significance: float) -> float:
    """Gives how far a mean of differences may lie from zero by chance: t(1 - a, n - 1) * s / sqrt(n).

    The differences are of paired scores in consecutive blocks of time (batch means, Conway 1963; Law and Kelton,
    Simulation Modeling and Analysis, 9.5.3): pairing removes what is hard for both models, blocks what neighbouring
    rows share. A mean beyond the margin is what a paired one-sided Student t test calls significant.

    Args:
        differences: Challenger minus the other model, one per block, two at least.
        significance: The chance that the mean of differences without a true one lies beyond the margin, on one side.

    Returns:
        The margin, in the unit of the metric; 0 where all differences are the same.

    Example:
        >>> margin(np.array([-1.0, -1.0, -1.0]), 0.05)
        0.0
    """
    count = len(differences)
    from scipy import stats

    return float(stats.t.ppf(1 - significance, count - 1) * differences.std(ddof=1) / math.sqrt(count))


def check_refit(refitted: Evaluation, comparison: Comparison, policy: GatePolicy) -> Reason:
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
    pairs = paired_differences(refitted, judged)
    if len(pairs) < MIN_BLOCKS:
        return undecided(name, "as good after the fit on all rows", metric, pairs)
    value, limit = float(pairs.mean()), -margin(pairs, policy.significance)
    passed = bool(value >= limit and math.isfinite(refitted.value))
    sentence = (
        f"fitted again on all rows, {metric} on the holdout, seen by then, is {format_score(refitted.value)} against "
        f"the judged {format_score(judged.value)}, {'not ' if passed else ''}significantly worse ({value:+.3g} on "
        f"average over {len(pairs)} blocks, {limit:+.3g} is the lowest allowed)"
    )
    return Reason(name, passed, finite_or_none(value), finite_or_none(limit), sentence)
