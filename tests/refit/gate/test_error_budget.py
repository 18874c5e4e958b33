"""A/A: how often an equal challenger is rejected by the whole gate, and a worse one is let through; by simulation."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.signal import lfilter
from sklearn.linear_model import LogisticRegression

from refit import GatePolicy, Window
from refit.blocks import blocks
from refit.evaluations import Comparison, Evaluation
from refit.gate import calibration, slices
from refit.gate.decide import decide
from refit.gate.evidence import Evidence
from refit.predictions import Predictions
from refit.snapshots import SnapshotRef

Array = npt.NDArray[np.float64]

REPEATS, ROWS = 1_000, 1_500
WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
TIMES = pd.Series(pd.date_range(WINDOW.start, periods=ROWS, freq="h"))
BLOCKS = blocks(TIMES)
HOLDOUT = SnapshotRef("m", 1, WINDOW, ROWS, "f", labelled=True)


def at_most(share: float, repeats: int = REPEATS) -> float:
    """Three binomial standard deviations above a share: exceeded by chance in one simulation of 700."""
    return share + 3 * math.sqrt(share * (1 - share) / repeats)


def wandering(rng: np.random.Generator, correlation: float) -> Array:
    """Errors of unit variance in which a row resembles the one before it."""
    noise = rng.normal(size=ROWS)
    noise[1:] *= math.sqrt(1 - correlation**2)
    resembling: Array = lfilter([1], [1, -correlation], noise)
    return resembling


def verdict(challenger: Array, champion: Array, policy: GatePolicy, evidence: Evidence | None = None) -> bool:
    """Judges by the mean absolute errors in the blocks of the holdout."""
    scores = [
        Evaluation(-each.mean(), tuple(-each[block].mean() for block in BLOCKS)) for each in (challenger, champion)
    ]
    trivial = Evaluation(-1e6, (-1e6,) * len(BLOCKS))
    compared = Comparison("neg_mean_absolute_error", HOLDOUT, scores[0], trivial, scores[1])
    if evidence is not None:
        compared = Comparison(*(getattr(compared, name) for name in _FIELDS), evidence=evidence)
    return decide(compared, policy).promote


_FIELDS = ("metric", "holdout", "challenger", "baseline", "champion", "stand_in")


def errors(rng: np.random.Generator, correlation: float, worse: float = 0.0) -> tuple[Array, Array]:
    """The absolute errors of two models that share what is hard; one may be worse by so much on average."""
    hard = wandering(rng, correlation)
    one, other = (np.abs(hard + 0.4 * wandering(rng, correlation / 2)) for _ in range(2))
    return one + worse, other


CORRELATED = pytest.mark.parametrize("correlation", [0.0, 0.8], ids=["independent rows", "rows that hang together"])


@CORRELATED
def test_a_challenger_worse_by_the_smallest_difference_passes_in_at_most_five_percent(correlation: float) -> None:
    rng, policy = np.random.default_rng(1), GatePolicy(difference=0.05)
    passed = sum(verdict(*errors(rng, correlation, worse=0.05), policy) for _ in range(REPEATS))
    assert passed <= REPEATS * at_most(0.05)


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
    assert passed <= REPEATS * at_most(0.05)


@CORRELATED
def test_with_superiority_an_equal_challenger_passes_in_five_percent_of_series_of_fifty(correlation: float) -> None:
    """5,000 retrains: 100 series of 50 cycles."""
    rng, policy, series = np.random.default_rng(3), GatePolicy(test="superiority"), 100
    promoted = np.array([verdict(*errors(rng, correlation), policy) for _ in range(50 * series)]).reshape(series, 50)
    assert promoted.mean() <= at_most(0.05 / 50, 50 * series)
    assert promoted.any(axis=1).mean() <= at_most(0.05, series)


def test_with_superiority_one_cycle_alone_keeps_its_five_percent() -> None:
    rng, policy = np.random.default_rng(4), GatePolicy(test="superiority", cycles=1)
    promoted = np.mean([verdict(*errors(rng, 0.0), policy) for _ in range(REPEATS)])
    assert 0.02 <= promoted <= at_most(0.05)


def test_with_superiority_a_clearly_better_one_passes_all_the_same() -> None:
    rng, policy = np.random.default_rng(5), GatePolicy(test="superiority")
    assert np.mean([verdict(*errors(rng, 0.0, worse=-0.08), policy) for _ in range(200)]) >= 0.95


TOWNS = [f"town = {name}" for name in "abcdefgh"]


class Fixed:
    """A model that says what it was told to, of the rows that it was told about."""

    classes_ = np.array([0, 1])

    def __init__(self, positive: Array) -> None:
        self.positive = positive

    def predict(self, X: pd.DataFrame) -> Array:  # noqa: N803
        return (self.positive[X.index] > 0.5).astype(int)

    def predict_proba(self, X: pd.DataFrame) -> Array:  # noqa: N803
        return np.column_stack([1 - self.positive[X.index], self.positive[X.index]])


def classified(rng: np.random.Generator, rows: int = ROWS) -> tuple[pd.Series, Array, dict[str, npt.NDArray[np.intp]]]:
    """Labels, the chance of each, and eight slices."""
    known = rng.normal(size=rows)
    chance = 1 / (1 + np.exp(-1.5 * known + 1))
    places = np.array_split(rng.permutation(rows), len(TOWNS))
    return (
        pd.Series((rng.random(rows) < chance).astype(int)),
        chance,
        dict(zip(TOWNS, map(np.sort, places), strict=True)),
    )


def noisy(rng: np.random.Generator, chance: Array) -> Array:
    """What a model that has learned nearly the truth says."""
    odds = np.log(chance / (1 - chance)) + 0.3 * rng.normal(size=len(chance))
    said: Array = 1 / (1 + np.exp(-odds))
    return said


def evidence_of(truth: pd.Series, said: Array, other: Array, places: dict) -> Evidence:
    rows = pd.DataFrame(index=range(len(truth)))
    one, rival = (Predictions(Fixed(each), rows) for each in (said, other))
    losses = [slices.row_losses(each, truth) for each in (one, rival)]
    return Evidence(
        calibration=calibration.measure(one, rival, truth, blocks(pd.Series(range(len(truth))))),
        slices=slices.measure(places, *losses),
    )


def test_an_equal_challenger_is_rejected_by_all_tests_together_in_at_most_five_percent() -> None:
    rng, policy, rejected = np.random.default_rng(6), GatePolicy(), 0
    for _ in range(REPEATS):
        truth, chance, places = classified(rng)
        said, other = noisy(rng, chance), noisy(rng, chance)
        losses = [(each - truth.to_numpy()) ** 2 for each in (said, other)]
        rejected += not verdict(*losses, policy, evidence_of(truth, said, other, places))
    assert rejected <= REPEATS * at_most(0.05)


def found(change: str) -> float:
    """How often a fault is found by the rule that is there for it."""
    rng, hits, policy = np.random.default_rng(7), 0, GatePolicy()
    for _ in range(100):
        truth, chance, places = classified(rng, 3_000)
        said, other = noisy(rng, chance), noisy(rng, chance)
        if change == "slices":
            spoilt = places["town = c"]
            said[spoilt] = 1 - said[spoilt]
        else:
            said = said**4 / (said**4 + (1 - said) ** 4)
        evidence = evidence_of(truth, said, other, places)
        reason = (
            slices.slices_not_worse(evidence.slices or (), policy, with_champion=True)
            if change == "slices"
            else calibration.calibrated(evidence.calibration, policy)
        )
        assert reason.check == change
        hits += not reason.passed
    return hits / 100


@pytest.mark.parametrize("change", ["slices", "calibration"])
def test_a_ruined_slice_and_bad_calibration_are_found(change: str) -> None:
    assert found(change) >= 0.95


def test_calibration_is_that_of_a_fitted_model_too() -> None:
    rng = np.random.default_rng(8)
    rows = pd.DataFrame({"x": rng.normal(size=4_000)})
    truth = pd.Series((rng.random(4_000) < 1 / (1 + np.exp(-rows["x"]))).astype(int))
    model = LogisticRegression().fit(rows, truth)
    measured = calibration.measure(Predictions(model, rows), None, truth, blocks(pd.Series(range(4_000))))
    assert measured is not None
    assert measured.challenger < 0.02
    assert measured.champion is None
