"""A/A: how often an equal challenger is rejected by the whole gate, and a worse one is let through; by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from refit import GatePolicy
from refit.gate.decide import decide
from refit.gate.evaluations import Comparison, Evaluation
from tests.support.simulated_challengers import (
    BLOCKS,
    HOLDOUT,
    REPEATS,
    classified,
    errors,
    evidence_of,
    noisy,
    verdict,
)
from tests.support.simulation_sizes import at_most, sizes

CORRELATED = pytest.mark.parametrize("correlation", [0.0, 0.8], ids=["independent rows", "rows that hang together"])


@CORRELATED
def test_a_challenger_worse_by_the_smallest_difference_passes_in_at_most_five_percent(correlation: float) -> None:
    rng, policy = np.random.default_rng(1), GatePolicy(difference=0.05)
    passed = sum(verdict(*errors(rng, correlation, worse=0.05), policy) for _ in range(REPEATS))
    assert passed <= REPEATS * at_most(0.05, REPEATS)


@CORRELATED
def test_the_difference_that_is_named_by_default_is_one_that_passes_in_at_most_five_percent(correlation: float) -> None:
    """By default each verdict names the difference that its rows can show; its median over many is planted here."""
    rng, named = np.random.default_rng(2), []
    for _ in range(100):
        one, other = errors(rng, correlation)
        scores = [Evaluation(0.0, tuple(-each[block].mean() for block in BLOCKS)) for each in (one, other)]
        found = decide(
            Comparison("neg_mean_absolute_error", HOLDOUT, scores[0], scores[1], scores[1]), GatePolicy()
        ).reasons[3]
        named.append(float(found.sentence.partition("worse by ")[2].partition(" would")[0]))
    planted = float(np.median(named))
    passed = sum(verdict(*errors(rng, correlation, worse=planted), GatePolicy()) for _ in range(REPEATS))
    assert passed <= REPEATS * at_most(0.05, REPEATS)


@sizes(100)
@CORRELATED
def test_with_superiority_an_equal_challenger_passes_in_five_percent_of_series_of_fifty(
    correlation: float, repeats: int
) -> None:
    """5,000 retrains at full size: 100 series of 50 cycles."""
    rng, policy = np.random.default_rng(3), GatePolicy(test="superiority")
    promoted = np.array([verdict(*errors(rng, correlation), policy) for _ in range(50 * repeats)]).reshape(-1, 50)
    assert promoted.mean() <= at_most(0.05 / 50, 50 * repeats)
    assert promoted.any(axis=1).mean() <= at_most(0.05, repeats)


def test_with_superiority_one_cycle_alone_keeps_its_five_percent() -> None:
    rng, policy = np.random.default_rng(4), GatePolicy(test="superiority", cycles=1)
    promoted = np.mean([verdict(*errors(rng, 0.0), policy) for _ in range(REPEATS)])
    assert 0.02 <= promoted <= at_most(0.05, REPEATS)


def test_with_superiority_a_clearly_better_one_passes_all_the_same() -> None:
    rng, policy = np.random.default_rng(5), GatePolicy(test="superiority")
    assert np.mean([verdict(*errors(rng, 0.0, worse=-0.08), policy) for _ in range(200)]) >= 0.95


@sizes(REPEATS)
@CORRELATED
def test_an_equal_challenger_is_rejected_by_all_tests_together_in_at_most_five_percent(
    correlation: float, repeats: int
) -> None:
    rng, policy, rejected = np.random.default_rng(6), GatePolicy(), 0
    for _ in range(repeats):
        truth, chance, places = classified(rng, correlation=correlation)
        said, other = noisy(rng, chance, correlation / 2), noisy(rng, chance, correlation / 2)
        losses = [(each - truth.to_numpy()) ** 2 for each in (said, other)]
        rejected += not verdict(*losses, policy, evidence_of(truth, said, other, places))
    assert rejected <= repeats * at_most(0.05, repeats)
