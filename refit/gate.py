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
    if limit is None or not math.isfinite(value):
        # A block with an infinite error is left out of the paired tests, so it has to fail here.
        sentence = f"{measured}, and no floor is set" if limit is None else measured
        return Reason("floor", math.isfinite(value), _number(value), limit, sentence)
    passed = value >= limit
    sentence = f"{measured}, {'at or above' if passed else 'not at or above'} the floor of {_digits(limit)}"
    return Reason("floor", passed, _number(value), limit, sentence)


def _beats_baseline(comparison: Comparison, policy: GatePolicy) -> Reason:
    pairs = _pairs(comparison.challenger, comparison.baseline)
    if len(pairs) < MIN_BLOCKS:
        return _cannot_tell("beats_baseline", "better than a trivial model", comparison.metric, pairs)
    value, limit = float(pairs.mean()), margin(pairs, policy.significance)
    measured = (
        f"{comparison.metric} is {_digits(comparison.challenger.value)} against the "
        f"{_digits(comparison.baseline.value)} of a trivial model"
    )
    if _no_better_than_trivial(comparison, policy):
        return _as_good_as_trivial(measured, value, -limit)
    passed = value > limit
    sentence = (
        f"{measured}, {'' if passed else 'not '}significantly better "
        f"({value:+.3g} on average over {len(pairs)} blocks, more than {limit:+.3g} is asked for)"
    )
    return Reason("beats_baseline", passed, _number(value), _number(limit), sentence)


def _no_better_than_trivial(comparison: Comparison, policy: GatePolicy) -> bool:
    """Tells whether the champion itself is not proven better on these rows: then nothing is lost without a proof."""
    if comparison.champion is None:
        return False
    pairs = _pairs(comparison.champion, comparison.baseline)
    return len(pairs) >= MIN_BLOCKS and bool(pairs.mean() <= margin(pairs, policy.significance))


def _as_good_as_trivial(measured: str, value: float, limit: float) -> Reason:
    passed = value >= limit
    sentence = (
        f"{measured}, {'not ' if passed else ''}significantly worse ({value:+.3g} on average, {limit:+.3g} is the "
        f"lowest allowed); on these rows the champion is not significantly better than the trivial model either"
    )
    return Reason("beats_baseline", passed, _number(value), _number(limit), sentence)


def _not_worse_than_champion(comparison: Comparison, champion: Evaluation, policy: GatePolicy) -> Reason:
    pairs = _pairs(comparison.challenger, champion)
    if len(pairs) < MIN_BLOCKS:
        return _cannot_tell("not_worse_than_champion", "worse than the champion", comparison.metric, pairs)
    value, limit = float(pairs.mean()), -margin(pairs, policy.significance)
    passed = value >= limit
    sentence = (
        f"{comparison.metric} is {_digits(comparison.challenger.value)} against the champion's "
        f"{_digits(champion.value)}, {'not ' if passed else ''}significantly worse "
        f"({value:+.3g} on average over {len(pairs)} blocks, {limit:+.3g} is the lowest allowed)"
    )
    return Reason("not_worse_than_champion", passed, _number(value), _number(limit), sentence)


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
    pairs = _pairs(refitted, judged)
    if len(pairs) < MIN_BLOCKS:
        return _cannot_tell(name, "as good after the fit on all rows", metric, pairs)
    value, limit = float(pairs.mean()), -margin(pairs, policy.significance)
    passed = bool(value >= limit and math.isfinite(refitted.value))
    sentence = (
        f"fitted again on all rows, {metric} on the holdout, seen by then, is {_digits(refitted.value)} against the "
        f"judged {_digits(judged.value)}, {'not ' if passed else ''}significantly worse ({value:+.3g} on average over "
        f"{len(pairs)} blocks, {limit:+.3g} is the lowest allowed)"
    )
    return Reason(name, passed, _number(value), _number(limit), sentence)


def _pairs(one: Evaluation, other: Evaluation) -> npt.NDArray[np.float64]:
    """The differences in the blocks where both have a score."""
    differences = np.subtract(one.blocks, other.blocks)
    return differences[np.isfinite(differences)]


def _cannot_tell(check: str, relation: str, metric: str, pairs: npt.NDArray[np.float64]) -> Reason:
    sentence = (
        f"cannot tell whether the challenger is {relation}: {metric} is defined in {len(pairs)} blocks of time, and a "
        f"paired test needs {MIN_BLOCKS}"
    )
    return Reason(check, passed=False, value=None, limit=None, sentence=sentence)


def _no_champion_yet() -> Reason:
    sentence = "no champion yet: judged against floor and baseline alone"
    return Reason("no_champion_yet", passed=True, value=None, limit=None, sentence=sentence)


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
    return float(stats.t.ppf(1 - significance, count - 1) * differences.std(ddof=1) / math.sqrt(count))


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _digits(value: float) -> str:
    return "not defined on these rows" if math.isnan(value) else f"{value:.4g}"
