"""Contributions of rows: their mean is the score, and their blocks see what scores of blocks do not."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import get_scorer, roc_auc_score

from refit.data.split import time_blocks
from refit.modelling.paired_difference import block_means, compare_contributions, score_of
from refit.modelling.predictions import Predictions, predict_once
from refit.modelling.row_contributions import RowContributions, contribute_rows, sum_contributions
from refit.modelling.scoring import score
from refit.records.contributions import Contributions

RNG = np.random.default_rng(11)
X = pd.DataFrame(RNG.normal(size=(400, 3)), columns=["a", "b", "c"])
NUMBERS = X["a"] * 3 + RNG.normal(size=400) + 20
TWO = (X["a"] + RNG.normal(size=400) > 1).map({True: "yes", False: "no"})
THREE = pd.Series(np.select([X["a"] < -1.5, X["a"] < 0.5], ["low", "middle"], "high"))
BLOCKS = [slice(start, start + 40) for start in range(0, 400, 40)]

CASES = [
    *((metric, LogisticRegression(C=0.05), TWO) for metric in ("roc_auc", "balanced_accuracy", "f1", "precision")),
    *((metric, LogisticRegression(), TWO) for metric in ("recall", "neg_log_loss", "neg_brier_score", "accuracy")),
    *((metric, RandomForestClassifier(5, max_depth=2, random_state=0), TWO) for metric in ("average_precision",)),
    *((metric, LogisticRegression(), THREE) for metric in ("balanced_accuracy", "f1_macro", "neg_brier_score")),
    *((metric, LogisticRegression(), THREE) for metric in ("neg_log_loss", "roc_auc_ovr", "f1_weighted")),
    *(
        (f"neg_{metric}", LinearRegression(), NUMBERS)
        for metric in ("mean_absolute_error", "root_mean_squared_error", "mean_absolute_percentage_error")
    ),
    *((metric, LinearRegression(), NUMBERS) for metric in ("r2", "explained_variance", "neg_mean_squared_log_error")),
]


def contributed(metric: str, predictions: Predictions, truth: pd.Series) -> RowContributions:
    found = contribute_rows(metric, predictions, truth, BLOCKS)
    assert isinstance(found, RowContributions)
    return found


@pytest.mark.parametrize(("metric", "model", "truth"), CASES, ids=[f"{one[0]}-{one[2].nunique()}" for one in CASES])
def test_the_mean_of_the_contributions_is_the_score(metric, model, truth) -> None:
    model.fit(X, truth)
    found = contributed(metric, predict_once(model, X), truth)
    assert found.values.mean() == pytest.approx(
        get_scorer(metric)(model, X, truth) if truth is not TWO else score(metric, predict_once(model, X), truth)
    )
    assert score_of(found.sum_blocks(BLOCKS)) == pytest.approx(found.values.mean())


@pytest.mark.parametrize(("metric", "model", "truth"), CASES, ids=[f"{one[0]}-{one[2].nunique()}" for one in CASES])
def test_the_spread_of_the_contributions_is_that_of_the_score(metric, model, truth) -> None:
    """Against 400 bootstrap samples of the rows; a jackknife over ten blocks is a rough estimate."""
    model.fit(X[:100], truth[:100]) if truth is THREE else model.fit(X, truth)
    predictions, rng = predict_once(model, X), np.random.default_rng(0)
    drawn = [score(metric, predictions, truth, rng.integers(0, 400, 400)) for _ in range(400)]
    error = contributed(metric, predictions, truth).values.std() / math.sqrt(400)
    blockwise = block_means(contributed(metric, predictions, truth).sum_blocks(BLOCKS)).std(ddof=1) / math.sqrt(10)
    rough = metric in {"average_precision", "roc_auc_ovr", "f1_weighted", "explained_variance"}
    assert (blockwise if rough else error) == pytest.approx(np.std(drawn), rel=0.6 if rough else 0.15)


def test_an_auc_has_the_placement_values_of_delong() -> None:
    """Counted pair by pair, with ties, and its variance as in DeLong, DeLong and Clarke-Pearson (1988)."""
    scores, labels = np.array([0.1, 0.4, 0.35, 0.8, 0.4, 0.9, 0.2]), np.array([0, 0, 1, 1, 1, 0, 0])
    found = contributed("roc_auc", scored(scores), pd.Series(labels)).values
    pairs = np.array([[(p > n) + (p == n) / 2 for n in scores[labels == 0]] for p in scores[labels == 1]])
    auc = pairs.mean()
    assert auc == roc_auc_score(labels, scores)
    assert found[labels == 1] == pytest.approx((pairs.mean(axis=1) - auc) * 7 / 3 + auc)
    assert found[labels == 0] == pytest.approx((pairs.mean(axis=0) - auc) * 7 / 4 + auc)


class Scores:
    """A classifier that gives the scores it is made of."""

    classes_ = np.array([0, 1])

    def __init__(self, scores) -> None:
        self.scores = scores

    def decision_function(self, _):
        return self.scores

    def __sklearn_tags__(self):
        return LogisticRegression().__sklearn_tags__()


def scored(scores) -> Predictions:
    return predict_once(Scores(np.asarray(scores)), pd.DataFrame({"x": np.zeros(len(scores))}))  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", ["neg_log_loss", "neg_brier_score"])
@pytest.mark.parametrize("truth", [TWO, THREE], ids=["two", "three"])
def test_losses_of_probabilities_are_defined_on_one_class(metric, truth) -> None:
    predictions = predict_once(LogisticRegression().fit(X, truth), X)
    inside = np.flatnonzero(truth == truth.iloc[0])
    rows = contributed(metric, predictions, truth).values
    assert score(metric, predictions, truth, inside) == pytest.approx(rows[inside].mean())


def test_what_cannot_be_estimated_says_why_and_names_what_can() -> None:
    same = pd.Series(np.zeros(400, int))
    said = contribute_rows("roc_auc", scored(np.arange(400.0)), same, BLOCKS)
    assert isinstance(said, str)
    assert "roc_auc is undefined where all 400 rows are of one class (0)" in said
    assert "neg_log_loss or neg_brier_score" in said


def summed(scores, labels) -> Contributions:
    blocks = time_blocks(pd.Series(pd.date_range("2026-01-01", periods=len(labels), freq="h")))
    found = sum_contributions("roc_auc", scored(scores), pd.Series(labels), blocks)
    assert found is not None
    return found


def test_a_few_positives_count_as_few_however_many_blocks_there_are() -> None:
    labels = np.zeros(2_000, int)
    labels[125::250] = 1
    rng = np.random.default_rng(1)
    one, other = (summed(labels + rng.normal(size=2_000), labels) for _ in range(2))
    found = compare_contributions(one, other)
    assert found.count == 40
    assert found.freedom < 8


def test_a_class_in_one_block_has_a_spread_all_the_same() -> None:
    labels = np.zeros(2_000, int)
    labels[130:140] = 1
    rng = np.random.default_rng(1)
    one, other = (summed(labels + rng.normal(size=2_000), labels) for _ in range(2))
    found = compare_contributions(one, other)
    assert found.decidable
    assert 0 < found.error < 1
    assert found.freedom < 3


def test_a_class_of_one_row_among_many_does_not_blind_a_test() -> None:
    """Ten classes; a challenger that knows nine of them beats one that knows none."""
    truth = pd.Series(np.where(np.arange(1_000) == 500, 9, np.arange(1_000) % 9))
    rows = pd.DataFrame({"x": np.arange(1_000)})
    blocks = [slice(start, start + 50) for start in range(0, 1_000, 50)]
    found = [
        contribute_rows("balanced_accuracy", predict_once(Guess(guess), rows), truth, blocks)  # type: ignore[arg-type]
        for guess in (np.arange(1_000) % 9, np.zeros(1_000, int))
    ]
    good, trivial = (one.sum_blocks(blocks) for one in found if isinstance(one, RowContributions))
    pair = compare_contributions(good, trivial)
    assert pair.mean > pair.margin(0.05)


class Guess(Scores):
    classes_ = np.arange(10)

    def predict(self, _):
        return self.scores
