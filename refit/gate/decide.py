"""The verdict: every rule of the gate, whether it passes or not."""

from __future__ import annotations

from collections.abc import Iterator

from refit.gate.calibration import calibrated
from refit.gate.evaluations import Comparison
from refit.gate.evidence import Rehearsal
from refit.gate.fairness import fairness
from refit.gate.leakage import forbidden_features, inputs, leakage
from refit.gate.paired_tests import against_champion, beats_baseline, no_champion_yet
from refit.gate.sanity import answers, enough_rows, floor, newer_rows, not_the_champion, unseen_rows
from refit.gate.serving_parity import latency, load_time, parity, size
from refit.gate.slices import slices_not_worse
from refit.policies.gate import GatePolicy
from refit.records.verdicts import Reason, Verdict


def decide(comparison: Comparison, policy: GatePolicy) -> Verdict:
    """Judges a challenger by every rule of the gate.

    A rule whose evidence was not measured is left out: records of a version that did not know the rule are judged again
    as they were.

    Args:
        comparison: What challenger, champion and baseline showed on the same unseen rows.
        policy: The project's limits.

    Returns:
        The verdict, with a reason for each rule whether it passed or not.
    """
    return Verdict(tuple(_reasons(comparison, policy)))


def _reasons(comparison: Comparison, policy: GatePolicy) -> Iterator[Reason]:
    yield enough_rows(comparison, policy)
    yield floor(comparison, policy)
    yield beats_baseline(comparison, policy)
    yield against_champion(comparison, comparison.champion, policy) if comparison.champion else no_champion_yet()
    yield from _measured(comparison, policy)


def _measured(comparison: Comparison, policy: GatePolicy) -> Iterator[Reason]:
    found = comparison.evidence
    if found.standing:
        yield unseen_rows(found.standing)
        yield newer_rows(found.standing)
        yield not_the_champion(found.standing)
    if found.answers:
        yield answers(found.answers)
    if found.inputs:
        yield inputs(found.inputs)
        yield forbidden_features(found.inputs, policy)
        yield leakage(found.inputs, policy)
    if found.calibration:
        yield calibrated(found.calibration, policy)
    if found.slices is not None:
        yield slices_not_worse(found.slices, policy, with_champion=comparison.champion is not None)
    if found.fairness and policy.fairness:
        yield fairness(found.fairness, policy.fairness)
    if found.rehearsal:
        yield from rehearsed(found.rehearsal, policy)


def rehearsed(rehearsal: Rehearsal, policy: GatePolicy) -> Iterator[Reason]:
    """Judges how a stored model serves, by every rule on that.

    Args:
        rehearsal: What came of it in a fresh process.
        policy: For the budgets.

    Yields:
        The reasons.
    """
    yield parity(rehearsal)
    yield latency(rehearsal, policy.budgets)
    yield size(rehearsal, policy.budgets)
    yield load_time(rehearsal, policy.budgets)
