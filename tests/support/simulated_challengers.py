"""Simulated rows, and what simulated models say of them: retrains without a fit, on the level of paired scores."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.signal import lfilter
from sklearn.base import BaseEstimator, ClassifierMixin

from refit import GatePolicy, Window
from refit.data.split import time_blocks
from refit.gate import calibration, slices
from refit.gate.decide import decide
from refit.gate.evaluations import Comparison, Evaluation
from refit.gate.evidence import UNMEASURED, Evidence
from refit.modelling.predictions import Predictions
from refit.records.references import SnapshotRef

Array = npt.NDArray[np.float64]

REPEATS, ROWS = 1_000, 1_500
WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
TIMES = pd.Series(pd.date_range(WINDOW.start, periods=ROWS, freq="h"))
BLOCKS = time_blocks(TIMES)
HOLDOUT = SnapshotRef("m", 1, WINDOW, ROWS, "f", labelled=True)


def wandering(rng: np.random.Generator, correlation: float, rows: int = ROWS) -> Array:
    """Errors of unit variance in which a row resembles the one before it."""
    noise = rng.normal(size=rows)
    noise[1:] *= math.sqrt(1 - correlation**2)
    resembling: Array = lfilter([1], [1, -correlation], noise)
    return resembling


def verdict(challenger: Array, champion: Array, policy: GatePolicy, evidence: Evidence = UNMEASURED) -> bool:
    """Judges by the mean absolute errors in the blocks of the holdout."""
    scores = [
        Evaluation(-each.mean(), tuple(-each[block].mean() for block in BLOCKS)) for each in (challenger, champion)
    ]
    trivial = Evaluation(-1e6, (-1e6,) * len(BLOCKS))
    compared = Comparison("neg_mean_absolute_error", HOLDOUT, scores[0], trivial, scores[1])
    return decide(replace(compared, evidence=evidence), policy).promote


def errors(rng: np.random.Generator, correlation: float, worse: float = 0.0) -> tuple[Array, Array]:
    """The absolute errors of two models that share what is hard; one may be worse by so much on average."""
    hard = wandering(rng, correlation)
    one, other = (np.abs(hard + 0.4 * wandering(rng, correlation / 2)) for _ in range(2))
    return one + worse, other


TOWNS = [f"town = {name}" for name in "abcdefghij"]


class Fixed(ClassifierMixin, BaseEstimator):
    """A model that says what it was told to, of the rows that it was told about."""

    classes_ = np.array([0, 1])

    def __init__(self, positive: Array) -> None:
        self.positive = positive

    def predict(self, X: pd.DataFrame) -> Array:  # noqa: N803
        return (self.positive[X.index] > 0.5).astype(int)

    def predict_proba(self, X: pd.DataFrame) -> Array:  # noqa: N803
        return np.column_stack([1 - self.positive[X.index], self.positive[X.index]])


def classified(
    rng: np.random.Generator, rows: int = ROWS, correlation: float = 0.0
) -> tuple[pd.Series, Array, dict[str, npt.NDArray[np.intp]]]:
    """Labels, the chance of each, and ten slices of as many rows."""
    known = wandering(rng, correlation, rows)
    chance = 1 / (1 + np.exp(-1.5 * known + 1))
    places = np.array_split(rng.permutation(rows), len(TOWNS))
    return (
        pd.Series((rng.random(rows) < chance).astype(int)),
        chance,
        dict(zip(TOWNS, map(np.sort, places), strict=True)),
    )


def noisy(rng: np.random.Generator, chance: Array, correlation: float = 0.0) -> Array:
    """What a model that has learned nearly the truth says; its faults may hang together in time."""
    odds = np.log(chance / (1 - chance)) + 0.3 * wandering(rng, correlation, len(chance))
    said: Array = 1 / (1 + np.exp(-odds))
    return said


def too_sure(said: Array) -> Array:
    """Squares the odds: 0.7 becomes 0.84, in the same order."""
    sure: Array = said**2 / (said**2 + (1 - said) ** 2)
    return sure


def evidence_of(truth: pd.Series, said: Array, other: Array, places: dict, metric: str = "roc_auc") -> Evidence:
    rows = pd.DataFrame(index=range(len(truth)))
    one, rival = (Predictions(Fixed(each), rows) for each in (said, other))
    times = pd.Series(range(len(truth)))
    return Evidence(
        calibration=calibration.measure_calibration(one, rival, truth, time_blocks(times)),
        slices=slices.measure_slices(places, metric, (one, rival), truth, times),
    )
