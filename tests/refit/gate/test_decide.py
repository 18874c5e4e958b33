import math
from dataclasses import replace
from datetime import UTC, datetime
from statistics import fmean, stdev

import pytest

from refit import GatePolicy, Window
from refit.gate.decide import decide
from refit.gate.evaluations import Comparison, Evaluation
from refit.records.references import SnapshotRef
from refit.records.verdicts import Verdict

CHECKS = ["enough_rows", "floor", "beats_baseline", "not_worse_than_champion"]


def comparison(challenger, champion=None, baseline=0.5, rows=500):
    window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    return Comparison(
        metric="roc_auc",
        holdout=SnapshotRef("m", 1, window, rows, "f", labelled=True),
        challenger=evaluation(challenger),
        baseline=Evaluation(baseline, (baseline,) * len(challenger)),
        champion=None if champion is None else evaluation(champion),
    )


def evaluation(blocks):
    defined = [score for score in blocks if not math.isnan(score)]
    return Evaluation(fmean(defined) if defined else math.nan, tuple(blocks))


def reasons(verdict):
    return {reason.check: reason for reason in verdict.reasons}


def last(challenger, champion):
    return decide(comparison(challenger, champion), GatePolicy()).reasons[-1]


GOOD = (0.80, 0.82, 0.79, 0.81, 0.83, 0.80)
NAN = math.nan


def test_every_rule_is_named_whatever_its_outcome():
    bad = decide(comparison((0.3,) * 6, GOOD, rows=10), GatePolicy(floor=0.7))
    assert [reason.check for reason in bad.reasons] == CHECKS
    assert not any(reason.passed for reason in bad.reasons)
    good = decide(comparison(GOOD, GOOD), GatePolicy(floor=0.7))
    assert [reason.check for reason in good.reasons] == CHECKS
    assert good.promote


@pytest.mark.parametrize(("rows", "passed"), [(49, False), (50, True)])
def test_a_verdict_needs_rows(rows, passed):
    reason = reasons(decide(comparison(GOOD, rows=rows), GatePolicy()))["enough_rows"]
    assert (reason.passed, reason.value, reason.limit) == (passed, rows, 50)


@pytest.mark.parametrize(("floor", "passed"), [(None, True), (0.8, True), (0.801, False)])
def test_the_floor_is_absolute(floor, passed):
    reason = reasons(decide(comparison((0.8,) * 6), GatePolicy(floor=floor)))["floor"]
    assert (reason.passed, reason.limit) == (passed, floor)
    assert reason.value == pytest.approx(0.8)


@pytest.mark.parametrize(("baseline", "passed"), [(0.79, True), (0.8, False), (0.81, False)])
def test_the_baseline_must_be_beaten(baseline, passed):
    verdict = decide(comparison((0.8,) * 5, baseline=baseline), GatePolicy())
    assert reasons(verdict)["beats_baseline"].passed is passed
    assert verdict.promote is passed


@pytest.mark.parametrize(
    ("challenger", "champion", "passed"),
    [
        ((0.49, 0.51, 0.5, 0.52, 0.49), (0.45, 0.5, 0.44, 0.51, 0.42), True),  # neither has skill: nothing is lost
        ((0.49, 0.51, 0.5, 0.52, 0.49), (0.8, 0.82, 0.79, 0.81, 0.8), False),  # the champion has
        ((0.41, 0.43, 0.4, 0.42, 0.41), (0.45, 0.5, 0.44, 0.51, 0.42), False),  # worse than a trivial model
    ],
)
def test_where_the_champion_has_no_skill_it_is_enough_not_to_be_worse_than_trivial(challenger, champion, passed):
    reason = reasons(decide(comparison(challenger, champion), GatePolicy()))["beats_baseline"]
    assert reason.passed is passed
    assert ("either" in reason.sentence) is (champion[0] < 0.5)


def test_no_champion_yet_is_a_case_of_its_own():
    verdict = decide(comparison(GOOD), GatePolicy())
    reason = reasons(verdict)["no_champion_yet"]
    assert (reason.passed, reason.value, reason.limit) == (True, None, None)
    assert "no champion yet" in str(verdict)


def test_identical_models_pass_with_a_difference_of_zero():
    reason = last(GOOD, GOOD)
    assert (reason.passed, reason.value, reason.limit) == (True, 0, 0)


@pytest.mark.parametrize(("shift", "passed"), [(-0.01, False), (0.01, True)])
def test_a_constant_difference_decides_by_its_sign(shift, passed):
    assert last([score + shift for score in GOOD], GOOD).passed is passed


def test_a_difference_within_the_noise_passes_and_one_beyond_it_does_not():
    noise = (0.01, -0.02, 0.015, -0.01, 0.0, -0.005)
    for shift, passed in ((-0.005, True), (-0.03, False)):
        reason = last([score + each + shift for score, each in zip(GOOD, noise, strict=True)], GOOD)
        assert reason.passed is passed
        assert (reason.value >= reason.limit) is passed
        assert reason.limit == pytest.approx(-2.4216 * stdev(noise) / math.sqrt(6), rel=1e-3)


def test_blocks_that_only_one_of_them_has_are_left_out_in_pairs():
    reason = last((*GOOD, 0.1, NAN), (*GOOD, NAN, 0.9))
    assert reason.passed
    assert "6 blocks" in reason.sentence


def test_too_few_pairs_are_no_proof():
    reason = last((*GOOD[:4], NAN), GOOD[:5])
    assert not reason.passed
    assert reason.limit is None
    assert "defined in only 4 blocks of time, and a paired test needs 5" in reason.sentence


def test_a_metric_that_is_not_defined_promotes_nothing():
    verdict = decide(comparison((NAN,) * 6, GOOD), GatePolicy(floor=0.5))
    assert [reason.check for reason in verdict.reasons if reason.passed] == ["enough_rows"]
    assert all(reason.value is None for reason in verdict.reasons[1:])
    assert "roc_auc is not defined on these rows" in str(verdict)


def test_an_infinite_error_in_one_block_promotes_nothing():
    scored = comparison(GOOD, GOOD)
    broken = Evaluation(-math.inf, (*GOOD[:5], -math.inf))
    for policy in (GatePolicy(), GatePolicy(floor=0.1)):
        verdict = decide(replace(scored, challenger=broken), policy)
        assert [reason.check for reason in verdict.reasons if not reason.passed] == ["floor"]


def test_a_stricter_significance_allows_more():
    noise = (0.01, -0.02, 0.015, -0.01, 0.0, -0.005)
    pair = comparison([score + each - 0.014 for score, each in zip(GOOD, noise, strict=True)], GOOD)
    assert not decide(pair, GatePolicy(significance=0.05)).promote
    assert decide(pair, GatePolicy(significance=0.01)).promote


def test_a_verdict_of_a_former_release_is_equal_in_other_words() -> None:
    verdict = decide(comparison(GOOD, GOOD), GatePolicy())
    former = Verdict(tuple(replace(reason, sentence="as a former release worded it") for reason in verdict.reasons))
    assert former == verdict
    assert Verdict((replace(verdict.reasons[0], passed=False), *verdict.reasons[1:])) != verdict
