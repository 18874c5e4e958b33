"""How often the gate errs, by simulation: seeded, so that a change of the test shows as a failure here."""

import math
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter
from scipy.stats import rankdata

from refit import GatePolicy, Window
from refit.data.split import time_blocks
from refit.gate.decide import decide
from refit.gate.evaluations import Comparison, Evaluation
from refit.gate.paired_tests import check_refit
from refit.records.references import SnapshotRef
from tests.support.simulation_sizes import at_most, sizes

REPEATS = 1_000
AT_MOST = at_most(0.05, REPEATS)
WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


def rejected(metric, challenger, champion, rows):
    """The share of repetitions, one per row of block scores, in which the champion rule rejects the challenger."""
    holdout, trivial = SnapshotRef("m", 1, WINDOW, rows, "f", labelled=True), np.full(challenger.shape[1], -1e6)
    verdicts = (
        decide(Comparison(metric, holdout, evaluation(one), evaluation(trivial), evaluation(other)), GatePolicy())
        for one, other in zip(challenger, champion, strict=True)
    )
    return np.mean([not verdict.promote for verdict in verdicts])


def first_promoted(metric, challenger, baseline, rows):
    """The share of repetitions in which a challenger is promoted as the first champion."""
    holdout = SnapshotRef("m", 1, WINDOW, rows, "f", labelled=True)
    verdicts = (
        decide(Comparison(metric, holdout, evaluation(one), evaluation(other), None), GatePolicy())
        for one, other in zip(challenger, baseline, strict=True)
    )
    return np.mean([verdict.promote for verdict in verdicts])


def evaluation(scores):
    return Evaluation(float(np.nanmean(scores)), tuple(scores.tolist()))


def slices(rows):
    return time_blocks(pd.Series(pd.date_range(WINDOW.start, periods=rows, freq="h")))


def series(rng, rows, correlation, repeats=REPEATS):
    """Unit-variance normal noise in which a row resembles the one before it: AR(1)."""
    noise = rng.normal(size=(repeats, rows))
    noise[:, 1:] *= math.sqrt(1 - correlation**2)
    return lfilter([1], [1, -correlation], noise, axis=1)


def neg_mae(errors):
    return np.stack([-np.abs(errors[:, block]).mean(axis=1) for block in slices(errors.shape[1])], axis=1)


def auc(labels, scores):
    """The rank form of the AUC in every block of every repetition; NaN where a block has one class only."""
    columns = []
    for block in slices(labels.shape[1]):
        positive = labels[:, block]
        ranks, count = rankdata(scores[:, block], axis=1), positive.sum(axis=1)
        negatives = positive.shape[1] - count
        with np.errstate(invalid="ignore"):
            columns.append(((ranks * positive).sum(axis=1) - count * (count + 1) / 2) / (count * negatives))
    return np.stack(columns, axis=1)


@sizes(REPEATS)
@pytest.mark.parametrize("rows", [100, 250, 2_000])
@pytest.mark.parametrize(
    ("shared", "own"), [(0.0, 0.0), (0.9, 0.0), (0.0, 0.3), (0.9, 0.3)], ids=["iid", "shared", "own", "both"]
)
def test_an_equal_challenger_is_rejected_in_five_percent_by_mae(rows, shared, own, repeats):
    rng = np.random.default_rng(rows)
    hard = series(rng, rows, shared, repeats)
    one, other = (hard + 0.3 * series(rng, rows, own, repeats) for _ in range(2))
    assert rejected("neg_mean_absolute_error", neg_mae(one), neg_mae(other), rows) <= at_most(0.05, repeats)


def test_a_challenger_with_five_percent_more_absolute_error_is_rejected():
    """2,000 rows; the two models' errors correlate at 0.87, of which the row before explains 0.9 and 0.3."""
    rng, rows = np.random.default_rng(1), 2_000
    hard = series(rng, rows, 0.9)
    champion = hard + 0.3 * series(rng, rows, 0.3)
    challenger = hard + math.sqrt(1.05**2 * 1.09 - 1) * series(rng, rows, 0.3)
    assert np.abs(challenger).mean() == pytest.approx(1.05 * np.abs(champion).mean(), rel=0.01)
    assert rejected("neg_mean_absolute_error", neg_mae(challenger), neg_mae(champion), rows) >= 0.85


def classified(seed, rows, share, worse):
    """Labels, and the scores of two models that share most of what they know; one may be worse."""
    rng = np.random.default_rng(seed)
    labels = rng.random((REPEATS, rows)) < share
    known = 1.2 * labels + rng.normal(size=labels.shape)
    challenger, champion = (known + spread * rng.normal(size=labels.shape) for spread in (0.5 + worse, 0.5))
    return labels, challenger, champion


@pytest.mark.parametrize(("rows", "share"), [(250, 0.5), (1_000, 0.5), (1_000, 0.05), (2_000, 0.1)])
def test_an_equal_challenger_is_rejected_in_five_percent_by_auc(rows, share):
    labels, challenger, champion = classified(rows, rows, share, worse=0)
    assert rejected("roc_auc", auc(labels, challenger), auc(labels, champion), rows) <= AT_MOST


def test_a_challenger_with_two_points_less_auc_is_rejected():
    """5,000 rows, half of them positive."""
    labels, challenger, champion = classified(3, 5_000, 0.5, worse=0.205)
    one, other = auc(labels[:300], challenger[:300]), auc(labels[:300], champion[:300])
    assert one.mean() - other.mean() == pytest.approx(-0.02, abs=0.001)
    assert rejected("roc_auc", one, other, 5_000) >= 0.9


def test_a_first_challenger_without_skill_is_promoted_in_five_percent():
    """Ten rows in a hundred are positive, and the scores know nothing of it."""
    rng = np.random.default_rng(4)
    no_skill = auc(rng.random((REPEATS, 2_000)) < 0.1, rng.normal(size=(REPEATS, 2_000)))
    assert first_promoted("roc_auc", no_skill, np.where(np.isnan(no_skill), np.nan, 0.5), 2_000) <= AT_MOST


def test_a_first_challenger_with_little_skill_is_promoted():
    """The mean absolute error is 5 % below the baseline's, on 2,000 rows."""
    rng = np.random.default_rng(5)
    noise = series(rng, 2_000, 0.3)
    errors = {share: noise + share * rng.normal(size=noise.shape) for share in (0.0, 0.33)}
    one, other = neg_mae(errors[0.0]), neg_mae(errors[0.33])
    assert one.mean() / other.mean() == pytest.approx(0.95, abs=0.005)
    assert first_promoted("neg_mean_absolute_error", one, other, 2_000) >= 0.9


@pytest.mark.parametrize("worse", [0.0, 0.1])
def test_a_second_fit_that_is_as_good_falls_in_five_percent_and_one_that_is_worse_always(worse):
    """2,000 rows; the second model's errors are as large as the judged one's, or a tenth larger."""
    rng, rows = np.random.default_rng(7), 2_000
    hard = series(rng, rows, 0.9)
    judged, refitted = (hard + 0.3 * series(rng, rows, 0.3) for _ in range(2))
    holdout = SnapshotRef("m", 1, WINDOW, rows, "f", labelled=True)
    fallen = np.mean(
        [
            not check_refit(
                evaluation(again),
                Comparison("neg_mean_absolute_error", holdout, evaluation(one), evaluation(one), None),
                GatePolicy(),
            ).passed
            for one, again in zip(neg_mae(judged), neg_mae(refitted * (1 + worse)), strict=True)
        ]
    )
    assert fallen >= 0.95 if worse else fallen <= AT_MOST
