"""Whether probabilities mean what they say, for two classes and more, with a champion and without."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import LinearSVC

from refit import GatePolicy
from refit.data.split import time_blocks
from refit.gate.calibration import calibration_error, check_calibration, measure_calibration
from refit.gate.evidence import Calibration
from refit.modelling.predictions import Predictions
from tests.support.simulated_challengers import classified, evidence_of, noisy, too_sure

ROWS = 4_000
RNG = np.random.default_rng(8)
FEATURES = pd.DataFrame({"x": RNG.normal(size=ROWS)})
CHANCE = 1 / (1 + np.exp(-FEATURES["x"]))
TRUTH = pd.Series(RNG.random(ROWS) < CHANCE).map({True: "late", False: "in time"})
BLOCKS = time_blocks(pd.Series(range(ROWS)))


class TooSure(LogisticRegression):
    """Says what the other says, with its odds to the fourth."""

    def predict_proba(self, X: pd.DataFrame) -> Any:  # noqa: N803
        said = super().predict_proba(X) ** 4
        return said / said.sum(axis=1, keepdims=True)


def answers(model: BaseEstimator, truth: pd.Series = TRUTH) -> Predictions:
    return Predictions(model.fit(FEATURES, truth), FEATURES)


def test_a_model_that_says_what_comes_true_has_hardly_an_error_and_one_too_sure_has() -> None:
    found = measure_calibration(answers(LogisticRegression()), None, TRUTH, BLOCKS)
    assert found is not None
    assert found.challenger < 0.02
    assert (found.champion, found.deviation) == (None, None)
    sure = measure_calibration(answers(TooSure()), answers(LogisticRegression()), TRUTH, BLOCKS)
    assert sure is not None
    assert sure.champion == found.challenger
    assert sure.challenger > 0.1
    assert sure.deviation is not None
    assert 0 < sure.deviation < 0.02


def test_of_more_classes_it_is_the_likeliest_that_counts() -> None:
    truth = TRUTH.where(FEATURES["x"] < 0.5, "lost")
    found = measure_calibration(answers(TooSure(), truth), answers(LogisticRegression(), truth), truth, BLOCKS)
    assert found is not None
    assert found.champion is not None
    assert found.challenger > found.champion + 0.05


@pytest.mark.parametrize("model", [LinearSVC(), LinearRegression()], ids=["classes alone", "numbers"])
def test_what_gives_no_probabilities_has_no_calibration(model: BaseEstimator) -> None:
    truth = TRUTH if isinstance(model, LinearSVC) else FEATURES["x"]
    assert measure_calibration(answers(model, truth), None, truth, BLOCKS) is None


def test_a_champion_without_probabilities_is_none_to_compare_with() -> None:
    found = measure_calibration(answers(LogisticRegression()), answers(LinearSVC()), TRUTH, BLOCKS)
    assert found is not None
    assert (found.champion, found.deviation) == (None, None)


def test_equal_probabilities_share_a_bin_whenever_they_came() -> None:
    """The share of true ones falls with time; a model that says the right mean throughout has no error by that."""
    came = (np.arange(ROWS) % 10 < np.linspace(8, 2, ROWS)).astype(float)
    assert calibration_error(np.full(ROWS, came.mean()), came) == 0


@pytest.mark.parametrize("rows", [1, 2, 50, 59, 61])
def test_few_rows_show_no_more_than_chance(rows: int) -> None:
    rng = np.random.default_rng(rows)
    said = rng.random((400, rows))
    errors = [calibration_error(each, (rng.random(rows) < each).astype(float)) for each in said]
    assert np.mean(np.square(errors)) < 1 / rows


def test_the_deviation_is_how_much_differences_vary_from_holdout_to_holdout() -> None:
    """200 holdouts of 1,500 rows in which neighbours err alike; both models are too sure.

    Where one is hardly wrong at all it is told too large, up to one and a half times: errors end at 0.
    """
    rng, found = np.random.default_rng(1), list[Calibration | None]()
    for _ in range(200):
        truth, chance, places = classified(rng, correlation=0.8)
        said, other = (too_sure(noisy(rng, chance, 0.8)) for _ in range(2))
        found.append(evidence_of(truth, said, other, places).calibration)
    differences = [each.challenger - (each.champion or 0.0) for each in found if each]
    told = [each.deviation or 0.0 for each in found if each]
    assert np.mean(told) == pytest.approx(np.std(differences), rel=0.25)


@pytest.mark.parametrize(
    ("found", "policy", "passed"),
    [
        (Calibration(0.3, None, None), GatePolicy(), True),  # a first champion, no limit: shown
        (Calibration(0.3, None, None), GatePolicy(calibration_limit=0.2), False),
        (Calibration(0.1, 0.2, 0.01), GatePolicy(calibration_limit=0.05), False),  # absolute, though better
        (Calibration(0.1, 0.02, 0.01), GatePolicy(), False),
        (Calibration(0.1, 0.02, 0.05), GatePolicy(), True),  # not certain
        (Calibration(0.1, 0.06, 0.001), GatePolicy(), True),  # certain, and too little to matter
        (Calibration(0.1, 0.02, None), GatePolicy(), True),
        (Calibration(0.9, 0.02, 0.01), GatePolicy(calibration=None), True),  # switched off
    ],
)
def test_what_is_asked_of_calibration(found: Calibration, policy: GatePolicy, passed: bool) -> None:
    reason = check_calibration(found, policy)
    assert (reason.check, reason.passed, reason.value) == ("calibration", passed, found.challenger)
    assert passed or reason.limit is not None
    assert passed or "calibrate the estimator" in reason.sentence


@pytest.mark.parametrize(("most", "limit"), [(None, 0.07), (0.5, 0.07), (0.03, 0.03)])
def test_the_lower_of_two_limits_is_shown(most: float | None, limit: float) -> None:
    reason = check_calibration(Calibration(0.01, 0.02, 0.01), GatePolicy(calibration_limit=most))
    assert reason.passed
    assert reason.limit == pytest.approx(limit)
