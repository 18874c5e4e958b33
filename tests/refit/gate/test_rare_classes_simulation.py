"""The gate on labels that come in runs or are rare, by simulation: blocks of one class cost power, never sight."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from refit import GatePolicy, Window
from refit.data.split import fine_blocks
from refit.gate.comparison import score_blocks
from refit.gate.evaluations import Comparison, Evaluation
from refit.gate.paired_tests import check_baseline, check_champion
from refit.modelling.predictions import Predictions
from refit.modelling.row_contributions import sum_contributions
from refit.records.references import SnapshotRef
from tests.support.simulated_challengers import Fixed
from tests.support.simulation_sizes import at_most, least, sizes

WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
ROWS, PART = 2_000, 0.03
"""The part of the error budget that the test against the champion has."""


def evaluated(scores: np.ndarray, truth: pd.Series, metric: str = "roc_auc") -> Evaluation:
    rows = pd.DataFrame(index=range(len(truth)))
    blocks = fine_blocks(pd.Series(pd.date_range(WINDOW.start, periods=len(truth), freq="h")))
    found = sum_contributions(metric, Predictions(Fixed(scores), rows), truth, blocks)
    return Evaluation(0.5, (), found)


def labels(rng: np.random.Generator, world: str) -> np.ndarray:
    if world == "runs":
        return lfilter([1], [1, -0.985], rng.normal(size=ROWS)) > 0
    found = rng.random(ROWS) < (0.3 if world == "even" else 0.004)
    found[rng.choice(ROWS, 2, replace=False)] = True
    return found


def judged(world: str, worse: float, repeats: int) -> float:
    """The share of repetitions in which a challenger is rejected that adds so much more noise to what is known."""
    rng, rejected = np.random.default_rng(18), 0
    holdout = SnapshotRef("m", 1, WINDOW, ROWS, "f", labelled=True)
    for _ in range(repeats):
        found = labels(rng, world)
        known = 1.5 * found + rng.normal(size=ROWS)
        one, other = (
            evaluated(1 / (1 + np.exp(-known - noise * rng.normal(size=ROWS))), pd.Series(found.astype(int)))
            for noise in (0.5 + worse, 0.5)
        )
        rejected += not check_champion(Comparison("roc_auc", holdout, one, one, other), other, GatePolicy()).passed
    return rejected / repeats


@sizes(1_000, 200)
@pytest.mark.parametrize("world", ["even", "runs", "rare"])
def test_an_equal_challenger_is_rejected_as_often_as_said(world: str, repeats: int) -> None:
    assert judged(world, 0.0, repeats) <= at_most(0.045 if world == "rare" else PART, repeats)


@sizes(400, 100)
def test_a_worse_challenger_is_found_where_labels_come_in_runs(repeats: int) -> None:
    """Nine blocks in ten have one class: by scores of blocks half of these challengers pass."""
    assert judged("runs", 0.6, repeats) >= least(repeats, 0.9) / repeats


def test_a_first_champion_is_found_where_labels_come_in_runs() -> None:
    rng = np.random.default_rng(3)
    truth = pd.Series((np.arange(2_400) // 480 % 2).astype(int))
    said = 1 / (1 + np.exp(-2.2 * (truth - 0.5) - rng.normal(size=2_400)))
    times = pd.Series(pd.date_range(WINDOW.start, periods=2_400, freq="h"))
    rows = pd.DataFrame(index=range(2_400))
    one, trivial = (
        score_blocks("roc_auc", Predictions(Fixed(np.asarray(each)), rows), truth, times)
        for each in (said, np.full(2_400, 0.5))
    )
    assert np.isfinite(one.blocks).sum() < 5
    holdout = SnapshotRef("m", 1, WINDOW, 2_400, "f", labelled=True)
    assert check_baseline(Comparison("roc_auc", holdout, one, trivial, None), GatePolicy()).passed


def test_rows_of_one_class_are_named_as_the_reason() -> None:
    truth = pd.Series(np.zeros(200, int))
    times = pd.Series(pd.date_range(WINDOW.start, periods=200, freq="h"))
    rng = np.random.default_rng(0)
    one = score_blocks("roc_auc", Predictions(Fixed(rng.random(200)), pd.DataFrame(index=range(200))), truth, times)
    holdout = SnapshotRef("m", 1, WINDOW, 200, "f", labelled=True)
    reason = check_baseline(Comparison("roc_auc", holdout, one, one, None), GatePolicy())
    assert not reason.passed
    assert (
        "roc_auc is undefined where all 200 rows are of one class (0): set gate.metric to neg_log_loss"
        in reason.sentence
    )
