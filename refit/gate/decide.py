"""The verdict on a challenger: every rule of the gate, passed or not."""

from __future__ import annotations

from collections.abc import Iterator

from refit.gate.calibration import check_calibration
from refit.gate.evaluations import Comparison
from refit.gate.evidence import SandboxRun
from refit.gate.fairness import check_fairness
from refit.gate.harm_limit import check_harm
from refit.gate.leakage import check_forbidden_features, check_inputs, check_leakage
from refit.gate.paired_tests import check_baseline, check_champion, note_no_champion
from refit.gate.sanity import (
    check_enough_rows,
    check_floor,
    check_newer_rows,
    check_not_the_champion,
    check_predictions,
    check_unseen_rows,
)
from refit.gate.serving_parity import check_latency, check_load_time, check_parity, check_size
from refit.gate.slices import check_slices
from refit.policies.gate import GatePolicy
from refit.records.verdicts import Reason, Verdict


def decide(comparison: Comparison, policy: GatePolicy) -> Verdict:
    """Judges a challenger by every rule of the gate.

    A rule whose evidence was not measured is left out, so that a record of a release without that rule leads to the
    verdict it led to then.

    Args:
        comparison: Scores and evidence of challenger, champion and baseline on the same unseen rows.
        policy: The project's limits.

    Returns:
        The verdict, with one reason for each rule.
    """
    return Verdict(tuple(_reasons(comparison, policy)))


def _reasons(comparison: Comparison, policy: GatePolicy) -> Iterator[Reason]:
    yield check_enough_rows(comparison, policy)
    yield check_floor(comparison, policy)
    yield check_baseline(comparison, policy)
    yield check_champion(comparison, comparison.champion, policy) if comparison.champion else note_no_champion()
    harm = check_harm(comparison, comparison.champion, policy) if comparison.champion else None
    if harm:
        yield harm
    yield from _evidence_reasons(comparison, policy)


def _evidence_reasons(comparison: Comparison, policy: GatePolicy) -> Iterator[Reason]:
    found = comparison.evidence
    if found.standing:
        yield check_unseen_rows(found.standing)
        yield check_newer_rows(found.standing)
        yield check_not_the_champion(found.standing)
    if found.answers:
        yield check_predictions(found.answers)
    if found.inputs:
        yield check_inputs(found.inputs)
        yield check_forbidden_features(found.inputs, policy)
        yield check_leakage(found.inputs, policy)
    if found.calibration:
        yield check_calibration(found.calibration, policy)
    if found.slices is not None:
        yield check_slices(found.slices, policy, with_champion=comparison.champion is not None)
    if found.fairness and policy.fairness:
        yield check_fairness(found.fairness, policy.fairness)
    if found.rehearsal:
        yield from check_serving(found.rehearsal, policy)


def check_serving(rehearsal: SandboxRun, policy: GatePolicy) -> Iterator[Reason]:
    """Judges a stored model by its run in a fresh process.

    Args:
        rehearsal: The result of that run.
        policy: For the budgets.

    Yields:
        The reasons for `parity`, `latency`, `size` and `load_time`.
    """
    yield check_parity(rehearsal)
    yield check_latency(rehearsal, policy.budgets)
    yield check_size(rehearsal, policy.budgets)
    yield check_load_time(rehearsal, policy.budgets)
