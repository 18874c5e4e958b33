"""The gate: which challenger may serve."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import stats

from refit.blocks import MIN_BLOCKS
from refit.evaluations import Comparison, Evaluation
from refit.policies import GatePolicy
from refit.verdicts import Reason, Verdict


def decide(comparison: Comparison, policy: GatePolicy) -> Verdict:
    """Judges a challenger by every rule of the gate.

    Args:
        comparison: What challenger, champion and baseline scored on the same unseen rows.
        policy: The project's limits.

    Returns:
        The verdict, with a reason for each rule whether it passed or not.
    """
    champion = comparison.champion
    return Verdict(
        (
            _enough_rows(comparison, policy),
            _floor(comparison, policy),
            _beats_baseline(comparison, policy),
            _not_worse_than_champion(comparison, champion, policy) if champion else _no_champion_yet(),
        )
    )


def _enough_rows(comparison: Comparison, policy: GatePolicy) -> Reason:
    rows, limit = comparison.holdout.rows, policy.min_rows
    sentence = f"judged on {rows:,} unseen rows, at least {limit:,} are asked for"
    return Reason("enough_rows", rows >= limit, float(rows), float(limit), sentence)


def _floor(comparison: Comparison, policy: GatePolicy) -> Reason:
    value, limit = comparison.challenger.value, policy.floor
    measured = f"{comparison.metric} is {_digits(value)}"
    if limit is None:
        return Reason(
            "floor", passed=True, value=_number(value), limit=None, sentence=f"{measured}, and no floor is set"
        )
    passed = value >= limit
    sentence = f"{measured}, {'at or above' if passed else 'not at or above'} the floor of {_digits(limit)}"
    return Reason("floor", passed, _number(value), limit, sentence)


def _beats_baseline(comparison: Comparison, policy: GatePolicy) -> Reason:
    difference = comparison.challenger.value - comparison.baseline.value
    pairs = _pairs(comparison.challenger, comparison.baseline)
    if len(pairs) < MIN_BLOCKS:
        return _cannot_tell("beats_baseline", "better than a trivial model", comparison.metric, difference, pairs)
    # The lower bound of the differences is minus the upper bound of their negatives.
    limit = difference + upper_bound(-pairs, policy.significance)
    passed = difference > limit
    sentence = (
        f"{comparison.metric} is {_digits(comparison.challenger.value)} against the "
        f"{_digits(comparison.baseline.value)} of a trivial model, {'' if passed else 'not '}significantly better "
        f"(difference {difference:+.3g}, more than {limit:+.3g} is asked for, {len(pairs)} blocks)"
    )
    return Reason("beats_baseline", passed, _number(difference), _number(limit), sentence)


def _not_worse_than_champion(comparison: Comparison, champion: Evaluation, policy: GatePolicy) -> Reason:
    difference = comparison.challenger.value - champion.value
    pairs = _pairs(comparison.challenger, champion)
    if len(pairs) < MIN_BLOCKS:
        return _cannot_tell("not_worse_than_champion", "worse than the champion", comparison.metric, difference, pairs)
    limit = difference - upper_bound(pairs, policy.significance)
    passed = difference >= limit
    sentence = (
        f"{comparison.metric} is {_digits(comparison.challenger.value)} against the champion's "
        f"{_digits(champion.value)}, {'not significantly' if passed else 'significantly'} worse "
        f"(difference {difference:+.3g}, lowest allowed {limit:+.3g}, {len(pairs)} blocks)"
    )
    return Reason("not_worse_than_champion", passed, _number(difference), _number(limit), sentence)


def _pairs(one: Evaluation, other: Evaluation) -> np.ndarray:
    """The differences in the blocks where both have a score."""
    differences = np.subtract(one.blocks, other.blocks)
    return differences[np.isfinite(differences)]


def _cannot_tell(check: str, relation: str, metric: str, difference: float, pairs: np.ndarray) -> Reason:
    sentence = (
        f"cannot tell whether the challenger is {relation}: {metric} is defined in {len(pairs)} blocks of time, and a "
        f"paired test needs {MIN_BLOCKS}"
    )
    return Reason(check, passed=False, value=_number(difference), limit=None, sentence=sentence)


def _no_champion_yet() -> Reason:
    sentence = "no champion yet: judged against floor and baseline alone"
    return Reason("no_champion_yet", passed=True, value=None, limit=None, sentence=sentence)


def upper_bound(differences: npt.NDArray[np.float64], significance: float) -> float:
    """Gives the one-sided upper confidence bound of a mean difference: the mean plus t(1 - a, n - 1) * s / sqrt(n).

    The differences are of paired scores in consecutive blocks of time (batch means, Conway 1963; Law and Kelton,
    Simulation Modeling and Analysis, 9.5.3): pairing removes what is hard for both models, blocks what neighbouring
    rows share. A bound below zero is a paired one-sided t test that rejects "not worse".

    Args:
        differences: Challenger minus champion, one per block, two at least.
        significance: The chance that the bound of a mean of zero lies below zero.

    Returns:
        The bound, in the unit of the metric.

    Example:
        >>> upper_bound(np.array([-1.0, -1.0, -1.0]), 0.05)
        -1.0
    """
    count = len(differences)
    margin = stats.t.ppf(1 - significance, count - 1) * differences.std(ddof=1) / math.sqrt(count)
    return float(differences.mean() + margin)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _digits(value: float) -> str:
    return "not defined on these rows" if math.isnan(value) else f"{value:.4g}"
