"""The verdict: every rule of the gate, whether it passes or not."""

from __future__ import annotations

from collections.abc import Iterator

from refit.evaluations import Comparison
from refit.gate.change import beats_baseline, no_champion_yet, not_worse_than_champion
from refit.gate.floors import enough_rows, floor
from refit.gate.policies import GatePolicy
from refit.verdicts import Reason, Verdict


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
    champion = comparison.champion
    yield enough_rows(comparison, policy)
    yield floor(comparison, policy)
    yield beats_baseline(comparison, policy)
    yield not_worse_than_champion(comparison, champion, policy) if champion else no_champion_yet()
