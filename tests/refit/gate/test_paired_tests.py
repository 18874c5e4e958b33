"""What the test against the champion asks for, by the policy: not worse, not worse by so much, or better."""

from __future__ import annotations

from datetime import UTC, datetime
from statistics import fmean

import numpy as np
import pytest

from refit import GatePolicy, Window
from refit.gate.evaluations import Comparison, Evaluation
from refit.gate.paired_tests import check_champion
from refit.modelling.paired_difference import compare_blocks
from refit.policies.gate import CALIBRATION_SHARE, CHANGE_SHARE, SLICES_SHARE
from refit.records.references import SnapshotRef
from refit.records.verdicts import Reason

CHAMPION = (0.80, 0.82, 0.79, 0.81, 0.83, 0.80)
NOISE = np.array([0.01, -0.02, 0.015, -0.01, 0.01, -0.005])
BETTER = GatePolicy(test="superiority")


def judged(shift: float, policy: GatePolicy, noise: np.ndarray = NOISE) -> Reason:
    window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    one, other = (_evaluation(each) for each in (CHAMPION + noise + shift, CHAMPION))
    holdout = SnapshotRef("m", 1, window, 500, "f", labelled=True)
    return check_champion(Comparison("roc_auc", holdout, one, other, other), other, policy)


def _evaluation(blocks: tuple[float, ...]) -> Evaluation:
    return Evaluation(fmean(blocks), tuple(map(float, blocks)))


def test_the_parts_of_the_error_budget_are_all_of_it() -> None:
    assert pytest.approx(1) == CHANGE_SHARE + SLICES_SHARE + CALIBRATION_SHARE


def test_the_difference_that_is_named_is_what_would_be_rejected_plus_what_chance_allows() -> None:
    reason = judged(0.0, GatePolicy())
    shown = compare_blocks(NOISE).margin(CHANGE_SHARE * 0.05) + compare_blocks(NOISE).margin(0.05)
    assert reason.passed
    assert f"worse by {shown:.3g} would pass with a probability of 5%" in reason.sentence


def test_a_significance_is_written_as_it_is() -> None:
    assert "a probability of 2.5%" in judged(0.0, GatePolicy(significance=0.025)).sentence


@pytest.mark.parametrize(("difference", "passed"), [(0.0114, True), (0.0113, False)])
def test_with_a_difference_it_must_be_ruled_out(difference: float, passed: bool) -> None:
    """The margin of six blocks at 5 % is 0.01134: less than that these rows cannot rule out."""
    reason = judged(0.0, GatePolicy(difference=difference))
    assert compare_blocks(NOISE).margin(0.05) == pytest.approx(0.01134, abs=5e-6)
    assert (reason.check, reason.passed) == ("not_worse_than_champion", passed)
    assert reason.limit == pytest.approx(compare_blocks(NOISE).margin(0.05) - difference)
    assert f"worse by less than {difference}" in reason.sentence
    assert "these rows can rule out a difference of 0.0113 at best" in reason.sentence


@pytest.mark.parametrize(("shift", "passed"), [(0.0, False), (0.012, False), (0.05, True), (-0.05, False)])
def test_superiority_asks_for_a_proof_that_lasts_for_all_cycles(shift: float, passed: bool) -> None:
    reason = judged(shift, BETTER)
    assert (reason.check, reason.passed) == ("better_than_champion", passed)
    assert reason.limit == pytest.approx(compare_blocks(NOISE).margin(0.05 / 50))


def test_one_cycle_alone_asks_for_less() -> None:
    assert judged(0.012, GatePolicy(test="superiority", cycles=1)).passed


def test_the_same_model_is_never_better() -> None:
    assert not judged(0.0, BETTER, noise=np.zeros(6)).passed


@pytest.mark.parametrize("policy", [GatePolicy(), GatePolicy(difference=1.0), BETTER])
def test_too_few_blocks_prove_nothing_by_any_test(policy: GatePolicy) -> None:
    reason = judged(1.0, policy, noise=np.array([np.nan, np.nan, 0, 0, 0, 0]))
    assert not reason.passed
    assert "cannot tell whether the challenger is" in reason.sentence
