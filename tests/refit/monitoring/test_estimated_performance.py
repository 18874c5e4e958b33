"""A score to expect, from probabilities alone: right where they are, and corrected where labels say they are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier

from refit.modelling.predictions import predict_once
from refit.modelling.scoring import score
from refit.monitoring.estimated_performance import calibrate_probabilities, estimate_score, predict_probabilities


def rows(seed, count, classes=2):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(count, 2)), columns=["a", "b"])
    chances = np.exp(np.outer(frame["a"], np.arange(classes)))
    chances /= chances.sum(axis=1, keepdims=True)
    drawn = (rng.random((count, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    return frame, pd.Series(drawn)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "roc_auc", "roc_auc_ovr", "f1_macro"])
def test_it_is_the_score_where_the_probabilities_are_right(metric, classes) -> None:
    if metric == "roc_auc" and classes > 2:
        metric = "neg_log_loss"
    model = LogisticRegression().fit(*rows(0, 20_000, classes))
    frame, truth = rows(1, 20_000, classes)
    said = predict_once(model, frame)
    found = estimate_score(metric, said, predict_probabilities(said))
    assert (found.metric, found.rows) == (metric, 20_000)
    assert found.value == pytest.approx(score(metric, said, truth), abs=0.01)


def test_overconfident_probabilities_are_corrected_by_labels_that_came() -> None:
    model = LogisticRegression().fit(*rows(0, 5_000))
    model.coef_ *= 4
    known, truth = rows(1, 5_000)
    frame, future = rows(2, 5_000)
    said, before = predict_once(model, frame), predict_probabilities(predict_once(model, known))
    real = score("accuracy", said, future)
    raw = estimate_score("accuracy", said, predict_probabilities(said)).value
    better = estimate_score(
        "accuracy", said, calibrate_probabilities(predict_probabilities(said), before, truth, said.labels)
    ).value
    assert abs(raw - real) > 0.1
    assert better == pytest.approx(real, abs=0.02)


@pytest.mark.parametrize(("labels", "share"), [(200, 0.3), (1_000, 0.3), (1_000, 0.05)])
def test_a_scorer_without_skill_is_estimated_without_skill(labels: int, share: float) -> None:
    rng, found = np.random.default_rng(labels), []
    model = LogisticRegression().fit(*rows(0, 2_000))
    for _ in range(40):
        known = predict_probabilities(predict_once(model, rows(int(rng.integers(2**31)), labels)[0]))
        said = predict_once(model, rows(int(rng.integers(2**31)), 2_000)[0])
        luck = pd.Series((rng.random(labels) < share).astype(int))
        calibrated = calibrate_probabilities(predict_probabilities(said), known, luck, said.labels)
        found.append(estimate_score("roc_auc", said, calibrated).value)
    assert np.mean(found) == pytest.approx(0.5, abs=0.02)


def test_few_labels_change_nothing() -> None:
    model = LogisticRegression().fit(*rows(0, 500))
    known, truth = rows(1, 50)
    before = predict_probabilities(predict_once(model, known))
    assert calibrate_probabilities(before, before, truth, [0, 1]) is before


def test_text_classes_are_estimated_too() -> None:
    frame, truth = rows(0, 2_000)
    said = predict_once(LogisticRegression().fit(frame, truth.map({0: "no", 1: "yes"})), frame)
    assert 0.5 < estimate_score("roc_auc", said, predict_probabilities(said)).value < 1


def test_models_without_probabilities_have_none() -> None:
    frame, truth = rows(0, 100)
    assert predict_probabilities(predict_once(LinearRegression().fit(frame, truth), frame)) is None
    assert predict_probabilities(predict_once(RidgeClassifier().fit(frame, truth), frame)) is None
    said = predict_once(LogisticRegression().fit(frame, truth), frame.iloc[:0])
    assert estimate_score("accuracy", said, np.empty((0, 2))) is None


def test_a_metric_that_cannot_be_weighted_has_none() -> None:
    frame, truth = rows(0, 100)
    said = predict_once(LogisticRegression().fit(frame, truth), frame)
    assert estimate_score("max_error", said, predict_probabilities(said)) is None
