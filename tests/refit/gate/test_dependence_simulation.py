"""How often the gate errs where the errors of the models themselves hang together in time, by seeded simulation."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter
from sklearn.base import BaseEstimator, RegressorMixin

from refit import GatePolicy, Window
from refit.data.split import fine_blocks
from refit.gate.evaluations import Comparison, Evaluation
from refit.gate.paired_tests import check_champion
from refit.modelling.predictions import Predictions
from refit.modelling.row_contributions import sum_contributions
from refit.records.contributions import Contributions, Stratum
from refit.records.references import SnapshotRef
from tests.support.simulated_challengers import Fixed
from tests.support.simulation_sizes import at_most, least, sizes

WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
ALLOWED = 0.045
"""The most that a nominal 3 %, the part of the test against the champion, may be."""


class Number(RegressorMixin, BaseEstimator):
    """A model that says the numbers it was told."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def predict(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803
        return self.values[X.index]


def blocks_of(rows: int) -> list[slice]:
    return fine_blocks(pd.Series(pd.date_range(WINDOW.start, periods=rows, freq="h")))


def series(rng: np.random.Generator, rows: int, correlation: float) -> np.ndarray:
    noise = rng.normal(size=rows)
    noise[1:] *= math.sqrt(1 - correlation**2)
    return lfilter([1], [1, -correlation], noise)


def mean_loss(errors: np.ndarray, blocks: list[slice]) -> Contributions:
    sums = np.add.reduceat(-np.abs(errors), [block.start for block in blocks])
    sizes = tuple(block.stop - block.start for block in blocks)
    return Contributions((Stratum(sizes, tuple(sums.tolist()), float(np.abs(errors).var())),))


def rejected(one: Contributions | None, other: Contributions | None, rows: int) -> bool:
    holdout = SnapshotRef("m", 1, WINDOW, rows, "f", labelled=True)
    challenger, champion = (Evaluation(-1.0, (), each) for each in (one, other))
    compared = Comparison("neg_mean_absolute_error", holdout, challenger, challenger, champion)
    return not check_champion(compared, champion, GatePolicy()).passed


def rejected_by_mae(rows: int, own: float, worse: float, repeats: int) -> float:
    rng, blocks, found = np.random.default_rng(rows), blocks_of(rows), 0
    for _ in range(repeats):
        hard = series(rng, rows, 0.9)
        one, other = (hard + spread * series(rng, rows, own) for spread in (0.3 + worse, 0.3))
        found += rejected(mean_loss(one, blocks), mean_loss(other, blocks), rows)
    return found / repeats


@sizes(4_000, 400)
@pytest.mark.parametrize("rows", [250, 1_000, 2_000])
@pytest.mark.parametrize("own", [0.0, 0.5, 0.95, 0.98])
def test_an_equal_challenger_is_rejected_as_often_as_said(rows: int, own: float, repeats: int) -> None:
    assert rejected_by_mae(rows, own, 0.0, repeats) <= at_most(ALLOWED, repeats)


@sizes(1_000, 200)
def test_independent_rows_lose_no_power_by_it(repeats: int) -> None:
    """250 rows: five blocks of 50 found 54 % of these challengers."""
    assert rejected_by_mae(250, 0.0, 0.3, repeats) >= least(repeats, 0.65) / repeats


def judged(metric: str, rng: np.random.Generator, rows: int, own: float, blocks: list[slice]) -> bool:
    """Judges two equal models, the faults of which hang together, by a metric that is no mean of losses."""
    known, frame = rng.normal(size=rows), pd.DataFrame(index=range(rows))
    if metric == "r2":
        truth = pd.Series(known + rng.normal(size=rows))
        said = [Number(known + 0.4 * series(rng, rows, own)) for _ in range(2)]
    else:
        truth = pd.Series((known + rng.normal(size=rows) > 0).astype(int))
        said = [Fixed(1 / (1 + np.exp(-known - 0.8 * series(rng, rows, own)))) for _ in range(2)]
    one, other = (sum_contributions(metric, Predictions(each, frame), truth, blocks) for each in said)
    return rejected(one, other, rows)


@sizes(2_000, 100)
@pytest.mark.parametrize("metric", ["roc_auc", "balanced_accuracy", "neg_log_loss", "r2"])
@pytest.mark.parametrize("own", [0.5, 0.98])
def test_other_metrics_are_as_honest(metric: str, own: float, repeats: int) -> None:
    rng, blocks = np.random.default_rng(5), blocks_of(1_000)
    share = np.mean([judged(metric, rng, 1_000, own, blocks) for _ in range(repeats)])
    assert share <= at_most(ALLOWED, repeats)
